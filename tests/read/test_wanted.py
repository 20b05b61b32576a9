"""Laws of what is wanted: the rectangle is the smallest, and no block that a wanted pixel maps into is left out."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.read.gather import gather
from pipeline.read.pixelmap import PixelMap, pixel_map
from pipeline.read.wanted import extent, need_blocks
from pipeline.types import Grid

SIDE = 200
TARGET = GeoBox((SIDE, SIDE + 30), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")


def _around(crs: int, pixel: float, turn: float = 0.0) -> Grid:
    x, y = Transformer.from_crs(32633, crs, always_xy=True).transform(501_000, 4_999_000)
    frame = (
        Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(pixel, -pixel) @ Affine.translation(-90, -80)
    )
    a, b, c, d, e, f = frame[:6]
    return Grid(f"EPSG:{crs}", (a, b, c, d, e, f), (170, 160))


GRIDS = {
    "same": Grid("EPSG:32633", (10, 0, 500_100, 0, -10, 4_999_800), (170, 160)),
    "coarser": Grid("EPSG:32633", (20, 0, 500_010, 0, -20, 4_999_990), (170, 160)),
    "upside down": Grid("EPSG:32633", (-10, 0, 501_900, 0, 10, 4_998_100), (170, 160)),
    "next zone": _around(32632, 10),
    "finer": _around(32634, 4),
    "turned": _around(32633, 12, 40),
    "degrees": _around(4326, 1e-4),
}


def lookup(pixels: PixelMap) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Source row and column of each target pixel, -1 for none."""
    found = []
    for index in np.indices(pixels.source_shape):
        out = np.full(pixels.shape, -1, np.int64)
        gather(np.ascontiguousarray(index), (0, 0), pixels, (0, 0), out)
        found.append(out)
    return found[0], found[1]


def planes(seed: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Nothing, one pixel, some pixels or patches of bit 4, among noise in the other bits."""
    random = np.random.default_rng(seed)
    marked = random.uniform(size=shape) < random.choice([0, 0.0002, 0.01, 0.5])
    if random.uniform() < 0.5:
        marked &= np.kron(random.uniform(size=(16, 16)) < 0.1, np.ones((20, 20)))[: shape[0], : shape[1]] > 0
    plane: NDArray[np.uint8] = (marked * 16 + random.integers(0, 16, shape)).astype(np.uint8)
    return plane


@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 90), st.integers(0, 9))
@settings(deadline=None)
def test_the_extent_is_the_smallest_rectangle(seed: int, height: int, width: int, beside: int) -> None:
    plane = planes(seed, (height, width + beside))[:, beside:]
    rows, cols = np.nonzero(plane & 16)
    expected = (rows.min(), rows.max() + 1, cols.min(), cols.max() + 1) if rows.size else None
    assert extent(plane, 16) == expected


@given(
    st.sampled_from(list(GRIDS)),
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)),
    st.sampled_from([(16, 16), (1, 160), (64, 40), (512, 512)]),
    st.integers(0, 3),
)
@settings(max_examples=200, deadline=None)
def test_no_block_is_left_out(name: str, seed: int, first: tuple[int, int], block: tuple[int, int], pad: int) -> None:
    """Of any part of the target, any mask, any blocks, in any window of the source."""
    pixels = pixel_map(GRIDS[name], TARGET)
    random = np.random.default_rng(seed)
    plane = planes(seed, (int(random.integers(1, SIDE - first[0] + 1)), int(random.integers(1, SIDE - first[1] + 1))))
    ends = [sorted(random.choice(size + 1, 2, replace=False).tolist()) for size in pixels.source_shape]
    window = slice(*ends[0]), slice(*ends[1])
    need = need_blocks(pixels, first, (plane, 16), window, block, pad)
    assert need.shape == tuple(
        len({place // size for place in range(part.start, part.stop)}) for part, size in zip(window, block, strict=True)
    )
    part = slice(first[0], first[0] + plane.shape[0]), slice(first[1], first[1] + plane.shape[1])
    rows, cols = (index[part][(plane & 16 > 0)] for index in lookup(pixels))
    rows, cols = rows[rows >= 0], cols[rows >= 0]
    for down in range(-pad, pad + 1):
        for right in range(-pad, pad + 1):
            y, x = rows + down, cols + right
            held = (y >= window[0].start) & (y < window[0].stop) & (x >= window[1].start) & (x < window[1].stop)
            i, j = y[held] // block[0] - window[0].start // block[0], x[held] // block[1] - window[1].start // block[1]
            assert need[i, j].all()
    if not (plane & 16).any():
        assert not need.any()


@pytest.mark.parametrize(
    ("row", "col", "pad", "expected"),
    [
        (70, 10, 0, [(1, 0)]),
        (130, 190, 0, [(2, 2)]),
        (0, 64, 0, [(0, 1)]),
        (63, 63, 1, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        (199, 199, 9, [(2, 2), (2, 3), (3, 2), (3, 3)]),
    ],
)
def test_one_pixel_needs_one_block_and_its_pad(row: int, col: int, pad: int, expected: list[tuple[int, int]]) -> None:
    """Where blocks and squares of 64 pixels fit each other nothing is asked for in vain."""
    source = Grid("EPSG:32633", (10, 0, 500_000, 0, -10, 5_000_000), (SIDE, SIDE))
    plane = np.zeros(TARGET.shape, np.uint8)
    plane[row, col] = 1
    need = need_blocks(pixel_map(source, TARGET), (0, 0), (plane, 1), (slice(0, SIDE), slice(0, SIDE)), (64, 64), pad)
    assert [tuple(place) for place in np.argwhere(need).tolist()] == expected


def test_a_plane_may_lie_anyhow_in_memory() -> None:
    """One row for all, upside down, or every other column."""
    row = np.zeros(100, np.uint8)
    row[30:40] = 2
    assert extent(np.broadcast_to(row, (50, 100)), 2) == (0, 50, 30, 40)
    plane = np.zeros((50, 100), np.uint8)
    plane[5:9] = row
    assert extent(plane[::-1], 2) == (41, 45, 30, 40)
    assert extent(plane[:, ::2], 2) == (5, 9, 15, 20)


def test_a_cloudless_corner_across_zones_leaves_far_blocks_alone() -> None:
    source = _around(32632, 10)
    plane = np.zeros(TARGET.shape, np.uint8)
    plane[:64, :64] = 1
    pixels = pixel_map(source, TARGET)
    need = need_blocks(pixels, (0, 0), (plane, 1), (slice(0, 170), slice(0, 160)), (16, 16))
    rows, cols = lookup(pixels)
    held = (rows[:64, :64] >= 0) & (cols[:64, :64] >= 0)
    within = np.zeros(need.shape, np.bool_)
    within[rows[:64, :64][held] // 16, cols[:64, :64][held] // 16] = True
    assert within.any() and need[within].all()
    assert need.sum() <= 1.5 * within.sum()
