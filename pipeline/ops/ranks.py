"""Numbers of a given rank among the observations of each pixel: by a sorting network, or by counting bit by bit.

A stretch of a row is held for all dates at once, a date a lane, small enough for the processor's second cache; each
step is taken by all pixels of the stretch together and without a branch: that is what vectorises.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.ops.memory import Numbers

Layout = tuple[int, int, int, int, int, int, int]
"""Dates, height, width; elements from date to date and row to row of a stack, from row to row of `out`, of `count`."""
TYPES = "Array(u2, 1, 'C', readonly=True), UniTuple(i8, 7), u2[::1], u2[::1]"
"""Stack, layout, out, count: memory from an array's first element on."""
_STRETCH_BYTES = 2**18
"""Observations held at once."""


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


@lru_cache(maxsize=64)
def middle_comparators(count: int) -> NDArray[np.int64]:
    """Those of them that can still change the middle of the sorted inputs, or its lower neighbour."""
    needed, pairs = {count // 2, max(0, count // 2 - 1)}, []
    for low, high in comparators(count)[::-1].tolist():
        if not needed.isdisjoint((low, high)):
            needed |= {low, high}
            pairs.append((low, high))
    return np.array(pairs[::-1], np.int64).reshape(-1, 2)


@compiled()
def _spread(stretch: int) -> int:
    """Room for a lane: an odd number of cache lines, so that the lanes do not all fall into the same few sets."""
    return (stretch + 31) // 64 * 64 + 32


@compiled()
def _load(stack: Numbers, start: int, step: int, lanes: Numbers, valid: Numbers) -> None:
    """Copy the observations of a stretch, a date a lane, and count them; missing ones are 0."""
    valid[:] = 0
    for t in range(lanes.shape[0]):
        source, lane = stack[start + t * step : start + t * step + valid.size], lanes[t]
        for k in range(valid.size):
            value = source[k]
            lane[k] = value
            valid[k] += np.uint16(value != 0)


@compiled()
def _load_balanced(stack: Numbers, start: int, step: int, lanes: Numbers, valid: Numbers, greatest: Numbers) -> None:
    """The same; the first missing one of a pixel is 65535, the second 0, and so on: the middle of all stays theirs."""
    valid[:] = 0
    greatest[:] = 65535
    for t in range(lanes.shape[0]):
        source, lane = stack[start + t * step : start + t * step + valid.size], lanes[t]
        for k in range(valid.size):
            value = source[k]
            there = np.uint16(value != 0)
            missing = np.uint16(there - np.uint16(1))
            valid[k] += there
            lane[k] = value | (greatest[k] & missing)
            greatest[k] ^= missing


@compiled()
def _exchange(low: Numbers, high: Numbers) -> None:
    for k in range(low.size):
        a, b = low[k], high[k]
        low[k] = min(a, b)
        high[k] = max(a, b)


@compiled()
def _middle(lower: Numbers, upper: Numbers, single: Numbers, valid: Numbers, out: Numbers) -> None:
    """The mean of both middle ones where the count is even, else the only one; half to even."""
    for k in range(valid.size):
        odd = np.uint16(np.uint16(0) - (valid[k] & np.uint16(1)))
        total = np.uint32((lower[k] & ~odd) | (single[k] & odd)) + np.uint32((upper[k] & ~odd) | (single[k] & odd))
        half = total >> np.uint32(1)
        out[k] = (half + (half & total & np.uint32(1))) * np.uint32(valid[k] != 0)


@compiled(f"{TYPES}, i8[:,::1]")
def median_by_network(stack: Numbers, layout: Layout, out: Numbers, count: Numbers, pairs: NDArray[np.int64]) -> None:
    """The rounded mean of both middle ones, or the middle one; `pairs` are the `middle_comparators` of the dates."""
    dates, height, width, date_step, row_step, out_step, count_step = layout
    stretch = min(width, max(256, _STRETCH_BYTES // (2 * dates)))
    lanes, fill = np.empty((dates, _spread(stretch)), np.uint16), np.empty(stretch, np.uint16)
    for r in range(height):
        for first in range(0, width, stretch):
            size = min(stretch, width - first)
            found = out[r * out_step + first : r * out_step + first + size]
            valid = count[r * count_step + first : r * count_step + first + size]
            _load_balanced(stack, r * row_step + first, date_step, lanes, valid, fill[:size])
            for p in range(pairs.shape[0]):
                _exchange(lanes[pairs[p, 0]], lanes[pairs[p, 1]])
            _middle(lanes[max(0, dates // 2 - 1)], lanes[dates // 2], lanes[(dates - 1) // 2], valid, found)


@compiled()
def _count_below(lanes: Numbers, limit: Numbers, below: Numbers) -> None:
    """How many of each pixel's numbers are less than its limit."""
    below[:] = 0
    for t in range(0, lanes.shape[0], 8):
        a, b, c, d = lanes[t], lanes[t + 1], lanes[t + 2], lanes[t + 3]
        e, f, g, h = lanes[t + 4], lanes[t + 5], lanes[t + 6], lanes[t + 7]
        for k in range(limit.size):
            x = limit[k]
            first = np.uint16(a[k] < x) + np.uint16(b[k] < x) + np.uint16(c[k] < x) + np.uint16(d[k] < x)
            below[k] += np.uint16(
                first + np.uint16(e[k] < x) + np.uint16(f[k] < x) + np.uint16(g[k] < x) + np.uint16(h[k] < x)
            )


@compiled()
def _highest_bit(lanes: Numbers, seen: Numbers) -> np.uint16:
    """The highest bit that any number has; `seen` is overwritten."""
    seen[:] = 0
    for t in range(lanes.shape[0]):
        lane = lanes[t]
        for k in range(seen.size):
            seen[k] |= lane[k]
    together = np.uint16(0)
    for k in range(seen.size):
        together |= seen[k]
    bit = np.uint16(32768)
    while bit > 1 and not bit & together:
        bit >>= np.uint16(1)
    return bit


@compiled()
def _select(lanes: Numbers, rank: Numbers, found: Numbers, after: Numbers, work: tuple[Numbers, Numbers]) -> None:
    """The numbers of rank `rank` (from 0) and of the next: bit by bit from the highest, by counting what is below."""
    limit, below = work
    found[:] = 0
    bit = _highest_bit(lanes, limit)
    while bit:
        for k in range(rank.size):
            limit[k] = found[k] | bit
        _count_below(lanes, limit, below)
        for k in range(rank.size):
            found[k] |= bit * np.uint16(below[k] <= rank[k])
        bit >>= np.uint16(1)
    # The next is the same again, or else the least that is greater.
    after[:] = 65535
    below[:] = 0
    for t in range(lanes.shape[0]):
        lane = lanes[t]
        for k in range(rank.size):
            v, x = lane[k], found[k]
            below[k] += np.uint16(v <= x)
            after[k] = min(after[k], np.uint16(v | np.uint16(np.uint16(v > x) - np.uint16(1))))
    for k in range(rank.size):
        again = np.uint16(np.uint16(0) - np.uint16(below[k] > rank[k] + np.uint16(1)))
        after[k] = (found[k] & again) | (after[k] & ~again)


@compiled(f"{TYPES}, i8")
def percentile_by_bits(stack: Numbers, layout: Layout, out: Numbers, count: Numbers, percent: int) -> None:
    """Linear between the two nearest ranks, rounded half to even; of any number of dates."""
    dates, height, width, date_step, row_step, out_step, count_step = layout
    padded = (dates + 7) // 8 * 8
    stretch = min(width, max(256, _STRETCH_BYTES // (2 * padded)))
    lanes, work = np.zeros((padded, _spread(stretch)), np.uint16), np.empty((5, stretch), np.uint16)
    share, hundred = np.uint32(percent), np.uint32(100)
    for r in range(height):
        for first in range(0, width, stretch):
            size = min(stretch, width - first)
            rank, lower, upper, some, other = (
                work[0, :size],
                work[1, :size],
                work[2, :size],
                work[3, :size],
                work[4, :size],
            )
            values = out[r * out_step + first : r * out_step + first + size]
            valid = count[r * count_step + first : r * count_step + first + size]
            _load(stack, r * row_step + first, date_step, lanes[:dates], valid)
            for k in range(size):
                place = (np.uint32(valid[k]) - np.uint32(valid[k] != 0)) * share // hundred
                rank[k] = np.uint16(padded) - valid[k] + np.uint16(place)
            _select(lanes, rank, lower, upper, (some, other))
            for k in range(size):
                place = (np.uint32(valid[k]) - np.uint32(valid[k] != 0)) * share
                part = place - place // hundred * hundred
                hundredfold = np.uint32(lower[k]) * (hundred - part) + np.uint32(upper[k]) * part
                whole = hundredfold // hundred
                rest = hundredfold - whole * hundred
                whole += np.uint32(rest > 50) | (np.uint32(rest == 50) & whole)
                values[k] = whole * np.uint32(valid[k] != 0)
