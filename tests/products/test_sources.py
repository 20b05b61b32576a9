"""Two assets that mask the same scene: what either drops is dropped."""

from __future__ import annotations

import numpy as np

from pipeline.ops.mask import CLEAR, OUTSIDE
from pipeline.products._sources import both_clear

CODES = np.arange(256, dtype=np.uint8)


def is_clear(codes: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return (codes >= CLEAR) & (codes < OUTSIDE)


def test_a_pixel_is_clear_where_both_say_so_and_outside_where_either_ends() -> None:
    first, second = np.meshgrid(CODES, CODES)
    both = both_clear(first, second)
    np.testing.assert_array_equal(is_clear(both), is_clear(first) & is_clear(second))
    np.testing.assert_array_equal(both == OUTSIDE, (first == OUTSIDE) | (second == OUTSIDE))
    inside = both != OUTSIDE
    expected = np.where(first < CLEAR, first, np.minimum(first, second))
    np.testing.assert_array_equal(both[inside], expected[inside])


def test_it_changes_neither() -> None:
    first, second = CODES.copy(), CODES[::-1].copy()
    both_clear(first, second)
    np.testing.assert_array_equal(first, CODES)
    np.testing.assert_array_equal(second, CODES[::-1])
