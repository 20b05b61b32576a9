"""Laws of a user's own grid and of one tile a region: pixels stay where the grid says, whatever the area."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from pipeline.config.area import AreaConfig, GridConfig
from pipeline.errors import PlanRefusedError
from pipeline.plan.areas import Area, Region, box_region
from pipeline.plan.tiles import plan_tiles, tile_of
from pipeline.search.area import read_area

POLAR = GridConfig(kind="geobox", crs="EPSG:3413", origin=(-40_005.0, 30_005.0), resolution_m=30, tile_px=256)
BOUNDED = GridConfig(
    kind="geobox", crs="EPSG:3413", transform=(30, 0, -640_000, 0, -30, -655_000), shape=(1000, 700), tile_px=256
)
DEGREES = GridConfig(kind="geobox", crs="EPSG:4326", transform=(0.01, 0, -180, 0, -0.01, 90), tile_px=128)
GLOBE = GridConfig(kind="geobox", crs="EPSG:4326", transform=(0.25, 0, 0, 0, -0.25, 90), shape=(720, 1440), tile_px=96)


def whole(grid: GridConfig) -> GeoBox:
    assert grid.shape is not None and grid.transform is not None
    return GeoBox(grid.shape, Affine(*grid.transform), str(grid.crs))


@pytest.mark.parametrize("grid", [BOUNDED, GLOBE], ids=["metres", "degrees"])
def test_without_an_area_tiles_are_exactly_the_geobox(grid: GridConfig) -> None:
    """Every pixel is in one tile, at its place; tiles at the end are smaller."""
    assert grid.shape is not None
    seen = np.zeros(grid.shape, np.uint8)
    for tile in plan_tiles(Area(), grid):
        col, row = (
            round(value) for value in ~whole(grid).transform @ (tile.geobox.transform.c, tile.geobox.transform.f)
        )
        rows, cols = tile.geobox.shape
        corner = whole(grid).transform @ Affine.translation(col, row)
        assert tile.geobox == GeoBox((rows, cols), corner, str(grid.crs))
        seen[row : row + rows, col : col + cols] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("grid", [POLAR, BOUNDED, DEGREES, GLOBE], ids=["polar", "bounded", "degrees", "globe"])
@given(st.floats(-60, -30), st.floats(82.5, 83.5), st.floats(0.01, 2.0), st.floats(0.01, 0.3))
@settings(max_examples=25, deadline=None)
def test_every_place_of_an_area_is_on_exactly_one_tile(
    grid: GridConfig, west: float, south: float, wide: float, high: float
) -> None:
    """Places beyond the end of a grid with a shape are on none."""
    try:
        tiles = plan_tiles(Area((box_region((west, south, west + wide, south + high)),)), grid)
    except PlanRefusedError:
        assert grid.shape is not None
        tiles = ()
    random = np.random.default_rng(11)
    lon, lat = west + random.uniform(0, 1, 300) * wide, south + random.uniform(0, 1, 300) * high
    x, y = Transformer.from_crs(4326, str(grid.crs), always_xy=True).transform(lon, lat)
    x = np.where(x < 0, x + 360, x) if grid is GLOBE else x
    hits = np.zeros(lon.shape, int)
    for tile in tiles:
        side = tile.geobox.boundingbox
        hits += (x >= side.left) & (x < side.right) & (y > side.bottom) & (y <= side.top)
        assert tile_of(tile.id, grid) == tile
    expected = np.ones(lon.shape, int)
    if grid.shape is not None:
        side = whole(grid).boundingbox
        expected = ((x >= side.left) & (x < side.right) & (y > side.bottom) & (y <= side.top)).astype(int)
    assert (hits == expected).all()


def test_tiles_are_anchored_at_the_origin() -> None:
    tiles = plan_tiles(Area((box_region((-50, 83, -49, 83.1)),)), POLAR)
    size = 256 * 30
    for tile in tiles:
        column, row = (tile.geobox.transform.c + 40_005) / size, (30_005 - tile.geobox.transform.f) / size
        assert (column, row) == (round(column), round(row))
        assert tile.id == f"c{round(column):04d}-r{round(row):04d}"
    assert any("c-" in tile.id for tile in tiles) and any("r-" not in tile.id for tile in tiles)


def test_a_globe_from_0_to_360_has_the_west_too() -> None:
    (tile,) = plan_tiles(Area((box_region((-10, 10, -9.9, 10.1)),)), GLOBE)
    assert tile.geobox.boundingbox.left <= 350 <= tile.geobox.boundingbox.right


@pytest.mark.parametrize(
    ("tile_id", "text"),
    [
        ("c3-r4", "such as"),
        ("c0100-r0000", "columns 0 to 2"),
        ("c-001-r0000", "columns"),
        ("c00001-r0001", "c0001-r0001"),
    ],
)
def test_an_id_of_no_tile_is_refused(tile_id: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tile_of(tile_id, BOUNDED)


@pytest.mark.parametrize("name", ["134_Arsuk", "001_alison", "138_SermiitsiaqInTasermiut"])
def test_a_greenland_box_in_its_own_crs_is_its_tile_to_the_pixel(shared_data: Path, name: str) -> None:
    path = shared_data / "raster" / "vectors" / "greenland_glaciers_roi_proj_v3_300m.gpkg"
    _, table = pyogrio.read_arrow(path, where=f"region = '{name}'")
    bounds = shapely.from_wkb(table[table.column_names[-1]][0].as_py()).bounds
    area = read_area(AreaConfig(vector=str(path), select={"region": (name,)}), GridConfig())
    for pixel in (10, 300):
        (tile,) = plan_tiles(area, GridConfig(kind="region", crs="EPSG:3413", resolution_m=pixel))
        left, bottom, right, top = (side / pixel for side in bounds)
        assert tile.id == name and str(tile.geobox.crs) == "EPSG:3413"
        assert tuple(side / pixel for side in tile.geobox.boundingbox.bbox) == (
            math.floor(left + 1e-6),
            math.floor(bottom + 1e-6),
            math.ceil(right - 1e-6),
            math.ceil(top - 1e-6),
        )


def test_the_first_23_greenland_boxes_are_23_tiles_that_hold_their_regions(shared_data: Path) -> None:
    """In the UTM zone of each one's centre, snapped outward to whole pixels."""
    path = shared_data / "raster" / "vectors" / "greenland_glaciers_roi_proj_v3_300m.gpkg"
    _, table = pyogrio.read_arrow(path)
    shapes = shapely.from_wkb(table[table.column_names[-1]].to_pylist())
    names = table["region"].to_pylist()
    area = read_area(AreaConfig(vector=str(path), index="0:23"), GridConfig())
    tiles = plan_tiles(area, GridConfig(kind="region", resolution_m=20))
    assert [tile.id for tile in tiles] == sorted(names[:23])
    for tile in tiles:
        shape = shapely.segmentize(shapes[names.index(tile.id)], 500)
        lon, _ = Transformer.from_crs(3413, 4326, always_xy=True).transform(shape.centroid.x, shape.centroid.y)
        epsg = 32600 + math.floor((lon + 180) / 6) + 1
        assert tile.geobox.crs == f"EPSG:{epsg}"
        x, y = Transformer.from_crs(3413, epsg, always_xy=True).transform(*shapely.get_coordinates(shape).T)
        side = tile.geobox.boundingbox
        assert 0 <= min(x) - side.left + 0.01 < 20.02 and 0 <= side.right - max(x) + 0.01 < 20.02
        assert 0 <= min(y) - side.bottom + 0.01 < 20.02 and 0 <= side.top - max(y) + 0.01 < 20.02
        assert side.left % 20 == side.top % 20 == 0


