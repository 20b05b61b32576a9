"""Laws of the inner loops: what a plain loop over pixels does, on aligned and on warped grids, whole or in strips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.read.gather import gather, observe
from pipeline.read.loops import LARGEST
from pipeline.read.pixelmap import PixelMap, pixel_map
from pipeline.types import Grid

SHAPE = (9, 11)
SOURCE = (8, 10)
TARGET = GeoBox(SHAPE, Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")


def _warped() -> Grid:
    x, y = Transformer.from_crs(32633, 32632, always_xy=True).transform(500_000, 5_000_000)
    return Grid("EPSG:32632", (10, 0, x - 5, 0, -10, y + 5), SOURCE)


GRIDS = {
    "shifted": Grid("EPSG:32633", (10, 0, 500_020, 0, -10, 4_999_990), SOURCE),
    "coarser": Grid("EPSG:32633", (20, 0, 499_990, 0, -20, 5_000_010), SOURCE),
    "warped": _warped(),
}
grids = st.sampled_from(list(GRIDS))
seeds = st.integers(0, 2**32 - 1)


def lookup(pixels: PixelMap) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Source row and column of each target pixel, -1 for none, from the source's own indices."""
    rows, cols = (np.full(SHAPE, -1, np.int64) for _ in range(2))
    for index, out in zip(np.indices(SOURCE), (rows, cols), strict=True):
        gather(np.ascontiguousarray(index), (0, 0), pixels, (0, 0), out)
    return rows, cols


def numbers(seed: int, dtype: type[np.integer[Any]], shape: tuple[int, int] = SOURCE) -> NDArray[Any]:
    """Over the whole range of a dtype, with zeros, nodata candidates and the largest values among them."""
    random, info = np.random.default_rng(seed), np.iinfo(dtype)
    data = random.integers(max(info.min, -40_000), min(info.max, 70_000), shape, endpoint=True)
    odd = random.choice([0, 1, 7, 999, 1000, 1001, min(info.max, 65_535), min(0, info.min)], shape)
    return np.where(random.uniform(size=shape) < 0.5, odd, data).astype(dtype)


@given(grids, seeds, st.sampled_from([np.uint8, np.uint16, np.int16, np.bool_]), st.integers(0, 8), st.integers(1, 9))
@settings(deadline=None)
def test_gather_is_a_plain_lookup_in_any_strip(name: str, seed: int, dtype: Any, first: int, count: int) -> None:
    """Uncovered pixels keep what they hold; a strip of the target equals the same rows of the whole."""
    pixels = pixel_map(GRIDS[name], TARGET)
    source = np.random.default_rng(seed).integers(0, 2 if dtype is np.bool_ else 100, SOURCE).astype(dtype)
    rows, cols = lookup(pixels)
    whole = np.full(SHAPE, 1, dtype)
    gather(source, (0, 0), pixels, (0, 0), whole)
    np.testing.assert_array_equal(whole, np.where(rows >= 0, source[rows, cols], np.asarray(1, dtype)))
    last = min(first + count, SHAPE[0])
    strip = np.full((last - first, SHAPE[1] - 3), 1, dtype)
    gather(source, (0, 0), pixels, (first, 2), strip)
    np.testing.assert_array_equal(strip, whole[first:last, 2 : SHAPE[1] - 1])


@given(grids, seeds, st.integers(0, 5), st.integers(0, 5), st.integers(1, 8), st.integers(1, 10))
@settings(deadline=None)
def test_a_window_of_the_source_gives_the_pixels_it_holds(
    name: str, seed: int, top: int, left: int, height: int, width: int
) -> None:
    pixels = pixel_map(GRIDS[name], TARGET)
    source = numbers(seed, np.uint16)
    rows, cols = lookup(pixels)
    window = np.ascontiguousarray(source[top : top + height, left : left + width])
    out = np.zeros(SHAPE, np.uint16)
    gather(window, (top, left), pixels, (0, 0), out)
    held = (rows >= top) & (rows < top + window.shape[0]) & (cols >= left) & (cols < left + window.shape[1])
    np.testing.assert_array_equal(out, np.where(held, source[rows, cols], 0))


@given(
    grids,
    seeds,
    st.sampled_from([np.uint8, np.uint16, np.int16, np.uint32]),
    st.sampled_from([None, 0.0, 7.0, -40_000.0, 65_535.0, float("nan"), float("inf"), 0.5]),
    st.sampled_from([0, -1000, 1000]),
    st.integers(0, 7),
    st.integers(0, 8),
)
@settings(max_examples=200, deadline=None)
def test_observe_is_a_plain_loop(  # noqa: PLR0913 (drawn)
    name: str, seed: int, dtype: type[np.integer[Any]], nodata: float | None, shift: int, number: int, first: int
) -> None:
    """Nodata, zero and negative numbers before the shift, the sum within 1..65534, and what stands already stays."""
    random = np.random.default_rng(seed)
    source = numbers(seed, dtype)
    plane = random.integers(0, 256, (SHAPE[0] - first, SHAPE[1])).astype(np.uint8)
    out = np.where(random.uniform(size=plane.shape) < 0.3, 4321, 0).astype(np.uint16)
    pixels = pixel_map(GRIDS[name], TARGET)
    rows, cols = (index[first:] for index in lookup(pixels))
    expected = out.copy()
    for place in np.ndindex(plane.shape):
        if out[place] or not plane[place] & (1 << number) or rows[place] < 0:
            continue
        value = int(source[rows[place], cols[place]])
        if value > 0 and value != nodata:
            expected[place] = min(max(value + shift, 1), 65_534)
    observe(source, ((0, 0), (first, 0)), pixels, (plane, 1 << number), (nodata, shift), out)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("value", "nodata", "shift", "expected"),
    [
        (0, 0, -1000, 0),
        (0, None, 0, 0),
        (0, 65_535, 1000, 0),
        (1000, 0, -1000, 1),
        (1001, 0, -1000, 1),
        (1002, 0, -1000, 2),
        (999, 0, -1000, 1),
        (1000, 1000, -1000, 0),
        (65_535, 0, 0, LARGEST),
        (65_535, 65_535, 0, 0),
        (65_000, 0, 1000, LARGEST),
    ],
)
def test_known_numbers(value: int, nodata: float | None, shift: int, expected: int) -> None:
    """A dark valid pixel never becomes nodata, and nodata never becomes a dark pixel."""
    grid = Grid("EPSG:32633", (10, 0, 500_000, 0, -10, 5_000_000), (1, 1))
    pixels = pixel_map(grid, GeoBox((1, 1), Affine(*grid.transform), "EPSG:32633"))
    out = np.zeros((1, 1), np.uint16)
    one = np.ones((1, 1), np.uint8)
    observe(np.array([[value]], np.uint16), ((0, 0), (0, 0)), pixels, (one, 1), (nodata, shift), out)
    assert out[0, 0] == expected


def test_of_two_scenes_of_a_day_the_first_wins() -> None:
    pixels = pixel_map(GRIDS["shifted"], TARGET)
    out, plane = np.zeros(SHAPE, np.uint16), np.full(SHAPE, 3, np.uint8)
    one, other = np.full(SOURCE, 100, np.uint16), np.full(SOURCE, 200, np.uint16)
    one[2] = 0
    observe(one, ((0, 0), (0, 0)), pixels, (plane, 1), (0, 0), out)
    observe(other, ((0, 0), (0, 0)), pixels, (plane, 2), (0, 0), out)
    rows, _ = lookup(pixels)
    np.testing.assert_array_equal(out, np.where(rows < 0, 0, np.where(rows == 2, 200, 100)))
