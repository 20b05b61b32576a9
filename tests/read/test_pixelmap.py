"""Laws of the pixel map: exact on aligned grids, within its bound on all others, with windows that hold enough."""

from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.read.gather import gather
from pipeline.read.pixelmap import MAX_ERROR_PX, PixelMap, coarseness, pixel_map
from pipeline.types import Grid

NOISE_PX = 1e-6
Places = NDArray[np.int64]


def exact(source: Grid, target: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fractional source row and column of every target pixel's centre, by pyproj and affine alone."""
    cols, rows = np.meshgrid(*(np.arange(side) + 0.5 for side in (target.shape[1], target.shape[0])))
    a, b, c, d, e, f = target.transform[:6]
    x, y = a * cols + b * rows + c, d * cols + e * rows + f
    if str(target.crs) != source.crs:
        x, y = Transformer.from_crs(str(target.crs), source.crs, always_xy=True).transform(x, y)
    back = ~Affine(*source.transform)
    return back.d * x + back.e * y + back.f, back.a * x + back.b * y + back.c


def places(pixels: PixelMap, source: Grid, window: tuple[slice, slice] | None = None) -> tuple[Places, Places]:
    """Source row and column that each target pixel is given, -1 for none: the source gathered holds its own indices."""
    rows, cols = window or (slice(0, source.shape[0]), slice(0, source.shape[1]))
    found = []
    for index in np.indices(source.shape)[:, rows, cols]:
        out = np.full(pixels.shape, -1, np.int64)
        gather(np.ascontiguousarray(index), (rows.start, cols.start), pixels, (0, 0), out)
        found.append(out)
    return found[0], found[1]


def check(source: Grid, target: GeoBox, bound_px: float) -> None:
    """Each target pixel has the source pixel its centre lies in, or one that is off by no more than the bound."""
    rows, cols = places(pixel_map(source, target), source)
    exact_rows, exact_cols = exact(source, target)
    given_one = rows >= 0
    for index, place in ((rows, exact_rows), (cols, exact_cols)):
        assert (np.abs(index[given_one] + 0.5 - place[given_one]) <= 0.5 + bound_px).all()
    height, width = source.shape
    inside = (
        (exact_rows >= bound_px)
        & (exact_rows < height - bound_px)
        & (exact_cols >= bound_px)
        & (exact_cols < width - bound_px)
    )
    assert (given_one | ~inside).all(), "a pixel inside the source was given none"


UTM = Grid("EPSG:32633", (10, 0, 500_000, 0, -10, 5_100_000), (120, 90))


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.sampled_from([1, 5, 10, 20, 30, 60]),
    st.sampled_from([1, 3, 10, 20, 60]),
    st.tuples(st.integers(-700, 700), st.integers(-700, 700)),
    st.booleans(),
)
def test_grids_of_one_crs_map_exactly(
    shape: tuple[int, int], source_m: int, target_m: int, shift_m: tuple[int, int], south_up: bool
) -> None:
    """In whole half-metres, where a floor is a floor; an edge belongs to the pixel that it begins."""
    sign = 1 if south_up else -1
    source = Grid("EPSG:32633", (source_m, 0, 500_000, 0, sign * source_m, 5_000_000), (40, 30))
    corner = Affine(target_m, 0, 500_000 + shift_m[0], 0, sign * target_m, 5_000_000 + shift_m[1])
    pixels = pixel_map(source, GeoBox(shape, corner, "EPSG:32633"))
    rows = [(2 * sign * shift_m[1] + (2 * row + 1) * target_m) // (2 * source_m) for row in range(shape[0])]
    cols = [(2 * shift_m[0] + (2 * col + 1) * target_m) // (2 * source_m) for col in range(shape[1])]
    assert pixels.rows.tolist() == rows
    assert pixels.cols.tolist() == cols


def test_the_same_grid_maps_every_pixel_to_itself() -> None:
    """Also where its numbers are no short decimals: a landsat-like decimated grid, and one in degrees."""
    for crs, pixel, west, north in (
        ("EPSG:32620", 600.0791556728232, 143685.0, -204285.0),
        ("EPSG:4326", 1 / 3600, 6.0, 1.0),
    ):
        source = Grid(crs, (pixel, 0, west, 0, -pixel, north), (300, 200))
        rows, cols = places(pixel_map(source, GeoBox((300, 200), Affine(*source.transform), crs)), source)
        np.testing.assert_array_equal([rows, cols], np.indices((300, 200)))


@pytest.mark.parametrize("pixel", [0.1, 1 / 3600, 600.0791556728232])
def test_rounding_noise_moves_no_edge(pixel: float) -> None:
    """A target twice as coarse has its centres on the source's edges: each begins the pixel after it."""
    source = Grid("EPSG:4326", (pixel, 0, 6.0, 0, -pixel, 1.0), (400, 400))
    pixels = pixel_map(source, GeoBox((200, 200), Affine(2 * pixel, 0, 6.0, 0, -2 * pixel, 1.0), "EPSG:4326"))
    assert pixels.rows.tolist() == pixels.cols.tolist() == list(range(1, 400, 2))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Grid, GeoBox]:
    """A target in UTM 33 and a source near it: other zones, degrees, polar, turned, flipped, finer or coarser."""
    north = draw(st.floats(1_000_000, 9_200_000))
    resolution = draw(st.sampled_from([3.0, 10.0, 60.0, 300.0]))
    height, width = draw(st.tuples(st.integers(1, 150), st.integers(1, 150)))
    west = draw(st.floats(300_000, 700_000))
    target = GeoBox((height, width), Affine(resolution, 0, west, 0, -resolution, north), "EPSG:32633")
    lat = Transformer.from_crs(32633, 4326, always_xy=True).transform(west, north)[1]
    crs = draw(st.sampled_from([32632, 32634, 4326, 3857, 32633, *([3413] if lat > 60 else [])]))
    x, y = Transformer.from_crs(32633, crs, always_xy=True).transform(west, north)
    pixel = resolution * draw(st.floats(0.3, 3)) * (1 / 111_000 if crs == 4326 else 1)
    angle = draw(st.sampled_from([0.0, 0.0, 12.5, 45.0, 180.0])) if crs != 32633 else draw(st.sampled_from([7.0, 30.0]))
    rows, cols = draw(st.tuples(st.integers(1, 120), st.integers(1, 120)))
    aside = draw(st.tuples(st.floats(-1.2, 0.6), st.floats(-1.2, 0.6)))
    turn = Affine.translation(x, y) @ Affine.rotation(angle) @ Affine.scale(pixel, -pixel)
    transform = turn @ Affine.translation(aside[0] * cols, aside[1] * rows)
    a, b, c, d, e, f = transform[:6]
    return Grid(f"EPSG:{crs}", (a, b, c, d, e, f), (rows, cols)), target


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_other_grids_map_within_the_bound(pair: tuple[Grid, GeoBox]) -> None:
    check(*pair, MAX_ERROR_PX * 1.05 + NOISE_PX)


@pytest.mark.parametrize(
    ("source_crs", "target_crs", "lon", "lat", "target_m", "source_m", "side_px"),
    [
        # Between conformal projections the error vanishes in the middle of a mesh cell, where alone it is easy to see.
        (32737, 3857, 36.5, -82.5, 245.0, 64.0, 64),
        (3857, 32637, 36.5, -82.5, 245.0, 64.0, 64),
        (3857, 3413, 132.6, 80.2, 863.0, 1350.0, 64),
        (32631, 3857, 4.6, 42.8, 665.0, 90.0, 1024),
        (32633, 32632, 11.2, 8.1, 923.0, 123.0, 1024),
        (32624, 3413, -40.0, 72.0, 300.0, 100.0, 512),
        (4326, 32633, 15.0, 80.0, 100.0, 30.0, 1024),
    ],
)
def test_conformal_projections_stay_within_the_bound(  # noqa: PLR0913 (the columns of a table)
    source_crs: int, target_crs: int, lon: float, lat: float, target_m: float, source_m: float, side_px: int
) -> None:
    west, north = Transformer.from_crs(4326, target_crs, always_xy=True).transform(lon, lat)
    half = side_px * target_m / 2
    target = GeoBox(
        (side_px, side_px), Affine(target_m, 0, west - half, 0, -target_m, north + half), f"EPSG:{target_crs}"
    )
    x, y = Transformer.from_crs(4326, source_crs, always_xy=True).transform(lon, lat)
    pixel = source_m / 111_000 if source_crs == 4326 else source_m
    source = Grid(f"EPSG:{source_crs}", (pixel, 0, x - 700 * pixel, 0, -pixel, y + 700 * pixel), (1400, 1400))
    check(source, target, MAX_ERROR_PX * 1.05 + NOISE_PX)


@given(pairs(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_window_holds_every_source_pixel_that_is_needed(pair: tuple[Grid, GeoBox], data: st.DataObject) -> None:
    """For any part of the target; None only where nothing is needed; gathered from it, the part is the same."""
    source, target = pair
    pixels = pixel_map(source, target)
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, side)] * 2))) for side in target.shape]
    (first_row, last_row), (first_col, last_col) = ends
    assume(first_row < last_row and first_col < last_col)
    rows, cols = (index[first_row:last_row, first_col:last_col] for index in places(pixels, source))
    pad = data.draw(st.integers(0, 5))
    window = pixels.window((first_row, last_row), (first_col, last_col), pad)
    needed = rows >= 0
    if window is None:
        assert not needed.any()
        return
    for part, size in zip(window, source.shape, strict=True):
        assert 0 <= part.start < part.stop <= size
    if needed.any():
        for index, part, size in zip((rows, cols), window, source.shape, strict=True):
            assert part.start <= max(0, index[needed].min() - pad)
            assert part.stop >= min(size, index[needed].max() + 1 + pad)
    again = [index[first_row:last_row, first_col:last_col] for index in places(pixels, source, window)]
    np.testing.assert_array_equal(again, [rows, cols])


