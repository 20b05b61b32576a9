"""Laws of the compiled loops: to the last bit what plain arithmetic says, for any mesh, layout, dtype and window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.read import gather as gather_module
from pipeline.read.gather import admit, gather, observe
from pipeline.read.pixelmap import PixelMap

OUTSIDE = -1.0e9
NO_INDEX, NO_MESH = np.empty(0, np.int64), np.empty((0, 0))
seeds = st.integers(0, 2**32 - 1)
Places = tuple[NDArray[np.float64], NDArray[np.float64]]


def mesh_map(seed: int, step: int, shape: tuple[int, int], source: tuple[int, int]) -> PixelMap:
    """A mesh that is bent, turned, magnified and shifted at will, here and there beyond the projection's domain."""
    random = np.random.default_rng(seed)
    rows, cols = np.meshgrid(*(np.arange(-(-(side - 1) // step) + 1) * step for side in shape), indexing="ij")
    turn = random.normal(size=(2, 2)) * random.choice([0.02, 0.7, 3])
    if random.uniform() < 0.5:
        turn += np.eye(2) * random.choice([0.5, 1, 2])
    nodes = []
    for axis in range(2):
        exact = turn[axis, 0] * rows + turn[axis, 1] * cols + random.uniform(-0.3, 0.8) * source[axis]
        nodes.append(np.ascontiguousarray(exact + random.normal(size=rows.shape) * random.choice([0, 0.01, 3])))
    outside = random.uniform(size=rows.shape) < random.choice([0, 0, 0.1])
    for mesh in nodes:
        if random.uniform() < 0.2:
            np.rint(mesh, out=mesh)
        mesh[outside] = OUTSIDE
    return PixelMap(shape, source, NO_INDEX, NO_INDEX, nodes[0], nodes[1], step)


def places(pixels: PixelMap) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Source row and column of every target pixel: down the mesh first, then along, by whole steps of one line."""
    found = []
    for mesh in (pixels.mesh_rows, pixels.mesh_cols):
        row, col = (np.arange(side) for side in pixels.shape)
        node, cell = row // pixels.step, col // pixels.step
        below, right = np.minimum(node + 1, mesh.shape[0] - 1), np.minimum(cell + 1, mesh.shape[1] - 1)
        down = ((row - node * pixels.step) / pixels.step)[:, None]
        line = mesh[node] * (1 - down) + mesh[below] * down
        slope = (line[:, right] - line[:, cell]) / pixels.step
        place = np.floor(line[:, cell] + slope * (col - cell * pixels.step))
        found.append(np.clip(place, -1e15, 1e15).astype(np.int64))
    return found[0], found[1]


def index_map(seed: int, shape: tuple[int, int], source: tuple[int, int]) -> PixelMap:
    """Rows and columns by index: forwards or backwards, repeated, one by one or with gaps."""
    random = np.random.default_rng(seed)
    found = []
    for count, size in zip(shape, source, strict=True):
        step = random.choice([1, 1, 0.5, 0.3, 2, 1.01, -1, -0.5])
        found.append(np.floor(np.arange(count) * step + random.integers(-5, size)).astype(np.int64))
    return PixelMap(shape, source, found[0], found[1], NO_MESH, NO_MESH, 1)


def looked_up(
    source: NDArray[Any], corner: tuple[int, int], rows: NDArray[np.int64], cols: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The source's pixel at each place and whether the window has it."""
    y, x = rows - corner[0], cols - corner[1]
    held = (y >= 0) & (y < source.shape[0]) & (x >= 0) & (x < source.shape[1])
    return source[np.where(held, y, 0), np.where(held, x, 0)], held


def drawn(seed: int, by_index: bool, step: int) -> tuple[PixelMap, NDArray[np.int64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    shape = (int(random.integers(2, 150)), int(random.integers(2, 150)))
    source = (int(random.integers(1, 90)), int(random.integers(1, 90)))
    if by_index:
        pixels = index_map(seed, shape, source)
        rows, cols = np.meshgrid(pixels.rows, pixels.cols, indexing="ij")
        return pixels, rows, cols
    pixels = mesh_map(seed, step, shape, source)
    return pixels, *places(pixels)


DTYPES = (np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.float32, np.float64)


@given(seeds, st.booleans(), st.sampled_from([1, 2, 16, 64]), st.sampled_from(DTYPES))
@settings(max_examples=300, deadline=None)
def test_gather_equals_plain_arithmetic_to_the_last_bit(seed: int, by_index: bool, step: int, dtype: Any) -> None:
    """Any part of the target from any window of the source into some columns of an array; the rest is untouched."""
    pixels, rows, cols = drawn(seed, by_index, step)
    random = np.random.default_rng(seed + 1)
    top, left = random.integers(0, np.array(pixels.shape))
    part = (
        slice(top, random.integers(top, pixels.shape[0]) + 1),
        slice(left, random.integers(left, pixels.shape[1]) + 1),
    )
    corner = tuple(int(each) for each in random.integers(0, np.array(pixels.source_shape)))
    whole = random.integers(0, 120, pixels.source_shape).astype(dtype)
    window = whole[corner[0] :, corner[1] : corner[1] + int(random.integers(1, 90))]
    room = np.full((rows[part].shape[0], rows[part].shape[1] + 7), 1, dtype)
    out = room[:, 3:-4]
    gather(window, (corner[0], corner[1]), pixels, (int(top), int(left)), out)
    expected, held = looked_up(window, (corner[0], corner[1]), rows[part], cols[part])
    np.testing.assert_array_equal(out, np.where(held, expected, np.asarray(1, dtype)))
    assert (room[:, :3] == 1).all() and (room[:, -4:] == 1).all()


@given(
    seeds,
    st.booleans(),
    st.sampled_from([16, 64]),
    st.sampled_from([np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.int64]),
    st.sampled_from([None, 0.0, 7.0, -3.0, 65_535.0, 0.5, float("nan")]),
    st.sampled_from([0, -1000, 1000, 70_000, -70_000]),
    st.sampled_from([0.0, 0.02, 0.9]),
)
@settings(max_examples=300, deadline=None)
def test_observe_equals_plain_arithmetic(  # noqa: PLR0913 (drawn)
    seed: int, by_index: bool, step: int, dtype: Any, nodata: float | None, shift: int, marked: float
) -> None:
    """Only where marked and empty; zero, negative numbers and nodata are nothing; shifted, then kept in 1..65534.

    So does `admit` with what `gather` finds.
    """
    pixels, rows, cols = drawn(seed, by_index, step)
    random, info = np.random.default_rng(seed + 1), np.iinfo(dtype)
    odd = random.choice([0, 1, 7, info.max, info.min, 999, 1000, 1001, 65_535], pixels.source_shape)
    source = np.where(random.uniform(size=odd.shape) < 0.5, odd, random.integers(1, 3000, odd.shape)).astype(dtype)
    source.flags.writeable = bool(random.integers(0, 2))
    plane = (random.uniform(size=(pixels.shape[0], pixels.shape[1] + 5)) < marked).astype(np.uint8) * 8
    plane |= random.integers(0, 2, plane.shape, np.uint8)
    out = random.choice([0, 0, 0, 5], pixels.shape).astype(np.uint16)
    expected = out.copy()
    values, held = looked_up(source, (0, 0), rows, cols)
    wide = values.astype(np.int64)
    seen = held & (out == 0) & ((plane[:, 2:-3] & 8) > 0) & (wide > 0)
    if nodata is not None:
        seen &= wide != nodata
    expected[seen] = np.clip(np.clip(wide, 0, 2**62) + shift, 1, 65_534)[seen]
    again = out.copy()
    observe(source, ((0, 0), (0, 0)), pixels, (plane[:, 2:-3], 8), (nodata, shift), out)
    np.testing.assert_array_equal(out, expected)
    admit(np.where(held, values, 0).astype(dtype), (plane[:, 2:-3], 8), (nodata, shift), again)
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("by_index", [True, False])
def test_a_window_too_large_for_its_places_is_walked_in_parts(by_index: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_module, "_WINDOW_PX", 200)
    for seed in range(20):
        pixels, rows, cols = drawn(seed, by_index, 64)
        source = np.random.default_rng(seed).integers(1, 999, pixels.source_shape, np.uint16)
        out = np.zeros(pixels.shape, np.uint16)
        gather(source, (0, 0), pixels, (0, 0), out)
        expected, held = looked_up(source, (0, 0), rows, cols)
        np.testing.assert_array_equal(out, np.where(held, expected, 0))


def test_coordinates_far_beyond_the_source_reach_nothing() -> None:
    """Beyond what a 32-bit number can hold as well: a header may say anything."""
    mesh = np.array([[-1e300, 1e300], [1e15, -1e15]])
    pixels = PixelMap((65, 65), (4, 4), NO_INDEX, NO_INDEX, mesh, mesh, 64)
    out = np.zeros((65, 65), np.uint8)
    gather(np.ones((4, 4), np.uint8), (0, 0), pixels, (0, 0), out)
    rows, _ = places(pixels)
    assert out.sum() == ((rows >= 0) & (rows < 4)).sum()


def test_what_cannot_be_carried_is_refused() -> None:
    pixels = index_map(1, (4, 4), (4, 4))
    out = np.zeros((4, 4), np.uint16)
    ones = np.ones((4, 4), np.uint8)
    with pytest.raises(ValueError, match="one dtype"):
        gather(ones, (0, 0), pixels, (0, 0), out)
    with pytest.raises(ValueError, match="side by side"):
        gather(ones, (0, 0), pixels, (0, 0), np.zeros((4, 8), np.uint8)[:, ::2])
    with pytest.raises(ValueError, match="float32"):
        observe(ones.astype(np.float32), ((0, 0), (0, 0)), pixels, (ones, 1), (0, 0), out)
