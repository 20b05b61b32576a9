"""Which cells of a lattice a shape touches: an area is halved until each piece is one cell, or full."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.plan.areas import Shapes
from pipeline.plan.curves import metres_a_unit, to_crs

Cells = NDArray[np.int64]
"""(n, 2) of column and row."""

THIN_M = 0.002
"""What reaches into a cell by less than this is no area but the rounding of an outline."""


def lattice_cells(shapes: Shapes, crs: str | int, origin: tuple[float, float], step: tuple[float, float]) -> Cells:
    """Cells that polygons in degrees touch; cell (column, row) begins at origin + (column, row) * step of the CRS.

    Sorted, each once. A cell that is only touched along its edge is none.
    """
    projected = to_crs(shapes, crs)
    thin = THIN_M / metres_a_unit(crs) / min(abs(step[0]), abs(step[1]))
    return touched(shapely.transform(projected, lambda xy: (xy - origin) / step), thin)


def touched(shapes: Shapes, thin: float) -> Cells:
    """Cells of one by one that valid polygons touch by more than a sliver of mean thickness `thin`; pure."""
    shapes = shapely.get_parts(shapes)
    bounds = shapely.bounds(shapes).reshape(-1, 4)
    first, last = np.floor(bounds[:, :2]).astype(np.int64), np.ceil(bounds[:, 2:]).astype(np.int64)
    found: list[Cells] = [np.empty((0, 2), np.int64)]
    while len(shapes):
        count = (last - first).prod(axis=1)
        single = count == 1
        # With less than half a cell missing, no cell of the block can be empty.
        full = shapely.area(shapes) > count - 0.5
        kept = full | (single & (2 * shapely.area(shapes) > thin * shapely.length(shapes)))
        found += [_block(*corners) for corners in zip(first[kept], last[kept], strict=True)]
        rest = ~(full | single)
        shapes, first, last = _halved(shapes[rest], first[rest], last[rest])
    return np.unique(np.concatenate(found), axis=0)


def _block(first: NDArray[np.int64], last: NDArray[np.int64]) -> Cells:
    columns, rows = np.meshgrid(np.arange(first[0], last[0]), np.arange(first[1], last[1]))
    return np.column_stack([columns.ravel(), rows.ravel()])


def _halved(shapes: Shapes, first: Cells, last: Cells) -> tuple[Shapes, Cells, Cells]:
    """Each block cut in the middle of its longer side, with what of its shape lies in either half."""
    each = np.arange(len(shapes))
    axis = np.argmax(last - first, axis=1)
    middle = (first[each, axis] + last[each, axis]) // 2
    upper, lower = first.copy(), last.copy()
    upper[each, axis] = lower[each, axis] = middle
    first, last = np.concatenate([first, upper]), np.concatenate([lower, last])
    pieces = shapely.intersection(np.concatenate([shapes, shapes]), shapely.box(*first.T, *last.T))
    some = shapely.area(pieces) > 0
    return pieces[some], first[some], last[some]
