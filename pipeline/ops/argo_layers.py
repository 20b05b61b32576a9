"""What is told of a whole profile: the depth of its mixed layer, and the heat it holds between two pressures.

Both are exact for the straight lines between its levels, and neither is told where the levels do not reach or lie too
far apart.
"""

from __future__ import annotations

import gsw
import numpy as np
from numpy.typing import NDArray

from pipeline.ops.standard_levels import Casts, Gap, Numbers

CP0 = 3991.86795711963
"""J/(kg K): potential enthalpy of seawater per kelvin of Conservative Temperature, exact by definition (TEOS-10)."""
SURFACE_DBAR = 10.0
"""A float's first level may lie so deep and still stand for what is above it."""


def mixed_layer(density: Casts, step: float, reference_dbar: float, gap: Gap) -> NDArray[np.float64]:
    """(profile,): pressure (dbar) at which potential density is `step` (kg m-3) above that at `reference_dbar`.

    NaN where the profile begins below the reference, ends before it is that dense, or has a gap where it becomes so.
    de Boyer Montegut et al. (2004), J. Geophys. Res. 109, C12003: 0.03 kg m-3 from 10 m.
    """
    x, y, first = density.pressure, density.values, density.first
    profiles = len(first) - 1
    found = np.full(profiles, np.nan)
    if not len(x):
        return found
    at_reference = _linear_at(density, reference_dbar, gap)
    limit = at_reference + step
    profile = density.profile
    dense = (x > reference_dbar) & (y >= limit[profile])
    level = np.where(dense, np.arange(len(x)), len(x))
    crossing = np.full(profiles, len(x))
    has = np.diff(first) > 0
    crossing[has] = np.minimum.reduceat(level, first[:-1][has])
    told = np.flatnonzero(crossing < len(x))
    below = crossing[told]
    above = np.maximum(below - 1, first[told])
    # The line begins at the reference where the level before it lies higher up.
    starts = x[above] <= reference_dbar
    p0 = np.where(starts, reference_dbar, x[above])
    y0 = np.where(starts, at_reference[told], y[above])
    p1, y1 = x[below], y[below]
    with np.errstate(invalid="ignore", divide="ignore"):
        at = p0 + (limit[told] - y0) / (y1 - y0) * (p1 - p0)
    near = x[below] - x[above] <= gap.at(at)
    found[told] = np.where(near, at, np.nan)
    return found


def heat_content(
    temperature: Casts, top_dbar: float, bottom_dbar: float, latitude: Numbers, gap: Gap
) -> NDArray[np.float64]:
    """(profile,): heat (J m-2, against 0 degC) between two pressures: cp0 / g times the integral of CT over pressure.

    temperature: Conservative Temperature, degC. latitude: (profile,). Down to 10 dbar the first level stands for what
    is above it. NaN where the levels do not reach both pressures, or a gap lies between or around them.
    TEOS-10: heat per mass is cp0 * CT, mass per area is pressure / g; McDougall (2003), J. Phys. Oceanogr. 33, 945.
    """
    x, y, first = temperature.pressure, temperature.values, temperature.first
    profiles = len(first) - 1
    if len(x) < 2:
        return np.full(profiles, np.nan)
    joined = temperature.joined
    low, high = np.maximum(x[:-1], top_dbar), np.minimum(x[1:], bottom_dbar)
    width = np.where(joined & (high > low), high - low, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = y[:-1] + ((low + high) / 2 - x[:-1]) / (x[1:] - x[:-1]) * (y[1:] - y[:-1])
    area = np.where(width > 0, middle * width, 0.0)
    wide = (width > 0) & (x[1:] - x[:-1] > gap.at((low + high) / 2))
    profile = temperature.profile[:-1]
    covered, total, gaps = (np.bincount(profile, each, profiles) for each in (width, area, wide))
    has = np.diff(first) > 0
    shallowest, at_top = np.full(profiles, np.nan), np.full(profiles, np.nan)
    shallowest[has], at_top[has] = x[first[:-1][has]], y[first[:-1][has]]
    lifted = np.where(shallowest <= SURFACE_DBAR, np.clip(shallowest - top_dbar, 0.0, None), 0.0)
    total = total + np.where(lifted > 0, lifted * at_top, 0.0)
    whole = np.abs(covered + lifted - (bottom_dbar - top_dbar)) < 1e-6
    gravity = gsw.grav(np.asarray(latitude, np.float64), (top_dbar + bottom_dbar) / 2)
    return np.where(whole & (gaps == 0), total * 1e4 * CP0 / gravity, np.nan)


def _linear_at(cast: Casts, pressure_dbar: float, gap: Gap) -> NDArray[np.float64]:
    """(profile,): the value at one pressure on the straight line between the levels around it."""
    x, y, first = cast.pressure, cast.values, cast.first
    profiles = len(first) - 1
    above = first[:-1] + np.bincount(cast.profile[x <= pressure_dbar], minlength=profiles) - 1
    inside = above >= first[:-1]
    here = np.where(inside, above, 0)
    below = np.minimum(here + 1, len(x) - 1)
    exact = inside & (x[here] == pressure_dbar)
    between = inside & ~exact & (above + 1 < first[1:]) & (x[below] - x[here] <= gap.at(np.array(pressure_dbar)))
    with np.errstate(invalid="ignore", divide="ignore"):
        line = y[here] + (pressure_dbar - x[here]) / (x[below] - x[here]) * (y[below] - y[here])
    return np.where(exact, y[here], np.where(between, line, np.nan))
