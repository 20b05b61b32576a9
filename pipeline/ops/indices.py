"""Spectral indices on stored integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

INDEX_NODATA = -32768
STEPS = 10_000
"""An index of 1 is stored as 10 000."""


def normalised_difference(plus: NDArray[Any], minus: NDArray[Any]) -> NDArray[np.int16]:
    """(plus - minus) / (plus + minus), stored as int16 in units of 1e-4; -32768 where either band has no data (0).

    plus, minus: (y, x) uint16 reflectances with one common scale and no offset. Source: Rouse et al. 1974 for NDVI with
    plus = near infrared and minus = red.
    """
    total = plus.astype(np.int32) + minus
    valid = (plus != 0) & (minus != 0)
    # Scaled before the division: the numerator is exact, so the quotient is rounded once and ties are true ties.
    scaled = (plus.astype(np.int64) - minus) * STEPS
    ratio = np.divide(scaled, total, out=np.zeros(total.shape, np.float64), where=valid)
    return np.where(valid, np.rint(ratio), INDEX_NODATA).astype(np.int16)
