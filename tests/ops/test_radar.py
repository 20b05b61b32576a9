"""Laws of radar numbers: power first, decibels last, filters that do not see where an array begins."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.ops.radar import Border, InputScale, Speckle, as_power, other_scale, prefer, to_db

SCALES: tuple[InputScale, ...] = ("power", "db", "amplitude")


def speckled(shape: tuple[int, int], seed: int = 0, missing: float = 0.05) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    power = (random.gamma(4.4, 1 / 4.4, shape) * 0.1).astype(np.float32)
    power[random.uniform(size=shape) < missing] = np.nan
    return power


def plain_power(value: float, scale: InputScale) -> float:
    if not np.isfinite(value) or value == -99 or (scale == "amplitude" and value <= 0):
        return float("nan")
    return {"power": value, "amplitude": value * value}[scale] if scale != "db" else 10.0 ** (value / 10)


@pytest.mark.parametrize("scale", SCALES)
def test_numbers_become_power_and_what_is_none_is_missing(scale: InputScale) -> None:
    data = np.array([[-32768, -99, -20, -1e-9, 0], [1e-9, 0.5, 3, np.nan, np.inf]], np.float32)
    found, _ = as_power(data, scale, -99.0)
    expected = np.array([plain_power(float(x), scale) for x in data.flat]).reshape(data.shape)
    expected = np.where(expected.astype(np.float32) > 0, expected, np.nan)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert data[0, 0] == -32768  # the file's own pixels are left alone


def test_amplitudes_of_whole_numbers_are_squared_without_wrapping() -> None:
    found, _ = as_power(np.array([[0, 255, 65535]], np.uint16), "amplitude", 0)
    np.testing.assert_array_equal(found, np.array([[np.nan, 65025, 65535.0**2]], np.float32))


def test_numbers_plainly_of_another_scale_are_told() -> None:
    decibels = np.full((40, 40), -11, np.float32)
    for scale in ("power", "amplitude"):
        assert "look like decibels; expected input_scale: db" in str(other_scale(decibels, scale, None))
    assert "none of 1600 numbers" in str(other_scale(np.full((40, 40), 0.1, np.float32), "db", None))
    assert "below -100" in str(other_scale(np.full((40, 40), -1100, np.int16), "db", None))
    assert other_scale(decibels, "db", None) is None
    # Where noise was taken away from nothing, half of the numbers are a little below zero.
    assert other_scale(np.full((40, 40), -0.01, np.float32), "power", None) is None
    # Nodata says nothing of a scale, and a few pixels say too little.
    assert other_scale(np.full((40, 40), -99, np.float32), "power", -99) is None
    assert other_scale(np.full((3, 3), 2, np.float32), "db", None) is None


def test_odd_numbers_are_odd_in_any_part_that_holds_them() -> None:
    """What is told of a scale is asked for wherever strips begin, and not where nothing is odd."""
    cases: tuple[tuple[InputScale, float, float], ...] = (
        ("power", -0.5, -1.5),
        ("amplitude", 300, -1.5),
        ("db", -11, 0.5),
        ("db", -11, -101),
    )
    for scale, usual, odd in cases:
        data = np.full((4, 5), usual, np.float32)
        assert not as_power(data, scale, None)[1]
        data[2, 3] = odd
        whole, parts = as_power(data, scale, None)[1], [as_power(row, scale, None)[1] for row in data]
        assert (whole, parts) == (True, [False, False, True, False])
        assert not as_power(data, scale, odd)[1]


def test_decibels_are_ten_times_the_logarithm_and_zero_has_none() -> None:
    power = np.array([[1.0, 0.1, 0.02, 0.0, np.nan]], np.float32)
    found = to_db(power)
    np.testing.assert_allclose(found[0, :3], 10 * np.log10(power[0, :3].astype(np.float64)), rtol=1e-6)
    assert np.isnan(found[0, 3:]).all()
    assert power[0, 1] == np.float32(0.1)


@pytest.mark.parametrize("below", [None, 0.05])
def test_border_noise_is_what_is_weak_close_to_nothing(below: float | None) -> None:
    power = speckled((40, 50), missing=0.004)
    expected = power.copy()
    for row, col in zip(*np.nonzero(np.isnan(power)), strict=True):
        part = expected[max(0, row - 3) : row + 4, max(0, col - 3) : col + 4]
        part[part < (np.inf if below is None else below)] = np.nan
    Border(3, below).apply(power)
    np.testing.assert_array_equal(power, expected)


def test_without_pixels_no_border_is_dropped() -> None:
    power = speckled((5, 5))
    before = power.copy()
    Border(0).apply(power)
    np.testing.assert_array_equal(power, before)


def plain_filter(power: NDArray[np.float32], method: str, size: int, looks: float) -> NDArray[np.float64]:
    half, out = size // 2, np.full(power.shape, np.nan)
    for row, col in zip(*np.nonzero(~np.isnan(power)), strict=True):
        near = power[max(0, row - half) : row + half + 1, max(0, col - half) : col + half + 1].astype(np.float64)
        near = near[~np.isnan(near)]
        value, mean = float(power[row, col]), near.mean()
        squared, noise = near.var() / mean**2, 1 / looks
        if method == "lee":
            weight = max(0.0, 1 - noise / squared) if squared > 0 else 0.0
        else:
            ci, cu, most = np.sqrt(squared), np.sqrt(noise), np.sqrt(1 + 2 * noise)
            weight = 0.0 if ci <= cu else 1.0 if ci >= most else 1 - np.exp(-(ci - cu) / (most - ci))
        out[row, col] = mean + weight * (value - mean)
    return out


@pytest.mark.parametrize("method", ["lee", "enhanced_lee"])
def test_a_speckle_filter_is_its_formula(method: Literal["lee", "enhanced_lee"]) -> None:
    power = speckled((24, 31))
    power[10, 11] = 40  # a target that stays
    found = Speckle(method, 5, 4.4).apply(power)
    np.testing.assert_allclose(found, plain_filter(power, method, 5, 4.4), rtol=2e-6)
    even = np.s_[14:, :]
    assert np.nanstd(found[even]) < 0.75 * np.nanstd(power[even])


@pytest.mark.parametrize("method", ["lee", "enhanced_lee"])
def test_a_filtered_pixel_does_not_depend_on_where_the_array_begins(method: Literal["lee", "enhanced_lee"]) -> None:
    power = speckled((60, 70))
    whole = Speckle(method, 7).apply(power)
    part = Speckle(method, 7).apply(np.ascontiguousarray(power[11:41, 20:55]))
    assert part[3:-3, 3:-3].tobytes() == whole[14:38, 23:52].tobytes()


def test_the_preferred_direction_is_taken_where_it_has_enough() -> None:
    wanted = np.array([1, 0, 1, 0, 0], np.uint8)
    random = np.random.default_rng(3)
    stack = np.where(random.uniform(size=(5, 30, 40)) < 0.5, np.nan, 0.1).astype(np.float32)
    for least in (1, 2):
        left, used = stack.copy(), np.full((30, 40), 9, np.uint8)
        prefer(left, wanted, least, used)
        there = ~np.isnan(stack)
        first, second = there[wanted == 1].sum(axis=0), there[wanted == 0].sum(axis=0)
        code = np.where(first >= least, 1, np.where(second >= least, 2, (first > 0) + 2 * (second > 0)))
        np.testing.assert_array_equal(used, code)
        keep = there & np.where(wanted[:, None, None] == 1, (code & 1) > 0, (code & 2) > 0)
        np.testing.assert_array_equal(~np.isnan(left), keep)
