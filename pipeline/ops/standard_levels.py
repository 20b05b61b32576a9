"""Profiles on standard pressures: monotone interpolation between levels that lie close enough, and nothing beyond them.

Profiles are flat: `first` (profile + 1,) says where each one's levels begin in arrays over all levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]
Offsets = NDArray[np.int64]

STANDARD_DBAR: tuple[float, ...] = (
    2.5,
    *(float(p) for p in range(10, 180, 10)),
    182.5,
    *(float(p) for p in range(200, 460, 20)),
    462.5,
    *(float(p) for p in range(500, 1400, 50)),
    1412.5,
    *(float(p) for p in range(1500, 2000, 100)),
    1975.0,
)
"""58 pressures: Roemmich and Gilson (2009), Progress in Oceanography 82, 81-100, doi:10.1016/j.pocean.2009.03.004."""


@dataclass(frozen=True)
class Gap:
    """How far apart two levels may lie for what is between them to be told: a distance, or a share of the pressure."""

    dbar: float = 50.0
    fraction: float = 0.2

    def at(self, pressure: Numbers) -> NDArray[np.float64]:
        """The greatest distance in dbar around these pressures: the larger of both.

        >>> Gap(dbar=50.0, fraction=0.2).at(np.array([100.0, 1000.0]))
        array([ 50., 200.])
        """
        return np.maximum(self.dbar, self.fraction * np.asarray(pressure, np.float64))


@dataclass(frozen=True)
class Casts:
    """One quantity of some profiles: only levels that have it, pressure strictly increasing within each profile."""

    pressure: NDArray[np.float64]
    """(level,) dbar."""
    values: NDArray[np.float64]
    first: Offsets

    @property
    def profile(self) -> NDArray[np.int64]:
        """Of each level, the number of its profile."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))

    @property
    def joined(self) -> NDArray[np.bool_]:
        """(level - 1,): whether a level and the next one are of the same profile."""
        profile = self.profile
        return np.asarray(profile[1:] == profile[:-1])


def order_casts(pressure: Numbers, values: Numbers, first: Offsets) -> Casts:
    """Levels without pressure or value left out, the others by pressure; of equal pressures the mean.

    pressure, values: (level,), NaN where there is none. A profile may end without any level.
    """
    count = len(first) - 1
    kept = np.isfinite(pressure) & np.isfinite(values)
    profile = np.repeat(np.arange(count), np.diff(first))[kept]
    p, v = np.asarray(pressure[kept], np.float64), np.asarray(values[kept], np.float64)
    same = profile[1:] == profile[:-1]
    if np.any(same & (p[1:] < p[:-1])):
        order = np.lexsort((p, profile))
        p, v = p[order], v[order]  # profiles stay where they were
    begins = np.append(True, ~(same & (p[1:] == p[:-1])))[: len(p)]
    if not begins.all():
        number = np.cumsum(begins) - 1
        v = np.bincount(number, v) / np.bincount(number)
        p, profile = p[begins], profile[begins]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(profile, minlength=count))]).astype(np.int64)
    return Casts(p, v, offsets)


@dataclass(frozen=True)
class Spots:
    """Where targets lie between the levels of some profiles: only those that are told."""

    shape: tuple[int, int]
    """(profile, target)."""
    told: NDArray[np.bool_]
    """(profile, target)."""
    level: Offsets
    """(told,): the level at or above each."""
    share: NDArray[np.float64]
    """(told,): how far on the way to the next level, from 0."""


def locate(casts: Casts, targets: Numbers, gap: Gap) -> Spots:
    """Where target pressures lie in profiles; quantities that have the same levels have the same spots.

    Told is what lies at a level, however far the next one is, or between two that are not too far apart.
    """
    wanted = np.asarray(targets, np.float64)
    shape = len(casts.first) - 1, len(wanted)
    x = casts.pressure
    if not len(x) or not len(wanted):
        return Spots(shape, np.zeros(shape, np.bool_), np.zeros(0, np.int64), np.zeros(0))
    level = _bracket(casts, wanted)
    inside = (level >= casts.first[:-1, None]) & (level < casts.first[1:, None])
    here = np.where(inside, level, 0)
    beyond = x[here]
    step = np.append(np.diff(x), 0.0)[here]
    near = (level + 1 < casts.first[1:, None]) & (step <= gap.at(wanted))
    told = inside & (near | (beyond == wanted))
    way = (wanted - beyond)[told]
    return Spots(shape, told, here[told], np.where(way > 0, way / np.where(way > 0, step[told], 1.0), 0.0))


