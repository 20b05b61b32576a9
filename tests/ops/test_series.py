"""Laws of series made even: straight lines between observations, level beyond them, nothing where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from pipeline.ops.series import regrid

STEPS = np.arange(0, 360, 15)
SERIES = npst.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 4)),
    elements=st.one_of(st.just(np.nan), st.floats(0, 1, width=32)),
)


def plain(series: NDArray[np.float32], days: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """By NumPy's own interpolation, pixel by pixel."""
    out = np.full((len(steps), *series.shape[1:]), np.nan)
    for place in np.ndindex(series.shape[1:]):
        values = series[(slice(None), *place)].astype(np.float64)
        known = ~np.isnan(values)
        if known.any():
            out[(slice(None), *place)] = np.interp(steps, days[known], values[known])
    return out


@given(SERIES, st.data())
@settings(max_examples=60, deadline=None)
def test_it_is_the_line_between_observations(series: NDArray[np.float32], data: st.DataObject) -> None:
    size = len(series)
    days = np.sort(data.draw(st.lists(st.integers(-47, 420), min_size=size, max_size=size, unique=True)))
    found = regrid(series, np.array(days), STEPS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain(series, np.array(days), STEPS), rtol=0, atol=1e-6)


def test_an_observation_on_a_step_is_kept_to_the_bit() -> None:
    series = np.random.default_rng(1).random((4, 5, 6), np.float32)
    found = regrid(series, np.array([0, 15, 45, 345]), STEPS)
    assert np.array_equal(found[[0, 1, 3, 23]], series)


def test_days_must_ascend() -> None:
    series = np.zeros((2, 1, 1), np.float32)
    for days in ([3, 3], [4, 3]):
        with pytest.raises(ValueError, match="ascend"):
            regrid(series, np.array(days), STEPS)
