"""Series on uneven dates made even: straight lines in time between the observations of each pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Floats = NDArray[np.float32]
Days = NDArray[np.int64]


@compiled("f4[:,::1], i8[::1], i8[::1], f4[:,::1]")
def _between(series: Floats, days: Days, steps: Days, out: Floats) -> None:
    pixels = series.shape[1]
    last, following = np.full(pixels, -1, np.int64), np.zeros(pixels, np.int64)
    out[:] = np.nan
    for t in range(days.size):
        for k in range(pixels):
            value = series[t, k]
            if np.isnan(value):
                continue
            before, s = last[k], following[k]
            while s < steps.size and steps[s] <= days[t]:
                if before < 0:
                    out[s, k] = value
                else:
                    share = np.float64(steps[s] - days[before]) / np.float64(days[t] - days[before])
                    start = np.float64(series[before, k])
                    out[s, k] = np.float32(start + share * (np.float64(value) - start))
                s += 1
            last[k], following[k] = t, s
    for k in range(pixels):
        if last[k] >= 0:
            for s in range(following[k], steps.size):
                out[s, k] = series[last[k], k]


def regrid(series: Floats, days: Days, steps: Days) -> Floats:
    """Each pixel at the wanted days: on the line between the observations before and after, level beyond the ends.

    series: (time, y, x) float32, NaN = none. days: (time,) ascending, each once. steps: (steps,) ascending. Gives
    (steps, y, x) float32, NaN only where a pixel has no observation at all. Computed in float64; pixels never meet.
    Raises ValueError for days that do not ascend.
    """
    if (np.diff(days) <= 0).any() or (np.diff(steps) <= 0).any():
        raise ValueError(f"days {days.tolist()} and steps {steps.tolist()}; expected both to ascend")
    out = np.empty((len(steps), *series.shape[1:]), np.float32)
    flat = np.ascontiguousarray(series).reshape(len(days), -1)
    _between(flat, days.astype(np.int64), steps.astype(np.int64), out.reshape(len(steps), -1))
    return out
