"""Laws of spectral indices: the float formula, rounded, and no data where either band has none."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pipeline.ops.indices import INDEX_NODATA, normalised_difference

SIDES = st.tuples(st.integers(1, 6), st.integers(1, 6))
PAIRS = SIDES.flatmap(lambda shape: st.tuples(arrays.arrays(np.uint16, shape), arrays.arrays(np.uint16, shape)))


@given(PAIRS)
def test_the_index_is_the_rounded_quotient(bands: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    """In exact fractions, ties to even: 65535 against 1 does not wrap, equal bands give 0."""
    plus, minus = bands
    found = normalised_difference(plus, minus)
    assert found.dtype == np.int16 and found.shape == plus.shape
    for value, a, b in zip(found.flat, plus.flat, minus.flat, strict=True):
        p, m = int(a), int(b)
        expected = INDEX_NODATA if p == 0 or m == 0 else round(Fraction((p - m) * 10_000, p + m))
        assert value == expected


@given(PAIRS)
def test_the_index_is_near_the_float_formula(bands: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> None:
    plus, minus = (band.astype(np.float64) for band in bands)
    valid = (plus > 0) & (minus > 0)
    index = normalised_difference(*bands)
    total = np.where(valid, plus + minus, 1)
    assert (np.abs(index * 1e-4 - (plus - minus) / total)[valid] <= 0.5001e-4).all()
    assert (index[~valid] == INDEX_NODATA).all()
    assert (np.abs(index[valid].astype(int)) <= 10_000).all()


@pytest.mark.parametrize(
    ("plus", "minus", "expected"),
    [(3000, 1000, 5000), (1000, 3000, -5000), (7, 7, 0), (65534, 1, 10_000), (0, 5, -32768)],
)
def test_known_values(plus: int, minus: int, expected: int) -> None:
    found = normalised_difference(np.array([[plus]], np.uint16), np.array([[minus]], np.uint16))
    assert found[0, 0] == expected
