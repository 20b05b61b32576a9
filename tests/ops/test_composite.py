"""Laws of the reducers: what NumPy gives on the valid numbers, for any number of dates and whatever is missing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.ops.composite import Reducer, maximum, mean, median, minimum, percentile
from pipeline.ops.ranks import comparators, middle_comparators


def plain_median(stack: NDArray[np.uint16]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    values = np.where(stack == 0, np.nan, stack.astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        middle = np.rint(np.nanmedian(values, axis=0))
    return np.nan_to_num(middle, nan=0).astype(np.uint16), (stack != 0).sum(axis=0).astype(np.uint16)


def run(stack: NDArray[np.uint16], reducer: Reducer = median) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Into arrays that hold rubbish: every pixel must be written."""
    out, count = (np.full(stack.shape[1:], 7777, np.uint16) for _ in range(2))
    reducer(stack, out, count)
    return out, count


def exact_percentile(percent: int) -> Callable[[list[int]], int]:
    """By the definition, in fractions: linear between ranks, Python's own rounding (half to even)."""

    def of(values: list[int]) -> int:
        ranked = sorted(values)
        rank = Fraction((len(ranked) - 1) * percent, 100)
        low = int(rank)
        high = min(low + 1, len(ranked) - 1)
        return round(ranked[low] + (rank - low) * (ranked[high] - ranked[low]))

    return of


REDUCERS: dict[str, tuple[Reducer, Callable[[list[int]], int]]] = {
    "median": (median, exact_percentile(50)),
    "mean": (mean, lambda values: round(Fraction(sum(values), len(values)))),
    "min": (minimum, min),
    "max": (maximum, max),
    **{f"p{percent}": (percentile(percent), exact_percentile(percent)) for percent in (1, 10, 25, 50, 75, 90, 99)},
}


@given(
    st.integers(1, 400), st.integers(1, 4), st.integers(1, 9), st.floats(0, 1), st.integers(0, 2**32 - 1), st.booleans()
)
@settings(max_examples=150, deadline=None)
def test_the_median_is_numpys(dates: int, height: int, width: int, missing: float, seed: int, few: bool) -> None:
    """Any share missing, also everything; with many equal numbers and with numbers over the whole range."""
    random = np.random.default_rng(seed)
    stack = random.integers(1, 5 if few else 65536, (dates, height, width)).astype(np.uint16)
    stack[random.uniform(size=stack.shape) < missing] = 0
    for found, expected in zip(run(stack), plain_median(stack), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dates", range(1, 401))
def test_every_number_of_dates(dates: int) -> None:
    """The values a shuffled row, all of them valid and then some of them: of any number, the right ranks are found."""
    random = np.random.default_rng(dates)
    stack = random.permuted(np.tile(np.arange(1, dates + 1, dtype=np.uint16)[:, None], (1, 40)), axis=0)[:, None, :]
    missing = stack * (random.uniform(size=stack.shape) < random.uniform(size=(1, 1, 40)))
    for each in (stack, missing):
        for found, expected in zip(run(each), plain_median(each), strict=True):
            np.testing.assert_array_equal(found, expected)
        for percent in (10, 90):
            out, _ = run(each, percentile(percent))
            expected_of = exact_percentile(percent)
            for col in range(0, 40, 8):
                values = [int(value) for value in each[:, 0, col] if value]
                assert out[0, col] == (expected_of(values) if values else 0)


def test_pixels_without_an_observation_are_nodata() -> None:
    stack = np.zeros((5, 3, 4), np.uint16)
    stack[2, 1, 1] = 9
    out, count = run(stack)
    assert out[1, 1] == 9 and count[1, 1] == 1
    assert out.sum() == 9 and count.sum() == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2], 2), ([2, 3], 2), ([3, 4], 4), ([65533, 65534], 65534), ([65535, 65535], 65535), ([1, 65534], 32768)],
)
def test_the_middle_of_two_is_rounded_half_to_even_without_overflow(values: list[int], expected: int) -> None:
    stack = np.array(values, np.uint16)[:, None, None]
    assert run(stack)[0][0, 0] == expected


