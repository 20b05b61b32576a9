"""Laws of outlines: they hold every place of a tile, in degrees and in any CRS, also at 180 degrees and at a pole."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.config.area import GridConfig
from pipeline.plan.areas import Area, BBox, box_region
from pipeline.plan.outlines import covering, covering_boxes, lonlat_bounds, lonlat_outline, outline_in
from pipeline.plan.tiles import plan_tiles
from pipeline.types import Tile
from tests.plan.test_utm import boxes


def planned(box: BBox, tile_px: int) -> tuple[Tile, ...]:
    return plan_tiles(Area((box_region(box),)), GridConfig(tile_px=tile_px))


def plain_outline(geobox: GeoBox) -> NDArray[np.float64]:
    """(n, 2) longitudes and latitudes of a tile's edge, from its affine and pyproj."""
    rows, cols = geobox.shape
    along = np.linspace(0, 1, 200)
    edge = np.concatenate(
        [
            np.column_stack(side)
            for side in ((along, 0 * along), (0 * along + 1, along), (along, 0 * along + 1), (0 * along, along))
        ]
    )
    a, _, c, _, e, f = geobox.transform[:6]
    x, y = a * edge[:, 0] * cols + c, e * edge[:, 1] * rows + f
    return np.column_stack(Transformer.from_crs(str(geobox.crs), 4326, always_xy=True).transform(x, y))


def test_lonlat_outline_has_two_parts_at_the_antimeridian() -> None:
    """Every point of the tile's edge is in the outline; no part of it spans the globe."""
    tiles = planned((179.9, -17.0, -179.9, -16.9), 2048)
    split = 0
    for tile in tiles:
        outline = lonlat_outline(tile.geobox)
        parts = list(shapely.get_parts(outline))
        split += len(parts) == 2
        assert all(part.bounds[2] - part.bounds[0] < 1 for part in parts)
        assert outline.bounds[0] >= -180 and outline.bounds[2] <= 180
        near = outline.buffer(1e-5)
        assert shapely.contains_xy(near, plain_outline(tile.geobox)).all()
    assert split, "no tile of this area crosses the antimeridian"


@given(boxes(0.05))
@settings(max_examples=30, deadline=None)
def test_lonlat_outline_and_outline_in_hold_the_tiles_edge(box: BBox) -> None:
    for tile in planned(box, 512)[:4]:
        points = plain_outline(tile.geobox)
        assert shapely.contains_xy(lonlat_outline(tile.geobox).buffer(1e-5), points).all()
        left, bottom, right, top = outline_in(tile.geobox, "EPSG:3857")
        x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(points[:, 0], points[:, 1])
        if np.ptp(points[:, 0]) < 180:
            assert left - 1 <= x.min() and x.max() <= right + 1
            assert bottom - 1 <= y.min() and y.max() <= top + 1


@given(boxes())
@example((179.9, -17.0, -179.9, -16.9))
@example((179.99, 65.0, 180.0, 65.01))
@example((-180.0, 65.0, -179.99, 65.01))
@settings(max_examples=40, deadline=None)
def test_the_covering_box_holds_the_area_and_every_tile(box: BBox) -> None:
    """Tiles reach beyond the area; what is searched must reach as far, also across the antimeridian."""
    tiles = planned(box, 512)
    ((west, south, east, north),) = covering_boxes(tiles, most=1)
    assert -180 <= west <= 180 and -180 <= east <= 180
    width = (east - west) % 360
    corners = [np.array([[box[0], box[1]], [box[2], box[3]]])]
    for lon, lat in (points.T for points in [*corners, *(plain_outline(tile.geobox) for tile in tiles)]):
        across = (lon - west + 1e-5) % 360
        assert (across <= width + 2e-5).all(), f"{lon[across > width + 2e-5]} outside {west}..{east}"
        assert (lat >= south - 1e-5).all() and (lat <= north + 1e-5).all()
    assert width < 3, "a box of degrees must not become the whole globe"


@pytest.mark.parametrize("many", [2, 23])
def test_scattered_regions_are_covered_by_a_few_boxes(many: int) -> None:
    """Each tile is in one, there are at most sixteen, and they are a small part of the globe; 180 is crossed."""
    places = [((179.95 + 15.65 * n + 180) % 360 - 180, -60 + 5 * n) for n in range(many)]
    tiles = [tile for x, y in places for tile in planned((x, y, x + 0.1 if x < 179.9 else x - 359.9, y + 0.1), 512)]
    found = covering_boxes(tiles)
    assert len(found) == min(many, 16) and any(west > east for west, _, east, _ in found)
    for lon, lat in (plain_outline(tile.geobox).T for tile in tiles):
        assert any(
            (
                ((lon - west + 1e-5) % 360 <= (east - west) % 360 + 2e-5) & (lat > south - 1e-5) & (lat < north + 1e-5)
            ).all()
            for west, south, east, north in found
        )
    assert sum((east - west) % 360 * (north - south) for west, south, east, north in found) < 0.05 * 360 * 180


