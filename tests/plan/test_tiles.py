"""Laws of every kind of grid: ids are stable, a tile is the same from every area, ids stand for tiles."""

from __future__ import annotations

import re

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.area import GridConfig
from pipeline.errors import PlanRefusedError
from pipeline.plan.areas import Area, BBox, Region, box_region
from pipeline.plan.tiles import plan_tiles, tile_of

GRIDS = {
    "utm": GridConfig(kind="utm", tile_px=512),
    "mgrs": GridConfig(kind="mgrs"),
    "geobox": GridConfig(kind="geobox", crs="EPSG:3857", origin=(-5.0, 7.0), resolution_m=30, tile_px=256),
    "region": GridConfig(kind="region"),
}
LATTICES = [kind for kind in GRIDS if kind != "region"]
GOLDEN = {
    "utm": ["32N-143-0970", "32N-143-0971", "33N-051-0970", "33N-051-0971", "33N-052-0970", "33N-052-0971"],
    "mgrs": ["32TQQ", "33TTK"],
    "geobox": ["c0173-r-729", "c0173-r-730", "c0174-r-729", "c0174-r-730"],
    "region": ["bbox"],
}


def area(*boxes: BBox) -> Area:
    return Area(tuple(Region(f"r{number}", box_region(box).geometry) for number, box in enumerate(boxes)))


@pytest.mark.parametrize("kind", GRIDS)
def test_ids_never_change(kind: str) -> None:
    """Outputs are found by these: a change would orphan every one of them."""
    found = [tile.id for tile in plan_tiles(Area((box_region((11.99, 44.85, 12.05, 44.87)),)), GRIDS[kind])]
    assert found == GOLDEN[kind]


@pytest.mark.parametrize("kind", LATTICES)
@given(st.floats(-179, 178), st.floats(-75, 75), st.floats(0.05, 0.4), st.floats(0.1, 0.9))
@settings(max_examples=25, deadline=None)
def test_a_tile_is_the_same_from_every_area(kind: str, west: float, south: float, size: float, share: float) -> None:
    """From a part, from the whole, from the whole as two regions, and from its id."""
    middle = west + share * size
    whole = (west, south, west + size, south + size / 2)
    tiles = {tile.id: tile for tile in plan_tiles(area(whole), GRIDS[kind])}
    for tile in plan_tiles(area((middle, *whole[1:])), GRIDS[kind]):
        assert tile == tiles[tile.id] and tile.identity() == tiles[tile.id].identity()
    halves = area((middle, *whole[1:]), (whole[0], whole[1], middle, whole[3]))
    assert plan_tiles(halves, GRIDS[kind]) == tuple(tiles.values())
    assert plan_tiles(Area(tiles=tuple(reversed(tiles))), GRIDS[kind]) == tuple(tiles.values())
    assert all(tile_of(tile_id, GRIDS[kind]) == tile for tile_id, tile in tiles.items())
    assert list(tiles) == sorted(tiles)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", tile_id) for tile_id in tiles)


@pytest.mark.parametrize("kind", GRIDS)
def test_an_area_of_nothing_is_refused(kind: str) -> None:
    with pytest.raises(PlanRefusedError, match="area: nothing is in it"):
        plan_tiles(Area(), GRIDS[kind])


def test_a_region_grid_has_no_ids_of_its_own() -> None:
    with pytest.raises(ValueError, match="utm, mgrs, geobox or ttc"):
        tile_of("bbox", GRIDS["region"])


def test_an_area_off_a_bounded_geobox_is_refused() -> None:
    grid = GridConfig(kind="geobox", crs="EPSG:3857", origin=(0.0, 0.0), shape=(100, 100), tile_px=64)
    with pytest.raises(PlanRefusedError, match="no tile of the geobox grid"):
        plan_tiles(area((100, 10, 101, 11)), grid)


@pytest.mark.parametrize("kind", ["utm", "geobox"])
def test_polygons_with_a_hole_leave_it_out(kind: str) -> None:
    outer = shapely.box(10, 45, 14, 47).difference(shapely.box(10.02, 45.02, 13.98, 46.98))
    tiles = plan_tiles(Area((Region("ring", outer),)), GRIDS[kind])
    assert 0 < len(tiles) < 0.5 * len(plan_tiles(area((10, 45, 14, 47)), GRIDS[kind]))


@pytest.mark.parametrize("kind", LATTICES)
def test_scattered_polygons_plan_without_a_loop_over_all_tiles_between_them(kind: str) -> None:
    """Two hundred of them all over the earth: the work grows with the polygons, not with what lies between."""
    random = np.random.default_rng(1)
    places = random.uniform([-179, -70], [178, 70], (200, 2))
    tiles = plan_tiles(area(*((lon, lat, lon + 0.05, lat + 0.05) for lon, lat in places)), GRIDS[kind])
    assert 200 <= len(tiles) < 2000  # a loop over the millions of tiles between them would not come back


TINY: dict[str, tuple[Area, GridConfig]] = {
    "utm": (area((11, 44, 12, 45)), GridConfig(resolution_m=0.001)),
    "mgrs": (area((-180, -79, 180, 83)), GridConfig(kind="mgrs", tile_px=90)),
    "geobox": (
        area((11, 44, 12, 45)),
        GridConfig(kind="geobox", crs="EPSG:3857", origin=(0.0, 0.0), resolution_m=0.01),
    ),
    "degrees": (
        area((11, 44, 12, 45)),
        GridConfig(kind="geobox", crs="EPSG:4326", transform=(1e-8, 0.0, 0.0, 0.0, -1e-8, 0.0)),
    ),
    "whole geobox": (Area(), GridConfig(kind="geobox", crs="EPSG:3857", origin=(0.0, 0.0), shape=(10**9, 10**9))),
}


@pytest.mark.parametrize("case", TINY)
def test_millions_of_tiles_are_refused_before_they_fill_the_memory(case: str) -> None:
    with pytest.raises(PlanRefusedError, match=r"area: about [\d,]+ tiles of .* at most 1,000,000 in a run"):
        plan_tiles(*TINY[case])
