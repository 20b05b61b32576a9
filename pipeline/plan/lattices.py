"""Tiles on their lattices, along a curve: who may be whose neighbour."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Job

_PARTS_A_PX = 1000
"""Corners agree to a thousandth of a pixel: far above rounding, far below what any pixel map tells apart."""
_CURVE_BITS = 31


@dataclass(frozen=True)
class Lattice:
    """Jobs that may be neighbours, along the curve; row 0 and column 0 are wherever their CRS has its origin."""

    product: str
    numbers: NDArray[np.int64]
    """Of the jobs, among all."""
    curve: NDArray[np.int64]
    """Along the Hilbert curve, rising: a cell of 2**n x 2**n tiles is 4**n consecutive ones, wherever it lies."""
    cells: NDArray[np.int64]
    """(n, 2) of row and column."""


class Lattices:
    """Where the jobs of a region lie, each on the lattice of its product and period."""

    def __init__(self) -> None:
        self._lattices: dict[tuple[str, str], dict[object, tuple[array[int], array[int], array[int]]]] = {}
        self._origins: dict[object, list[tuple[int, int]]] = {}

    def add(self, number: int, job: Job) -> None:
        """Enter a job by its number."""
        geobox = job.tile.geobox
        (height, width), (a, b, c, d, e, f) = geobox.shape.yx, geobox.transform[:6]
        if b == d == 0:
            kind = (job.product, job.period.id, str(geobox.crs), a, e, height, width)
            place = round(f / e * _PARTS_A_PX), round(c / a * _PARTS_A_PX)
            origin, row, column = _on_lattice(
                place, (height * _PARTS_A_PX, width * _PARTS_A_PX), self._origins.setdefault(kind, [])
            )
            lattice: object = (*kind, origin)
        else:  # a grid that is turned has no such lattice
            lattice, row, column = job.tile.id, 0, 0
        of_period = self._lattices.setdefault((job.product, job.period.id), {})
        members = of_period.setdefault(lattice, (array("q"), array("q"), array("q")))
        for values, value in zip(members, (number, row, column), strict=True):
            values.append(value)

    def along_the_curve(self) -> list[Lattice]:
        """Every lattice, products and periods as they came."""
        found = []
        for (product, _), of_period in self._lattices.items():
            for members in of_period.values():
                numbers, rows, columns = (np.array(values, np.int64) for values in members)
                curve = hilbert(rows, columns)
                order = np.argsort(curve, kind="stable")
                cells = np.column_stack([rows, columns])[order]
                found.append(Lattice(product, numbers[order], curve[order], cells))
        return found


def _on_lattice(
    place: tuple[int, int], step: tuple[int, int], origins: list[tuple[int, int]]
) -> tuple[tuple[int, int], int, int]:
    """(origin of a known lattice or of a new one, row and column on it) of a corner; all but the last two in parts.

    A corner may be a part off its lattice: what was rounded half a part away from another's rounds to the other side.
    """
    for origin in origins:
        cell = [round((at - first) / along) for at, first, along in zip(place, origin, step, strict=True)]
        rest = [at - first - n * along for at, first, n, along in zip(place, origin, cell, step, strict=True)]
        if max(map(abs, rest)) <= 1:
            return origin, cell[0], cell[1]
    (row, down), (column, right) = (divmod(at, along) for at, along in zip(place, step, strict=True))
    origins.append((down, right))
    return (down, right), row, column


def hilbert(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers along one curve over all places within 2**30 of the origin: neighbours there are neighbours on it."""
    x, y = columns + 2 ** (_CURVE_BITS - 1), rows + 2 ** (_CURVE_BITS - 1)
    curve: NDArray[np.int64] = np.zeros_like(x)
    for bit in range(_CURVE_BITS - 1, -1, -1):
        right, down = x >> bit & 1, y >> bit & 1
        curve = curve << 2 | (3 * right) ^ down
        turned = down == 0
        flipped = turned & (right == 1)
        mask = (1 << bit) - 1
        x, y = np.where(flipped, ~x, x) & mask, np.where(flipped, ~y, y) & mask
        x, y = np.where(turned, y, x), np.where(turned, x, y)
    return curve
