"""Decode after encode is the value itself, through JSON text; version N reads N-1; what does not fit is named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Literal

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from pipeline.errors import StoreError
from pipeline.execute.records.codec import decode, encode
from pipeline.types import Asset, Grid, Item, Job, MemoryPlan, Period, Status, Tile

WKT = GeoBox((2, 3), Affine(1, 0, 0, 0, -1, 0), "+proj=laea +lat_0=52 +lon_0=10").crs


def through_json(value: Any) -> Any:
    return decode(type(value), json.loads(json.dumps(encode(value), allow_nan=False)))


def make_job(crs: str = "EPSG:32633") -> Job:
    grid = Grid("EPSG:32633", (10.0, 0.0, 0.1 + 0.2, 0.0, -10.0, 1e-7), (3, 4))
    red = Asset("B04", "s3://a/b.tif", 2, grid, -9999.0, 1e-4, -0.1, "1220ab", 12)
    item = Item(
        "a",
        "c",
        "s2",
        datetime(2024, 6, 1, 10, 0, 0, 123, tzinfo=UTC),
        date(2024, 6, 1),
        {"type": "Point", "coordinates": [1.5, 2]},
        {"red": red, "scl": Asset("SCL", "/x")},
        properties={"eo:cloud_cover": 12.5, "flags": ["a", None]},
    )
    return Job(
        "p",
        "sentinel2",
        Tile("t", GeoBox((3, 4), Affine(10, 0.5, 1 / 3, 0.25, -10, 2 / 3), crs)),
        Period("2024-06", datetime(2024, 6, 1, tzinfo=UTC), None),
        "eu",
        (item, replace(item, id="b", updated="2024-06-02T00:00:00Z")),
        "0" * 32,
        MemoryPlan(3, 4),
        5,
    )


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3413", WKT.to_wkt() if WKT else ""])
def test_a_job_comes_back_as_it_was(crs: str) -> None:
    assert through_json(make_job(crs)) == make_job(crs)


@dataclass(frozen=True)
class Numbers:
    """One field of each kind of number."""

    whole: int
    real: float
    maybe: float | None
    four: tuple[float, float, float, float]
    some: tuple[int, ...] = ()
    by_name: Mapping[str, float] = field(default_factory=dict)
    yes: bool = False
    status: Status = Status.DONE
    word: Literal["a", "b"] = "a"
    names: frozenset[str] = frozenset()


REALS = st.floats(allow_nan=False)


@given(
    st.builds(
        Numbers,
        st.integers(),
        REALS,
        st.none() | REALS,
        st.tuples(REALS, REALS, REALS, REALS),
        st.lists(st.integers()).map(tuple),
        st.dictionaries(st.text(), REALS),
        st.booleans(),
        st.sampled_from(Status),
        st.sampled_from(["a", "b"]),
        st.frozensets(st.text()),
    )
)
def test_numbers_come_back_to_the_bit(value: Numbers) -> None:
    """Infinities too; a whole number in a real field comes back as a real one."""
    found = through_json(value)
    assert found == value
    assert [type(found.real), type(found.maybe)] == [float, type(value.maybe)]


def test_not_a_number_comes_back() -> None:
    found = through_json(Asset("B04", "/x", nodata=math.nan))
    assert math.isnan(found.nodata)


def test_a_field_of_later_is_read_as_its_default_and_one_of_before_is_ignored() -> None:
    data = encode(Asset("B04", "/x", size_bytes=3))
    del data["size_bytes"]
    assert decode(Asset, {**data, "dropped": 1}) == Asset("B04", "/x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": 3}, "Asset.key: found int, expected str"),
        ({"band": "1"}, "Asset.band: found str, expected int"),
        ({"band": True}, "Asset.band: found bool, expected int"),
        ({"grid": {"crs": "EPSG:4326"}}, "Asset.grid.transform: found nothing"),
        (
            {"grid": {"crs": "x", "transform": [1, 2], "shape": [1, 2]}},
            "Asset.grid.transform: found 2 values, expected 6",
        ),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(StoreError, match=words.replace(".", r"\.")):
        decode(Asset, {"key": "B04", "href": "/x", **change})
    with pytest.raises(StoreError, match=r"Asset\.key: found nothing, expected a value"):
        decode(Asset, {"href": "/x"})


def test_a_value_without_a_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        encode({"a": object()})
