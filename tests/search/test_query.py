"""Laws of limits: each operator as STAC's query extension has it, on times, numbers and texts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely

from pipeline.config.source import OPERATORS
from pipeline.search.canonical import canonical
from pipeline.search.query import Query, meets, within_limits

CASES: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("eq", 5, [5, 5.0], [4, "5", None]),
    ("eq", "Sentinel-2A", ["Sentinel-2A"], ["sentinel-2a", None]),
    ("eq", "2024-06-01T02:00:00+02:00", ["2024-06-01T00:00:00Z", "2024-06-01T00:00:00.000Z"], ["2024-06-01"]),
    ("neq", 5, [4, "x"], [5, None]),
    ("lt", 80, [79.9, -1], [80, 81, None, "79"]),
    ("lt", "2024-06-01T00:00:00Z", ["2024-05-31T23:59:59.9Z"], ["2024-06-01T00:00:00Z", "2024-06-01T00:00:00.1Z"]),
    ("lte", 80, [80, 79], [80.1, None]),
    ("gt", "05.00", ["05.09", "05.10"], ["05.00", "04.00", None]),
    ("gte", 0, [0, 1], [-1, None]),
    ("in", ["a", "b"], ["a", "b"], ["c", None, 1]),
    ("startsWith", "S2A", ["S2A_T33"], ["S2B", None]),
    ("endsWith", "L2A", ["S2A_L2A"], ["L2A_", None]),
    ("contains", "T33", ["S2A_T33TWL"], ["S2A", None]),
    ("contains", "ascending", [["ascending", "x"]], [["x"], None, 5]),
]


@pytest.mark.parametrize(("operator", "value", "meet", "miss"), CASES, ids=[f"{op}-{v}" for op, v, *_ in CASES])
def test_a_limit_holds_or_not(operator: str, value: Any, meet: list[Any], miss: list[Any]) -> None:
    """A property that is not there meets no limit, nor does one of another kind."""
    for found in meet:
        assert within_limits({"p": found}, {"p": {operator: value}}), found
    for found in miss:
        assert not within_limits({"p": found}, {"p": {operator: value}}), found
    assert not within_limits({}, {"p": {operator: value}})


def test_every_operator_is_tested() -> None:
    assert {operator for operator, *_ in CASES} == set(OPERATORS)


def test_all_limits_must_hold() -> None:
    limits: dict[str, dict[str, Any]] = {"a": {"gte": 1, "lt": 3}, "b": {"eq": "x"}}
    assert within_limits({"a": 2, "b": "x"}, limits) and within_limits({}, {})
    assert not within_limits({"a": 3, "b": "x"}, limits) and not within_limits({"a": 2, "b": "y"}, limits)


EVER = datetime(2015, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


def test_real_scenes_at_the_antimeridian_are_found_on_both_sides(shared_data: Path) -> None:
    """Their polygons go right around the globe and leave out the one place where the scene is."""
    paths = sorted((shared_data / "raster/stac/odd").glob("antimeridian_*.json"))
    assert paths
    for path in paths:
        item, _ = canonical(json.loads(path.read_text()), "s")
        true = shapely.Polygon([(lon % 360, lat) for lon, lat, *_ in item["geometry"]["coordinates"][0]])
        for strip in (shapely.box(179.999, -90, 180, 90), shapely.box(180, -90, 180.001, 90)):
            west, south, east, north = true.intersection(strip).bounds
            turn = 360 if west >= 180 else 0
            assert meets(item, Query(((west - turn, south, east - turn, north),), *EVER)), f"{path.name} at {west}"
        assert not meets(item, Query(((0, -60, 1, -59),), *EVER))
