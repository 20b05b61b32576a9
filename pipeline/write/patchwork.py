"""Many rasters as one array on a common pixel grid: pure arithmetic, and an array that reads when it is indexed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.types import Affine6, Grid
from pipeline.write.cog import BLOCK_PX
from pipeline.write.outputs import Source

Array = NDArray[Any]
ReadWindow = Callable[[Source, slice, slice], Array]
"""(source, rows, columns) → pixels of that window, whole; raises AssetError."""

_ALIGNED_PX = 1e-3
"""Grids whose pixels lie this close are one grid: coordinates of millions of metres in floats, no more."""


class GridsDifferError(ConfigError):
    """Tiles that were to be one array do not share CRS and pixels."""


@dataclass(frozen=True)
class Piece:
    """A raster's place in a patchwork."""

    row: int
    column: int
    shape: tuple[int, int]
    source: Source


@dataclass(frozen=True)
class Frame:
    """The smallest pixel grid that holds all tiles, and where each tile lies in it."""

    grid: Grid
    corners: Mapping[str, tuple[int, int]]
    """Tile id → (row, column) of its first pixel."""
    cell: tuple[int, int] | None
    """Shape of a tile where all are alike and lie side by side; None: they are of many shapes, or overlap."""


def common_frame(tiles: Mapping[str, Grid]) -> Frame:
    """The frame of tiles that share CRS and pixels.

    Raises GridsDifferError naming two tiles that do not, or one that is rotated.
    """
    (first_id, first), *others = sorted(tiles.items())
    a, e = first.transform[0], first.transform[4]
    for tile, grid in [(first_id, first), *others]:
        _check_same_pixels(tile, grid, first_id, first)
    west = min(tiles.values(), key=lambda grid: grid.transform[2] / a).transform[2]
    north = min(tiles.values(), key=lambda grid: grid.transform[5] / e).transform[5]
    corners = {
        tile: (round((grid.transform[5] - north) / e), round((grid.transform[2] - west) / a))
        for tile, grid in tiles.items()
    }
    rows, columns = (max(corners[tile][axis] + grid.shape[axis] for tile, grid in tiles.items()) for axis in (0, 1))
    lattice = len({grid.shape for grid in tiles.values()}) == 1 and all(
        corner[axis] % first.shape[axis] == 0 for corner in corners.values() for axis in (0, 1)
    )
    transform: Affine6 = (a, 0.0, west, 0.0, e, north)
    return Frame(Grid(first.crs, transform, (rows, columns)), corners, first.shape if lattice else None)


def centres(grid: Grid) -> tuple[Array, Array]:
    """Coordinates of the pixels' centres of a north-up grid: x by column, y by row."""
    a, _, c, _, e, f = grid.transform
    rows, columns = grid.shape
    return c + a * (np.arange(columns) + 0.5), f + e * (np.arange(rows) + 0.5)


def blocks(side: int, cell: int) -> tuple[int, ...]:
    """A side cut into cells, and these into the blocks of their files; the last block of a cell may be smaller."""
    one = [min(BLOCK_PX, cell - start) for start in range(0, cell, BLOCK_PX)]
    return tuple(one) * (side // cell)


def _check_same_pixels(tile: str, grid: Grid, first_id: str, first: Grid) -> None:
    a, b, c, d, e, f = grid.transform
    sizes_agree = math.isclose(a, first.transform[0]) and math.isclose(e, first.transform[4])
    shifts = ((c - first.transform[2]) / first.transform[0], (f - first.transform[5]) / first.transform[4])
    aligned = sizes_agree and all(abs(shift - round(shift)) < _ALIGNED_PX for shift in shifts)
    if grid.crs != first.crs or b or d or not aligned:
        raise GridsDifferError(
            f"tiles {first_id} and {tile} do not share one pixel grid: found {first.crs[:40]} {first.transform} and "
            f"{grid.crs[:40]} {grid.transform}; layout 'tiles' holds any grids"
        )


@dataclass(frozen=True, eq=False)
class Patchwork:
    """Rasters laid out in one array (*lead, y, x) that reads only what it is asked for; picklable, opens nothing.

    Where rasters overlap, the first that has a number there gives it; where none has, `fill`, or the last of the codes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: float
    pieces: Mapping[tuple[int, ...], Sequence[Piece]]
    """By position along the leading axes."""
    read: ReadWindow
    token: str
    """Stands for the content: equal tokens, equal numbers."""
    empty_bit: int = 0
    """Of codes: set where there is no number; 0: only `fill` is none."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __dask_tokenize__(self) -> str:
        return self.token

    def __getitem__(self, key: Any) -> Array:
        """Numbers, (…) of `dtype`, by integers and slices along every axis (basic indexing). Raises AssetError."""
        key = key if isinstance(key, tuple) else (key,)
        wanted = [_indices(part, side) for part, side in zip(_padded(key, self.ndim), self.shape, strict=True)]
        *lead, rows, columns = wanted
        out = np.empty([len(each) for each in wanted], self.dtype)
        for position in np.ndindex(out.shape[:-2]):
            index = tuple(each[n] for each, n in zip(lead, position, strict=True))
            out[position] = self._plane(index, rows, columns)
        return out[tuple(0 if isinstance(part, int | np.integer) else slice(None) for part in _padded(key, self.ndim))]

    def _plane(self, index: tuple[int, ...], rows: range, columns: range) -> Array:
        """(rows, columns) at one leading position; steps are taken after reading what lies between."""
        top, bottom, down = _span(rows)
        left, right, along = _span(columns)
        plane = np.full((bottom - top, right - left), self.fill, self.dtype)
        if plane.size:
            for piece in self.pieces.get(index, ()):
                self._paint(plane, top, left, piece)
        return plane[::down, ::along]

    def _paint(self, plane: Array, top: int, left: int, piece: Piece) -> None:
        first, last = max(top, piece.row), min(top + plane.shape[0], piece.row + piece.shape[0])
        west, east = max(left, piece.column), min(left + plane.shape[1], piece.column + piece.shape[1])
        if first >= last or west >= east:
            return
        target = plane[first - top : last - top, west - left : east - left]
        if self.empty_bit:
            empty = (target & self.empty_bit) != 0
        else:
            empty = np.isnan(target) if math.isnan(self.fill) else target == self.fill
        if empty.any():
            data = self.read(
                piece.source,
                slice(first - piece.row, last - piece.row),
                slice(west - piece.column, east - piece.column),
            )
            np.copyto(target, data, where=empty)


def _padded(key: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """Without `...`, and with a part for every axis."""
    if Ellipsis in key:
        at = key.index(Ellipsis)
        key = (*key[:at], *[slice(None)] * (ndim - len(key) + 1), *key[at + 1 :])
    return (*key, *[slice(None)] * (ndim - len(key)))


def _indices(part: slice | int, side: int) -> range:
    if isinstance(part, slice):
        return range(*part.indices(side))
    return range(side)[part : part + 1 or None]


def _span(indices: range) -> tuple[int, int, int]:
    """(first, one after last, step) such that [first:last][::step] are the indices."""
    if not indices:
        return 0, 0, 1
    return min(indices), max(indices) + 1, indices.step
