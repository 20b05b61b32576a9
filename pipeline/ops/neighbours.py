"""What a pixel's neighbours say: medians over a small square around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Floats = NDArray[np.float32]


@compiled("f4[:,::1], i8, f4[:,::1]")
def _median(values: Floats, reach: int, out: Floats) -> None:
    side = 2 * reach + 1
    near = np.empty(side * side, np.float32)
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            count = 0
            for i in range(side):
                for j in range(side):
                    value = values[r + i, c + j]
                    if not np.isnan(value):
                        at = count
                        while at > 0 and near[at - 1] > value:
                            near[at] = near[at - 1]
                            at -= 1
                        near[at] = value
                        count += 1
            if np.isnan(values[r + reach, c + reach]):
                out[r, c] = np.nan
            elif count % 2:
                out[r, c] = near[count // 2]
            else:
                out[r, c] = np.float32((np.float64(near[count // 2 - 1]) + np.float64(near[count // 2])) / 2)


def median_around(values: Floats, reach: int) -> Floats:
    """Median of the square of 2 * reach + 1 pixels a side around each pixel, float32 (y, x).

    values: (y + 2 * reach, x + 2 * reach) float32, with `reach` pixels around what is asked for. NaN neighbours are
    left out; a pixel that is NaN itself stays so.
    """
    height, width = (side - 2 * reach for side in values.shape)
    out = np.empty((height, width), np.float32)
    _median(np.ascontiguousarray(values), reach, out)
    return out
