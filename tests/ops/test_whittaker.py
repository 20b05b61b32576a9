"""The law of the smoother: each pixel's series solves (W + λ D'D) z = W y, solved here densely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.ops.whittaker import whittaker

SIDES = st.integers(1, 3)


def run(series: NDArray[Any], smoothing: float, weights: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Into an array that holds rubbish: every pixel must be written."""
    out = np.full(series.shape, 7777, np.float32)
    whittaker(series, smoothing, out, weights)
    return out


def dense(values: NDArray[np.float64], weights: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    """One pixel, by the definition."""
    differences = np.diff(np.eye(values.size), 2, axis=0)
    matrix = np.diag(weights) + smoothing * differences.T @ differences
    known = np.where(weights > 0, weights * np.nan_to_num(values), 0)
    return np.asarray(np.linalg.solve(matrix, known), np.float64)


@given(
    st.integers(3, 40),
    st.integers(1, 3),
    st.integers(1, 70),
    st.floats(0, 0.7),
    st.floats(0.1, 1e4),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_it_solves_the_equations(
    dates: int, height: int, width: int, missing: float, smoothing: float, seed: int
) -> None:
    """Floats with weights and gaps: NaN, and weights of 0."""
    random = np.random.default_rng(seed)
    series = random.normal(0.4, 0.2, (dates, height, width)).astype(np.float32)
    weights = random.uniform(0.1, 2, series.shape).astype(np.float32)
    series[random.uniform(size=series.shape) < missing / 2] = np.nan
    weights[random.uniform(size=series.shape) < missing / 2] = 0
    found = run(series, smoothing, weights)
    for row, col in np.ndindex(height, width):
        values = series[:, row, col].astype(np.float64)
        weight = np.where(np.isnan(values), 0, weights[:, row, col].astype(np.float64))
        if (weight > 0).sum() >= 2:
            np.testing.assert_allclose(found[:, row, col], dense(values, weight, smoothing), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("smoothing", [1.0, 100.0, 1e6])
@pytest.mark.parametrize("dates", [3, 4, 24, 146])
def test_whole_numbers_have_zero_for_missing(dates: int, smoothing: float) -> None:
    random = np.random.default_rng(dates)
    series = random.integers(1, 10_000, (dates, 2, 40)).astype(np.uint16)
    series[random.uniform(size=series.shape) < 0.3] = 0
    found = run(series, smoothing)
    for row, col in np.ndindex(2, 40):
        values = series[:, row, col].astype(np.float64)
        if (values > 0).sum() >= 2:
            expected = dense(values, (values > 0).astype(np.float64), smoothing)
            np.testing.assert_allclose(found[:, row, col], expected, rtol=1e-5, atol=1e-2)


def test_zero_is_a_number_among_floats() -> None:
    series = np.zeros((5, 1, 2), np.float32)
    series[:, 0, 1] = np.nan
    found = run(series, 10)
    assert (found[:, 0, 0] == 0).all() and np.isnan(found[:, 0, 1]).all()


def test_what_the_observations_do_not_determine() -> None:
    """Nothing from none; a constant from one; the line through two, also beyond them."""
    series = np.zeros((6, 1, 3), np.uint16)
    series[4, 0, 1] = 500
    series[[1, 3], 0, 2] = 100, 300
    found = run(series, 50)
    assert np.isnan(found[:, 0, 0]).all()
    np.testing.assert_array_equal(found[:, 0, 1], 500)
    np.testing.assert_allclose(found[:, 0, 2], [0, 100, 200, 300, 400, 500], atol=1e-3)


@pytest.mark.parametrize("dates", [1, 2])
def test_too_few_dates_to_differ_are_kept(dates: int) -> None:
    series = np.array([3, 8, 5, 9][: 2 * dates], np.float32).reshape(dates, 1, 2)
    np.testing.assert_array_equal(run(series, 10), series)


def test_lines_pass_unchanged_and_a_small_smoothing_keeps_the_numbers() -> None:
    line = (np.arange(20, dtype=np.float32) * 3 + 7)[:, None, None]
    np.testing.assert_allclose(run(line, 1e5), line, rtol=1e-5)
    noise = np.random.default_rng(0).normal(size=(20, 1, 1)).astype(np.float32)
    np.testing.assert_allclose(run(noise, 1e-9), noise, atol=1e-6)


def test_a_part_is_the_part_of_the_whole() -> None:
    random = np.random.default_rng(5)
    series = random.integers(0, 50, (30, 9, 700)).astype(np.uint16)
    whole, out = run(series, 20), np.zeros((30, 9, 700), np.float32)
    for part in (slice(0, 4), slice(4, 9)):
        for columns in (slice(0, 333), slice(333, 700)):
            whittaker(series[:, part, columns], 20, out[:, part, columns])
    np.testing.assert_array_equal(out, whole)
    np.testing.assert_array_equal(run(series[:, :, ::2], 20), whole[:, :, ::2])


@pytest.mark.parametrize("smoothing", [0, -1, float("nan"), float("inf")])
def test_a_smoothing_that_is_none_is_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match="expected a number above 0"):
        run(np.ones((4, 1, 1), np.uint16), smoothing)
