"""Compiled loops that carry source pixels to their target pixels; they release the GIL and never promote to float."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.read.pixelmap import PixelMap

LARGEST = 65534
"""Largest stored value: 65535 is the median's marker for 'no observation'."""


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _source_row(row, first_col, rows, cols, mesh_rows, mesh_cols, step, ys, xs):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913
    """Source row and column of one target row's pixels from `first_col` on, into `ys` and `xs`."""
    size = xs.size
    if mesh_rows.size == 0:
        for k in range(size):
            ys[k] = rows[row]
            xs[k] = cols[first_col + k]
        return
    node = row // step
    after = min(node + 1, mesh_rows.shape[0] - 1)
    down = (row - node * step) / step
    for j in range(first_col // step, (first_col + size - 1) // step + 1):
        right = min(j + 1, mesh_rows.shape[1] - 1)
        y0 = mesh_rows[node, j] * (1 - down) + mesh_rows[after, j] * down
        y1 = mesh_rows[node, right] * (1 - down) + mesh_rows[after, right] * down
        x0 = mesh_cols[node, j] * (1 - down) + mesh_cols[after, j] * down
        x1 = mesh_cols[node, right] * (1 - down) + mesh_cols[after, right] * down
        dy, dx = (y1 - y0) / step, (x1 - x0) / step
        start = j * step
        for k in range(max(0, first_col - start), min(step, first_col + size - start)):
            ys[start + k - first_col] = np.int64(np.floor(y0 + dy * k))
            xs[start + k - first_col] = np.int64(np.floor(x0 + dx * k))


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _gather(source, top, left, grid, first, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    rows, cols, mesh_rows, mesh_cols, step = grid
    height, width = source.shape
    ys, xs = np.empty(out.shape[1], np.int64), np.empty(out.shape[1], np.int64)
    for r in range(out.shape[0]):
        _source_row(first[0] + r, first[1], rows, cols, mesh_rows, mesh_cols, step, ys, xs)
        for k in range(out.shape[1]):
            y, x = ys[k] - top, xs[k] - left
            if 0 <= y < height and 0 <= x < width:
                out[r, k] = source[y, x]


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _observe(source, top, left, grid, first, plane, bit, nodata, has_nodata, shift, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913
    rows, cols, mesh_rows, mesh_cols, step = grid
    height, width = source.shape
    ys, xs = np.empty(out.shape[1], np.int64), np.empty(out.shape[1], np.int64)
    for r in range(out.shape[0]):
        _source_row(first[0] + r, first[1], rows, cols, mesh_rows, mesh_cols, step, ys, xs)
        for k in range(out.shape[1]):
            if out[r, k] != 0 or not plane[r, k] & bit:
                continue
            y, x = ys[k] - top, xs[k] - left
            if 0 <= y < height and 0 <= x < width:
                value = np.int64(source[y, x])
                # Zero is no observation whatever the file calls nodata, and so is what only a signed file can hold.
                if value <= 0 or (has_nodata and value == nodata):
                    continue
                out[r, k] = min(max(value + shift, 1), 65534)


def _grid(pixels: PixelMap) -> tuple[Any, ...]:
    return pixels.rows, pixels.cols, pixels.mesh_rows, pixels.mesh_cols, pixels.step


def gather(
    source: NDArray[Any], corner: tuple[int, int], pixels: PixelMap, first: tuple[int, int], out: NDArray[Any]
) -> None:
    """Copy `source` (a window whose first pixel is `corner`) to the target pixels from `first` on, into `out`.

    corner, first: (row, column).

    Pixels of `out` that no source pixel covers keep what they hold. Same dtype in and out.
    """
    _gather(source, *corner, _grid(pixels), first, out)


def observe(  # noqa: PLR0913 (one inner loop; the arguments are its arrays)
    source: NDArray[Any],
    corner: tuple[int, int],
    pixels: PixelMap,
    first: tuple[int, int],
    mark: tuple[NDArray[np.uint8], int],
    values: tuple[float | None, int],
    out: NDArray[np.uint16],
) -> None:
    """Carry one scene's values to the strip `out` (uint16, 0 = none) where its bit is set and nothing stands yet.

    first: (row, column) of the strip. mark: (plane, bit) of its pixels. values: (nodata, shift): nodata and
    zero are tested first, then the shift is added and the result kept within 1..65534, so that no valid pixel ever
    becomes nodata.
    """
    nodata, shift = values
    _observe(source, *corner, _grid(pixels), first, mark[0], np.uint8(mark[1]), *_nodata(nodata), shift, out)


def _nodata(nodata: float | None) -> tuple[int, bool]:
    """Nodata as an integer; a value that no integer pixel can hold is no nodata at all."""
    return (int(nodata), True) if nodata is not None and float(nodata).is_integer() else (0, False)
