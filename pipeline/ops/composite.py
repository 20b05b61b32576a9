"""Many observations of a pixel to one, band by band, on integers: exact, without a float cube, with the GIL released.

Every reducer here takes stack (time, y, x) uint16, 0 = no observation, up to 65,000 dates, and writes two (y, x) uint16
arrays in place: `out`, the composite, 0 where there is no observation, and `count`, the observations it rests on. Every
number from 1 to 65535 is an observation like another. Pixels never meet, so any cut of the tile gives the same. Raises
ValueError where the pixels of a row of `out` or `count` do not lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.compiled import compiled
from pipeline.ops.memory import Numbers, reduce_in_memory
from pipeline.ops.ranks import TYPES, Layout, median_by_network, middle_comparators, percentile_by_bits

Reducer = Callable[[Numbers, Numbers, Numbers], None]
"""(stack, out, count), as above."""

_NETWORK_DATES = 64
"""Up to here sorting takes fewer steps than counting bit by bit (measured; both are exact)."""


@compiled(TYPES)
def _mean(stack: Numbers, layout: Layout, out: Numbers, count: Numbers) -> None:
    dates, height, width, date_step, row_step, out_step, count_step = layout
    sums = np.empty(width, np.uint32)
    for r in range(height):
        values = out[r * out_step : r * out_step + width]
        valid = count[r * count_step : r * count_step + width]
        sums[:] = 0
        valid[:] = 0
        for t in range(dates):
            source = stack[t * date_step + r * row_step : t * date_step + r * row_step + width]
            for k in range(width):
                sums[k] += source[k]
                valid[k] += np.uint16(source[k] != 0)
        for k in range(width):
            n = np.uint32(valid[k]) | np.uint32(valid[k] == 0)
            whole = sums[k] // n
            twice = np.uint32(2) * (sums[k] - whole * n)
            values[k] = whole + (np.uint32(twice > n) | (np.uint32(twice == n) & whole))


@compiled(f"{TYPES}, u2")
def _extreme(stack: Numbers, layout: Layout, out: Numbers, count: Numbers, flip: np.uint16) -> None:
    dates, height, width, date_step, row_step, out_step, count_step = layout
    for r in range(height):
        best = out[r * out_step : r * out_step + width]
        valid = count[r * count_step : r * count_step + width]
        best[:] = 0
        valid[:] = 0
        for t in range(dates):
            source = stack[t * date_step + r * row_step : t * date_step + r * row_step + width]
            for k in range(width):
                there = np.uint16(source[k] != 0)
                # Flipped bits turn the smallest into the largest; a missing one is less than any.
                best[k] = max(best[k], np.uint16((source[k] ^ flip) * there))
                valid[k] += there
        for k in range(width):
            best[k] = (best[k] ^ flip) * np.uint16(valid[k] != 0)


def median(stack: Numbers, out: Numbers, count: Numbers) -> None:
    """Median of the observations of each pixel; even counts round half to even.

    Equal to `np.rint(np.nanmedian(...))` on the non-zero values. Source: a sorting network up to `_NETWORK_DATES` dates
    (see `comparators`), above it the percentile.
    """
    dates = stack.shape[0]
    if dates <= _NETWORK_DATES:
        reduce_in_memory(median_by_network, stack, out, count, middle_comparators(dates))
    else:
        reduce_in_memory(percentile_by_bits, stack, out, count, 50)


def percentile(percent: int) -> Reducer:
    """The reducer to a percentile, 1..99: linear between the nearest ranks, rounded half to even, exact in integers.

    The rank is (count - 1) * percent / 100 from the smallest, as in NumPy's default method ("linear"; Hyndman and Fan
    1996, definition 7); NumPy's own floats may fall on either side of an exact half. Found bit by bit: a number's rank
    is how many are below it.
    """

    def reduce(stack: Numbers, out: Numbers, count: Numbers) -> None:
        reduce_in_memory(percentile_by_bits, stack, out, count, percent)

    return reduce


def mean(stack: Numbers, out: Numbers, count: Numbers) -> None:
    """Arithmetic mean of the observations, rounded half to even, exact in integers."""
    reduce_in_memory(_mean, stack, out, count)


def minimum(stack: Numbers, out: Numbers, count: Numbers) -> None:
    """Smallest observation."""
    reduce_in_memory(_extreme, stack, out, count, np.uint16(0xFFFF))


def maximum(stack: Numbers, out: Numbers, count: Numbers) -> None:
    """Largest observation."""
    reduce_in_memory(_extreme, stack, out, count, np.uint16(0))
