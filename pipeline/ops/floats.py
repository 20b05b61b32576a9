"""Many observations of a pixel to one, in floating point: NaN is none, the GIL is released, the stack is not copied.

Every reducer here takes stack (time, y, x) float32, NaN = no observation, up to 65,000 dates, and writes two (y, x)
arrays in place: `out` float32, the composite, NaN where there is no observation, and `count` uint16, the observations
it rests on. Results are NumPy's `nanmean`, `nanmedian`, `nanmin`, `nanmax` and `nanpercentile` of the same numbers as
float64, rounded once. Pixels never meet, so any cut of the tile gives the same. Raises ValueError where the pixels of a
row of `out` or `count` do not lie side by side.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import Kernel, compiled
from pipeline.ops.memory import call_in_memory
from pipeline.ops.ranks import Layout, comparators, middle_comparators

Floats = NDArray[np.float32]
FloatReducer = Callable[[Floats, Floats, NDArray[np.uint16]], None]
"""(stack, out, count), as above."""

_TYPES = "Array({0}, 1, 'C', readonly=True), UniTuple(i8, 7), {0}[::1], u2[::1]"
_STRETCH_BYTES = 2**18
"""Observations held at once, as in `ranks`."""
_NETWORK_DATES = 64
"""Up to here sorting takes fewer steps than counting bit by bit."""
_SIGN, _ALL = np.uint32(0x8000_0000), np.uint32(0xFFFF_FFFF)
_INFINITE = np.uint32(0x7F80_0000)


@compiled(_TYPES.format("f4"))
def _mean(stack: Floats, layout: Layout, out: Floats, count: NDArray[np.uint16]) -> None:
    dates, height, width, date_step, row_step, out_step, count_step = layout
    sums = np.empty(width)
    for r in range(height):
        values, valid = _row(out, r * out_step, width), _row(count, r * count_step, width)
        sums[:] = 0
        valid[:] = 0
        for t in range(dates):
            source = _row(stack, t * date_step + r * row_step, width)
            for k in range(width):
                there = source[k] == source[k]
                sums[k] += np.float64(source[k]) if there else 0.0
                valid[k] += np.uint16(there)
        for k in range(width):
            values[k] = sums[k] / valid[k]  # 0 / 0 is NaN


@compiled(f"{_TYPES.format('f4')}, f4")
def _extreme(stack: Floats, layout: Layout, out: Floats, count: NDArray[np.uint16], sign: np.float32) -> None:
    dates, height, width, date_step, row_step, out_step, count_step = layout
    for r in range(height):
        values, valid = _row(out, r * out_step, width), _row(count, r * count_step, width)
        values[:] = -np.inf
        valid[:] = 0
        for t in range(dates):
            source = _row(stack, t * date_step + r * row_step, width)
            for k in range(width):
                value = source[k] * sign
                values[k] = value if value > values[k] else values[k]  # noqa: FURB136 (NaN must lose)
                valid[k] += np.uint16(source[k] == source[k])
        for k in range(width):
            values[k] = values[k] * sign if valid[k] else np.float32(np.nan)


@compiled()
def _row(array: NDArray[Any], start: int, width: int) -> NDArray[Any]:
    return array[start : start + width]


@compiled()
def _key(bits: np.uint32) -> np.uint32:
    """A number's bits as an integer of the same order: 0 and the largest integer are those of no number but NaN."""
    return bits ^ (_ALL if bits & _SIGN else _SIGN)


@compiled()
def _number(key: np.uint32) -> np.uint32:
    """The bits that `_key` made a key of."""
    return key ^ (_SIGN if key & _SIGN else _ALL)