@pytest.mark.parametrize(
    ("geometry", "epsg"),
    [
        (box_region((179.5, -17, -179.9, -16.5)).geometry, 32760),
        (box_region((179.9, -17, -179.5, -16.5)).geometry, 32701),
        (box_region((-180, 85, 180, 90)).geometry, 32661),
        (box_region((-180, -90, 180, -60)).geometry, 32761),
        (box_region((10, 84.5, 11, 84.9)).geometry, 32661),
        (box_region((170, -86, -170, -85)).geometry, 32761),
    ],
    ids=["antimeridian west", "antimeridian east", "pole", "antarctica", "85 N", "86 S"],
)
def test_regions_at_the_ends_of_the_earth(geometry: BaseGeometry, epsg: int) -> None:
    (tile,) = plan_tiles(Area((Region("one", geometry),)), GridConfig(kind="region", resolution_m=1000))
    assert tile.geobox.crs == f"EPSG:{epsg}"
    dense = shapely.get_coordinates(shapely.segmentize(geometry, 0.05))
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(*dense.T)
    side = tile.geobox.boundingbox
    assert abs(min(x) - side.left) <= 1000 and abs(max(x) - side.right) <= 1000
    assert abs(min(y) - side.bottom) <= 1000 and abs(max(y) - side.top) <= 1000


def test_a_region_that_its_zone_cannot_hold_is_refused_by_name() -> None:
    region = Region("pacific", box_region((100, -60, -80, 60)).geometry)
    with pytest.raises(PlanRefusedError, match=r"region pacific: EPSG:326\d\d is (not defined|torn apart)"):
        plan_tiles(Area((region,)), GridConfig(kind="region"))


