"""Laws of the floating-point reducers: what NumPy gives on the numbers that are there, whatever is missing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.ops.floats import FloatReducer, float_reducer

PLAIN: dict[str, Callable[..., Any]] = {
    "mean": np.nanmean,
    "median": np.nanmedian,
    "min": np.nanmin,
    "max": np.nanmax,
    **{
        f"p{percent}": lambda stack, axis, q=percent: np.nanpercentile(stack, q, axis=axis)
        for percent in (1, 25, 50, 90)
    },
}


def run(stack: NDArray[np.float32], reducer: FloatReducer) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Into arrays that hold rubbish: every pixel must be written."""
    out, count = np.full(stack.shape[1:], 7, np.float32), np.full(stack.shape[1:], 7, np.uint16)
    reducer(stack, out, count)
    return out, count


def plain(stack: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: NDArray[np.float32] = PLAIN[name](stack.astype(np.float64), axis=0).astype(np.float32)
    return found


def some_stack(dates: int, shape: tuple[int, int], missing: float, seed: int) -> NDArray[np.float32]:
    """Speckle, negative numbers, equal numbers and zeros of both signs, with holes."""
    random = np.random.default_rng(seed)
    stack = random.gamma(4.4, 0.02, (dates, *shape)).astype(np.float32)
    stack[random.uniform(size=stack.shape) < 0.2] *= -1000
    equal = random.uniform(size=stack.shape) < 0.2
    stack[equal] = random.choice(np.array([0.0, -0.0, 0.25, 1e-30, -3e30], np.float32), int(equal.sum()))
    stack[random.uniform(size=stack.shape) < missing] = np.nan
    return stack


@given(
    st.sampled_from(sorted(PLAIN)),
    st.integers(1, 90),
    st.integers(1, 3),
    st.integers(1, 300),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=120, deadline=None)
def test_a_composite_is_numpys_to_the_bit(
    name: str, dates: int, height: int, width: int, missing: float, seed: int
) -> None:
    stack = some_stack(dates, (height, width), missing, seed)
    out, count = run(stack, float_reducer(name))
    np.testing.assert_array_equal(out, plain(stack, name))
    np.testing.assert_array_equal(count, (~np.isnan(stack)).sum(axis=0))


@pytest.mark.parametrize("name", ["mean", "median", "min", "p10"])
def test_any_cut_of_a_tile_gives_the_same_bits(name: str) -> None:
    stack = some_stack(11, (9, 40), 0.4, 1)
    whole, whole_count = run(stack, float_reducer(name))
    out, count = np.empty_like(whole), np.empty_like(whole_count)
    for rows, cols in ((slice(0, 4), slice(0, 40)), (slice(4, 9), slice(0, 13)), (slice(4, 9), slice(13, 40))):
        float_reducer(name)(stack[:, rows, cols], out[rows, cols], count[rows, cols])
    assert out.tobytes() == whole.tobytes()
    assert count.tobytes() == whole_count.tobytes()


@pytest.mark.parametrize("dates", [0, 1, 3])
@pytest.mark.parametrize("name", sorted(PLAIN))
def test_where_nothing_was_observed_there_is_nothing(name: str, dates: int) -> None:
    out, count = run(np.full((dates, 4, 5), np.nan, np.float32), float_reducer(name))
    assert np.isnan(out).all()
    assert not count.any()


def test_every_bit_pattern_of_nan_is_missing() -> None:
    bits = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF, 0x7FFFFFFF], np.uint32)
    stack = np.concatenate([bits.view(np.float32), np.array([2.0], np.float32)]).reshape(6, 1, 1)
    for name in PLAIN:
        out, count = run(stack, float_reducer(name))
        assert (out[0, 0], count[0, 0]) == (2.0, 1)


def test_a_name_that_is_no_composite_is_refused() -> None:
    for name in ("mode", "p0", "p100", "mean_db"):
        with pytest.raises(KeyError):
            float_reducer(name)
