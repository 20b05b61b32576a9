"""Seawater is TEOS-10's, in the units and the order of arguments that are promised."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.ops.seawater import absolute_salinity, conservative_temperature, depth_m, seawater, sigma0

PRESSURE = np.array([10, 50, 125, 250, 600, 1000], np.float64)
TEMPERATURE = np.array([28.7856, 28.4329, 22.8103, 10.2600, 6.8863, 4.4036])
PSAL = np.array([34.5487, 34.7275, 34.8605, 34.6810, 34.5680, 34.5600])
"""A cast at 188 E, 4 N: the example with which TEOS-10's own functions are documented, as are the numbers below."""


def test_the_documented_cast() -> None:
    """To 1e-4 where the atlas of salinity anomalies has a part, as that is revised from time to time."""
    water = seawater(PRESSURE, TEMPERATURE, PSAL, 188, 4)
    salinity = [34.711778344814114, 34.891522618230098, 35.025544862476920, 34.847229026189588, 34.736628474576051]
    np.testing.assert_allclose(water.absolute_salinity[:5], salinity, atol=1e-4, rtol=0)
    conservative = [28.809919826700281, 28.439227816091140, 22.786176893078498, 10.226189266620782, 6.827213633479988]
    np.testing.assert_allclose(water.conservative_temperature[:5], conservative, atol=1e-4, rtol=0)
    density = [21.797900819337656, 22.052215404397316, 23.892985307893923, 26.667608665972011, 27.107380455119710]
    np.testing.assert_allclose(water.sigma0[:5], density, atol=1e-4, rtol=0)
    depth = [9.9445834469453, 49.7180897012550, 124.2726219409978, 248.4700576548589, 595.8253480356214]
    np.testing.assert_allclose(depth_m(PRESSURE, 4)[:5], depth, rtol=1e-9)


def test_depth_agrees_with_saunders_and_fofonoff() -> None:
    """Their check value: 9712.653 m at 10 000 dbar and 30 degrees north, of a standard ocean; within 2 m."""
    assert depth_m(10_000, 30) == pytest.approx(9712.653, abs=2)
    assert depth_m(1000, 60) < depth_m(1000, 0)
    assert depth_m(0, 45) == 0


def test_density_agrees_with_the_equation_of_1980() -> None:
    """Its check value: 1023.34306 kg/m3 of practical salinity 35 at 25 degC (of 1968) and no pressure."""
    assert float(seawater(0, 25, 35, -30, 30).sigma0) == pytest.approx(23.343, abs=0.03)


def test_longitudes_of_both_conventions_are_one_place() -> None:
    np.testing.assert_array_equal(
        absolute_salinity(PSAL, PRESSURE, 188, 4), absolute_salinity(PSAL, PRESSURE, 188 - 360, 4)
    )


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_gives_nothing(nothing: float) -> None:
    """And quietly, though one place is: infinities would come back as numbers, and as warnings."""
    broken = PRESSURE.copy()
    broken[2] = nothing
    empty = np.arange(6) == 2
    water = seawater(broken, TEMPERATURE, PSAL, 188, 4)
    for made in (depth_m(broken, 4), water.absolute_salinity, water.conservative_temperature, water.sigma0):
        np.testing.assert_array_equal(np.isnan(made), empty)
    assert np.isnan(depth_m(PRESSURE, nothing)).all()
    assert np.isnan(seawater(PRESSURE, TEMPERATURE, PSAL, nothing, 4).sigma0).all()


@pytest.mark.parametrize("pressure", [-101.0, 12_001.0, 1e30, 3e38])
def test_a_pressure_that_no_sea_has_has_no_depth(pressure: float) -> None:
    """A broken sensor has such numbers, and `expert` shows them: what is made of them must not overflow a column."""
    assert np.isnan(depth_m(np.float32(pressure), 45))
    water = seawater(pressure, pressure, pressure, 0, 45)
    assert not np.isinf([water.absolute_salinity, water.conservative_temperature, water.sigma0]).any()


def test_narrow_numbers_are_worked_on_in_float64() -> None:
    narrow = PSAL.astype(np.float32)
    made = absolute_salinity(narrow, PRESSURE.astype(np.float32), 188, 4)
    assert made.dtype == np.float64
    np.testing.assert_array_equal(made, absolute_salinity(narrow.astype(np.float64), PRESSURE, 188, 4))
    temperature = conservative_temperature(made, TEMPERATURE.astype(np.float32), PRESSURE)
    assert temperature.dtype == sigma0(made, temperature).dtype == depth_m(narrow, 4).dtype == np.float64
    assert depth_m(np.empty(0, np.float32), np.empty(0)).shape == (0,)
