"""Laws of the fingerprint: everything the pixels depend on changes it, nothing else does, and every machine agrees."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.fingerprint import differences, fingerprint, fingerprint_document, input_identity
from pipeline.types import Item, Json, Period, Tile
from tests.plan.makers import JULY, JUNE, make_item, make_tile

ITEMS = tuple(make_item(number) for number in range(4))
FACTS = ("s2:processing_baseline", "earthsearch:boa_offset_applied")
PARAMETERS = {"composite": "median", "bands": ["red", "nir"], "mask": {"classes": [0, 8, 9], "dilate_px": 3}}


def document(
    *,
    kind: str = "sentinel2",
    version: int = 1,
    parameters: Json = None,
    tile: Tile | None = None,
    period: Period = JUNE,
    items: Sequence[Item] = ITEMS,
) -> Json:
    inputs = [input_identity(item, FACTS) for item in items]
    return fingerprint_document(kind, version, parameters or PARAMETERS, tile or make_tile(), period, inputs)


def with_asset(item: Item, band: str, /, **changes: object) -> Item:
    asset = replace(item.assets[band], **changes)  # type: ignore[arg-type]
    return replace(item, assets={**item.assets, band: asset})


def first(change: Callable[[Item], Item]) -> tuple[Item, ...]:
    return change(ITEMS[0]), *ITEMS[1:]


BASE = document()
CHANGES: dict[str, tuple[Json, str]] = {
    "kind": (document(kind="other"), 'product: "other", was "sentinel2"'),
    "version": (document(version=2), "version: 2, was 1"),
    "parameter": (
        document(parameters={**PARAMETERS, "composite": "mean"}),
        'parameters.composite: "mean", was "median"',
    ),
    "parameter inside": (
        document(parameters={**PARAMETERS, "mask": {"classes": [0, 8, 9], "dilate_px": 4}}),
        "parameters.mask.dilate_px: 4, was 3",
    ),
    "order of a list": (
        document(parameters={**PARAMETERS, "bands": ["nir", "red"]}),
        'parameters.bands: ["nir", "red"], was ["red", "nir"]',
    ),
    "new parameter": (document(parameters={**PARAMETERS, "scale": 2}), "parameters.scale: 2 is new"),
    "lost parameter": (document(parameters={"bands": ["red", "nir"], "mask": PARAMETERS["mask"]}), "parameters."),
    "period": (document(period=replace(JUNE, end=JULY.end)), 'period.end: "2024-08-01T00:00:00+00:00", was'),
    "updated": (
        document(items=first(lambda item: replace(item, updated="2024-09-09T00:00:00+00:00"))),
        "inputs.sentinel-2-c1-l2a/scene-0.red.version",
    ),
    "checksum": (
        document(items=first(lambda item: with_asset(item, "red", checksum="1220ab"))),
        'inputs.sentinel-2-c1-l2a/scene-0.red.version: "1220ab", was',
    ),
    "asset key": (
        document(items=first(lambda item: with_asset(item, "red", key="B4"))),
        'inputs.sentinel-2-c1-l2a/scene-0.red.key: "B4", was "B04"',
    ),
    "declared offset": (
        document(items=first(lambda item: with_asset(item, "red", offset=-0.1))),
        'inputs.sentinel-2-c1-l2a/scene-0.red.offset: "-0.1" is new',
    ),
    "nodata": (
        document(items=first(lambda item: with_asset(item, "red", nodata=float("nan")))),
        'inputs.sentinel-2-c1-l2a/scene-0.red.nodata: "nan" is new',
    ),
    "band of a file": (
        document(items=first(lambda item: with_asset(item, "red", band=3))),
        "inputs.sentinel-2-c1-l2a/scene-0.red.band: 3 is new",
    ),
    "deciding fact": (
        document(items=first(lambda item: replace(item, properties={FACTS[1]: True}))),
        f"inputs.sentinel-2-c1-l2a/scene-0.{FACTS[1]}: true is new",
    ),
    "one item more": (document(items=(*ITEMS, make_item(9))), "inputs.sentinel-2-c1-l2a/scene-9: "),
    "one item less": (document(items=ITEMS[:-1]), "inputs.sentinel-2-c1-l2a/scene-3: "),
    "collection": (
        document(items=first(lambda item: replace(item, collection="sentinel-2-l2a"))),
        "inputs.sentinel-2-c1-l2a/scene-0: ",
    ),
}


@given(st.permutations(ITEMS))
def test_the_order_of_inputs_does_not_matter(items: list[Item]) -> None:
    assert document(items=items) == BASE
    assert fingerprint(document(items=items)) == fingerprint(BASE)


def test_the_order_of_bands_in_an_item_does_not_matter() -> None:
    turned = [replace(item, assets=dict(sorted(item.assets.items(), reverse=True))) for item in ITEMS]
    assert fingerprint(document(items=turned)) == fingerprint(BASE)


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_what_the_pixels_depend_on_changes_it(name: str) -> None:
    changed, said = CHANGES[name]
    assert fingerprint(changed) != fingerprint(BASE)
    assert any(line.startswith(said) for line in differences(BASE, changed)), differences(BASE, changed)


def test_all_changes_give_different_fingerprints() -> None:
    assert len({fingerprint(changed) for changed, _ in CHANGES.values()} | {fingerprint(BASE)}) == len(CHANGES) + 1


@pytest.mark.parametrize("tile", [make_tile(1), replace(make_tile(), id="other")])
def test_another_tile_changes_it(tile: Tile) -> None:
    assert fingerprint(document(tile=tile)) != fingerprint(BASE)
    assert all(line.startswith("tile.") for line in differences(BASE, document(tile=tile)))


def test_where_a_file_lies_and_what_describes_it_do_not_change_it() -> None:
    """A mirror, a signed address, another declared grid or a new cloud estimate make no new pixels."""
    moved = [
        replace(
            with_asset(item, "red", href="s3://mirror/red.tif?sig=x", grid=None, size_bytes=5),
            href="https://elsewhere/item.json",
            properties={"eo:cloud_cover": 3},
            geometry=None,
        )
        for item in ITEMS
    ]
    assert document(items=moved) == BASE


def test_a_checksum_outranks_the_time_of_the_update() -> None:
    """Files that are the same need no new pixels when the catalogue touches its item."""
    known = [replace(item, assets={k: replace(a, checksum="12") for k, a in item.assets.items()}) for item in ITEMS]
    touched = [replace(item, updated="2025-01-01T00:00:00+00:00") for item in known]
    assert fingerprint(document(items=known)) == fingerprint(document(items=touched))


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()),
    st.dictionaries(st.text(max_size=5), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()),
)
def test_documents_differ_exactly_where_a_difference_is_named(old: Json, new: Json) -> None:
    """One line for each key that is new, gone or changed, and none for the others."""
    changed = {key for key in old.keys() | new.keys() if key not in old or key not in new or old[key] != new[key]}
    lines = differences(old, new, "x")
    assert len(lines) == len(changed)
    assert all(any(line.startswith(f"x.{key}: ") for line in lines) for key in changed)


def test_equal_documents_have_no_differences() -> None:
    assert differences(BASE, json.loads(json.dumps(BASE))) == []


@pytest.mark.parametrize("name", ["one item more", "one item less", "updated", "parameter inside"])
def test_only_what_changed_is_named(name: str) -> None:
    changed, said = CHANGES[name]
    lines = differences(BASE, changed)
    assert all(line.startswith(said.split(":")[0].rpartition(".red")[0] or said.split(":")[0]) for line in lines)


def test_a_fingerprint_survives_json() -> None:
    """What `explain` reads back from an item is the document that was digested."""
    assert fingerprint(json.loads(json.dumps(BASE))) == fingerprint(BASE)


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        fingerprint(document(parameters={"threshold": float("nan")}))


GOLDEN_TEXT = (
    '{"format":1,"inputs":[{"assets":{"nir":{"key":"B08","version":"2024-06-20T00:00:00+00:00"},'
    '"red":{"key":"B04","version":"1220ab"},"scl":{"key":"SCL","version":"2024-06-20T00:00:00+00:00"}},'
    '"collection":"sentinel-2-c1-l2a","id":"scene-1"}],"parameters":{"bands":["röd"],"x":0.1},'
    '"period":{"end":null,"id":"2024-06","start":"2024-06-01T00:00:00+00:00"},"product":"sentinel2",'
    '"tile":{"crs":"EPSG:32633","id":"tile-0","shape":[256,256],'
    '"transform":[10.0,0.0,500000.0,0.0,-10.0,4990000.0]},"version":3}'
)
GOLDEN = "5bb9547ecab57b6345dfa389bc91b3fa"


def test_golden() -> None:
    """The same digest on every machine and in every release: a change here makes every tile of every user again."""
    period = Period("2024-06", datetime(2024, 6, 1, tzinfo=UTC), None)
    item = with_asset(make_item(1), "red", checksum="1220ab")
    parameters, inputs = {"x": 0.1, "bands": ["röd"]}, [input_identity(item)]
    found = fingerprint_document("sentinel2", 3, parameters, make_tile(), period, inputs)
    assert found == json.loads(GOLDEN_TEXT)
    assert fingerprint(found) == GOLDEN == hashlib.sha256(GOLDEN_TEXT.encode()).hexdigest()[:32]
