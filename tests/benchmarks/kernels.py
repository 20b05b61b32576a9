"""The floor's compiled loops: plain, single-purpose, and none of the product's."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

LANES = 512
NONE = 65535
STEP = 64
"""Target pixels between two nodes of a coordinate mesh."""


@lru_cache
def exchanges(count: int) -> NDArray[np.int64]:
    """Pairs to compare and swap, in order, that sort `count` values: Batcher's merge exchange.

    Source: D. E. Knuth, The Art of Computer Programming 3, algorithm 5.2.2 M.
    """
    top = 1 << max(0, (count - 1).bit_length() - 1)
    pairs = []
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(count - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    return np.array(pairs, np.int64).reshape(-1, 2)


@numba.njit(nogil=True, cache=True, boundscheck=False)
def undo_differences(block: Any, first: Any, into: Any) -> None:
    """Rows of one block (rows, columns) of differences to values; `first`: block row and column of `into`'s corner."""
    for r in range(into.shape[0]):
        row = block[first[0] + r]
        value = np.uint16(0)
        for c in range(first[1]):
            value += row[c]
        for c in range(into.shape[1]):
            value += row[first[1] + c]
            into[r, c] = value


@numba.njit(nogil=True, cache=True, boundscheck=False)
def mark_clear(source: Any, corner: Any, mesh: Any, marks: Any, number: Any, clear: Any) -> None:
    """Where nothing is marked yet and the scene is clear, mark its number in its day, from 1.

    source: window of classes, its first pixel `corner`. mesh: (rows, columns) of source coordinates, as `mesh_of` gives
    them. clear: by class.
    """
    height, width = source.shape
    for r in range(marks.shape[0]):
        for j in range(mesh[0].shape[1] - 1):
            y, dy, x, dx = _along(mesh, r, j)
            for k in range(min(STEP, marks.shape[1] - j * STEP)):
                row, col = np.int64(np.floor(y + dy * k)) - corner[0], np.int64(np.floor(x + dx * k)) - corner[1]
                c = j * STEP + k
                inside = 0 <= row < height and 0 <= col < width
                if inside and clear[source[row, col]] and not marks[r, c]:
                    marks[r, c] = number


@numba.njit(nogil=True, cache=True, boundscheck=False)
def carry(source: Any, corner: Any, mesh: Any, marks: Any, number: Any, into: Any) -> None:
    """Nearest source pixel of every target pixel marked with the scene's number; 1000 less, and never below 1."""
    height, width = source.shape
    for r in range(into.shape[0]):
        for j in range(mesh[0].shape[1] - 1):
            y, dy, x, dx = _along(mesh, r, j)
            for k in range(min(STEP, into.shape[1] - j * STEP)):
                row, col = np.int64(np.floor(y + dy * k)) - corner[0], np.int64(np.floor(x + dx * k)) - corner[1]
                c = j * STEP + k
                if marks[r, c] == number and 0 <= row < height and 0 <= col < width:
                    value = np.int64(source[row, col])
                    if value:
                        into[r, c] = max(1, value - 1000)


@numba.njit(nogil=True, cache=True, boundscheck=False)
def carry_aligned(source: Any, marks: Any, number: Any, into: Any) -> None:
    """The same where source and target have the same pixels: all arrays are windows of one shape."""
    for r in range(into.shape[0]):
        for c in range(into.shape[1]):
            value = np.int64(source[r, c])
            if marks[r, c] == number and value:
                into[r, c] = max(1, value - 1000)


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _along(mesh: Any, row: Any, j: Any) -> Any:
    """Source coordinates at one mesh cell's first pixel of a target row, and their step a pixel."""
    i = row // STEP
    part = (row - i * STEP) / STEP
    rows, cols = mesh
    y0 = rows[i, j] + (rows[i + 1, j] - rows[i, j]) * part
    y1 = rows[i, j + 1] + (rows[i + 1, j + 1] - rows[i, j + 1]) * part
    x0 = cols[i, j] + (cols[i + 1, j] - cols[i, j]) * part
    x1 = cols[i, j + 1] + (cols[i + 1, j + 1] - cols[i, j + 1]) * part
    return y0, (y1 - y0) / STEP, x0, (x1 - x0) / STEP


@numba.njit(nogil=True, cache=True, boundscheck=False)
def median(stack: Any, pairs: Any, out: Any) -> None:
    """Median over time of (time, y, x), 0 = none; of an even number the mean of the middle two, halves to even."""
    times, height, width = stack.shape
    lanes = np.empty((times, LANES), np.uint16)
    counts = np.empty(LANES, np.uint16)
    for r in range(height):
        for first in range(0, width, LANES):
            size = min(LANES, width - first)
            counts[:] = 0
            for t in range(times):
                lane = lanes[t]
                for k in range(size):
                    value = stack[t, r, first + k]
                    lane[k] = value if value != 0 else np.uint16(NONE)
                    counts[k] += np.uint16(1) if value != 0 else np.uint16(0)
            for n in range(pairs.shape[0]):
                low, high = lanes[pairs[n, 0]], lanes[pairs[n, 1]]
                for k in range(size):
                    a, b = low[k], high[k]
                    low[k] = min(b, a)
                    high[k] = max(a, b)
            for k in range(size):
                count = np.int64(counts[k])
                if count == 0:
                    out[r, first + k] = 0
                else:
                    both = np.uint32(lanes[(count - 1) >> 1, k]) + np.uint32(lanes[count >> 1, k])
                    half = both >> np.uint32(1)
                    out[r, first + k] = half + (half & both & np.uint32(1))
