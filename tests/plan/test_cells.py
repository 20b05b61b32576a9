"""Laws of touched cells: what a loop over all cells finds, and no sliver more."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.plan.cells import touched

THIN = 1e-6
side = st.floats(-8, 8).map(lambda value: round(value, 3))


def array(*shapes: shapely.Geometry) -> np.ndarray:
    return np.array(shapes, dtype=object)


@given(st.lists(st.tuples(side, side), min_size=3, max_size=9))
@settings(max_examples=40, deadline=None)
def test_cells_are_those_that_a_loop_finds(points: list[tuple[float, float]]) -> None:
    """A cell that the shape enters by more than a sliver is found, one that it does not enter is not."""
    shape = shapely.MultiPoint(points).convex_hull.difference(shapely.Point(0, 0).buffer(3.3))
    assume(shape.area > 0.01)
    found = [tuple(cell) for cell in touched(array(shape), THIN).tolist()]
    assert len(found) == len(set(found))
    corners = [(column, row) for column in range(-9, 9) for row in range(-9, 9)]
    parts = shapely.intersection(shape, shapely.box(*np.array([(x, y, x + 1, y + 1) for x, y in corners]).T))
    for corner, area, length in zip(corners, shapely.area(parts), shapely.length(parts), strict=True):
        if 2 * area > 2 * THIN * length:
            assert corner in found
        if area == 0:
            assert corner not in found


@pytest.mark.parametrize(
    ("box", "count"),
    [
        ((0, 0, 1, 1), 1),
        ((0, 0, 3, 2), 6),
        ((-1, -1, 1, 1), 4),
        ((0, 0, 1 + 1e-9, 1), 1),
        ((0, 0, 1 + 1e-5, 1), 2),
        ((0.2, 0.2, 0.2 + 1e-5, 5), 5),
        ((0, 0, 300, 400), 120_000),
    ],
    ids=["one", "whole", "around zero", "rounding", "sliver", "needle", "many"],
)
def test_edges_and_slivers(box: tuple[float, float, float, float], count: int) -> None:
    """A cell that is touched along its edge is none; a sliver that is no rounding makes one."""
    assert len(touched(array(shapely.box(*box)), THIN)) == count


def test_nothing_touches_nothing() -> None:
    assert touched(array(), THIN).shape == (0, 2)
    assert touched(array(shapely.MultiPolygon()), THIN).shape == (0, 2)
