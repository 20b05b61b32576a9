"""Laws of the cloud mask: true discs, specks gone, facts about single pixels exact, and windows that fit seamlessly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pipeline.ops.mask import CLEAR, MARGIN, ClassMask, dilate, erode, mask_codes

SIDES = st.tuples(st.integers(1, 24), st.integers(1, 24))
BITS = arrays.arrays(np.bool_, SIDES)
# Mostly clear, so that masked regions have edges.
CODES = arrays.arrays(np.uint8, SIDES, elements=st.sampled_from([4, 4, 4, 4, 5, 6, 3, 8, 9, 0, 1, 11]))
RADII = st.integers(0, 4)
MASKS = st.builds(ClassMask, st.sampled_from([(0, 1, 3, 8, 9, 10), (3, 8, 9), (0,), (0, 1), ()]), RADII, RADII)


def clear_mask(codes: NDArray[np.uint8], mask: ClassMask) -> NDArray[np.bool_]:
    """True = keep."""
    return mask_codes(codes, mask) >= CLEAR


def disc_offsets(radius: int) -> list[tuple[int, int]]:
    """(dy, dx) of every pixel whose centre lies within `radius` of the middle one."""
    span = range(-radius, radius + 1)
    return [(dy, dx) for dy in span for dx in span if dy * dy + dx * dx <= radius * radius]


def plain_dilate(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """By the definition: the distance to every True pixel, in floats."""
    rows, cols = np.indices(mask.shape)
    out = np.zeros(mask.shape, bool)
    for row, col in zip(*np.nonzero(mask), strict=True):
        out |= np.hypot(rows - row, cols - col) <= radius + 1e-9
    return out


def plain_clear(codes: NDArray[np.uint8], mask: ClassMask) -> NDArray[np.bool_]:
    """Opening, dilation and exact classes, each by its definition."""
    cloud = np.isin(codes, [code for code in mask.classes if code > 1])
    opened = plain_dilate(~plain_dilate(~cloud, mask.open_px), mask.open_px)
    return ~(plain_dilate(opened, mask.dilate_px) | exact(codes, mask))


def exact(codes: NDArray[np.uint8], mask: ClassMask) -> NDArray[np.bool_]:
    """Pixels masked for what they are themselves: no data always, defects where asked."""
    return np.isin(codes, [0, 1] if 1 in mask.classes else [0])


@given(BITS, RADII)
@settings(deadline=None)
def test_dilation_is_the_brute_force_disc(mask: NDArray[np.bool_], radius: int) -> None:
    np.testing.assert_array_equal(dilate(mask, radius), plain_dilate(mask, radius))


@given(BITS, RADII)
@settings(deadline=None)
def test_erosion_keeps_what_is_far_from_every_hole(mask: NDArray[np.bool_], radius: int) -> None:
    np.testing.assert_array_equal(erode(mask, radius), ~plain_dilate(~mask, radius))


@pytest.mark.parametrize(("radius", "count"), [(0, 1), (1, 5), (2, 13), (3, 29), (5, 81), (10, 317), (254, 202_621)])
def test_a_disc_has_the_pixels_of_a_disc(radius: int, count: int) -> None:
    """Gauss's circle numbers."""
    alone = np.zeros((2 * radius + 3, 2 * radius + 3), bool)
    alone[radius + 1, radius + 1] = True
    assert dilate(alone, radius).sum() == count


@given(CODES, MASKS)
@settings(deadline=None)
def test_the_mask_is_opening_then_dilation_by_definition(codes: NDArray[np.uint8], mask: ClassMask) -> None:
    found = clear_mask(codes, mask)
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, plain_clear(codes, mask))


@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(20, 40), st.integers(20, 40)), elements=st.sampled_from([4, 4, 4, 9, 0, 1])
    ),
    st.builds(ClassMask, st.just((0, 1, 9)), st.integers(0, 2), st.integers(0, 3)),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_the_mask_of_a_grown_window_is_the_window_of_the_mask(
    codes: NDArray[np.uint8], mask: ClassMask, data: st.DataObject
) -> None:
    """What lets a tile, or a strip of one, be masked without reading the whole scene."""
    ends = [sorted(data.draw(st.tuples(st.integers(0, side - 1), st.integers(1, side)))) for side in codes.shape]
    (top, bottom), (left, right) = ((first, max(last, first + 1)) for first, last in ends)
    far = data.draw(st.sampled_from([1, 4, 30]))
    reach = mask.reach_px + (far if far > 1 else 0)
    first_row, first_col = max(0, top - reach), max(0, left - reach)
    window = codes[first_row : bottom + reach, first_col : right + reach]
    part = mask_codes(window, mask, far)[top - first_row : bottom - first_row, left - first_col : right - first_col]
    np.testing.assert_array_equal(part, mask_codes(codes, mask, far)[top:bottom, left:right])


