"""Series made smooth and whole: gaps filled and noise damped, date by date on an even grid of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.ops.memory import call_in_memory

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Series = NDArray[np.float32] | NDArray[np.uint16]
Layout = tuple[int, int, int, int, int, int, int, int, int]
"""Dates, height, width; elements between dates and rows of the series, of the weights, of `out`."""
_STRETCH_BYTES = 2**20
"""Held at once; with less, the loops over the pixels of a long series are too short."""


@compiled()
def _forwards(weights: Doubles, bands: Doubles, known: Doubles, factors: Doubles, scaled: Doubles) -> None:
    """Factor W + P = L D L' and solve with L, date by date, for all pixels of a stretch together.

    bands: (3, dates) the penalty P: its diagonal and the bands beside it. known: W y, becomes L^-1 W y. factors:
    (3, ...) 1 / D and both bands of L. All but `bands` begin with two dates of zeros before the first. scaled: of the
    last date, D times the nearer band. Loops of few arrays each, which are the ones that vectorise.
    """
    scaled[:] = 0
    for t in range(2, weights.shape[0]):
        inverse, near, far, weight = factors[0, t], factors[1, t], factors[2, t], weights[t]
        near1, far1, far2 = factors[1, t - 1], factors[2, t - 1], factors[2, t - 2]
        here, last, before_last = known[t], known[t - 1], known[t - 2]
        middle, beside, beyond, coming = bands[0, t - 2], bands[1, t - 2], bands[2, t - 2], bands[2, max(0, t - 4)]
        for k in range(scaled.size):
            inverse[k] = 1 / (weight[k] + middle - scaled[k] * near1[k] - coming * far2[k])
        for k in range(scaled.size):
            scaled[k] = beside - scaled[k] * far1[k]
        for k in range(scaled.size):
            near[k] = scaled[k] * inverse[k]
            far[k] = beyond * inverse[k]
        for k in range(scaled.size):
            here[k] -= near1[k] * last[k] + far2[k] * before_last[k]


@compiled()
def _backwards(known: Doubles, factors: Doubles) -> None:
    """Solve with D L': L^-1 W y becomes the smooth series."""
    dates = known.shape[0]
    for t in range(dates - 1, 1, -1):
        inverse, near, far, smooth = factors[0, t], factors[1, t], factors[2, t], known[t]
        for k in range(smooth.size):
            smooth[k] *= inverse[k]
        if t + 1 < dates:
            after = known[t + 1]
            for k in range(smooth.size):
                smooth[k] -= near[k] * after[k]
        if t + 2 < dates:
            after = known[t + 2]
            for k in range(smooth.size):
                smooth[k] -= far[k] * after[k]


@compiled()
def _load(values: Series, given: Floats, zero_is_number: bool, weight: Doubles, known: Doubles) -> None:  # noqa: FBT001
    """One date's weights and weighted values; a missing one weighs nothing."""
    for k in range(values.size):
        value = np.float64(values[k])
        there = (value == value) & (zero_is_number | (value != 0))  # noqa: PLR0124 (False of NaN only)
        weight[k] = np.float64(given[k]) if there else 0.0
        known[k] = np.float64(given[k]) * value if there else 0.0


@compiled()
def _only(weights: Doubles, known: Doubles) -> Doubles:
    """What no equation determines: NaN without an observation, its value with a single one; infinity elsewhere."""
    seen, only = np.zeros(weights.shape[1], np.int64), np.full(weights.shape[1], np.nan)
    for t in range(2, weights.shape[0]):
        weight, product = weights[t], known[t]
        for k in range(only.size):
            if weight[k] > 0:
                seen[k] += 1
                only[k] = product[k] / weight[k] if seen[k] == 1 else np.inf
    return only


_TYPES = (
    "Array({}, 1, 'C', readonly=True), Array(f4, 1, 'C', readonly=True), UniTuple(i8, 9), f4[::1], f8[:,::1], boolean"
)


@compiled(_TYPES.format("f4"), _TYPES.format("u2"))
def _smooth(
    series: Series,
    given: Floats,
    layout: Layout,
    out: Floats,
    bands: Doubles,
    zero_is_number: bool,  # noqa: FBT001
) -> None:
    dates, height, width, date_step, row_step, given_date_step, given_row_step, out_date_step, out_row_step = layout
    stretch = min(width, max(32, _STRETCH_BYTES // (40 * dates) // 8 * 8))
    weights, known = np.zeros((dates + 2, stretch), np.float64), np.zeros((dates + 2, stretch), np.float64)
    factors, scaled = np.zeros((3, dates + 2, stretch), np.float64), np.empty(stretch, np.float64)
    for r in range(height):
        for first in range(0, width, stretch):
            size = min(stretch, width - first)
            for t in range(dates):
                at, by = t * date_step + r * row_step + first, t * given_date_step + r * given_row_step + first
                values, shares = series[at : at + size], given[by : by + size]
                _load(values, shares, zero_is_number, weights[t + 2], known[t + 2])
            only = _only(weights, known)
            _forwards(weights, bands, known, factors, scaled)
            _backwards(known, factors)
            for t in range(dates):
                to = t * out_date_step + r * out_row_step + first
                values, smooth = out[to : to + size], known[t + 2]
                for k in range(size):
                    values[k] = smooth[k] if only[k] == np.inf else only[k]


def whittaker(series: Series, smoothing: float, out: Floats, weights: Floats | None = None) -> None:
    """The series that is near to the observations and smooth: it solves (W + smoothing D'D) z = W y for each pixel.

    So it minimises sum(w (y - z)²) + smoothing * sum((second differences of z)²).

    series: (time, y, x) on an even grid of time, uint16 with 0 = missing or float32 with NaN = missing. weights: the
    same shape, at least 0 and finite, None: all 1; a missing observation weighs nothing whatever its weight. out:
    (time, y, x) float32, written in place. A pixel without an observation is NaN on every date; one with a single
    observation has its value on every date, where any line through it would do. Solved in float64; pixels never meet,
    so any cut of the tile gives the same. Raises ValueError for a smoothing that is not above 0.

    Source: P. H. C. Eilers, "A perfect smoother", Analytical Chemistry 75, 2003, with differences of order 2, solved by
    a banded L D L' factorisation of each pixel's matrix.
    """
    if not smoothing > 0 or not np.isfinite(smoothing):
        raise ValueError(f"smoothing is {smoothing}; expected a number above 0")
    if not series.size:
        return
    if weights is None:
        weights = np.broadcast_to(np.ones(series.shape[2], np.float32), series.shape)
    bands = smoothing * _penalty(series.shape[0])
    call_in_memory(_smooth, [series, weights], [out], bands, series.dtype.kind == "f")


def _penalty(dates: int) -> Doubles:
    """(3, dates): the diagonal of D'D and the two bands beside it, D taking second differences."""
    differences = np.diff(np.eye(dates), 2, axis=0)
    product = differences.T @ differences
    bands = [np.append(np.diagonal(product, k), np.zeros(min(k, dates))) for k in range(3)]
    return np.stack([band[:dates] for band in bands])
