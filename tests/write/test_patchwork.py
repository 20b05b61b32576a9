"""A patchwork is the array that numpy would make of its pieces, however it is indexed; it reads what it must."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.types import Grid
from pipeline.write.outputs import Source
from pipeline.write.patchwork import GridsDifferError, Patchwork, Piece, blocks, centres, common_frame

Pieces = dict[tuple[int, ...], list[Piece]]
RNG = np.random.default_rng(7)
FILES = {f"{step}-{number}": RNG.integers(0, 4, (5, 6)).astype(np.uint8) for step in range(2) for number in range(3)}
CORNERS = [(0, 0), (5, 6), (3, 4)]
"""Of three files a step, the last of which overlaps both others; (2, 10, 12) in all."""


def read(source: Source, rows: slice, columns: slice) -> Any:
    assert 0 <= rows.start < rows.stop <= 5
    assert 0 <= columns.start < columns.stop <= 6
    return FILES[source.href][rows, columns]


def patchwork() -> Patchwork:
    pieces: Pieces = {
        (step,): [
            Piece(row, column, (5, 6), Source(f"{step}-{number}")) for number, (row, column) in enumerate(CORNERS)
        ]
        for step in range(2)
    }
    return Patchwork((2, 10, 12), np.dtype("uint8"), 0.0, pieces, read, "token")


def whole() -> np.ndarray:
    """Painted from the last file to the first, but never with a 0."""
    out = np.zeros((2, 10, 12), np.uint8)
    for step in range(2):
        for number, (row, column) in reversed(list(enumerate(CORNERS))):
            data = FILES[f"{step}-{number}"]
            window = out[step, row : row + 5, column : column + 6]
            window[data != 0] = data[data != 0]
    return out


def part(side: int) -> st.SearchStrategy[int | slice]:
    return st.one_of(st.integers(-side, side - 1), st.slices(side))


@given(st.tuples(part(2), part(10), part(12)), st.integers(0, 3))
@settings(deadline=None)
def test_it_is_indexed_like_numpy(key: tuple[Any, ...], length: int) -> None:
    found, expected = patchwork()[key[:length]], whole()[key[:length]]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(patchwork()[..., key[2]], whole()[..., key[2]])


def test_only_files_that_are_asked_for_are_read() -> None:
    seen: list[str] = []

    def spy(source: Source, rows: slice, columns: slice) -> Any:
        seen.append(source.href)
        assert (rows.stop - rows.start, columns.stop - columns.start) == (1, 1)
        return np.ones((1, 1), np.uint8)

    pieces: Pieces = {(0,): [Piece(0, 0, (5, 6), Source("a")), Piece(0, 6, (5, 6), Source("b"))]}
    array = Patchwork((1, 5, 12), np.dtype("uint8"), 0.0, pieces, spy, "token")
    assert array[0, 4, 7] == 1
    assert seen == ["b"]


def test_nan_stands_for_missing_in_floats() -> None:
    one, other = np.array([[1.5, np.nan]], np.float32), np.array([[3.0, 2.5]], np.float32)
    files = {"one": one, "other": other}
    pieces: Pieces = {(): [Piece(0, 0, (1, 2), Source("one")), Piece(0, 0, (1, 2), Source("other"))]}

    def from_files(source: Source, rows: slice, columns: slice) -> Any:
        return files[source.href][rows, columns]

    array = Patchwork((1, 3), np.dtype("float32"), float("nan"), pieces, from_files, "token")
    np.testing.assert_array_equal(array[:], np.array([[1.5, 2.5, np.nan]], np.float32))


def grid(west: float, north: float, shape: tuple[int, int] = (100, 200), **changes: Any) -> Grid:
    transform = changes.get("transform", (10.0, 0.0, west, 0.0, -10.0, north))
    return Grid(changes.get("crs", "EPSG:32633"), transform, shape)


def test_a_frame_holds_all_tiles_and_no_more() -> None:
    frame = common_frame({"b": grid(2000, 7000), "a": grid(0, 5000)})
    assert frame.grid == grid(0, 7000, (300, 400))
    assert frame.corners == {"a": (200, 0), "b": (0, 200)}
    assert frame.cell == (100, 200)
    x, y = centres(frame.grid)
    assert (x[0], x[-1], y[0], y[-1]) == (5, 3995, 6995, 4005)


@pytest.mark.parametrize("other", [grid(1990, 7000), grid(2000, 7000, (50, 200))], ids=["overlapping", "another shape"])
def test_tiles_that_are_no_lattice_have_no_cell(other: Grid) -> None:
    assert common_frame({"a": grid(0, 7000), "b": other}).cell is None


@pytest.mark.parametrize(
    "other",
    [
        grid(2003, 7000),
        grid(0, 7000, crs="EPSG:32632"),
        grid(0, 0, transform=(20.0, 0.0, 0.0, 0.0, -20.0, 7000.0)),
        grid(0, 0, transform=(10.0, 1.0, 0.0, 1.0, -10.0, 7000.0)),
    ],
    ids=["part of a pixel off", "another CRS", "another pixel size", "rotated"],
)
def test_grids_that_differ_are_refused_by_name(other: Grid) -> None:
    with pytest.raises(GridsDifferError, match="tiles a and b do not share one pixel grid"):
        common_frame({"a": grid(0, 7000), "b": other})


def test_blocks_never_cross_a_tile() -> None:
    assert blocks(1400, 700) == (512, 188, 512, 188)
    assert blocks(512, 256) == (256, 256)
    assert blocks(2048, 1024) == (512,) * 4


def test_codes_are_those_of_the_file_that_has_the_number() -> None:
    """0 is a good pixel there: what counts is the bit that says empty; where no file lies, it is set."""
    files = {"one": np.array([[0, 1, 2, 3]], np.uint8), "other": np.array([[2, 0, 0, 1]], np.uint8)}
    pieces: Pieces = {(): [Piece(0, 0, (1, 4), Source("one")), Piece(0, 0, (1, 4), Source("other"))]}

    def from_files(source: Source, rows: slice, columns: slice) -> Any:
        return files[source.href][rows, columns]

    array = Patchwork((1, 5), np.dtype("uint8"), 1.0, pieces, from_files, "token", empty_bit=1)
    assert array[:].tolist() == [[0, 0, 2, 1, 1]]