def test_a_source_beside_the_target_needs_no_window() -> None:
    target = GeoBox((50, 50), Affine(10, 0, 600_000, 0, -10, 5_100_000), "EPSG:32633")
    assert pixel_map(UTM, target).window((0, 50)) is None
    far = Grid("EPSG:32601", UTM.transform, UTM.shape)
    assert pixel_map(far, target).window((0, 50)) is None


def test_a_source_of_absurdly_small_pixels_costs_no_memory() -> None:
    """A header may say anything: a billionth of a metre a pixel must not become a list of pixels."""
    tiny = Grid("EPSG:32632", (1e-9, 0, 500_000, 0, -1e-9, 5_100_000), (100, 100))
    target = GeoBox((50, 50), Affine(10, 0, 40_000, 0, -10, 5_100_000), "EPSG:32633")
    window = pixel_map(tiny, target).window((0, 50))
    assert window is None or all(part.stop <= 100 for part in window)


@pytest.mark.parametrize("transform", [(0, 0, 1, 0, 0, 1), (1, 1, 0, 1, 1, 0), (math.nan, 0, 0, 0, -1, 0)])
def test_a_transform_that_cannot_be_inverted_is_refused(
    transform: tuple[float, float, float, float, float, float],
) -> None:
    with pytest.raises(ValueError, match="cannot be inverted"):
        pixel_map(Grid("EPSG:32632", transform, (10, 10)), GeoBox((5, 5), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"))


def test_a_plan_is_made_once_per_pair_of_grids() -> None:
    target = GeoBox((50, 50), Affine(10, 0, 500_000, 0, -10, 5_100_000), "EPSG:32633")
    assert pixel_map(UTM, target) is pixel_map(
        Grid(UTM.crs, UTM.transform, UTM.shape), GeoBox(target.shape, target.transform, target.crs)
    )


def test_the_plans_of_a_group_of_tiles_are_kept() -> None:
    """Sixteen tiles and the grids of nine scenes in three resolutions, asked for in turn."""
    tiles = [GeoBox((8, 8), Affine(10, 0, 80 * tile, 0, -10, 0), "EPSG:32633") for tile in range(16)]
    sources = [
        Grid("EPSG:32633", (pixel, 0, 100.0 * at, 0, -pixel, 50), (9, 9)) for at in range(9) for pixel in (1, 2, 6)
    ]
    plans = [pixel_map(source, tile) for tile in tiles for source in sources]
    again = [pixel_map(source, tile) for tile in tiles for source in sources]
    assert all(plan is other for plan, other in zip(plans, again, strict=True))


@pytest.mark.parametrize(
    ("source", "crs", "pixel", "expected"),
    [
        (UTM, "EPSG:32633", (10.0, -10.0), (1, 1)),
        (UTM, "EPSG:32633", (60.0, -20.0), (2, 6)),
        (UTM, "EPSG:32633", (5.0, 5.0), (0.5, 0.5)),
        # A second of arc on the ground at 60 degrees north: 30.95 m along a meridian, half as much along the parallel.
        (
            Grid("EPSG:4326", (1 / 3600, 0, 14.5, 0, -1 / 3600, 60.5), (3600, 3600)),
            "EPSG:32633",
            (30.0, -30.0),
            (0.97, 1.94),
        ),
        # No place on earth.
        (Grid("EPSG:4326", (1, 0, 0, 0, -1, 100), (10, 10)), "EPSG:3857", (30.0, -30.0), (math.inf, math.inf)),
    ],
)
def test_coarseness_is_how_many_source_pixels_a_target_pixel_is_long(
    source: Grid, crs: str, pixel: tuple[float, float], expected: tuple[float, float]
) -> None:
    """Wherever the target begins, so that all tiles of a grid have the same."""
    for west, north in ((0.0, 0.0), (500_000.0, 6_000_000.0)):
        found = coarseness(source, crs, (pixel[0], 0, west, 0, pixel[1], north))
        assert found == pytest.approx(expected, rel=0.005)
