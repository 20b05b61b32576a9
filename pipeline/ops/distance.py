"""How far each pixel is from the nearest marked one, as far as it matters.

Exact and separable, as Saito and Toriwaki 1994: first along the columns, then over the columns within reach. Whole rows
take each step together, which vectorises. Outside the array nothing is marked.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Bytes = NDArray[np.uint8]


@compiled("u1[:,::1], i8, u1[:,::1]")
def _along_columns(marked: Bytes, cap: int, out: Bytes) -> None:
    """Rows to the nearest mark (not 0) above or below, at most `cap`."""
    height, width = marked.shape
    most = np.uint8(cap)
    for k in range(width):
        out[0, k] = most & np.uint8(np.uint8(marked[0, k] != 0) - np.uint8(1))
    for r in range(1, height):
        marks, above, here = marked[r], out[r - 1], out[r]
        for k in range(width):
            farther = np.uint8(above[k] + np.uint8(above[k] < most))
            here[k] = farther & np.uint8(np.uint8(marks[k] != 0) - np.uint8(1))
    for r in range(height - 2, -1, -1):
        below, here = out[r + 1], out[r]
        for k in range(width):
            here[k] = min(here[k], np.uint8(below[k] + np.uint8(below[k] < most)))


@compiled("u1[:,::1], u1[::1], u1[:,::1]")
def _within(rows: Bytes, heights: Bytes, out: Bytes) -> None:
    """1 where the nearest mark of a column n columns away is at most `heights[n]` rows off."""
    height, width = rows.shape
    for r in range(height):
        distance, found = rows[r], out[r]
        for k in range(width):
            found[k] = np.uint8(distance[k] <= heights[0])
        for n in range(1, min(heights.size, width)):
            reach, size = heights[n], width - n
            ahead, behind, left, right = distance[n:], distance[:size], found[:size], found[n:]
            for k in range(size):
                left[k] |= np.uint8(ahead[k] <= reach)
            for k in range(size):
                right[k] |= np.uint8(behind[k] <= reach)


@compiled("u1[:,::1], i8")
def _along_rows(out: Bytes, cap: int) -> None:
    """From rows to the nearest mark of a column to the distance of the nearest of all columns, rounded down."""
    height, width = out.shape
    most = np.uint32(cap * cap)
    squares, nearest = np.full(width + 2 * cap, most), np.empty(width, np.uint32)
    for r in range(height):
        farthest = np.uint32(0)
        for k in range(width):
            square = np.uint32(out[r, k]) * np.uint32(out[r, k])
            squares[cap + k] = nearest[k] = square
            farthest = max(farthest, square)
        step = 1
        while step * step < farthest:
            square = np.uint32(step * step)
            left, right = squares[cap - step : cap - step + width], squares[cap + step : cap + step + width]
            farthest = np.uint32(0)
            for k in range(width):
                nearest[k] = min(nearest[k], min(left[k], right[k]) + square)
            for k in range(width):
                farthest = max(farthest, nearest[k])
            step += 1
        for k in range(width):
            # Exact: single precision has 24 bits, a square here at most 16, and its root is rounded once.
            out[r, k] = np.uint8(np.sqrt(np.float32(nearest[k])))


def distance_to(marked: NDArray[np.bool_], cap: int) -> Bytes:
    """Euclidean distance to the nearest True pixel in whole pixels, rounded down; `cap` (1..255) where it is farther.

    (y, x) bool in, uint8 out; outside the array counts as False.
    """
    out = np.empty(marked.shape, np.uint8)
    if marked.size:
        _along_columns(np.ascontiguousarray(marked).view(np.uint8), cap, out)
        if cap > 1:
            _along_rows(out, cap)
    return out


def within(marked: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """True within `radius` pixels (1..254) of any True pixel; outside the array counts as False. (y, x) in and out."""
    out = np.empty(marked.shape, np.uint8)
    if marked.size:
        rows = np.empty(marked.shape, np.uint8)
        heights = np.array([math.isqrt(radius * radius - n * n) for n in range(radius + 1)], np.uint8)
        _along_columns(np.ascontiguousarray(marked).view(np.uint8), radius + 1, rows)
        _within(rows, heights, out)
    return out.view(np.bool_)
