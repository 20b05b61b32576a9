"""Horn's window: a plane's own slope and aspect, level ground, edges of what is known, lengths of degrees."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Geod

from pipeline.ops.lattice import PixelGrid
from pipeline.ops.terrain import Sun, aspect, hillshade, metre_on_the_ground, pixel_sizes, slope

SIZES = np.full(8, 10.0), np.full(8, -10.0)


def rising(towards: float, degrees: float) -> np.ndarray:
    """A plane (10, 10) that rises towards a compass direction, on pixels of 10 m."""
    row, col = np.indices((10, 10)) * 10.0
    along = col * np.sin(np.radians(towards)) - row * np.cos(np.radians(towards))
    heights: np.ndarray = (np.tan(np.radians(degrees)) * along).astype(np.float32)
    return heights


@pytest.mark.parametrize("steep", [0.5, 30.0, 60.0, 89.0])
@pytest.mark.parametrize("towards", [0.0, 45.0, 90.0, 200.0, 315.0, 359.0])
def test_a_plane_has_one_slope_and_falls_the_other_way(towards: float, steep: float) -> None:
    heights = rising(towards, steep)
    np.testing.assert_allclose(slope(heights, SIZES), steep, rtol=1e-3)
    falls = aspect(heights, SIZES)
    assert falls.min() >= 0 and falls.max() < 360
    assert np.abs((falls - towards - 180 + 180) % 360 - 180).max() < 0.1


def test_level_ground_has_no_aspect() -> None:
    """Its slope is 0 and its light the sine of the sun's altitude; its aspect is no data."""
    level = np.full((10, 10), 123.5, np.float32)
    assert (slope(level, SIZES) == 0).all() and np.isnan(aspect(level, SIZES)).all()
    assert (hillshade(level, SIZES, Sun(315, 30)) == round(1 + 254 * 0.5)).all()


def test_ground_that_faces_the_sun_is_white() -> None:
    """And what lies in its own shadow is 1, as 0 is no data."""
    assert (hillshade(rising(135, 45), SIZES, Sun(315, 45)) == 255).all()
    assert (hillshade(rising(315, 60), SIZES, Sun(315, 30)) == 1).all()


def test_what_rests_on_nothing_is_nothing() -> None:
    """A missing height takes its eight neighbours along, and itself, though Horn's window leaves the middle out."""
    heights = rising(90, 10)
    heights[5, 5] = np.nan
    gone = np.zeros((8, 8), np.bool_)
    gone[3:6, 3:6] = True
    np.testing.assert_array_equal(np.isnan(slope(heights, SIZES)), gone)
    np.testing.assert_array_equal(np.isnan(aspect(heights, SIZES)), gone)
    np.testing.assert_array_equal(hillshade(heights, SIZES, Sun()) == 0, gone)


def test_degrees_are_as_long_as_on_the_ellipsoid() -> None:
    """Per row, to a millionth of geodesic lengths by pyproj; a projected grid's pixels are what they are called."""
    grid = PixelGrid.of(GeoBox((50, 3), Affine(0.01, 0, 5, 0, -0.02, 80.6), "EPSG:4326"))
    lat = 80.6 - 0.02 * (np.arange(50) + 0.5)
    none, ellipsoid = np.zeros(50), Geod(ellps="WGS84")
    across, down = pixel_sizes(grid)
    np.testing.assert_allclose(across, ellipsoid.inv(none, lat, none + 0.01, lat)[2], rtol=1e-6)
    np.testing.assert_allclose(-down, ellipsoid.inv(none, lat - 0.01, none, lat + 0.01)[2], rtol=1e-6)
    utm = PixelGrid.of(GeoBox((2, 2), Affine(20, 0, 0, 0, -20, 0), "EPSG:32633"))
    assert [each.tolist() for each in pixel_sizes(utm)] == [[20, 20], [-20, -20]]


@pytest.mark.parametrize(
    ("crs", "x", "y", "metre"),
    [
        ("EPSG:32633", 500_000, 5_000_000, 1.0004),
        ("EPSG:3857", 1_000_000, 8_399_737.9, 0.5),
        ("EPSG:3413", 0, -2_195_000, 1.0),
        ("EPSG:4326", 10, 45, 1.0),
    ],
)
def test_a_grids_metre_may_be_short_on_the_ground(crs: str, x: float, y: float, metre: float) -> None:
    """Web Mercator's is half a metre at 60 N; at 70 N polar stereographic, by its definition, has the true one."""
    grid = PixelGrid.of(GeoBox((3, 3), Affine(0.1, 0, x, 0, -0.1, y), crs))
    assert metre_on_the_ground(grid) == pytest.approx(metre, abs=0.004)
