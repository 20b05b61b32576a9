"""How the channels of a tree-cover tile are scaled and stored, number by number."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.products._ttc_channels import ARD, MODEL, channel_band, radar_scaled, slope_scaled, stored

NAN = float("nan")


def test_the_order_of_the_channels() -> None:
    """B2 B3 B4 B8 B5 B6 B7 B8A B11 B12, slope, VV, VH; the model's have four indices behind them."""
    bands = "blue green red nir rededge1 rededge2 rededge3 nir08 swir16 swir22"
    assert (*bands.split(), "slope", "vv", "vh") == ARD
    assert (*ARD, "evi", "bi", "msavi2", "grndvi") == MODEL


def test_radar_is_decibels_from_minus_22_to_0() -> None:
    power = np.array([0.0, 1e-6, 10**-2.2 - 1 / 65535, 0.1, 1.0, 5.0, NAN], np.float32)
    expected = [0, 0, 0, (10 * np.log10(0.1 + 1 / 65535) + 22) / 22, 1, 1, NAN]
    np.testing.assert_allclose(radar_scaled(power), expected, rtol=0, atol=1e-6)


def test_slope_is_of_ninety_degrees_and_never_almost_level() -> None:
    degrees = np.array([0, 0.001, 0.02, 45, 90, NAN], np.float32)
    np.testing.assert_allclose(slope_scaled(degrees), [0, 0.02 / 90, 0.02 / 90, 0.5, 1, NAN], rtol=1e-6)


@pytest.mark.parametrize(
    ("channel", "dtype", "value", "number"),
    [
        ("red", "uint16", 0.5, 32_767),
        ("red", "uint16", 1.0, 65_534),
        ("red", "uint16", -0.1, 0),
        ("red", "uint16", NAN, 65_535),
        ("evi", "uint16", -0.1409399364817101, 0),
        ("evi", "uint16", 2.0, int((0.8177635298774327 + 0.1409399364817101) * 65_535)),
        ("grndvi", "uint16", 0.2806165767056, int(0.5 * 65_535)),
        ("red", "int16", 0.12349, 1234),
        ("evi", "int16", -0.12349, -1234),
        ("evi", "int16", 7.0, 32_000),
        ("evi", "int16", NAN, -32_768),
    ],
)
def test_sixteen_bits_are_cut_off_towards_zero(channel: str, dtype: str, value: float, number: int) -> None:
    """And the band's scale and offset lead back to the value, within a step."""
    found = stored(np.array([value], np.float32), channel, dtype)  # type: ignore[arg-type]
    assert found.dtype == dtype and abs(int(found[0]) - number) <= (channel == "grndvi" or value == 2.0)
    band = channel_band(channel, channel, "month", dtype)  # type: ignore[arg-type]
    assert band.dtype == dtype
    if np.isnan(value):
        assert found[0] == band.nodata
    elif -0.1 < value <= 1:
        assert abs(found[0] * band.scale + band.offset - value) <= band.scale * 1.01
