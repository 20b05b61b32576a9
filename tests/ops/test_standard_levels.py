"""Laws of standard levels: SciPy's monotone curve profile by profile, and nothing where no level is near."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from pipeline.ops.standard_levels import STANDARD_DBAR, Casts, Gap, interpolate, locate, order_casts

Numbers = NDArray[np.float64]
Column = Sequence[float] | Numbers
ANY_GAP = Gap(1e9, 0)


def casts_of(profiles: Sequence[tuple[Column, Column]]) -> Casts:
    pressure = np.concatenate([np.asarray(p, float) for p, _ in profiles])
    values = np.concatenate([np.asarray(v, float) for _, v in profiles])
    first = np.concatenate([[0], np.cumsum([len(p) for p, _ in profiles])]).astype(np.int64)
    return order_casts(pressure, values, first)


def at(casts: Casts, targets: Numbers, gap: Gap) -> Numbers:
    return interpolate(casts, locate(casts, targets, gap))


def plain(pressure: Numbers, values: Numbers, targets: Numbers, gap: Gap) -> Numbers:
    """One profile and one target at a time, by SciPy."""
    found = np.full(len(targets), np.nan)
    for number, target in enumerate(targets):
        above, below = pressure[pressure <= target], pressure[pressure >= target]
        if not len(above) or not len(below):
            continue
        if above[-1] == target:
            found[number] = values[pressure == target][0]
        elif below[0] - above[-1] <= max(gap.dbar, gap.fraction * target):
            found[number] = PchipInterpolator(pressure, values)(target)
    return found


def random_profiles(seed: int, count: int) -> list[tuple[Numbers, Numbers]]:
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        levels = int(random.integers(0, 40)) if number else 3
        pressure = np.unique(np.round(random.uniform(0, 2000, levels), 1))
        made.append((pressure, random.normal(10, 5, len(pressure))))
    return made


@pytest.mark.parametrize("gap", [ANY_GAP, Gap(50, 0.2), Gap(5, 0.0)])
def test_every_value_is_scipys_of_that_profile_alone(gap: Gap) -> None:
    profiles = [one for one in random_profiles(1, 60) if len(one[0]) != 1]
    targets = np.array([*STANDARD_DBAR, 0.0, 3000.0])
    found = at(casts_of(profiles), targets, gap)
    for row, (pressure, values) in zip(found, profiles, strict=True):
        np.testing.assert_allclose(row, plain(pressure, values, targets, gap), rtol=1e-12, atol=1e-12)


def test_a_profile_does_not_reach_into_its_neighbours() -> None:
    profiles = [([10.0], [1.0]), ([], []), ([10.0, 20.0], [3.0, 5.0]), ([0.0, 30.0], [7.0, 9.0])]
    found = at(casts_of(profiles), np.array([0.0, 10.0, 15.0, 20.0, 30.0, 31.0]), ANY_GAP)
    nan = np.nan
    np.testing.assert_allclose(
        found,
        [[nan, 1, nan, nan, nan, nan], [nan] * 6, [nan, 3, 4, 5, nan, nan], [7, 23 / 3, 8, 25 / 3, 9, nan]],
    )


def test_a_gap_tells_nothing_but_its_own_ends() -> None:
    casts = casts_of([([0.0, 10.0, 100.0], [1.0, 2.0, 3.0])])
    found = at(casts, np.array([10.0, 50.0, 100.0]), Gap(50, 0.0))[0]
    assert found[0] == 2 and np.isnan(found[1]) and found[2] == 3


def test_a_share_of_the_pressure_widens_the_gap_with_depth() -> None:
    casts = casts_of([([100.0, 180.0, 1000.0, 1200.0], [1.0, 2.0, 3.0, 4.0])])
    found = at(casts, np.array([150.0, 1100.0]), Gap(50, 0.2))[0]
    assert np.isnan(found[0]) and 3 < found[1] < 4


def test_levels_without_a_number_are_left_out_and_others_ordered() -> None:
    casts = order_casts(
        np.array([30.0, 10.0, np.nan, 20.0, 10.0, 5.0]),
        np.array([3.0, 1.0, 9.0, np.nan, 2.0, 7.0]),
        np.array([0, 5, 6], np.int64),
    )
    np.testing.assert_array_equal(casts.pressure, [10, 30, 5])
    np.testing.assert_array_equal(casts.values, [1.5, 3, 7])  # the mean of two at one pressure
    np.testing.assert_array_equal(casts.first, [0, 2, 3])


def test_nothing_in_gives_nothing_out() -> None:
    empty = np.zeros(0)
    casts = order_casts(empty, empty, np.zeros(3, np.int64))
    assert np.isnan(at(casts, np.array([1.0, 2.0]), ANY_GAP)).all()
    assert at(casts, empty, ANY_GAP).shape == (2, 0)


@given(
    hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(-1e6, 1e6), unique=True),
)
@settings(max_examples=50, deadline=None)
def test_no_value_leaves_the_range_of_the_two_levels_around_it(pressure: Numbers) -> None:
    pressure = np.sort(np.round(pressure, 3))
    values = np.random.default_rng(len(pressure)).normal(size=len(pressure))
    casts = casts_of([(pressure, values)])
    targets = np.linspace(pressure[0], pressure[-1], 40)
    found = at(casts, targets, Gap(1e12, 0))[0]
    x, y = casts.pressure, casts.values
    below = np.clip(np.searchsorted(x, targets, "right") - 1, 0, max(len(x) - 2, 0))
    above = np.minimum(below + 1, len(x) - 1)
    assert (found >= np.minimum(y[below], y[above])).all()
    assert (found <= np.maximum(y[below], y[above])).all()


def test_standard_levels_are_58_and_ascend() -> None:
    assert len(STANDARD_DBAR) == 58
    assert (np.diff(STANDARD_DBAR) > 0).all()