@compiled()
def _load(stack: Any, place: tuple[int, int], lanes: Any, valid: Any, fill: Any, flip: np.uint32) -> None:
    """Keys of a stretch, a date a lane, and how many numbers there are. Missing ones are `fill`, which flips each time.

    place: of the first date's pixels in the stack, and how far the next date's are. flip: all bits where missing ones
    are to be above and below in turn, so that the middle stays the numbers'; else 0.
    """
    valid[:] = 0
    fill[:] = _ALL
    for t in range(lanes.shape[0]):
        source, lane = _row(stack, place[0] + t * place[1], valid.size), lanes[t]
        for k in range(valid.size):
            bits = source[k]
            there = (bits & ~_SIGN) <= _INFINITE
            lane[k] = _key(bits) if there else fill[k]
            fill[k] ^= np.uint32(0) if there else flip
            valid[k] += np.uint16(there)


@compiled()
def _exchange(low: Any, high: Any) -> None:
    for k in range(low.size):
        a, b = low[k], high[k]
        low[k] = min(a, b)
        high[k] = max(a, b)


@compiled()
def _lanes(dates: int, width: int) -> Any:
    """(room for the keys of a stretch, an odd number of cache lines a lane as in `ranks`; pixels of a stretch)."""
    stretch = min(width, max(256, _STRETCH_BYTES // (4 * dates)))
    return np.empty((dates, (stretch + 15) // 32 * 32 + 16), np.uint32), stretch


@compiled(f"{_TYPES.format('u4')}, i8[:,::1]")
def _median(stack: Any, layout: Layout, out: Any, count: Any, pairs: NDArray[np.int64]) -> None:
    """By `middle_comparators`: of an even number the mean of both middle ones."""
    dates, height, width, date_step, row_step, out_step, count_step = layout
    lanes, stretch = _lanes(dates, width)
    fill, both = np.empty(stretch, np.uint32), np.empty((2, stretch), np.uint32)
    low, high = both[0].view(np.float32), both[1].view(np.float32)
    for r in range(height):
        for first in range(0, width, stretch):
            size = min(stretch, width - first)
            valid = _row(count, r * count_step + first, size)
            values = _row(out, r * out_step + first, size).view(np.float32)
            _load(stack, (r * row_step + first, date_step), lanes, valid, fill[:size], _ALL)
            for p in range(pairs.shape[0]):
                _exchange(lanes[pairs[p, 0]], lanes[pairs[p, 1]])
            below, above, single = lanes[max(0, dates // 2 - 1)], lanes[dates // 2], lanes[(dates - 1) // 2]
            for k in range(size):
                odd = valid[k] & np.uint16(1)
                both[0, k] = _number(single[k] if odd else below[k])
                both[1, k] = _number(single[k] if odd else above[k])
            for k in range(size):
                middle = (np.float64(low[k]) + np.float64(high[k])) * 0.5
                values[k] = np.float32(middle) if valid[k] else np.float32(np.nan)


@compiled(f"{_TYPES.format('u4')}, i8[:,::1], i8")
def _percentile(stack: Any, layout: Layout, out: Any, count: Any, pairs: NDArray[np.int64], percent: int) -> None:
    """Linear between the nearest ranks: by sorting with `pairs`, or where there are none by counting bit by bit."""
    dates, height, width, date_step, row_step, out_step, count_step = layout
    lanes, stretch = _lanes(dates, width)
    fill, both, work = (
        np.empty(stretch, np.uint32),
        np.empty((2, stretch), np.uint32),
        np.empty((2, stretch), np.uint32),
    )
    low, high = both[0].view(np.float32), both[1].view(np.float32)
    quantile = percent / 100
    for r in range(height):
        for first in range(0, width, stretch):
            size = min(stretch, width - first)
            valid = _row(count, r * count_step + first, size)
            values = _row(out, r * out_step + first, size).view(np.float32)
            _load(stack, (r * row_step + first, date_step), lanes, valid, fill[:size], np.uint32(0))
            for p in range(pairs.shape[0]):
                _exchange(lanes[pairs[p, 0]], lanes[pairs[p, 1]])
            for k in range(size):
                work[0, k] = np.uint32(quantile * max(int(valid[k]) - 1, 0))
            if pairs.shape[0] or dates == 1:
                for k in range(size):
                    rank, last = np.int64(work[0, k]), max(int(valid[k]) - 1, 0)
                    both[0, k], both[1, k] = lanes[rank, k], lanes[min(rank + 1, last), k]
            else:
                _select(lanes, work[0, :size], both[0, :size], both[1, :size], work[1, :size])
            for k in range(size):
                both[0, k], both[1, k] = _number(both[0, k]), _number(both[1, k])
            for k in range(size):
                place = quantile * max(int(valid[k]) - 1, 0)
                values[k] = _between(low[k], high[k], place - np.floor(place)) if valid[k] else np.float32(np.nan)


@compiled()
def _between(low: float, high: float, share: float) -> np.float32:
    """Between two numbers as NumPy does it (its `_lerp`): from the nearer one; without a share the lower one."""
    a, b = np.float64(low), np.float64(high)
    if share == 0:
        return np.float32(a)
    return np.float32(a + (b - a) * share if share < 0.5 else b - (b - a) * (1 - share))


@compiled()
def _select(lanes: Any, rank: Any, found: Any, after: Any, below: Any) -> None:
    """The keys of rank `rank` (from 0) and the next: bit by bit from the highest, by counting what is below."""
    found[:] = 0
    bit = _SIGN
    while bit:
        below[:] = 0
        for t in range(lanes.shape[0]):
            lane = lanes[t]
            for k in range(rank.size):
                below[k] += np.uint32(lane[k] < (found[k] | bit))
        for k in range(rank.size):
            found[k] |= bit if below[k] <= rank[k] else np.uint32(0)
        bit >>= np.uint32(1)
    # The next is the same again, or else the least that is greater.
    after[:] = _ALL
    below[:] = 0
    for t in range(lanes.shape[0]):
        lane = lanes[t]
        for k in range(rank.size):
            below[k] += np.uint32(lane[k] <= found[k])
            after[k] = lane[k] if found[k] < lane[k] < after[k] else after[k]
    for k in range(rank.size):
        after[k] = found[k] if below[k] > rank[k] + np.uint32(1) else after[k]


def mean(stack: Floats, out: Floats, count: NDArray[np.uint16]) -> None:
    """Arithmetic mean of the observations, summed as float64 in the order of the dates."""
    _reduce(_mean, stack, out, count)


def minimum(stack: Floats, out: Floats, count: NDArray[np.uint16]) -> None:
    """Smallest observation."""
    _reduce(_extreme, stack, out, count, np.float32(-1))


def maximum(stack: Floats, out: Floats, count: NDArray[np.uint16]) -> None:
    """Largest observation."""
    _reduce(_extreme, stack, out, count, np.float32(1))


def median(stack: Floats, out: Floats, count: NDArray[np.uint16]) -> None:
    """Middle observation, or the mean of both: by a sorting network up to `_NETWORK_DATES`, then as a percentile."""
    if len(stack) <= _NETWORK_DATES:
        _reduce(_median, stack.view(np.uint32), out.view(np.uint32), count, middle_comparators(len(stack)))
    else:
        percentile(50)(stack, out, count)


def percentile(percent: int) -> FloatReducer:
    """The reducer to a percentile, 1..99: linear between the nearest ranks, which is NumPy's default method."""

    def reduce(stack: Floats, out: Floats, count: NDArray[np.uint16]) -> None:
        pairs = comparators(len(stack)) if len(stack) <= _NETWORK_DATES else np.empty((0, 2), np.int64)
        _reduce(_percentile, stack.view(np.uint32), out.view(np.uint32), count, pairs, percent)

    return reduce


_NAMED: dict[str, FloatReducer] = {"mean": mean, "median": median, "min": minimum, "max": maximum}


def float_reducer(name: str) -> FloatReducer:
    """The reducer of a name: mean, median, min, max, or p1 to p99. Raises KeyError for another."""
    found = re.fullmatch(r"p([1-9][0-9]?)", name)
    return percentile(int(found[1])) if found else _NAMED[name]


def _reduce(kernel: Kernel[..., None], stack: Any, out: Any, count: NDArray[np.uint16], *further: object) -> None:
    if stack.size:
        call_in_memory(kernel, [stack], [out, count], *further)
    else:
        out.view(np.float32)[...] = np.nan
        count[...] = 0