def interpolate(casts: Casts, spots: Spots) -> NDArray[np.float64]:
    """Values (profile, target) at the spots of `locate`; NaN beyond a profile's levels and in gaps.

    Piecewise cubic Hermite polynomials that never leave the range of the two levels around them (Fritsch and Butland
    1984, SIAM J. Sci. Stat. Comput. 5, 300-304), as in SciPy's PchipInterpolator. At a level's pressure it is the
    level's value.
    """
    found = np.full(spots.shape, np.nan)
    if not len(spots.level):
        return found
    y, m = casts.values, monotone_slopes(casts)
    rise, h = np.append(np.diff(y), 0.0), np.append(np.diff(casts.pressure), 0.0)
    first = h * m
    last = h * np.append(m[1:], 0.0)
    i, s = spots.level, spots.share
    low, high = y[i], np.append(y[1:], 0.0)[i]
    grown = s * (first[i] + s * ((3 * rise - 2 * first - last)[i] + s * (first + last - 2 * rise)[i]))
    # The last bits of a cubic may leave the range that its curve does not.
    found[spots.told] = np.clip(low + grown, np.minimum(low, high), np.maximum(low, high))
    return found


def monotone_slopes(casts: Casts) -> NDArray[np.float64]:
    """The slope at each level of the interpolant that makes no extremes of its own: 0 at a local one.

    At a profile's ends by three points, as far as that keeps the shape (SciPy's rule); of two levels the straight line,
    of one none.
    """
    x, y, joined = casts.pressure, casts.values, casts.joined
    slopes = np.zeros(len(x))
    if len(x) < 2:
        return slopes
    h = np.where(joined, np.diff(x), 1.0)
    d = np.where(joined, np.diff(y) / h, 0.0)
    inner = joined[:-1] & joined[1:]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        mean = (w1 + w2) / (w1 / d[:-1] + w2 / d[1:])
    slopes[1:-1] = np.where(inner & (d[:-1] * d[1:] > 0), mean, 0.0)
    sizes = np.diff(casts.first)
    _set_ends(slopes, casts.first[:-1][sizes >= 3], h, d, step=1)
    _set_ends(slopes, casts.first[1:][sizes >= 3] - 1, h, d, step=-1)
    pairs = casts.first[:-1][sizes == 2]
    slopes[pairs] = slopes[pairs + 1] = d[pairs]
    return slopes


def _set_ends(slopes: Numbers, ends: Offsets, h: Numbers, d: Numbers, *, step: int) -> None:
    """The slope at the first (step 1) or last (step -1) level of profiles of three or more."""
    near = ends if step > 0 else ends - 1
    far = near + step
    h0, h1, d0, d1 = h[near], h[far], d[near], d[far]
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    steep = (np.sign(d0) != np.sign(d1)) & (np.abs(slope) > 3 * np.abs(d0))
    slopes[ends] = np.where(np.sign(slope) != np.sign(d0), 0.0, np.where(steep, 3 * d0, slope))


def _bracket(casts: Casts, wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """(profile, target): the last level of the profile at or above the target; one of another profile: there is none.

    One search for all: profiles are laid out one after the other on a line.
    """
    x = casts.pressure
    low = min(float(x.min()), float(wanted.min()))
    span = max(float(x.max()), float(wanted.max())) - low + 1.0
    keys = casts.profile * span + (x - low)
    asked = np.arange(len(casts.first) - 1)[:, None] * span + (wanted - low)
    return np.searchsorted(keys, asked.ravel(), side="right").reshape(asked.shape).astype(np.int64) - 1
