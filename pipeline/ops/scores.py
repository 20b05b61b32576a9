"""How well a scene suits a pixel, as whole numbers: the same on every machine, so that ties are true ties."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.mask import CLEAR, OUTSIDE

Tally = NDArray[np.int64]
"""(256,) pixels of a scene on the tile, by mask code."""
Scores = NDArray[np.uint32]
"""(256,) by mask code, at least 1 where a code is clear."""
ScoreOf = Callable[[date, Tally], Scores]
"""(solar day, tally of the scene's codes) → scores."""

_STEPS = 1_000_000
"""A score of 1 in whole numbers."""
_RANGE = 2**32 - 2


def by_day(day: date, _: Tally) -> Scores:
    """The later, the better."""
    return np.full(256, day.toordinal(), np.uint32)


def by_clear_share(_: date, counts: Tally) -> Scores:
    """The smaller the masked share of what the scene shows of the tile, the better; no-data is not shown.

    Compared in steps of 2**-32.
    """
    clear = int(counts[CLEAR:OUTSIDE].sum())
    shown = clear + int(counts[1:CLEAR].sum())
    return np.full(256, 1 + clear * _RANGE // max(1, shown), np.uint32)


@dataclass(frozen=True)
class BestPixel:
    """Scores of one pixel by its distance to masked ones and by its day, weighed against each other.

    distance: 1 / (1 + exp(-10 / D * (d - D / 2))) for d pixels of the mask, at most D. day: exp(-(n / sigma)**2 / 2)
    for n days from its noon to the target. Source: Griffiths et al. 2013 (IEEE JSTARS 6, 5), slopes as in FORCE.
    """

    target: datetime | int
    """A moment, or a day of any year (1..366)."""
    sigma_days: float
    distance_px: int
    distance_weight: float
    day_weight: float

    def __call__(self, day: date, _: Tally) -> Scores:
        """Scores of one scene by mask code; in steps of a millionth."""
        scores = np.zeros(256, np.uint32)
        total = self.distance_weight + self.day_weight
        sigmas = self._days_away(day) / self.sigma_days
        # Multiplied: a power too large for a float raises, a product is infinite.
        near = math.exp(-sigmas * sigmas / 2)
        for distance in range(1, self.distance_px + 1):
            far = 1 / (1 + math.exp(-10 / self.distance_px * (distance - self.distance_px / 2)))
            score = (self.distance_weight * far + self.day_weight * near) / total
            scores[CLEAR - 1 + distance] = 1 + round(_STEPS * score)
        return scores

    def _days_away(self, day: date) -> float:
        if isinstance(self.target, int):
            apart = abs(day.timetuple().tm_yday - self.target)
            return min(apart, abs(365 - apart))
        return abs(datetime.combine(day, time(12), UTC) - self.target) / timedelta(days=1)
