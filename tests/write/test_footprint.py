"""Laws of footprints: valid, closed, within the map, right over the antimeridian and around the poles."""

from __future__ import annotations

import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.write.footprint import join_bboxes, tile_footprint


def corner(geobox: GeoBox, column: float, row: float) -> tuple[float, float]:
    a, b, c, d, e, f = geobox.transform[:6]
    return a * column + b * row + c, d * column + e * row + f


def box(crs: str, west: float, north: float, pixel: float, size: int = 1024) -> GeoBox:
    return GeoBox((size, size), Affine(pixel, 0, west, 0, -pixel, north), crs)


UTM = box("EPSG:32633", 300_000, 5_000_000, 100)
FIJI_EAST = box("EPSG:32660", 820_000, 1_000_000, 20)
FIJI_WEST = box("EPSG:32601", 160_000, 1_000_000, 20)
NORTH_POLE = box("EPSG:3413", -512_000, 512_000, 1000)
SOUTH_POLE = box("EPSG:3031", -512_000, 512_000, 1000)
WORLD = GeoBox((1800, 3600), Affine(0.1, 0, -180, 0, -0.1, 90), "EPSG:4326")
TOUCHING = box("EPSG:4326", 170, 10, 10 / 1024)


@pytest.mark.parametrize("geobox", [UTM, FIJI_EAST, FIJI_WEST, NORTH_POLE, SOUTH_POLE, WORLD, TOUCHING])
def test_geometry_is_valid_and_holds_the_tile(geobox: GeoBox) -> None:
    """Valid, counter-clockwise, within -180..180 and -90..90, and every pixel centre of a coarse sample lies inside."""
    geometry, bbox = tile_footprint(geobox)
    shape = shapely.geometry.shape(geometry)
    assert shape.is_valid
    assert all(part.exterior.is_ccw for part in shapely.get_parts(shape))
    assert shapely.box(-180, -90, 180, 90).covers(shape)
    transformer = Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True)
    rows, columns = geobox.shape
    west, south, east, north = bbox
    for row in range(rows // 16, rows, rows // 8):
        for column in range(columns // 16, columns, columns // 8):
            longitude, latitude = transformer.transform(*corner(geobox, column + 0.5, row + 0.5))
            assert shape.covers(shapely.Point(longitude, latitude))
            assert south <= latitude <= north
            assert (west <= longitude <= east) if west <= east else (longitude >= west or longitude <= east)


def test_densified_edges_follow_the_curve() -> None:
    """The middle of a 100 km tile's edge lies within a metre of the footprint's outline, not 100 m off."""
    geometry, _ = tile_footprint(UTM)
    outline = shapely.Polygon(*geometry["coordinates"]).exterior
    transformer = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    for t in (0.13, 0.5, 0.77):
        point = shapely.Point(*transformer.transform(*corner(UTM, 1024 * t, 0)))
        assert outline.distance(point) * 111_000 < 1.0


@pytest.mark.parametrize("geobox", [FIJI_EAST, FIJI_WEST])
def test_antimeridian_splits_the_polygon(geobox: GeoBox) -> None:
    """RFC 7946: two polygons, one ending at 180 and one beginning at -180; a bbox whose west exceeds its east."""
    geometry, (west, _, east, _) = tile_footprint(geobox)
    assert geometry["type"] == "MultiPolygon"
    bounds = sorted(shapely.Polygon(*part).bounds for part in geometry["coordinates"])
    assert [(round(b[0], 9), round(b[2], 9)) for b in bounds] == [(-180.0, round(east, 9)), (round(west, 9), 180.0)]
    assert west > 179
    assert east < -179


@pytest.mark.parametrize(("geobox", "pole"), [(NORTH_POLE, 90.0), (SOUTH_POLE, -90.0)])
def test_poles_are_inside(geobox: GeoBox, pole: float) -> None:
    geometry, (west, south, east, north) = tile_footprint(geobox)
    assert (west, east) == (-180.0, 180.0)
    assert pole in (south, north)
    assert shapely.geometry.shape(geometry).covers(shapely.Point(10, pole * 0.9999))


def test_touching_the_antimeridian_is_no_crossing() -> None:
    geometry, bbox = tile_footprint(TOUCHING)
    assert geometry["type"] == "Polygon"
    assert bbox == [170.0, 0.0, 180.0, 10.0]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([[10, 0, 20, 5], [15, -5, 30, 1]], [10, -5, 30, 5]),
        ([[-20, 0, -10, 1], [10, 0, 20, 1]], [-20, 0, 20, 1]),
        ([[170, 0, 180, 1]], [170, 0, 180, 1]),
        ([[177, 0, 179, 1], [179.5, 0, -179.5, 1], [-179.5, 0, -179, 2]], [177, 0, -179, 2]),
        ([[-180, -90, 180, 90], [179, 0, -179, 5]], [-180, -90, 180, 90]),
    ],
)
def test_joined_boxes_hold_their_parts(boxes: list[list[float]], expected: list[float]) -> None:
    assert join_bboxes(boxes) == expected
    assert join_bboxes(boxes[::-1]) == expected
