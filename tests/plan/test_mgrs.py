"""Laws of the Sentinel-2 grid: real scenes lie exactly on its tiles, and every place is in the square of one tile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.config.area import GridConfig
from pipeline.errors import PlanRefusedError
from pipeline.plan.areas import Area, BBox, box_region
from pipeline.plan.mgrs import mgrs_ids
from pipeline.plan.tiles import plan_tiles, tile_of
from pipeline.types import Tile

WHOLE = GridConfig(kind="mgrs")
PARTS = GridConfig(kind="mgrs", tile_px=1830)


def planned(box: BBox, grid: GridConfig = WHOLE) -> tuple[Tile, ...]:
    return plan_tiles(Area((box_region(box),)), grid)


def around(lon: float, lat: float, size: float = 1e-5) -> BBox:
    return lon - size, lat - size, lon + size, lat + size


def features(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if value.get("type") == "Feature":
            yield value
        for each in value.values():
            yield from features(each)
    elif isinstance(value, list):
        for each in value:
            yield from features(each)


def real_grids(folder: Path) -> dict[tuple[str, str, float, float, float], str]:
    """(tile, EPSG, left, top, width) of every 10 m raster of the Sentinel-2 items, and where it was found."""
    found = {}
    for path in [*sorted(folder.glob("stac/**/*.json")), *sorted(folder.glob("s2/e84v1_33TW[LM]/**/*.json"))]:
        for item in features(json.loads(path.read_bytes())):
            own = item.get("properties", {})
            name = re.search(r"(?:^|MGRS-|_T?)(\d\d?[C-X][A-Z][A-V])(?=_|$)", own.get("grid:code") or item["id"])
            if name is None:
                continue
            for asset in (item.get("assets") or {}).values():
                transform, shape = asset.get("proj:transform"), asset.get("proj:shape")
                code = asset.get("proj:code") or own.get("proj:code") or own.get("proj:epsg")
                if transform and shape and transform[0] == 10:
                    epsg = str(code).rpartition(":")[2]
                    found[name[1].zfill(5), epsg, transform[2], transform[5], transform[0] * shape[1]] = path.name
    return found


def test_real_scenes_lie_exactly_on_their_tiles(shared_data: Path) -> None:
    """Items of six catalogues, in both hemispheres, on Svalbard and beside the antimeridian."""
    grids = real_grids(shared_data / "raster")
    assert len({name for name, *_ in grids}) > 50
    wrong = []
    for (name, epsg, left, top, width), where in grids.items():
        tile = tile_of(name, WHOLE)
        side = tile.geobox.boundingbox
        if (str(tile.geobox.crs), side.left, side.top, side.right - side.left) != (f"EPSG:{epsg}", left, top, width):
            wrong.append((name, where, side, left, top))
    assert not wrong


@pytest.mark.parametrize(
    ("place", "name"),
    [
        # By NGA's GEOTRANS: Vienna, Madrid, Munich, Rome, New York, Sydney, Nairobi; then every odd zone.
        ((16.37, 48.21), "33UXP"),
        ((-3.70, 40.42), "30TVK"),
        ((11.58, 48.14), "32UPU"),
        ((12.50, 41.90), "33TTG"),
        ((-74.0, 40.71), "18TWL"),
        ((151.21, -33.87), "56HLH"),
        ((36.82, -1.29), "37MBU"),
        ((5.32, 60.39), "32VKN"),  # Bergen, in the wide zone
        ((2.9, 60.0), "31VDG"),
        ((15.63, 78.22), "33XWG"),  # Longyearbyen
        ((9.5, 78.0), "33XUG"),
        ((8.5, 78.0), "31XFG"),
        ((22.0, 78.0), "35XLG"),
        ((34.0, 80.0), "37XDJ"),
    ],
)
def test_a_place_lies_in_the_tile_of_its_mgrs_square(place: tuple[float, float], name: str) -> None:
    assert [tile.id for tile in planned(around(*place))] == [name]


def squares_of(lon: float, lat: float) -> str:
    """EPSG code, column and row of the 100 km square of a place, by the rules of the MGRS and pyproj alone."""
    zone = int((lon + 180) // 6) + 1
    if 56 <= lat < 64 and 3 <= lon < 12:
        zone = 32
    if lat >= 72 and 0 <= lon < 42:
        zone = 31 if lon < 9 else 33 if lon < 21 else 35 if lon < 33 else 37
    epsg = (32600 if lat >= 0 else 32700) + zone
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    return f"{epsg} {int(x // 100_000)} {int(y // 100_000)}"


@given(
    st.one_of(st.floats(-179.99, 179.9), st.floats(2, 43)),
    st.one_of(st.floats(-79.9, 83.9), st.floats(55, 83.9), st.sampled_from([55.99, 63.99, 71.99, -0.01])),
    st.floats(0.01, 1.5),
)
@settings(max_examples=60, deadline=None)
def test_every_place_is_in_the_square_of_exactly_one_tile(west: float, south: float, size: float) -> None:
    box = (west, south, min(180.0, west + size), min(84.0, south + size / 2))
    squares: dict[str, list[str]] = {}
    for tile in planned(box):
        side = tile.geobox.boundingbox
        # The square begins less than 60 m after the tile's upper left corner.
        column, row = -(-side.left // 100_000), side.top // 100_000 - 1
        assert side.right - side.left == side.top - side.bottom == 109_800
        assert side.left % 60 == 0 and 0 <= column * 100_000 - side.left < 60
        squares.setdefault(f"{str(tile.geobox.crs)[5:]} {int(column)} {int(row)}", []).append(tile.id)
    assert all(len(names) == 1 for names in squares.values())
    random = np.random.default_rng(5)
    for across, up in random.uniform(0.001, 0.999, (60, 2)):
        place = box[0] + across * (box[2] - box[0]), box[1] + up * (box[3] - box[1])
        assert squares_of(*place) in squares


@pytest.mark.parametrize("grid", [WHOLE, PARTS], ids=["whole", "parts"])
@given(st.floats(-179, 178), st.floats(-79.9, 83.5))
@settings(max_examples=25, deadline=None)
def test_ids_and_tiles_stand_for_each_other(grid: GridConfig, west: float, south: float) -> None:
    for tile in planned((west, south, west + 1, south + 0.4), grid)[:40]:
        assert tile_of(tile.id, grid) == tile


def test_parts_of_a_tile_cover_it_and_an_area_takes_those_it_needs() -> None:
    tiles = [tile_of(tile_id, PARTS) for tile_id in mgrs_ids(("33TWL",), PARTS)]
    whole = tile_of("33TWL", WHOLE).geobox
    assert len(tiles) == 36
    seen = np.zeros(whole.shape, np.uint8)
    for tile in tiles:
        col, row = (round(value) for value in ~whole.transform @ (tile.geobox.transform.c, tile.geobox.transform.f))
        seen[row : row + 1830, col : col + 1830] += 1
        assert tile.geobox.resolution == whole.resolution
    assert (seen == 1).all()
    x, y = 499_980 + 2.5 * 18_300, 5_100_000 - 1.5 * 18_300
    lon, lat = Transformer.from_crs(32633, 4326, always_xy=True).transform(x, y)
    assert [tile.id for tile in planned(around(lon, lat), PARTS)] == ["33TWL-2-1"]


def test_an_area_within_an_overlap_takes_the_tile_of_its_square_only() -> None:
    lon, lat = Transformer.from_crs(32633, 4326, always_xy=True).transform(605_000, 5_050_000)
    assert tile_of("33TWL", WHOLE).geobox.boundingbox.right > 605_000
    assert [tile.id for tile in planned(around(lon, lat))] == ["33TXL"]


@pytest.mark.parametrize(
    ("tile_id", "text"),
    [
        ("33TWP", "across the border of band T there is 33UWP"),
        ("61TWL", "such as 33TUL"),
        ("00TWL", "such as 33TUL"),
        ("33TWL-0-0", "such as 33TUL"),
        ("33TAL", "such as 33TUL"),
        ("32XNG", "such as 33TUL"),
        ("33N-024-0246", "such as 33TUL"),
    ],
)
def test_an_id_of_no_tile_is_refused(tile_id: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tile_of(tile_id, WHOLE)


@pytest.mark.parametrize("tile_id", ["33TWL", "33TWL-6-0", "33TWL-0-6", "33TWL-00-0"])
def test_an_id_of_no_part_is_refused(tile_id: str) -> None:
    with pytest.raises(ValueError, match="33T"):
        tile_of(tile_id, PARTS)


@pytest.mark.parametrize("box", [(10.0, 83.9, 11.0, 84.1), (10.0, -80.1, 11.0, -79.0)])
def test_the_grid_ends_at_84_north_and_80_south(box: BBox) -> None:
    with pytest.raises(PlanRefusedError, match=r"80 S and 84 N.*utm"):
        planned(box)


@pytest.mark.parametrize("resolution_m", [10, 20, 60, 100])
def test_any_resolution_that_divides_the_tile(resolution_m: float) -> None:
    geobox = tile_of("33TWL", GridConfig(kind="mgrs", resolution_m=resolution_m)).geobox
    assert geobox == GeoBox((int(109_800 / resolution_m),) * 2, geobox.transform, "EPSG:32633")
    assert tuple(geobox.transform[:6]) == (resolution_m, 0, 499_980, 0, -resolution_m, 5_100_000)
