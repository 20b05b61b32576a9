"""Laws of the snapshot: each item once and newest, only what was asked for, and a file that gives all of it back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import SourceConfig
from pipeline.errors import CatalogError, PermanentAssetError
from pipeline.search.canonical import canonical
from pipeline.search.catalog import Query
from pipeline.search.normalise import to_item
from pipeline.search.snapshot import Snapshot, read_snapshot, search, select_items, write_snapshot
from pipeline.types import Asset, Grid
from tests.search.makers import Raw, raw_item, raw_with, real_items

JUNE = Query(((11.0, 44.0, 14.0, 47.0),), datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
GRID = Grid("EPSG:32633", (10.0, 0.0, 300_000.0, 0.0, -10.0, 5_000_000.0), (100, 200))
ALIASES = {"red": ("B04", "SR_B4", "B4"), "vv": ("iw-vv",), "scl": ("SCL",), "elevation": ("data",), "blue": ("B02",)}


def says_grid(_source: str, _asset: Asset) -> Grid:
    """A header reader of a world with one grid."""
    return GRID


def list_source(items: str, collection: str | None = None) -> SourceConfig:
    """A configured source: one file of items."""
    return SourceConfig(items=items, collection=None if collection is None else (collection,))


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., Snapshot]:
    """What a search over these raw items finds in June; headers all say GRID."""

    def run(*raw: Raw, query: Query = JUNE, collection: str | None = None) -> Snapshot:
        path = tmp_path / "items.json"
        path.write_text(json.dumps(raw))
        return search({"s2": list_source(str(path), collection)}, query, says_grid)

    return run


def at(time: datetime) -> Raw:
    return {"datetime": time.isoformat().replace("+00:00", "Z"), "updated": "2024-06-11T00:00:00Z"}


def test_the_end_of_a_search_is_excluded_and_its_start_is_not(found: Callable[..., Snapshot]) -> None:
    step = timedelta(microseconds=1)
    times = {"before": JUNE.start - step, "start": JUNE.start, "last": JUNE.end - step, "end": JUNE.end}
    items = [raw_item(id=name, properties=at(time)) for name, time in times.items()]
    assert {item["id"] for item in found(*items).items} == {"start", "last"}


@pytest.mark.parametrize(
    ("bbox", "west", "east", "meets"),
    [
        ((11.0, 44.0, 14.0, 47.0), 12, 13, True),
        ((11.0, 44.0, 14.0, 47.0), 20, 21, False),
        ((179.0, 44.0, -179.0, 47.0), 179.5, 179.9, True),
        ((179.0, 44.0, -179.0, 47.0), -179.9, -179.5, True),
        ((179.0, 44.0, -179.0, 47.0), 12, 13, False),
    ],
)
def test_a_scene_outside_the_area_is_left_out(
    found: Callable[..., Snapshot], bbox: tuple[float, float, float, float], west: float, east: float, *, meets: bool
) -> None:
    """West > east is an area across the antimeridian."""
    ring = [[west, 45], [east, 45], [east, 46], [west, 46], [west, 45]]
    item = raw_item(geometry={"type": "Polygon", "coordinates": [ring]})
    assert bool(found(item, query=Query((bbox,), JUNE.start, JUNE.end)).items) is meets


@given(st.permutations(["2024-06-11T00:00:00Z", "2024-06-11T00:00:00.5Z", "2024-06-12T00:00:00Z", None]))
@settings(max_examples=24, deadline=None)
def test_of_two_versions_of_an_item_the_newest_stays(
    tmp_path_factory: pytest.TempPathFactory, order: list[str | None]
) -> None:
    """In whatever order the pages bring them; one without a time is the oldest."""
    path = tmp_path_factory.mktemp("versions") / "items.json"
    path.write_text(json.dumps([raw_with({"updated": updated}, {"href": f"/data/{updated}.tif"}) for updated in order]))
    (item,) = search({"s2": list_source(str(path))}, JUNE, says_grid).items
    assert item["properties"]["updated"] == "2024-06-12T00:00:00+00:00"
    assert item["assets"]["red"]["href"] == "/data/2024-06-12T00:00:00Z.tif"


def test_the_same_id_in_two_collections_is_two_items(found: Callable[..., Snapshot]) -> None:
    both = (raw_item(collection="one"), raw_item(collection="two"))
    assert len(found(*both).items) == 2
    assert [item["collection"] for item in found(*both, collection="two").items] == ["two"]


def test_a_bad_item_costs_itself_and_a_note(found: Callable[..., Snapshot], shared_data: Path) -> None:
    """Also a real item whose geometry is no polygon: its bbox is used."""
    real = json.loads((shared_data / "raster/stac/odd/stac-server_badGeometryItem.json").read_text())
    real["properties"]["datetime"] = "2024-06-10T10:00:00Z"
    world = Query(((-180, -90, 180, 90),), JUNE.start, JUNE.end)
    snapshot = found(
        raw_item(), raw_item(id="timeless", properties={}), raw_item(id="odd", links=[]), real, query=world
    )
    assert {"scene-1", "odd", real["id"]} == {item["id"] for item in snapshot.items}
    assert any(note.startswith("source s2: item timeless: no usable time") for note in snapshot.notes)
    assert any(real["id"] in note and "its bbox is used" in note for note in snapshot.notes)


def test_a_source_of_which_nothing_remains_says_why(found: Callable[..., Snapshot]) -> None:
    """And says nothing where something remains, or there was nothing."""
    other, late = raw_item(id="other", collection="sentinel-2-l2a"), raw_item(id="late", properties=at(JUNE.end))
    why = "source s2: of 3 items, 2 are of other collections (sentinel-2-l2a), 1 outside area or period"
    assert found(other, {**other, "id": "more"}, late, collection="s2").notes == (why,)
    assert found(other, late, raw_item(), collection="s2").notes == found().notes == ()


def test_a_source_whose_items_all_miss_its_query_says_so(tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    path.write_text(json.dumps([raw_with({"eo:cloud_cover": 90}), raw_item(id="timeless", properties={})]))
    source = SourceConfig(items=str(path), query={"eo:cloud_cover": {"lt": 20}})
    assert "source s2: of 2 items, 1 miss its query, 1 cannot be used" in search({"s2": source}, JUNE, says_grid).notes


def test_a_missing_grid_comes_from_the_header_and_only_then(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def read(source: str, asset: Asset) -> Grid:
        asked.append((source, asset.href))
        return GRID

    known = raw_with(
        {}, {"proj:epsg": 32633, "proj:shape": [5, 5], "proj:transform": [10, 0, 300_000, 0, -10, 5_000_000]}
    )
    bare = raw_item(
        id="bare",
        assets={
            "red": {"href": "/data/bare.tif"},
            "scl": {"href": "/data/scl", "type": "image/tiff; application=geotiff"},
            "preview": {"href": "/data/preview.jpg", "type": "image/jpeg"},
            "text": {"href": "/data/metadata.xml"},
        },
    )
    path = tmp_path / "items.json"
    path.write_text(json.dumps([known, bare]))
    snapshot = search({"s2": list_source(str(path))}, JUNE, read)
    assert sorted(asked) == [("s2", "/data/bare.tif"), ("s2", "/data/scl")]
    items = {item.id: item for item in select_items(snapshot, {"s2": {"red": (), "scl": ()}})}
    assert {asset.grid for asset in items["bare"].assets.values()} == {GRID}
    assert items["scene-1"].assets["red"].grid != GRID


def test_of_the_headers_only_wanted_ones_are_asked_for(tmp_path: Path) -> None:
    """By any of their names; nothing is asked of sources that no product reads."""
    asked: list[str] = []

    def read(_source: str, asset: Asset) -> Grid:
        asked.append(asset.href)
        return GRID

    assets = {
        "B04": {"href": "/data/B04.tif"},
        "B08": {"href": "/data/B08.tif"},
        "stack": {"href": "/data/stack.tif", "bands": [{"name": "B11"}, {"name": "B12"}]},
    }
    path = tmp_path / "items.json"
    path.write_text(json.dumps([raw_item(assets=assets)]))
    sources = {"s2": list_source(str(path)), "spare": list_source(str(path))}
    search(sources, JUNE, read, {"s2": {"red": ("B04",), "swir22": ("B12",), "scl": ("SCL",)}})
    assert sorted(asked) == ["/data/B04.tif", "/data/stack.tif"]


def test_a_header_that_cannot_be_read_is_a_note_and_left_to_the_job(tmp_path: Path) -> None:
    def read(source: str, asset: Asset) -> Grid:
        raise PermanentAssetError(asset.href, "no such file")

    path = tmp_path / "items.json"
    path.write_text(json.dumps([raw_item()]))
    snapshot = search({"s2": list_source(str(path))}, JUNE, read)
    assert snapshot.notes == ("item scene-1, asset red: grid unknown: /data/red.tif: no such file",)
    (item,) = select_items(snapshot, {"s2": {"red": ()}})
    assert item.assets["red"].grid is None


def test_an_absurd_grid_is_replaced_by_the_headers(found: Callable[..., Snapshot]) -> None:
    absurd = raw_with(
        {}, {"proj:epsg": 32633, "proj:shape": [0, 10**9], "proj:transform": [10, 0, 300_000, 0, -10, 5_000_000]}
    )
    snapshot = found(absurd)
    assert "declared grid ignored" in snapshot.notes[0]
    (item,) = select_items(snapshot, {"s2": {"red": ()}})
    assert item.assets["red"].grid == GRID


def test_items_of_unused_sources_are_not_selected(found: Callable[..., Snapshot]) -> None:
    assert select_items(found(raw_item()), {"other": {"red": ()}}) == ()


def round_trip(items: list[Raw], path: Path) -> tuple[Any, ...]:
    write_snapshot(Snapshot(tuple(items)), path)
    return read_snapshot(path).items


def test_real_items_of_all_collections_together_survive_the_file(shared_data: Path, tmp_path: Path) -> None:
    """Radar, optical and terrain in one table: each frozen item is equal after it, whatever columns the others need."""
    raw: dict[str, Raw] = {}
    for _, one in real_items(shared_data):
        try:
            raw[str(one["id"])] = canonical(one, "s")[0]
        except CatalogError:
            continue
    items = list(raw.values())
    back = round_trip(items, tmp_path / "items.parquet")
    assert len({item["collection"] for item in items}) > 10
    for before, after in zip(items, back, strict=True):
        assert to_item(after, ALIASES) == to_item(before, ALIASES)
        assert set(after["assets"]) == set(before["assets"])


texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(2**31), 2**31)
raw_assets = st.dictionaries(
    texts,
    st.fixed_dictionaries(
        {"href": texts.map("/data/{}".format)},
        optional={
            "type": texts,
            "eo:bands": st.lists(st.fixed_dictionaries({"name": texts}), max_size=3),
            "raster:bands": st.lists(st.fixed_dictionaries({"nodata": numbers, "scale": numbers}), max_size=3),
            "file:size": st.integers(0, 2**62),
            "file:checksum": texts,
            "proj:epsg": st.sampled_from([32633, 4326, 999_999]),
            "proj:shape": st.lists(st.integers(1, 10**6), min_size=2, max_size=2),
            "proj:transform": st.just([10, 0, 5e5, 0, -10, 5e6]),
        },
    ),
    max_size=4,
)
raw_items = st.builds(
    lambda name, collection, time, updated, assets, facts: raw_item(
        id=name,
        collection=collection,
        properties={"datetime": time.isoformat(), "updated": updated and updated.isoformat(), **facts},
        assets=assets,
    ),
    texts,
    texts,
    st.datetimes(datetime(1985, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 (no zone is UTC)
    st.none() | st.datetimes(datetime(1985, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 (the same)
    raw_assets,
    st.dictionaries(st.just("s2:x") | st.just("eo:cloud_cover"), texts | st.floats(0, 100), max_size=2),
)


@given(st.lists(raw_items, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_snapshot_gives_the_same_items_back(tmp_path_factory: pytest.TempPathFactory, raw: list[Raw]) -> None:
    items = [canonical(one, "s")[0] for one in raw]
    aliases: Mapping[str, tuple[str, ...]] = {key: () for item in items for key in item["assets"]}
    back = round_trip(items, tmp_path_factory.mktemp("round") / "items.parquet")
    assert [to_item(item, aliases) for item in back] == [to_item(item, aliases) for item in items]


def test_a_geoparquet_of_another_program_is_refused(shared_data: Path) -> None:
    path = shared_data / "raster/stac/earth-search/rustac_100-sentinel-2-items.parquet"
    with pytest.raises(CatalogError, match=r"rustac_100.*not a run's snapshot: no groundswell:source"):
        read_snapshot(path)


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"not parquet at all, but longer than a footer"])
def test_a_file_that_is_no_geoparquet_is_refused_with_its_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "items.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"items\.parquet: not a snapshot"):
        read_snapshot(path)


def test_a_plain_parquet_is_refused(shared_data: Path) -> None:
    path = shared_data / "raster/vectors/ttc_tiledb_subset_rwanda_burundi.parquet"
    with pytest.raises(CatalogError, match=r"rwanda_burundi\.parquet: not a snapshot"):
        read_snapshot(path)


def test_a_snapshot_is_copied_from_its_file_while_that_is_the_same(tmp_path: Path) -> None:
    """Byte by byte; what somebody changed meanwhile is written as it was read."""
    first, second, third = (tmp_path / name for name in "123")
    write_snapshot(Snapshot((canonical(raw_item(), "s2")[0],)), first)
    found = read_snapshot(first)
    write_snapshot(found, second)
    assert second.read_bytes() == first.read_bytes()
    os.utime(first.rename(tmp_path / "gone"), ns=(1, 1))
    write_snapshot(found, third)
    assert read_snapshot(third) == found
