"""Statistics of profiles in cells of longitude, latitude and month, gathered a batch at a time in memory that is known.

Batches are joined in the order they come: the same batches in the same order give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Times = NDArray[np.datetime64]
MONTH = "datetime64[M]"
_DECIMALS = 9
"""Of a degree, or of a cell: closer than any position is told, and wider than the last bits of a sum."""


def eastward(longitude: Numbers, west: float) -> NDArray[np.float64]:
    """Longitudes turned to lie from `west`, included, to 360 degrees further; those that lie there are not changed."""
    turns = np.floor((longitude - west) / 360.0)
    return np.asarray(np.where(turns == 0, longitude, np.round(longitude - 360.0 * turns, _DECIMALS)), np.float64)


@dataclass(frozen=True)
class Cells:
    """A grid of months, latitudes and longitudes; latitudes go north, and longitudes east from `west`."""

    west: float
    """Degrees east, from -180; the grid may go on beyond 180."""
    south: float
    side: float
    """Of a cell, in degrees."""
    columns: int
    rows: int
    first_month: np.datetime64
    """In whole months: `datetime64[M]`."""
    months: int

    @property
    def longitude(self) -> NDArray[np.float64]:
        """Of the cells' centres."""
        return np.asarray(self.west + (np.arange(self.columns) + 0.5) * self.side, np.float64)

    @property
    def latitude(self) -> NDArray[np.float64]:
        return np.asarray(self.south + (np.arange(self.rows) + 0.5) * self.side, np.float64)

    @property
    def month(self) -> Times:
        """The first moment of each."""
        return np.asarray(self.first_month + np.arange(self.months))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(month, latitude, longitude)."""
        return self.months, self.rows, self.columns

    def of(self, time: Times, latitude: Numbers, longitude: Numbers) -> NDArray[np.int64]:
        """(profile,): the flat number of each one's cell; -1 outside of the grid, and without time or position.

        A cell holds its western and southern edge, the last row below the pole also the pole.
        """
        known = ~np.isnat(time) & np.isfinite(latitude) & np.isfinite(longitude)
        month = np.where(known, time, self.first_month).astype(MONTH).astype(np.int64) - self.first_month.astype(
            np.int64
        )
        lat, lon = np.where(known, latitude, self.south), np.where(known, longitude, self.west)
        # An edge is an edge also where a side of 0.1 degrees leaves the last bits of it wrong.
        row = np.floor(np.round((lat - self.south) / self.side, _DECIMALS)).astype(np.int64)
        row = np.where((lat == 90) & (row == self.rows), row - 1, row)
        east = np.round((lon - self.west) / self.side, _DECIMALS)
        column = np.floor(np.mod(east, round(360 / self.side))).astype(np.int64)
        inside = known & (month >= 0) & (month < self.months) & (row >= 0) & (row < self.rows)
        inside &= (column >= 0) & (column < self.columns)
        return np.where(inside, (month * self.rows + row) * self.columns + column, -1)


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of everything that came so far; each (cell, target)."""

    count: NDArray[np.int32]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def none(cls, cells: int, targets: int) -> Moments:
        """Of nothing yet."""
        shape = cells, targets
        return cls(np.zeros(shape, np.int32), np.zeros(shape), np.zeros(shape))

    def add(self, cell: Integers, values: Numbers) -> None:
        """Join a batch in place: cell (profile,), values (profile, target), NaN where there is none.

        Chan, Golub and LeVeque (1983), The American Statistician 37, 242-247: no sum of squares of large numbers.
        """
        if not len(cell):
            return
        places, local = np.unique(cell, return_inverse=True)
        batch = _moments(local, values, len(places))
        count = self.count[places] + batch.count
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(count > 0, batch.count / count, 0.0)
        apart = batch.mean - self.mean[places]
        self.squares[places] += batch.squares + apart**2 * share * self.count[places]
        self.mean[places] += apart * share
        self.count[places] = count

    @property
    def means(self) -> NDArray[np.float64]:
        """NaN where nothing is."""
        return np.where(self.count > 0, self.mean, np.nan)

    @property
    def deviations(self) -> NDArray[np.float64]:
        """Of the sample (n - 1); NaN of fewer than two."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.count > 1, np.sqrt(self.squares / (self.count - 1)), np.nan)

    @property
    def errors(self) -> NDArray[np.float64]:
        """Standard error of the mean, as if all were independent of each other; NaN of fewer than two."""
        return self.deviations / np.sqrt(np.maximum(self.count, 1))


def _moments(cell: Integers, values: Numbers, cells: int) -> Moments:
    """Of one batch, in two passes."""
    targets = values.shape[1]
    kept = np.isfinite(values)
    where = (cell[:, None] * targets + np.arange(targets))[kept]
    found = np.asarray(values[kept], np.float64)
    count = np.bincount(where, minlength=cells * targets)
    mean = np.bincount(where, found, cells * targets) / np.maximum(count, 1)
    # Of nothing at all, bincount gives integers.
    squares = np.bincount(where, (found - mean[where]) ** 2, cells * targets).astype(np.float64)
    shape = cells, targets
    return Moments(count.astype(np.int32).reshape(shape), mean.reshape(shape), squares.reshape(shape))
