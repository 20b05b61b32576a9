"""Laws of match-ups' numbers: what a loop over profiles and pixels gives, and nothing where there is nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pipeline.ops.matchups import surface_means, window_statistics


@pytest.mark.parametrize("seed", range(4))
def test_surface_means_are_those_of_a_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    first = np.concatenate([[0], np.cumsum(random.integers(1, 9, 40))])
    pressure, values = random.uniform(0, 30, first[-1]), random.uniform(-2, 30, first[-1])
    pressure[random.uniform(size=first[-1]) < 0.2] = np.nan
    values[random.uniform(size=first[-1]) < 0.3] = np.nan
    mean, count = surface_means(pressure, values, first, 10.0)
    for number, (start, stop) in enumerate(pairwise(first)):
        used = [v for p, v in zip(pressure[start:stop], values[start:stop], strict=True) if p <= 10 and np.isfinite(v)]
        assert count[number] == len(used)
        assert mean[number] == pytest.approx(sum(used) / len(used), rel=1e-9) if used else np.isnan(mean[number])
    assert 0 in count and count.max() > 2


def test_a_profile_of_absurd_numbers_changes_no_other() -> None:
    values = np.array([1e30, 20.0, 22.0, -1e30, 35.0])
    mean, _ = surface_means(np.ones(5), values, np.array([0, 1, 3, 4, 5]), 10.0)
    assert mean.tolist() == [1e30, 21.0, -1e30, 35.0]


def test_window_statistics_are_numpys_own_of_what_counts() -> None:
    windows = np.random.default_rng(7).normal(size=(50, 5, 5)).astype(np.float32)
    windows[windows > 0.8] = np.nan
    windows[3] = np.nan
    windows[4, 2, 2] = np.nan
    found = window_statistics(windows)
    for number, window in enumerate(windows):
        there = window[np.isfinite(window)].astype(np.float64)
        assert found.count[number] == there.size
        np.testing.assert_equal(found.middle[number], window[2, 2].astype(np.float64))
        if there.size:
            assert found.mean[number] == pytest.approx(there.mean(), rel=1e-9)
            assert found.deviation[number] == pytest.approx(there.std(), rel=1e-9)
    assert np.isnan(found.mean[3]) and np.isnan(found.deviation[3]) and np.isnan(found.middle[4])
