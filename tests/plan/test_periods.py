"""Laws of periods: every instant of the run lies in exactly one, and none reaches outside it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.periods import plan_periods
from pipeline.types import Period

instants = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (zone added)


@given(st.tuples(instants, instants).map(sorted), st.floats(0, 1), st.sampled_from(["month", "span"]))
def test_periods_partition_the_run(ends: list[datetime], share: float, every: str) -> None:
    start, end = ends[0], ends[1] + timedelta(seconds=1)
    periods = plan_periods(start, end, every)
    assert (periods[0].start, periods[-1].end) == (start, end)
    assert all(one.end == following.start for one, following in itertools.pairwise(periods))
    instant = start + share * (end - start - timedelta(microseconds=1))
    assert sum(instant in period for period in periods) == 1
    assert not any(outside in period for period in periods for outside in (end, start - timedelta(microseconds=1)))
    assert len({period.id for period in periods}) == len(periods)


@given(st.tuples(instants, instants).map(sorted))
def test_a_month_has_its_calendar_name_and_stays_within_it(ends: list[datetime]) -> None:
    for period in plan_periods(ends[0], ends[1] + timedelta(days=1), "month"):
        assert period.start is not None and period.end is not None
        last = period.end - timedelta(microseconds=1)
        assert period.id == f"{period.start:%Y-%m}" == f"{last:%Y-%m}"


def test_a_month_covered_in_part_keeps_its_name_and_says_its_true_ends() -> None:
    start, end = datetime(2023, 11, 15, 6, tzinfo=UTC), datetime(2024, 2, 10, tzinfo=UTC)
    assert plan_periods(start, end, "month") == (
        Period("2023-11", start, datetime(2023, 12, 1, tzinfo=UTC)),
        Period("2023-12", datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)),
        Period("2024-01", datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)),
        Period("2024-02", datetime(2024, 2, 1, tzinfo=UTC), end),
    )


def test_a_whole_month_is_one_period() -> None:
    start, end = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)
    assert plan_periods(start, end, "month") == (Period("2024-06", start, end),)


def test_a_span_is_left_whole() -> None:
    start, end = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 9, 1, tzinfo=UTC)
    assert plan_periods(start, end, "span") == (Period("2024-06-01_2024-09-01", start, end),)
