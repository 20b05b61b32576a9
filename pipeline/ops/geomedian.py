"""The geometric median of all bands at once: the spectrum nearest to all observed ones, robust and spectrally whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.ops.memory import Numbers, reduce_in_memory

TOLERANCE = 0.001
"""Iteration ends where a step is shorter than this, in stored units (1e-7 of reflectance), over all bands together."""
SOFTENING = 0.1
"""Distances below this, in stored units, no longer pull harder: what keeps a step finite on top of an observation."""
MAX_STEPS = 2000
_LANES = 64
"""Pixels under way at once; each gives way to the next as soon as it stands still."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Layout = tuple[int, int, int, int, int, int, int, int, int, int]
"""Bands, dates, height, width; elements between bands, dates and rows of the stack, bands and rows of `out`, rows of
`count`."""


@compiled()
def _begin(stack: Numbers, layout: Layout, pixel: int, lane: int, spectra: Floats) -> int:
    """Put the complete observations of a pixel into a lane, in order of time; how many they are."""
    bands, dates, _, width, band_step, date_step, row_step, _, _, _ = layout
    first = pixel // width * row_step + pixel % width
    n = 0
    for t in range(dates):
        whole = True
        for b in range(bands):
            value = stack[first + b * band_step + t * date_step]
            spectra[n, b, lane] = value
            whole &= value != 0
        n += 1 if whole else 0
    return n


@compiled()
def _pull(spectra: Floats, valid: NDArray[np.int64], centre: Floats, pulled: Floats) -> None:
    """One step of Weiszfeld's iteration for every lane: the mean of the observations, each by its nearness."""
    bands, lanes = centre.shape
    weights, near = np.zeros(lanes, np.float64), np.empty(lanes, np.float64)
    pulled[:] = 0
    for n in range(valid.max()):
        near[:] = SOFTENING * SOFTENING
        for b in range(bands):
            seen, middle = spectra[n, b], centre[b]
            for k in range(lanes):
                apart = seen[k] - middle[k]
                near[k] += apart * apart
        for k in range(lanes):
            near[k] = 1 / np.sqrt(near[k]) if n < valid[k] else 0.0
            weights[k] += near[k]
        for b in range(bands):
            seen, sums = spectra[n, b], pulled[b]
            for k in range(lanes):
                sums[k] += near[k] * seen[k]
    for b in range(bands):
        sums = pulled[b]
        for k in range(lanes):
            sums[k] = sums[k] / weights[k] if valid[k] != 0 else 0.0


@compiled()
def _move(centre: Floats, pulled: Floats, steps: Floats) -> None:
    """Take the step; `steps` gets its squared length."""
    bands, lanes = centre.shape
    steps[:] = 0
    for b in range(bands):
        here, there = centre[b], pulled[b]
        for k in range(lanes):
            apart = there[k] - here[k]
            steps[k] += apart * apart
        here[:] = there


@compiled()
def _end(layout: Layout, pixel: int, lane: int, centre: Floats, out: Numbers) -> None:
    """Write a pixel that stands still."""
    bands, _, _, width, _, _, _, band_step, row_step, _ = layout
    for b in range(bands):
        out[b * band_step + pixel // width * row_step + pixel % width] = np.rint(centre[b, lane])


@compiled("Array(u2, 1, 'C', readonly=True), UniTuple(i8, 10), u2[::1], u2[::1]")
def _geomedian(stack: Numbers, layout: Layout, out: Numbers, count: Numbers) -> None:
    bands, dates, height, width, _, _, _, _, _, row_step = layout
    spectra = np.zeros((dates + 1, bands, _LANES), np.float64)
    centre, pulled = np.zeros((bands, _LANES), np.float64), np.empty((bands, _LANES), np.float64)
    valid, pixel, left = np.zeros(_LANES, np.int64), np.zeros(_LANES, np.int64), np.zeros(_LANES, np.int64)
    moved = np.zeros(_LANES, np.float64)
    following, under_way = 0, True
    while under_way:
        under_way = False
        for lane in range(_LANES):
            if left[lane] > 0:
                left[lane] = left[lane] - 1 if moved[lane] > TOLERANCE * TOLERANCE else 0
                if left[lane] == 0:
                    _end(layout, pixel[lane], lane, centre, out)
            while left[lane] == 0 and following < height * width:
                n = _begin(stack, layout, following, lane, spectra)
                count[following // width * row_step + following % width] = n
                for b in range(bands):
                    mean = 0.0
                    for t in range(n):
                        mean += spectra[t, b, lane] / n
                    centre[b, lane] = mean
                valid[lane], pixel[lane], left[lane] = n, following, MAX_STEPS
                # One and two observations have their mean as a geometric median.
                if n <= 2:
                    _end(layout, following, lane, centre, out)
                    left[lane] = 0
                following += 1
            valid[lane] = valid[lane] if left[lane] else 0
            under_way |= left[lane] > 0
        _pull(spectra, valid, centre, pulled)
        _move(centre, pulled, moved)


def geomedian(stack: NDArray[np.uint16], out: NDArray[np.uint16], count: NDArray[np.uint16]) -> None:
    """Geometric median of the complete observations of each pixel, rounded half to even to stored integers.

    stack: (band, time, y, x) uint16, 0 = none; an observation counts where every band has it. out: (band, y, x) and
    count: (y, x), uint16, written in place; out is 0 where count is 0. Two observations give their mean. Iterated in
    float64 from the mean until a step is shorter than `TOLERANCE`, at most `MAX_STEPS` times; the same bits on every
    machine and for every cut of the tile, since lanes never meet. Source: Weiszfeld 1937; Roberts, Mueller and McIntyre
    2017 for its use on reflectances.
    """
    reduce_in_memory(_geomedian, stack, out, count)