@pytest.mark.parametrize(("anchor", "shift"), [("edge", 0.0), ("centre", 0.5)])
@given(st.floats(-60, -20), st.floats(60, 80), st.floats(0.01, 0.5), st.floats(0.01, 0.2))
@settings(max_examples=15, deadline=None)
def test_a_region_lies_on_the_sensors_own_pixels(
    anchor: Literal["edge", "centre"], shift: float, west: float, south: float, wide: float, high: float
) -> None:
    """Edges, or centres, are multiples of a pixel; no row or column could be left away."""
    region = box_region((west, south, west + wide, south + high))
    (tile,) = plan_tiles(Area((region,)), GridConfig(kind="region", resolution_m=30, anchor=anchor))
    box = tile.geobox.boundingbox
    assert all((side / 30 - shift).is_integer() for side in box.bbox)
    left, bottom, right, top = shapely.from_wkt(str(tile.outline)).bounds
    for inner, outer in ((left, box.left), (bottom, box.bottom), (-right, -box.right), (-top, -box.top)):
        assert -0.02 <= inner - outer < 30.02


def test_an_outline_is_the_region_to_a_centimetre(shared_data: Path) -> None:
    """In UTM its sides are curves, and are followed; in the region's own CRS it is the box itself, of five points."""
    path = shared_data / "raster" / "vectors" / "greenland_glaciers_roi_proj_v3_300m.gpkg"
    _, table = pyogrio.read_arrow(path)
    names, shapes = table["region"].to_pylist(), shapely.from_wkb(table[table.column_names[-1]].to_pylist())
    area = read_area(AreaConfig(vector=str(path)), GridConfig())
    for tile in plan_tiles(area, GridConfig(kind="region", crs="EPSG:3413")):
        assert shapely.from_wkt(str(tile.outline)).normalize() == shapes[names.index(tile.id)].normalize()
    for tile in plan_tiles(area, GridConfig(kind="region"))[::16]:
        forward = Transformer.from_crs(3413, str(tile.geobox.crs), always_xy=True)
        dense = shapely.segmentize(shapes[names.index(tile.id)], 20)
        true = shapely.transform(dense, lambda xy: np.column_stack(forward.transform(*xy.T)))  # noqa: B023 (used at once)
        found = shapely.from_wkt(str(tile.outline))
        assert found.hausdorff_distance(true) < 20 and found.symmetric_difference(true).area < 0.015 * true.length
        assert len(str(tile.outline)) < 8000


def test_an_outline_is_no_part_of_what_a_tile_is(shared_data: Path) -> None:
    """So that products that do not clip keep the fingerprints they had."""
    path = shared_data / "raster" / "vectors" / "greenland_glaciers_roi_proj_v3_300m.gpkg"
    area = read_area(AreaConfig(vector=str(path), index="0:2"), GridConfig())
    for tile in plan_tiles(area, GridConfig(kind="region")):
        assert tile.outline is not None and tile.identity() == replace(tile, outline=None).identity()
    assert all(tile.outline is None for tile in plan_tiles(area, GridConfig(kind="utm")))


def test_the_file_may_name_the_zone_of_each_greenland_box(shared_data: Path) -> None:
    """`utm_est` is the zone of the middle; `utm_grid` names the Sentinel-2 tiles: those of 31 boxes lie in another."""
    path = shared_data / "raster" / "vectors" / "greenland_glaciers_roi_proj_v3_300m.gpkg"
    _, table = pyogrio.read_arrow(path)
    first = {
        name: tiles[:2] for name, tiles in zip(table["region"].to_pylist(), table["utm_grid"].to_pylist(), strict=True)
    }
    systems = {}
    for attribute in (None, "utm_est", "utm_grid"):
        area = read_area(AreaConfig(vector=str(path), zone=attribute), GridConfig())
        tiles = plan_tiles(area, GridConfig(kind="region"))
        assert {tile.id for tile in tiles} == first.keys(), "a name was changed to become an id"
        systems[attribute] = {tile.id: str(tile.geobox.crs) for tile in tiles}
    assert systems[None] == systems["utm_est"]
    assert systems["utm_grid"] == {name: f"EPSG:326{zone}" for name, zone in first.items()}
    assert sum(systems[None][name] != systems["utm_grid"][name] for name in first) == 31
    assert systems["utm_grid"]["134_Arsuk"] == "EPSG:32622" != systems["utm_est"]["134_Arsuk"]


@pytest.mark.parametrize("south", [-45.2, 10.0, 70.9])
def test_an_outline_across_the_antimeridian_has_no_seam(south: float) -> None:
    """A gap of a millimetre between its two parts could swallow the centre of a pixel."""
    area = Area((box_region((179.7, south, -179.6, south + 0.3)),))
    (tile,) = plan_tiles(area, GridConfig(kind="region"))
    outline = shapely.from_wkt(str(tile.outline))
    assert outline.geom_type == "Polygon" and not shapely.get_num_interior_rings(outline) and outline.is_valid
