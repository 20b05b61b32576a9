"""Laws of the mixed layer and of heat content: a loop over one profile's lines, and integrals done by hand."""

from __future__ import annotations

from collections.abc import Sequence

import gsw
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from pipeline.ops.argo_layers import CP0, heat_content, mixed_layer
from pipeline.ops.standard_levels import Casts, Gap, order_casts

FAR = Gap(1e9, 0)
Numbers = NDArray[np.float64]
Column = Sequence[float] | Numbers


def casts(*profiles: tuple[Column, Column]) -> Casts:
    pressure = np.concatenate([np.asarray(p, float) for p, _ in profiles])
    values = np.concatenate([np.asarray(v, float) for _, v in profiles])
    first = np.concatenate([[0], np.cumsum([len(p) for p, _ in profiles])]).astype(np.int64)
    return order_casts(pressure, values, first)


def random_casts(count: int, slope: float) -> list[tuple[Numbers, Numbers]]:
    random = np.random.default_rng(3)
    made = []
    for _ in range(count):
        pressure = np.unique(np.round(random.uniform(1, 300, int(random.integers(0, 30))), 1))
        made.append((pressure, 24 + slope * pressure + random.normal(0, 0.02, len(pressure))))
    return made


def plain_mixed_layer(p: Numbers, sigma: Numbers, step: float, reference: float) -> float:
    """Walk down in small steps along the straight lines."""
    if not len(p) or p[0] > reference or p[-1] < reference:
        return float("nan")
    limit = np.interp(reference, p, sigma) + step
    for above, below in zip(range(len(p) - 1), range(1, len(p)), strict=True):
        if p[below] <= reference or sigma[below] < limit:
            continue
        low, at_low = max((reference, np.interp(reference, p, sigma)), (p[above], sigma[above]))
        return float(low + (limit - at_low) / (sigma[below] - at_low) * (p[below] - low))
    return float("nan")


def test_the_mixed_layer_ends_where_a_walk_down_the_profile_says() -> None:
    profiles = random_casts(200, 0.002)
    found = mixed_layer(casts(*profiles), 0.03, 10.0, FAR)
    expected = [plain_mixed_layer(p, s, 0.03, 10.0) for p, s in profiles]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert 50 < np.isfinite(found).sum() < 200


def test_a_mixed_layer_is_not_told_where_it_is_not_seen() -> None:
    found = mixed_layer(
        casts(
            ([11, 20, 40], [24, 24, 25]),  # begins below the reference
            ([5, 20, 40], [24, 24, 24.01]),  # ends before it is dense enough
            ([5, 20, 400], [24, 24, 25]),  # a gap where it becomes dense
            ([10, 20, 40], [24, 24, 24.06]),  # begins at the reference
            ([10], [24]),
        ),
        0.03,
        10.0,
        Gap(50, 0.2),
    )
    np.testing.assert_allclose(found, [np.nan, np.nan, np.nan, 30, np.nan])


@pytest.mark.parametrize("limits", [(0.0, 100.0), (50.0, 150.0), (7.5, 8.0)])
def test_heat_is_the_integral_of_the_straight_lines(limits: tuple[float, float]) -> None:
    pressure, temperature = np.array([0.0, 7.0, 30.0, 31.0, 90.0, 160.0]), np.array([20.0, 19, 19, 15, 9, 8])
    latitude = np.array([-33.0])
    found = heat_content(casts((pressure, temperature)), *limits, latitude, FAR)
    area = quad(lambda p: np.interp(p, pressure, temperature), *limits, points=pressure.tolist(), limit=200)[0]
    gravity = gsw.grav(latitude, sum(limits) / 2)
    np.testing.assert_allclose(found, area * 1e4 * CP0 / gravity, rtol=1e-10)


def test_heat_against_density_and_depth() -> None:
    """The usual sum of rho * cp * T over metres comes to the same within one part in a hundred."""
    pressure = np.arange(0.0, 720.0, 2.0)
    ct = 5 + 20 * np.exp(-pressure / 200)
    found = heat_content(casts((pressure, ct)), 0.0, 700.0, np.array([20.0]), FAR)[0]
    inside = pressure <= 700
    depth = -gsw.z_from_p(pressure[inside], 20.0)
    density = gsw.rho(35.0, ct[inside], pressure[inside])
    assert found == pytest.approx(np.trapezoid(density * CP0 * ct[inside], depth), rel=0.01)


def test_heat_is_not_told_of_what_was_not_measured() -> None:
    latitude = np.zeros(6)
    found = heat_content(
        casts(
            ([5, 50, 120], [10, 10, 10]),  # the first level stands for the surface
            ([12, 50, 120], [10, 10, 10]),  # begins too deep
            ([5, 50, 99], [10, 10, 10]),  # ends too early
            ([5, 20, 120], [10, 10, 10]),  # a gap
            ([], []),
            ([5], [10]),
        ),
        0.0,
        100.0,
        latitude,
        Gap(80, 0.0),
    )
    whole = 10 * 100 * 1e4 * CP0 / gsw.grav(0.0, 50.0)
    np.testing.assert_allclose(found, [whole] + [np.nan] * 5)