@pytest.mark.parametrize("width", [511, 512, 513, 1024, 1025])
def test_rows_longer_than_one_lane(width: int) -> None:
    random = np.random.default_rng(width)
    stack = random.integers(0, 100, (6, 2, width)).astype(np.uint16)
    for found, expected in zip(run(stack), plain_median(stack), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", range(1, 12))
def test_the_network_sorts_every_row_of_zeros_and_ones(count: int) -> None:
    """Knuth's zero-one principle: a network that sorts these sorts everything."""
    rows = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    for low, high in comparators(count):
        assert 0 <= low < high < count
        pair = rows[:, [low, high]]
        rows[:, low], rows[:, high] = pair.min(axis=1), pair.max(axis=1)
    assert (np.diff(rows, axis=1) >= 0).all()


@pytest.mark.parametrize("dates", [0, 1, 2, 3, 4, 63, 64, 65, 146])
@pytest.mark.parametrize("name", REDUCERS)
def test_every_reducer_is_its_definition_in_fractions(name: str, dates: int) -> None:
    """Even and odd counts, nothing at all, many ties, and the ends of the range: 1, 65534 and 65535."""
    reducer, expected = REDUCERS[name]
    random = np.random.default_rng(dates)
    stack = random.integers(1, 65_536, (dates, 3, 40)).astype(np.uint16)
    stack[:, 1] = random.integers(1, 5, stack[:, 1].shape)
    stack[:, 2] = random.choice([1, 65_534, 65_535], stack[:, 2].shape)
    stack[random.uniform(size=stack.shape) < 0.4] = 0
    out, count = run(stack, reducer)
    for row, col in np.ndindex(out.shape):
        values = [int(value) for value in stack[:, row, col] if value]
        assert count[row, col] == len(values)
        assert out[row, col] == (expected(values) if values else 0)


@pytest.mark.parametrize("percent", [1, 10, 25, 50, 75, 90, 99])
def test_a_percentile_is_numpys_but_for_the_rounding_of_halves(percent: int) -> None:
    random = np.random.default_rng(percent)
    stack = random.integers(1, 65_535, (17, 4, 600)).astype(np.uint16)
    stack[random.uniform(size=stack.shape) < 0.3] = 0
    values = np.where(stack == 0, np.nan, stack.astype(np.float64))
    expected = np.nanpercentile(values, percent, axis=0)
    out, _ = run(stack, percentile(percent))
    assert (np.abs(out - expected) <= 0.5 + 1e-6).all()


@pytest.mark.parametrize("count", range(1, 15))
def test_the_shorter_network_sorts_the_middle(count: int) -> None:
    """The same principle; the places of the middle and of its lower neighbour are those of a whole sort."""
    rows = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    expected = np.sort(rows, axis=1)
    for low, high in middle_comparators(count):
        pair = rows[:, [low, high]]
        rows[:, low], rows[:, high] = pair.min(axis=1), pair.max(axis=1)
    for place in {count // 2, max(0, count // 2 - 1)}:
        np.testing.assert_array_equal(rows[:, place], expected[:, place])


@pytest.mark.parametrize("dates", [6, 80])
@pytest.mark.parametrize("name", REDUCERS)
def test_a_part_of_a_strip_is_the_strip_of_the_part(name: str, dates: int) -> None:
    """The production path hands slices of a strip to threads; the lazy path, chunks of any layout."""
    reducer = REDUCERS[name][0]
    stack = np.random.default_rng(3).integers(0, 100, (dates, 20, 600)).astype(np.uint16)
    whole = run(stack, reducer)
    out, count = np.zeros((20, 600), np.uint16), np.zeros((20, 600), np.uint16)
    for part in (slice(0, 7), slice(7, 20)):
        for columns in (slice(0, 1), slice(1, 555), slice(555, 600)):
            reducer(stack[:, part, columns], out[part, columns], count[part, columns])
    np.testing.assert_array_equal(out, whole[0])
    np.testing.assert_array_equal(count, whole[1])
    for view, place in ((stack[:, ::-1], np.s_[::-1]), (stack[..., ::3], np.s_[:, ::3])):
        np.testing.assert_array_equal(run(view, reducer)[0], whole[0][place])
    np.testing.assert_array_equal(run(np.asfortranarray(stack), reducer)[0], whole[0])
    before = stack.copy()
    stack.flags.writeable = False
    run(stack, reducer)
    np.testing.assert_array_equal(stack, before)


def test_rows_whose_pixels_lie_apart_are_not_written() -> None:
    """By name: the loops would write what lies between."""
    stack, out = np.ones((3, 4, 5), np.uint16), np.zeros((4, 10), np.uint16)
    with pytest.raises(ValueError, match="expected rows of adjacent pixels"):
        median(stack, out[:, ::2], np.zeros((4, 5), np.uint16))
    assert not out.any()
