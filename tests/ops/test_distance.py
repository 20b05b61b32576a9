"""The law of distances: the nearest marked pixel by brute force, rounded down, as far as the cap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pipeline.ops.distance import distance_to

MASKS = arrays.arrays(
    np.bool_,
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    elements=st.sampled_from([False] * 30 + [True]),
    fill=st.nothing(),
)


@given(MASKS, st.sampled_from([1, 2, 3, 7, 50, 255]))
@settings(deadline=None)
def test_it_is_the_brute_force_distance(marked: NDArray[np.bool_], cap: int) -> None:
    rows, cols = np.indices(marked.shape)
    square = np.full(marked.shape, cap * cap)
    for row, col in zip(*np.nonzero(marked), strict=True):
        square = np.minimum(square, (rows - row) ** 2 + (cols - col) ** 2)
    expected = np.array([[int(np.floor(np.sqrt(value) + 1e-9)) for value in line] for line in square])
    np.testing.assert_array_equal(distance_to(marked, cap), expected.reshape(marked.shape))


@pytest.mark.parametrize("cap", [10, 100, 200])
def test_a_lone_mark_in_a_wide_field(cap: int) -> None:
    marked = np.zeros((301, 301), np.bool_)
    marked[150, 150] = True
    rows, cols = np.indices(marked.shape) - 150
    expected = np.minimum(np.floor(np.hypot(rows, cols) + 1e-9), cap)
    np.testing.assert_array_equal(distance_to(marked, cap), expected)