@pytest.mark.parametrize("open_px", [1, 2])
def test_opening_removes_specks_and_keeps_discs(open_px: int) -> None:
    codes = np.full((40, 40), 4, np.uint8)
    codes[5, 5] = codes[5:7, 20:22] = 9
    for dy, dx in disc_offsets(open_px):
        codes[28 + dy, 28 + dx] = 9
    expected = np.ones((40, 40), bool)
    for dy, dx in disc_offsets(open_px):
        expected[28 + dy, 28 + dx] = False
    np.testing.assert_array_equal(clear_mask(codes, ClassMask((9,), open_px, 0)), expected)


@given(CODES, MASKS)
@settings(deadline=None)
def test_nodata_and_defects_are_masked_exactly(codes: NDArray[np.uint8], mask: ClassMask) -> None:
    """Neither opened away nor dilated: a swath's edge eats no neighbours, a single dead pixel stays masked."""
    with_clear_ground = np.where(codes <= 1, codes, np.uint8(4))
    found = clear_mask(with_clear_ground, mask)
    np.testing.assert_array_equal(~found, exact(codes, mask))


def test_classes_that_are_not_listed_keep_their_pixels() -> None:
    codes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(np.flatnonzero(~clear_mask(codes, ClassMask(()))), [0])
    np.testing.assert_array_equal(
        np.flatnonzero(~clear_mask(codes, ClassMask((0, 1, 3, 8, 9, 10)))), [0, 1, 3, 8, 9, 10]
    )


@pytest.mark.parametrize("mask", [ClassMask((3, 8, 9)), ClassMask((3, 8, 9), 1, 2)], ids=["as is", "grown"])
def test_what_is_no_class_and_the_files_own_nodata_is_no_data(mask: ClassMask) -> None:
    """Exactly, as a 0 would be, with any nodata that a header can state."""
    codes = np.full((20, 30), 4, np.uint8)
    codes[2, 3], codes[10, 5], codes[4, 20], codes[15, 15] = 12, 255, 7, 9
    for nodata, more in ((None, []), (7.0, [7]), (255, []), (-1.0, []), (float("nan"), []), (300, [])):
        cleaned = np.where((codes > 11) | np.isin(codes, more), np.uint8(0), codes)
        np.testing.assert_array_equal(mask_codes(codes, mask, 3, nodata), mask_codes(cleaned, mask, 3))
        assert mask_codes(codes, mask, nodata=nodata)[2, 3] == mask_codes(codes, mask, nodata=nodata)[10, 5] == 0


def test_a_window_of_any_layout_has_the_same_codes() -> None:
    codes = np.random.default_rng(1).choice([0, 4, 5, 9], (24, 31)).astype(np.uint8)
    mask = ClassMask((9,), 1, 2)
    for view in (codes[::-1], codes[:, ::2], np.asfortranarray(codes)):
        np.testing.assert_array_equal(mask_codes(view, mask, 4), mask_codes(view.copy("C"), mask, 4))


def test_the_input_is_not_changed() -> None:
    codes = np.full((5, 5), 9, np.uint8)
    codes[2, 2] = 0
    before = codes.copy()
    clear_mask(codes, ClassMask((0, 9), 1, 1))
    np.testing.assert_array_equal(codes, before)


@given(CODES, MASKS, st.sampled_from([2, 5, 60]))
@settings(deadline=None)
def test_a_code_says_why_a_pixel_is_dropped_or_how_far_it_is_from_that(
    codes: NDArray[np.uint8], mask: ClassMask, far: int
) -> None:
    """The own class where that is masked, else the margin; no distance is kept from no-data and defects."""
    clear = plain_clear(codes, mask)
    listed = np.isin(codes, [0, *mask.classes])
    cloud = ~clear & ~exact(codes, mask)
    whole = plain_clear(np.where(codes <= 1, np.uint8(4), codes), mask)
    rows, cols = np.indices(codes.shape)
    distance = np.full(codes.shape, far, float)
    for row, col in zip(*np.nonzero(~whole), strict=True):
        distance = np.minimum(distance, np.hypot(rows - row, cols - col))
    expected = np.where(clear, CLEAR - 1 + np.floor(distance + 1e-9), np.where(listed, codes, MARGIN))
    np.testing.assert_array_equal(mask_codes(codes, mask, far), expected)
    assert (mask_codes(codes, mask)[clear] == CLEAR).all()
    assert not cloud[whole].any()
