"""The law of harmonisation: gain * (stored + shift) + offset, rounded once, half to even; 0 stays no observation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pipeline.ops.linear import Linear


@pytest.mark.parametrize(
    ("shift", "gain", "offset"),
    [(0, 1.0, 0.0), (-1000, 1.0, 0.0), (-1000, 0.5, 0.0), (0, 1.25, -37.5), (-1000, 2.0, 500.0), (0, 1.0, 0.5)],
)
def test_it_is_the_formula_in_fractions(shift: int, gain: float, offset: float) -> None:
    linear = Linear(shift, gain, offset)
    table = linear.table()
    assert table.dtype == np.uint16 and table[0] == 0
    for stored in (*range(1, 3000), 65_000, 65_533, 65_534, 65_535):
        value = round(Fraction(gain) * (stored + shift) + Fraction(offset))
        assert table[stored] == min(max(value, 1), 65_534)


@pytest.mark.parametrize(
    ("linear", "whole"),
    [(Linear(-1000), -1000), (Linear(-1000, 1.0, 21.0), -979), (Linear(0, 1.0, 0.5), None), (Linear(0, 1.1), None)],
)
def test_what_is_a_whole_shift_is_added_as_one(linear: Linear, whole: int | None) -> None:
    assert linear.whole == whole
    if whole is not None:
        stored = np.arange(1, 65_536)
        np.testing.assert_array_equal(linear.table()[1:], np.clip(stored + whole, 1, 65_534))


@pytest.mark.parametrize("linear", [Linear(-1000), Linear(0, 0.275, -2000.0), Linear(0, 0.341802, 14_900.0)])
def test_applied_in_place_it_is_its_table(linear: Linear) -> None:
    stored = np.random.default_rng(0).permutation(65_536).astype(np.uint16).reshape(256, 256)
    expected = linear.table()[stored]
    linear.apply(stored)
    np.testing.assert_array_equal(stored, expected)
