"""Laws of medians around a pixel: NumPy's own over the square, whatever is missing in it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.ops.neighbours import median_around

VALUES = npst.arrays(
    np.float32,
    st.tuples(st.integers(7, 12), st.integers(7, 12)),
    elements=st.one_of(st.just(np.nan), st.floats(0, 90, width=32)),
)


@given(VALUES, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_it_is_the_median_of_the_square(values: NDArray[np.float32], reach: int) -> None:
    side = 2 * reach + 1
    windows = sliding_window_view(values, (side, side))
    found = median_around(values, reach)
    for place in np.ndindex(windows.shape[:2]):
        window = windows[place]
        known = window[~np.isnan(window)].astype(np.float64)
        expected = np.nan if np.isnan(window[reach, reach]) else np.float32(np.median(known))
        np.testing.assert_equal(found[place], expected)


def test_any_cut_gives_the_same() -> None:
    """Tiles that are cut with two more pixels around them agree with the whole to the bit."""
    values = np.random.default_rng(2).random((34, 34), np.float32)
    whole = median_around(values, 2)
    left, right = median_around(values[:, :19], 2), median_around(values[:, 15:], 2)
    assert np.array_equal(np.concatenate([left, right], axis=1), whole)
