"""Stored numbers to stored numbers of another sensor or another offset, in one step and rounded once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

_LARGEST = 65534
"""65535 is the composites' marker for 'no observation'."""


@dataclass(frozen=True)
class Linear:
    """gain * (stored + shift) + offset, rounded half to even and kept within 1..65534; 0 stays no observation."""

    shift: int
    """The radiometric offset, whole."""
    gain: float = 1.0
    offset: float = 0.0
    """In stored units."""

    @property
    def whole(self) -> int | None:
        """All of it as one whole number to add; None where it is more than that."""
        return self.shift + int(self.offset) if self.gain == 1 and self.offset.is_integer() else None

    def apply(self, stored: NDArray[np.uint16]) -> None:
        """Every number of a (y, x) layer, in place."""
        _apply(_table(self), stored)

    def table(self) -> NDArray[np.uint16]:
        """(65536,) uint16: the result for every stored number."""
        exact = self.gain * (np.arange(65536, dtype=np.float64) + self.shift) + self.offset
        table = np.clip(np.rint(exact), 1, _LARGEST).astype(np.uint16)
        table[0] = 0
        return table


@lru_cache(maxsize=256)
def _table(linear: Linear) -> NDArray[np.uint16]:
    """As `table`, kept: sensors have a few."""
    return linear.table()


@compiled("u2[::1], u2[:,::1]")
def _apply(table: NDArray[np.uint16], stored: NDArray[np.uint16]) -> None:
    for r in range(stored.shape[0]):
        row = stored[r]
        for k in range(row.size):
            row[k] = table[row[k]]
