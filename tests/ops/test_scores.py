"""Laws of the scores: later, clearer, nearer to the wanted day, farther from clouds is better; the published curves."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from pipeline.ops.mask import CLEAR, OUTSIDE
from pipeline.ops.scores import BestPixel, by_clear_share, by_day

NONE = np.zeros(256, np.int64)
JUNE = datetime(2024, 6, 16, tzinfo=UTC)


def counts(clear: int, cloudy: int, empty: int, outside: int) -> np.ndarray:
    tally = np.zeros(256, np.int64)
    tally[[CLEAR, 9, 0, OUTSIDE]] = clear, cloudy, empty, outside
    return tally


def test_the_later_day_scores_more() -> None:
    days = [date(2023, 12, 31), date(2024, 1, 1), date(2024, 1, 2)]
    scores = [int(by_day(day, NONE)[CLEAR]) for day in days]
    assert scores == sorted(set(scores)) and scores[0] > 0


def test_the_clearer_scene_scores_more_and_no_data_is_not_cloud() -> None:
    day = date(2024, 6, 1)
    tallies = [counts(0, 10, 0, 0), counts(1, 10**8, 0, 0), counts(2, 2, 9, 9), counts(5, 4, 0, 0), counts(9, 0, 1, 5)]
    scores = [int(by_clear_share(day, tally)[CLEAR]) for tally in tallies]
    assert scores == sorted(set(scores)) and scores[0] >= 1
    assert by_clear_share(day, counts(1, 1, 0, 0))[CLEAR] == by_clear_share(day, counts(7, 7, 3, 2))[CLEAR]
    assert by_clear_share(day, counts(0, 0, 9, 9))[CLEAR] >= 1


@pytest.mark.parametrize("weights", [(1, 1), (1, 0), (0, 1), (2, 0.5)])
@pytest.mark.parametrize("distance", [1, 10, 25, 50])
@pytest.mark.parametrize("day", [date(2024, 6, 1), date(2024, 6, 15), date(2024, 6, 16), date(2024, 6, 30)])
def test_the_best_pixel_is_the_weighted_mean_of_the_published_curves(
    weights: tuple[float, float], distance: int, day: date
) -> None:
    best = BestPixel(JUNE, 7.5, 50, *weights)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    far = 1 / (1 + math.exp(-0.2 * (distance - 25)))  # Griffiths et al. 2013, with a required distance of 50
    near = math.exp(-0.5 * (((noon - JUNE) / timedelta(days=1)) / 7.5) ** 2)
    expected = (weights[0] * far + weights[1] * near) / sum(weights)
    assert best(day, NONE)[CLEAR - 1 + distance] == 1 + round(1e6 * expected)


def test_two_days_as_far_from_the_middle_score_the_same() -> None:
    best = BestPixel(JUNE, 7.5, 50, 1, 1)
    np.testing.assert_array_equal(best(date(2024, 6, 15), NONE), best(date(2024, 6, 16), NONE))


@pytest.mark.parametrize(
    ("target", "day", "apart"),
    [(10, date(2024, 1, 10), 0), (10, date(2023, 12, 31), 10), (360, date(2024, 1, 5), 10), (366, date(2023, 1, 1), 0)],
)
def test_a_day_of_any_year_is_near_across_new_year(target: int, day: date, apart: int) -> None:
    score = BestPixel(target, 20, 1, 0, 1)(day, NONE)[CLEAR]
    assert score == 1 + round(1e6 * math.exp(-0.5 * (apart / 20) ** 2))


def test_a_day_beyond_any_number_of_sigmas_is_not_near() -> None:
    best = BestPixel(JUNE, 1e-200, 50, 0, 1)
    assert best(date(2024, 6, 1), NONE)[CLEAR] == 1
