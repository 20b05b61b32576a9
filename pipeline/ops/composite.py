"""Median over time on integers, by a sorting network: exact, without a float cube, with the GIL released."""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray


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
def _median(stack, pairs, out, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    dates, height, width = stack.shape
    lanes = np.empty((dates, 512), np.uint16)
    for r in range(height):
        for first in range(0, width, 512):
            size = min(512, width - first)
            valid = count[r, first : first + size]
            valid[:] = 0
            for t in range(dates):
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
            for k in range(size):
                n = np.int64(valid[k])
                if n == 0:
                    out[r, first + k] = 0
                else:
                    total = np.uint32(lanes[(n - 1) >> 1, k]) + np.uint32(lanes[n >> 1, k])
                    half = total >> np.uint32(1)
                    out[r, first + k] = half + (half & np.uint32(1) & total)


def median(stack: NDArray[np.uint16], out: NDArray[np.uint16], count: NDArray[np.uint16]) -> None:
    """Median of the observations of each pixel, and how many there were; even counts round half to even.

    stack: (time, y, x) uint16, 0 = no observation, 65535 not allowed. out, count: (y, x) uint16, written in place; out
    is 0 where count is 0. Equal to `np.rint(np.nanmedian(...))` on the non-zero values.
    """
    _median(stack, comparators(stack.shape[0]), out, count)
