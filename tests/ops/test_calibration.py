"""Amplitudes to power: the formula of the annotations, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.ops.calibration import Blocks, Table, calibrate, flat

AMPLITUDE = np.array([[0, 10, 20, 65535], [30, 40, 9, 60], [1, 2, 3, 4]], np.uint16)


def test_without_a_table_it_is_the_square() -> None:
    """To the last bit, also of the largest amplitude; 0 is no observation."""
    power = calibrate(AMPLITUDE, flat(3, 4), None, None)
    expected = np.where(AMPLITUDE > 0, AMPLITUDE.astype(np.float64) ** 2, np.nan).astype(np.float32)
    np.testing.assert_array_equal(power, expected)
    assert power.dtype == np.float32


def test_a_table_is_linear_between_its_lines() -> None:
    """Each row's table lies as far between two lines as its share says; the last line is on its own."""
    lines = np.array([[10.0, 20, 30, 40], [20.0, 20, 10, 80], [5.0, 5, 5, 5]])
    table = Table(lines, np.array([0, 1, 2]), np.array([0.25, 0.5, 0.0]))
    rows = [0.75 * lines[0] + 0.25 * lines[1], (lines[1] + lines[2]) / 2, lines[2]]
    expected = np.where(AMPLITUDE > 0, (AMPLITUDE / np.array(rows)) ** 2, np.nan)
    np.testing.assert_allclose(calibrate(AMPLITUDE, table, None, 0), expected, rtol=1e-6)


def test_noise_is_subtracted_and_nothing_is_negative() -> None:
    """The factors of a block hold in its rows and columns only; what is below the noise is 0, not missing."""
    noise = Table(np.array([[50.0, 50, 200, 200]]), np.zeros(3, np.int64), np.zeros(3))
    blocks = Blocks(np.array([[2.0, np.nan], [3.0, 4.0], [np.nan, 1.0]]), np.array([[0, 2], [2, 4]]))
    factor = np.array([[2, 2, 1, 1], [3, 3, 4, 4], [1, 1, 1, 1.0]])
    taken = np.maximum(AMPLITUDE.astype(np.float64) ** 2 - np.array([50, 50, 200, 200]) * factor, 0)
    expected = np.where(AMPLITUDE > 0, taken / 4, np.nan)
    gain = Table(np.full((1, 4), 2.0), np.zeros(3, np.int64), np.zeros(3))
    power = calibrate(AMPLITUDE, gain, (noise, blocks), None)
    np.testing.assert_allclose(power, expected, rtol=1e-6)
    assert (power[2] == 0).all()


@pytest.mark.parametrize(("nodata", "missing"), [(0, 0), (40, 40), (np.nan, 0), (0.5, 0), (-32768, 0)])
def test_nodata_is_missing(nodata: float, missing: int) -> None:
    """What the file calls nodata is none, beside 0; a nodata that no amplitude can be changes nothing."""
    power = calibrate(AMPLITUDE, flat(3, 4), None, nodata)
    np.testing.assert_array_equal(np.isnan(power), np.isin(AMPLITUDE, (0, missing)))


def test_a_part_of_a_larger_array_is_the_same() -> None:
    """Whatever strides the window has."""
    wide = np.tile(AMPLITUDE, (2, 3))
    np.testing.assert_array_equal(
        calibrate(wide[::2, 1:9:2], flat(3, 4), None, 0), calibrate(wide[::2, 1:9:2].copy(), flat(3, 4), None, 0)
    )
