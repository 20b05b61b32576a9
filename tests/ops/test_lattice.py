"""Places of pixels, samples of a lattice: pyproj's coordinates, NumPy's triangle, whatever window they are of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.ops.lattice import Band, PixelGrid, Rows, coordinates, reach_along, sample

Array = NDArray[Any]
GRIDS = {
    "utm": GeoBox((150, 130), Affine(10, 0, 300_010, 0, -10, 5_100_020), "EPSG:32633"),
    "off its lattice": GeoBox((150, 130), Affine(30, 0, 300_004.5, 0, -30, 7_900_011.7), "EPSG:32633"),
    "coarse": GeoBox((90, 80), Affine(500, 0, 300_000, 0, -500, 5_100_000), "EPSG:32633"),
    "greenland": GeoBox((150, 130), Affine(100, 0, -180_000, 0, -100, -2_500_000), "EPSG:3413"),
    "antimeridian": GeoBox((100, 100), Affine(100, 0, 213_000, 0, -100, 7_300_000), "EPSG:32601"),
    "pole": GeoBox((200, 200), Affine(100, 0, 1_990_000, 0, -100, 2_010_000), "EPSG:32761"),
    "degrees": GeoBox((100, 90), Affine(0.001, 0, 10.0, 0, -0.001, 45.0), "EPSG:4326"),
}


@pytest.mark.parametrize("name", GRIDS)
def test_places_are_pyprojs(name: str) -> None:
    """To two centimetres on the ground, a pole and the antimeridian included."""
    geobox = GRIDS[name]
    cols, rows = np.meshgrid(np.arange(geobox.shape[1]) + 0.5, np.arange(geobox.shape[0]) + 0.5)
    a, _, c, _, e, f = geobox.transform[:6]
    to_degrees = Transformer.from_crs(str(geobox.crs), 4326, always_xy=True)
    expected = to_degrees.transform(a * cols + c, e * rows + f)
    lon, lat = coordinates(PixelGrid.of(geobox), "EPSG:4326")
    east = ((lon - expected[0] + 180) % 360 - 180) * 111_320 * np.cos(np.radians(lat))
    assert np.abs(east).max() < 0.02
    assert np.abs(lat - expected[1]).max() * 111_320 < 0.02


@pytest.mark.parametrize("name", GRIDS)
def test_windows_that_overlap_agree_to_the_bit(name: str) -> None:
    """A window that begins elsewhere has the same places, also from a GeoBox with its own rounding of the corner."""
    geobox = GRIDS[name]
    whole = coordinates(PixelGrid.of(geobox, 1), "EPSG:4326")
    part = GeoBox((43, 49), geobox.transform @ Affine.translation(21, 37), geobox.crs)
    for one, other in zip(whole, coordinates(PixelGrid.of(part), "EPSG:4326"), strict=True):
        np.testing.assert_array_equal(one[38:81, 22:71], other)
    rows = coordinates(PixelGrid.of(geobox, 1).rows(5, 9), "EPSG:4326")
    np.testing.assert_array_equal(rows[0], whole[0][5:9])


def test_a_turned_grid_is_refused() -> None:
    """Rows run along x: Horn's window and the mesh count on it."""
    with pytest.raises(ValueError, match="turned"):
        PixelGrid.of(GeoBox((4, 4), Affine(10, 1, 0, 0, -10, 0), "EPSG:32633"))


def triangle(values: Array, v: Array, u: Array, reach: tuple[float, float]) -> Array:
    """The weighted mean of all nodes at once, by NumPy; NaN where the nearest one is."""
    found = np.empty(v.shape)
    rows, cols = np.indices(values.shape)
    for at in np.ndindex(v.shape):
        down = np.maximum(0, 1 - abs(rows - v[at]) / reach[0])
        along = np.maximum(0, 1 - abs(cols - u[at]) / reach[1])
        share = down * along
        there = ~np.isnan(values)
        nearest = values[int(np.floor(v[at] + 0.5)), int(np.floor(u[at] + 0.5))]
        # Of each row its mean by the share of it that is there, then the rows.
        found[at] = np.nan if np.isnan(nearest) else (share * np.where(there, values, 0)).sum() / (share * there).sum()
    return found


@pytest.mark.parametrize("reach", [(1.0, 1.0), (2.5, 1.0), (3.25, 4.5)])
def test_samples_are_weighted_by_a_triangle(reach: tuple[float, float]) -> None:
    """As wide as a node is apart, or as the target's pixel where that is more; missing nodes have no weight."""
    random = np.random.default_rng(3)
    values = random.normal(size=(40, 50)).astype(np.float32)
    values[12:15, 20:30] = np.nan
    v, u = random.uniform(8, 30, (12, 11)), random.uniform(8, 40, (12, 11))
    band = Band(1.0, 0.25, 0, (-7, 100), values, np.full(40, reach[1]))
    found = sample(u + 100.25, -(v - 7 + 0.5), Rows(1.0, 0.5, reach[0]), [band])
    expected = triangle(values.astype(float), v, u, reach)
    assert np.isnan(expected).any()
    if reach == (1.0, 1.0):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    whole = ~np.isnan(expected) & ~np.isnan(found)
    np.testing.assert_allclose(found[whole], expected[whole], rtol=2e-6, atol=1e-6)


def test_two_bands_are_mixed_row_by_row() -> None:
    """Between a row of ten nodes a unit and one of four: each interpolated along itself, then the two."""
    upper, lower = np.arange(30, dtype=np.float32)[None] ** 2, np.arange(12, dtype=np.float32)[None] * 100
    bands = [
        Band(10.0, 0.0, 0, (-5, 0), upper, np.ones(1)),
        Band(4.0, 0.0, 0, (-4, 0), lower, np.ones(1)),
    ]
    x, y = np.array([[0.33, 1.27, 2.0]]), np.array([[4.75, 4.5, 4.25]])
    found = sample(x, y, Rows(1.0, 0.0, 1.0), bands)
    above = np.interp(x[0] * 10, np.arange(30), upper[0])
    below = np.interp(x[0] * 4, np.arange(12), lower[0])
    down = 5 - y[0]
    np.testing.assert_allclose(found[0], above * (1 - down) + below * down, rtol=1e-6)


def test_columns_go_round_the_earth() -> None:
    """A window that begins before the antimeridian serves places counted from the other side."""
    values = np.arange(6, dtype=np.float32)[None].repeat(3, 0)
    band = Band(1.0, 0.0, 360, (-1, 177), values, np.ones(3))
    found = sample(np.array([[178.5, -179.5, 180.5, -182.0]]), np.zeros((1, 4)), Rows(1.0, 0.0, 1.0), [band])
    np.testing.assert_array_equal(found, [[1.5, 3.5, 3.5, 1.0]])


def test_coarse_pixels_look_further() -> None:
    """As many nodes as a pixel is long: along a parallel more of them, the nearer to a pole."""
    grid = PixelGrid.of(GeoBox((10, 10), Affine(300, 0, 0, 0, -300, 5_000_000), "EPSG:32633"))
    (rows,) = reach_along(1, grid, 3600, "EPSG:4326")
    assert rows == pytest.approx(300 / (111_195 / 3600), rel=1e-9)
    along = reach_along(0, grid, 3600, "EPSG:4326", np.array([0.0, 60.0]))
    np.testing.assert_allclose(along, [rows, 2 * rows])
    fine = PixelGrid.of(GeoBox((10, 10), Affine(10, 0, 0, 0, -10, 5_000_000), "EPSG:32633"))
    assert reach_along(1, fine, 3600, "EPSG:4326").tolist() == [1.0]