def test_tiles_that_lie_together_are_covered_by_one_box() -> None:
    tiles = planned((10.0, 44.0, 13.0, 46.5), 2048)
    lon, lat = np.concatenate([plain_outline(tile.geobox) for tile in tiles]).T
    (box,) = covering_boxes(tiles)
    assert box == pytest.approx((lon.min(), lat.min(), lon.max(), lat.max()), abs=1e-3)


def test_outline_in_its_own_crs_is_its_bounding_box() -> None:
    geobox = GeoBox((100, 200), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")
    assert outline_in(geobox, "EPSG:32633") == (500_000, 4_999_000, 502_000, 5_000_000)


@given(st.floats(-179.9, 179.9), st.floats(-70, 70), st.floats(0.01, 0.6), st.floats(0.01, 0.6))
@settings(deadline=None)
def test_the_covering_box_holds_every_tile_and_the_area(west: float, south: float, wide: float, high: float) -> None:
    """What is searched covers whole tiles: a tile's inputs do not depend on the area it was chosen by."""
    east = west + wide if west + wide <= 180 else west + wide - 360
    area = (west, south, east, south + high)
    tiles = planned(area, 1024)
    ((left, bottom, right, top),) = covering_boxes(tiles, most=1)
    width = (right - left) % 360
    for tile in tiles:
        lon, lat = shapely.get_coordinates(lonlat_outline(tile.geobox)).T
        assert (((lon - left + 1e-9) % 360) <= width + 2e-9).all()
        assert (lat >= bottom).all() and (lat <= top).all()
    assert ((west - left + 1e-9) % 360) <= width and ((east - left + 1e-9) % 360) <= width + 2e-9


def box(crs: str, west: float, north: float, pixel: float, shape: tuple[int, int] = (1024, 1024)) -> GeoBox:
    return GeoBox(shape, Affine(pixel, 0, west, 0, -pixel, north), crs)


UPS = 2_000_000.0
HARD = {
    "antimeridian": box("EPSG:32660", 820_000, 1_000_000, 20),
    "84 N": box("EPSG:32633", 490_000, 9_340_000, 20),
    "pole inside": box("EPSG:32661", UPS - 7_000, UPS + 11_000, 20),
    "pole at a corner": box("EPSG:32661", UPS, UPS, 20),
    "pole on an edge": box("EPSG:32661", UPS, UPS + 7_000, 20),
    "pole a metre inside": box("EPSG:32661", UPS - 1, UPS + 7_000, 20),
    "pole a metre outside": box("EPSG:32661", UPS + 1, UPS + 7_000, 20),
    "pole a millimetre inside": box("EPSG:32661", UPS - 0.001, UPS + 7_000, 20),
    "south pole": box("EPSG:32761", UPS - 7_000, UPS + 11_000, 20),
    "south pole at a corner": box("EPSG:32761", UPS - 1024 * 20, UPS, 20),
    "arctic": box("EPSG:3413", -3_000_000, 3_000_000, 6_000, (1000, 1000)),
    "antarctic": box("EPSG:3031", -3_000_000, 2_000_000, 6_000, (1000, 1000)),
    "europe": box("EPSG:3035", 2_000_000, 6_000_000, 4_000, (1000, 1000)),
    "globe": box("EPSG:4326", -180, 90, 0.1, (1800, 3600)),
    "globe from 0 to 360": box("EPSG:4326", 0, 90, 0.1, (1800, 3600)),
    "cylinder": box("EPSG:6933", -17_367_530, 7_314_540, 20_000, (731, 1736)),
    "degrees": box("EPSG:4326", 170, 10, 10 / 1024),
    "degrees across": box("EPSG:4326", 175, 10, 10 / 1024),
}


def inner_places(geobox: GeoBox, count: int = 400) -> NDArray[np.float64]:
    """(n, 2) longitudes and latitudes all over a tile, by pyproj alone."""
    random = np.random.default_rng(3)
    col, row = random.uniform(0.0005, 0.9995, (2, count)) * np.array([[geobox.shape[1]], [geobox.shape[0]]])
    a, _, c, _, e, f = geobox.transform[:6]
    lon, lat = Transformer.from_crs(str(geobox.crs), 4326, always_xy=True).transform(a * col + c, e * row + f)
    return np.column_stack([(np.asarray(lon) + 180) % 360 - 180, lat])


def outer_places(geobox: GeoBox) -> NDArray[np.float64]:
    """(n, 2) longitudes and latitudes beside a tile: a thousandth of its edge away, on all sides."""
    along = np.linspace(-0.001, 1.001, 101)
    low, high = np.full_like(along, -0.001), np.full_like(along, 1.001)
    col, row = np.concatenate([along, high, along, low]), np.concatenate([low, along, high, along])
    a, _, c, _, e, f = geobox.transform[:6]
    x, y = a * col * geobox.shape[1] + c, e * row * geobox.shape[0] + f
    lon, lat = Transformer.from_crs(str(geobox.crs), 4326, always_xy=True).transform(x, y)
    return np.column_stack([(np.asarray(lon) + 180) % 360 - 180, lat])


@pytest.mark.parametrize("geobox", HARD.values(), ids=HARD.keys())
def test_the_outline_holds_all_of_a_tile_and_nothing_else(geobox: GeoBox) -> None:
    outline = lonlat_outline(geobox)
    assert outline.is_valid
    assert shapely.box(-180, -90, 180, 90).covers(outline)
    assert shapely.contains_xy(outline, inner_places(geobox)).all()
    if str(geobox.crs) != "EPSG:6933" and geobox.shape != (1800, 3600):
        assert not shapely.contains_xy(outline, outer_places(geobox)).any()


@pytest.mark.parametrize("name", HARD)
def test_the_bounds_hold_the_tile_and_are_tight(name: str) -> None:
    west, south, east, north = lonlat_bounds(HARD[name])
    assert -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90
    width = (east - west) % 360 or 360
    lon, lat = inner_places(HARD[name], 4000).T
    assert ((lon - west) % 360 <= width).all()
    assert (south <= lat).all() and (lat <= north).all()
    if "inside" in name:  # all longitudes, some of them within a millimetre
        assert (west, east, max(abs(south), north)) == (-180, 180, 90)
    else:
        turned = np.sort(lon)
        gap = np.append(np.diff(turned), turned[0] + 360 - turned[-1]).max()
        assert width <= (360 - gap) * 1.05


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32633", "EPSG:32601", "EPSG:32661", "EPSG:3413"])
@pytest.mark.parametrize("name", [name for name in HARD if "glob" not in name and "cylinder" not in name])
def test_outline_in_another_crs_loses_no_place(name: str, crs: str) -> None:
    """A scene is looked for in this box: it may be too large, never too small."""
    geobox = HARD[name]
    left, bottom, right, top = outline_in(geobox, crs)
    lon, lat = inner_places(geobox).T
    x, y = (np.asarray(side) for side in Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat))
    some = np.isfinite(x) & np.isfinite(y)
    assert ((left <= x) & (x <= right) & (bottom <= y) & (y <= top))[some].all()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(10, 0, 20, 5), (15, -5, 30, 1)], (10, -5, 30, 5)),
        ([(170, 0, 180, 1), (-180, 0, -170, 1)], (170, 0, -170, 1)),
        ([(170, 0, -175, 1), (160, 0, 165, 1)], (160, 0, -175, 1)),
        ([(-20, 0, 180, 1)], (-20, 0, 180, 1)),
        ([(-180, 0, 20, 1)], (-180, 0, 20, 1)),
        ([(-180, 0, 180, 1), (179, 0, -179, 2)], (-180, 0, 180, 2)),
        ([(-180, 0, 0, 1), (0, 0, 180, 1)], (-180, 0, 180, 1)),
        ([(178, 0, -178, 1), (-179, 0, -177, 1)], (178, 0, -177, 1)),
    ],
)
def test_the_box_around_boxes_is_the_smallest(parts: list[BBox], expected: BBox) -> None:
    assert covering(parts) == expected
    assert covering(parts[::-1]) == expected


@pytest.mark.parametrize("geobox", HARD.values(), ids=HARD.keys())
def test_the_covering_box_of_one_tile_is_its_bounds(geobox: GeoBox) -> None:
    ((west, south, east, north),) = covering_boxes([Tile("one", geobox)], most=1)
    bounds = lonlat_bounds(geobox)
    assert south <= bounds[1] and bounds[3] <= north and north - south < bounds[3] - bounds[1] + 0.1
    assert (bounds[0] - west) % 360 < 0.05
    assert (east - bounds[2]) % 360 < 0.05
