"""The geometric median of all bands at once: the spectrum nearest to all observed ones, robust and spectrally whole."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.001
"""Iteration ends where a step is shorter than this, in stored units (1e-7 of reflectance), over all bands together."""
SOFTENING = 0.1
"""Distances below this, in stored units, no longer pull harder: what keeps a step finite on top of an observation."""
MAX_STEPS = 2000
_LANES = 64


@numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")
def _load(stack, r, first, spectra, valid):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """The complete observations of some pixels of a row, packed to the front of each lane, in order of time."""
    bands, dates = stack.shape[:2]
    for k in range(valid.size):
        n = 0
        for t in range(dates):
            whole = True
            for b in range(bands):
                whole = whole and stack[b, t, r, first + k] != 0
            if whole:
                for b in range(bands):
                    spectra[n, b, k] = stack[b, t, r, first + k]
                n += 1
        valid[k] = n


@numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")
def _pull(spectra, valid, longest, centre, pulled):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """One step of Weiszfeld's iteration for every lane: the mean of the observations, each by its nearness."""
    bands, lanes = centre.shape
    weights = np.zeros(lanes, np.float64)
    near = np.empty(lanes, np.float64)
    pulled[:] = 0
    for n in range(longest):
        near[:] = SOFTENING * SOFTENING
        for b in range(bands):
            for k in range(lanes):
                apart = spectra[n, b, k] - centre[b, k]
                near[k] += apart * apart
        for k in range(lanes):
            near[k] = 1 / np.sqrt(near[k]) if n < valid[k] else 0.0
            weights[k] += near[k]
        for b in range(bands):
            for k in range(lanes):
                pulled[b, k] += near[k] * spectra[n, b, k]
    for b in range(bands):
        for k in range(lanes):
            pulled[b, k] = pulled[b, k] / weights[k] if valid[k] != 0 else 0.0


@numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")
def _settle(spectra, valid, longest, centre, pulled):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Iterate from the mean until every lane stands still; a lane that does is left alone."""
    bands, lanes = centre.shape
    centre[:] = 0
    for n in range(longest):
        for b in range(bands):
            for k in range(lanes):
                centre[b, k] += spectra[n, b, k] / valid[k] if n < valid[k] else 0.0
    # One and two observations have their mean as a geometric median.
    moving = valid > 2
    for _ in range(MAX_STEPS):
        if not moving.any():
            return
        _pull(spectra, valid, longest, centre, pulled)
        for k in range(lanes):
            step = 0.0
            for b in range(bands):
                step += (pulled[b, k] - centre[b, k]) ** 2
            if moving[k]:
                centre[:, k] = pulled[:, k]
                moving[k] = step > TOLERANCE * TOLERANCE


@numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")
def _geomedian(stack, out, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    bands, dates, height, width = stack.shape
    spectra = np.zeros((dates, bands, _LANES), np.float64)
    centre, pulled = np.empty((bands, _LANES), np.float64), np.empty((bands, _LANES), np.float64)
    valid = np.zeros(_LANES, np.int64)
    for r in range(height):
        for first in range(0, width, _LANES):
            size = min(_LANES, width - first)
            valid[:] = 0
            _load(stack, r, first, spectra, valid[:size])
            _settle(spectra, valid, valid.max(), centre, pulled)
            for k in range(size):
                count[r, first + k] = valid[k]
                for b in range(bands):
                    out[b, r, first + k] = np.rint(centre[b, k])


def geomedian(stack: NDArray[np.uint16], out: NDArray[np.uint16], count: NDArray[np.uint16]) -> None:
    """Geometric median of the complete observations of each pixel, rounded half to even to stored integers.

    stack: (band, time, y, x) uint16, 0 = none; an observation counts where every band has it. out: (band, y, x) and
    count: (y, x), uint16, written in place; out is 0 where count is 0. Two observations give their mean. Iterated in
    float64 from the mean until a step is shorter than `TOLERANCE`, at most `MAX_STEPS` times; the same bits on every
    machine and for every cut of the tile, since lanes never meet. Source: Weiszfeld 1937; Roberts, Mueller and McIntyre
    2017 for its use on reflectances.
    """
    _geomedian(stack, out, count)
