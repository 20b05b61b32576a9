"""Many observations of a pixel to one, band by band, on integers: exact, without a float cube, with the GIL released.

Every reducer here takes stack (time, y, x) uint16, 0 = no observation, 65535 not allowed, and writes two (y, x) uint16
arrays in place: `out`, the composite, 0 where there is no observation, and `count`, the observations it rests on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray

Reducer = Callable[[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint16]], None]
"""(stack, out, count), as above."""


@lru_cache(maxsize=64)
def comparators(count: int) -> NDArray[np.int64]:
    """Batcher's odd-even merge sort for `count` inputs: (n, 2) pairs to compare and swap, in order.

    Source: K. E. Batcher, "Sorting networks and their applications", AFIPS 1968; pruned to any count.
    """
    pairs: list[tuple[int, int]] = []

    def merge(low: int, size: int, stride: int) -> None:
        step = stride * 2
        if step < size:
            merge(low, size, step)
            merge(low + stride, size, step)
            pairs.extend((i, i + stride) for i in range(low + stride, low + size - stride, step))
        else:
            pairs.append((low, low + stride))

    def sort(low: int, size: int) -> None:
        if size > 1:
            sort(low, size // 2)
            sort(low + size // 2, size // 2)
            merge(low, size, 1)

    sort(0, 1 << max(0, count - 1).bit_length())
    return np.array([pair for pair in pairs if pair[1] < count], np.int64).reshape(-1, 2)


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _sort_lanes(stack, r, first, pairs, lanes, valid):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Sort the observations of one stretch of a row into `lanes`, missing ones last, and count them into `valid`."""
    size = valid.size
    valid[:] = 0
    for t in range(stack.shape[0]):
        lane = lanes[t]
        for k in range(size):
            value = stack[t, r, first + k]
            lane[k] = value if value != 0 else np.uint16(65535)
            valid[k] += np.uint16(1) if value != 0 else np.uint16(0)
    for p in range(pairs.shape[0]):
        low, high = lanes[pairs[p, 0]], lanes[pairs[p, 1]]
        for k in range(size):
            a, b = low[k], high[k]
            low[k] = min(b, a)
            high[k] = max(a, b)


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _median(stack, pairs, out, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    dates, height, width = stack.shape
    lanes = np.empty((dates, 512), np.uint16)
    for r in range(height):
        for first in range(0, width, 512):
            valid = count[r, first : first + 512]
            _sort_lanes(stack, r, first, pairs, lanes, valid)
            for k in range(valid.size):
                n = np.int64(valid[k])
                if n == 0:
                    out[r, first + k] = 0
                else:
                    total = np.uint32(lanes[(n - 1) >> 1, k]) + np.uint32(lanes[n >> 1, k])
                    half = total >> np.uint32(1)
                    out[r, first + k] = half + (half & np.uint32(1) & total)


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _percentile(stack, percent, pairs, out, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    dates, height, width = stack.shape
    lanes = np.empty((dates, 512), np.uint16)
    for r in range(height):
        for first in range(0, width, 512):
            valid = count[r, first : first + 512]
            _sort_lanes(stack, r, first, pairs, lanes, valid)
            for k in range(valid.size):
                n = np.int64(valid[k])
                if n == 0:
                    out[r, first + k] = 0
                    continue
                place = (n - 1) * percent
                below = place // 100
                part = place - 100 * below
                above = below + 1 if part else below
                hundredfold = np.int64(lanes[below, k]) * (100 - part) + np.int64(lanes[above, k]) * part
                whole = hundredfold // 100
                rest = hundredfold - 100 * whole
                out[r, first + k] = whole + (1 if rest > 50 or (rest == 50 and whole & 1) else 0)


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _mean(stack, out, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    dates, height, width = stack.shape
    sums = np.empty(width, np.uint32)
    for r in range(height):
        sums[:] = 0
        count[r, :] = 0
        for t in range(dates):
            for k in range(width):
                value = stack[t, r, k]
                sums[k] += value
                count[r, k] += np.uint16(1) if value != 0 else np.uint16(0)
        for k in range(width):
            n = np.uint32(count[r, k])
            if n == 0:
                out[r, k] = 0
                continue
            whole = sums[k] // n
            twice = np.uint32(2) * (sums[k] - whole * n)
            out[r, k] = whole + (1 if twice > n or (twice == n and whole & 1) else 0)


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _extreme(stack, flip, out, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    dates, height, width = stack.shape
    for r in range(height):
        best, valid = out[r], count[r]
        best[:] = 0
        valid[:] = 0
        for t in range(dates):
            for k in range(width):
                value = stack[t, r, k]
                # Flipped bits turn the smallest into the largest; no observation's key is below a missing one's.
                key = (value - np.uint16(1)) ^ flip if value != 0 else np.uint16(0)
                best[k] = max(best[k], key)
                valid[k] += np.uint16(1) if value != 0 else np.uint16(0)
        for k in range(width):
            best[k] = (best[k] ^ flip) + np.uint16(1) if valid[k] != 0 else np.uint16(0)


def median(stack: NDArray[np.uint16], out: NDArray[np.uint16], count: NDArray[np.uint16]) -> None:
    """Median of the observations of each pixel; even counts round half to even.

    Equal to `np.rint(np.nanmedian(...))` on the non-zero values. Source: a sorting network (see `comparators`).
    """
    _median(stack, comparators(stack.shape[0]), out, count)


def percentile(percent: int) -> Reducer:
    """The reducer to a percentile, 1..99: linear between the nearest ranks, rounded half to even, exact in integers.

    The rank is (count - 1) * percent / 100 from the smallest, as in NumPy's default method ("linear"; Hyndman and Fan
    1996, definition 7); NumPy's own floats may fall on either side of an exact half.
    """

    def reduce(stack: NDArray[np.uint16], out: NDArray[np.uint16], count: NDArray[np.uint16]) -> None:
        _percentile(stack, percent, comparators(stack.shape[0]), out, count)

    return reduce


def mean(stack: NDArray[np.uint16], out: NDArray[np.uint16], count: NDArray[np.uint16]) -> None:
    """Arithmetic mean of the observations, rounded half to even, exact in integers (up to 65 535 of them)."""
    _mean(stack, out, count)


def minimum(stack: NDArray[np.uint16], out: NDArray[np.uint16], count: NDArray[np.uint16]) -> None:
    """Smallest observation."""
    _extreme(stack, np.uint16(0xFFFF), out, count)


def maximum(stack: NDArray[np.uint16], out: NDArray[np.uint16], count: NDArray[np.uint16]) -> None:
    """Largest observation."""
    _extreme(stack, np.uint16(0), out, count)
