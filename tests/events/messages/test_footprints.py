"""Areas by MGRS square and by path and row, held against PROJ and against real scenes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import shape

from pipeline.events.messages.envelopes import MessageError
from pipeline.events.messages.footprints import mgrs_area, wrs2_area
from pipeline.plan.areas import cut_at_antimeridian, unwrapped

_TILE = re.compile(r"_T(\d\d[A-Z]{3})")


def scenes(document: Any) -> Iterator[dict[str, Any]]:
    """Every STAC item inside a JSON document."""
    if isinstance(document, dict) and document.get("type") == "Feature" and "assets" in document:
        yield document
    elif isinstance(document, dict | list):
        for part in document.values() if isinstance(document, dict) else document:
            yield from scenes(part)


@pytest.fixture(scope="module")
def items(shared_data: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((shared_data / "raster").rglob("*.json")):
        try:
            found += list(scenes(json.loads(path.read_bytes())))
        except ValueError:
            continue  # pages that were saved broken on purpose
    return [item for item in found if item.get("geometry")]


def square_of(item: dict[str, Any]) -> str:
    facts = item["properties"]
    named = _TILE.search(item["id"])
    grid = str(facts.get("grid:code") or "")
    if "mgrs:utm_zone" in facts:
        return f"{facts['mgrs:utm_zone']}{facts['mgrs:latitude_band']}{facts['mgrs:grid_square']}"
    return facts.get("s2:mgrs_tile") or grid.removeprefix("MGRS-") * grid.startswith("MGRS-") or (named or [""])[-1]


def test_real_scenes_of_sentinel_2_lie_in_the_area_of_their_square(items: list[dict[str, Any]]) -> None:
    seen = set()
    for item in items:
        square = square_of(item)
        if re.fullmatch(r"\d?\d[A-Z]{3}", square):
            seen.add(square.zfill(5))
            outline = shape(item["geometry"])
            across = outline.bounds[2] - outline.bounds[0] > 180
            outline = cut_at_antimeridian(unwrapped(outline)) if across else shapely.make_valid(outline)
            assert shape(mgrs_area(square)).contains(outline), item["id"]
    assert len(seen) > 50
    assert {"01WCP", "60VXH", "33XWJ", "22HBD"} <= seen, "the antimeridian, the far north and the south"


def test_real_scenes_of_landsat_lie_in_the_area_of_their_path_and_row(items: list[dict[str, Any]]) -> None:
    seen = set()
    for item in items:
        facts = item["properties"]
        if "landsat:wrs_row" in facts:
            place = int(facts["landsat:wrs_path"]), int(facts["landsat:wrs_row"])
            assert shape(wrs2_area(*place)).contains(shape(item["geometry"])), item["id"]
            seen.add(place)
    assert len(seen) > 15
    assert max(row for _, row in seen) > 100, "Antarctica"


def test_squares_of_greenland_are_where_the_mgrs_library_has_them(shared_data: Path) -> None:
    path = shared_data / "raster/vectors/mgrs_100km_squares_greenland.geojson"
    squares = [feature["properties"] for feature in json.loads(path.read_bytes())["features"]]
    for square in squares:
        # The library gives the middle of a square; the file took that for its south-western corner.
        x, y = square["ulx"], square["uly"] - square["size"]
        assert x % 100_000 == y % 100_000 == 50_000
        to_degrees = Transformer.from_crs(square["epsg"], 4326, always_xy=True)
        area = shape(mgrs_area(square["mgrs"]))
        for across in (-49_000, 0, 49_000):
            for up in (-49_000, 0, 49_000):
                assert area.contains(shapely.Point(to_degrees.transform(x + across, y + up)))
        for across, up in ((-53_000, 0), (63_000, 0), (0, 53_000), (0, -63_000)):
            assert not area.contains(shapely.Point(to_degrees.transform(x + across, y + up))), "not much larger"
    assert len(squares) == 97


@pytest.mark.parametrize(
    ("square", "epsg", "west", "north"),
    [
        ("33TWL", 32633, 499_980, 5_100_000),
        ("31NAA", 32631, 99_960, 100_020),
        ("31MBV", 32731, 199_980, 10_000_000),
        ("60CWS", 32760, 499_980, 1_200_040),
        ("18HYE", 32718, 699_960, 6_000_040),
        ("4QFJ", 32604, 600_000, 2_400_000),
    ],
)
def test_the_tile_of_a_square_lies_in_its_area_by_proj(square: str, epsg: int, west: float, north: float) -> None:
    to_degrees = Transformer.from_crs(epsg, 4326, always_xy=True)
    area = shape(mgrs_area(square))
    steps = [index * 5_490 for index in range(21)]
    for across in steps:
        for down in steps:
            point = to_degrees.transform(west + across, north - down)
            assert area.contains(shapely.Point(point)), (square, point)


def test_an_area_across_180_is_in_two_parts_within_180() -> None:
    for area in (mgrs_area("01WCP"), mgrs_area("60VXH"), wrs2_area(74, 12), wrs2_area(95, 8)):
        west, south, east, north = shape(area).bounds
        assert -180 <= west <= east <= 180
        assert -90 < south < north < 90
    assert mgrs_area("60VXH")["type"] == mgrs_area("01WCP")["type"] == "MultiPolygon"


def test_every_path_and_row_has_a_small_valid_area() -> None:
    crossing = 0
    for path in range(1, 234, 11):
        for row in range(1, 249, 5):
            area = shape(wrs2_area(path, row))
            assert area.is_valid
            parts = list(getattr(area, "geoms", [area]))
            crossing += len(parts) > 1
            assert sum(part.bounds[2] - part.bounds[0] for part in parts) < 50
    assert crossing > 5


@pytest.mark.parametrize(
    "square", ["", "33TWI", "33AWL", "61TWL", "00TWL", "33TJL", "33TWW", "33TWL1", "33twl", "3/TWL"]
)
def test_what_is_no_square_is_refused(square: str) -> None:
    with pytest.raises(MessageError, match="expected one of 100 km"):
        mgrs_area(square)


@pytest.mark.parametrize(("path", "row"), [(0, 1), (234, 1), (1, 0), (1, 249)])
def test_what_is_no_path_and_row_is_refused(path: int, row: int) -> None:
    with pytest.raises(MessageError, match="expected 1 to 233 and 1 to 248"):
        wrs2_area(path, row)
