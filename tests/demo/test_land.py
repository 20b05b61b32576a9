"""Laws of the ground truth: it belongs to places and days, not to projections, scenes or machines."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.demo import BANDS, demo_truth
from pipeline.demo.land import GROUND_CRS, reflectance, survey
from pipeline.demo.noise import clouded, hashed, noise, ramp

JUNE, JULY = date(2024, 6, 1), date(2024, 7, 11)


def _places(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    at = np.random.default_rng(7).uniform(-4000, 4000, (2, count)).astype(np.float32)
    return at[0], at[1]


def test_hash_is_this_function_and_no_other() -> None:
    """The world's bytes rest on it: 32-bit multiply and xor-shift, wrapped, also for negative integers."""

    def slowly(a: int, b: int, seed: int) -> int:
        h = (a * 0x9E3779B1 ^ (b * 0x85EBCA77 + seed * 0xC2B2AE3D)) & 0xFFFFFFFF
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            h = ((h ^ (h >> shift)) * factor) & 0xFFFFFFFF
        return h ^ (h >> 16)

    a, b = np.array([0, 1, -1, 7, -12345, 2**31 - 1]), np.array([0, 2, -3, -2, 99999, -(2**31)])
    for seed in (0, 3, 1_000_003):
        assert hashed(a, b, seed).tolist() == [slowly(int(i), int(j), seed) for i, j in zip(a, b, strict=True)]


def test_noise_stays_in_range_meets_its_lattice_and_is_smooth() -> None:
    x, y = _places(20_000)
    for field in (noise(x, y, 100, 1), clouded(x, y, 900, 1, 5)):
        assert 0 <= field.min() < 0.2 and 0.8 < field.max() < 1
        assert 0.45 < field.mean() < 0.55
    corners = np.array([-200, 0, 300], np.float32)
    expected = (hashed(np.array([-2, 0, 3]), np.array([-2, 0, 3]), 5) >> np.uint32(8)) / 2**24
    np.testing.assert_allclose(noise(corners, corners, 100, 5), expected, atol=1e-6)
    assert np.abs(noise(x + 1, y, 100, 1) - noise(x, y, 100, 1)).max() < 0.02


def test_ramp_runs_from_low_to_high_also_backwards() -> None:
    value = np.array([-1, 0, 1, 2, 3], np.float32)
    assert ramp(value, 0, 2).tolist() == [0, 0, 0.5, 1, 1]
    assert ramp(value, 2, 0).tolist() == [1, 1, 0.5, 0, 0]


def test_truth_is_the_same_from_every_projection() -> None:
    x, y = _places(4000)
    from_ground = reflectance(survey(x, y), JUNE)
    for crs in ("EPSG:32632", "EPSG:32633", "EPSG:3035"):
        east, north = Transformer.from_crs(GROUND_CRS, crs, always_xy=True).transform(x, y)
        seen = demo_truth(np.asarray(east), np.asarray(north), crs, JUNE)
        assert seen.shape == from_ground.shape == (len(BANDS), 4000)
        assert np.quantile(np.abs(seen - from_ground), 0.999) < 0.0005, crs


def test_truth_of_a_place_does_not_depend_on_its_neighbours() -> None:
    x, y = _places(500)
    whole = reflectance(survey(x, y), JULY)
    part = reflectance(survey(x[200:230].reshape(5, 6), y[200:230].reshape(5, 6)), JULY)
    np.testing.assert_array_equal(part.reshape(4, 30), whole[:, 200:230])


def test_land_is_plausible_and_only_crops_change_with_the_season() -> None:
    x, y = _places(20_000)
    land = survey(x, y)
    june, july = reflectance(land, JUNE), reflectance(land, JULY)
    for values in (june, july):
        assert values.min() > 0.003 and values.max() < 0.75
    water = land.water > 0.99
    assert 0.005 < water.mean() < 0.2
    assert (june[3][water] < june[1][water]).all(), "water is darker in the near infrared than in green"
    wild = land.crops == 0
    assert wild.mean() > 0.1
    np.testing.assert_array_equal(june[:, wild], july[:, wild])
    ndvi = [(values[3] - values[2]) / (values[3] + values[2]) for values in (june, july)]
    crops = land.crops > 0.5
    assert np.median(ndvi[1][crops]) > np.median(ndvi[0][crops]) + 0.1
    ripening = crops & (ndvi[1] < ndvi[0] - 0.2)
    assert 0.02 < ripening.mean() < 0.5, "wheat is cut while maize grows"
