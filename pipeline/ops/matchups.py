"""Numbers of match-ups: the water at the surface of a profile, and the statistics of a window of pixels. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def surface_means(
    pressure: Doubles, values: Doubles, first: NDArray[np.int64], limit_dbar: float
) -> tuple[Doubles, NDArray[np.int32]]:
    """Per profile, the mean of its values at pressures up to a limit, NaN where there is none; and of how many.

    pressure, values: (level,), NaN where there is none. first: (profile + 1,), the rows that each profile begins with.
    """
    used = np.isfinite(values) & (pressure <= limit_dbar)  # a NaN is not less than anything
    rows = np.flatnonzero(used)
    profile = np.searchsorted(first, rows, side="right") - 1
    count = np.bincount(profile, minlength=len(first) - 1)
    sums = np.bincount(profile, values[rows], minlength=len(first) - 1)
    mean = sums / np.where(count, count, np.nan)
    return mean, count.astype(np.int32)


@dataclass(frozen=True, eq=False)
class WindowStatistics:
    """Of each window: its middle pixel, mean and standard deviation (NaN where there is none), and how many count."""

    middle: Doubles
    mean: Doubles
    deviation: Doubles
    """Of the pixels themselves: divided by their number, not by one less."""
    count: NDArray[np.int32]


def window_statistics(windows: NDArray[np.floating]) -> WindowStatistics:
    """Statistics of windows (match-up, y, x) with an odd side; NaN where a pixel does not count."""
    flat = windows.reshape(len(windows), -1).astype(np.float64)
    there = np.isfinite(flat)
    count = there.sum(axis=1)
    divisor = np.where(count, count, np.nan)
    mean = np.where(there, flat, 0).sum(axis=1) / divisor
    apart = np.where(there, flat - mean[:, None], 0)
    deviation = np.sqrt((apart**2).sum(axis=1) / divisor)
    return WindowStatistics(flat[:, flat.shape[1] // 2], mean, deviation, count.astype(np.int32))
