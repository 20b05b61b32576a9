"""Laws of periods: every instant of the run lies in exactly one, named by the calendar, and none reaches outside."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config import PeriodConfig
from pipeline.plan.periods import STATIC, idle_years, periods_by_tile, periods_of, plan_periods
from pipeline.types import Period

MICROSECOND = timedelta(microseconds=1)
SEASON = dict(
    zip((12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), ["DJF"] * 3 + ["MAM"] * 3 + ["JJA"] * 3 + ["SON"] * 3, strict=True)
)
NAME: dict[str, Callable[[date], str]] = {
    "day": lambda day: day.isoformat(),
    "dekad": lambda day: f"{day.isoformat()[:7]}-d{1 if day.day <= 10 else 2 if day.day <= 20 else 3}",
    "15d": lambda day: f"{day.year}-15d{min(int(day.strftime('%j')) + 14, 360) // 15:02d}",
    "month": lambda day: day.isoformat()[:7],
    "quarter": lambda day: f"{day.year}-Q{'111222333444'[day.month - 1]}",
    "season": lambda day: f"{day.year + (day.month == 12)}-{SEASON[day.month]}",
    "year": lambda day: f"{day.year}",
}
"""The name of the calendar period a day lies in, by plain calendar code."""

instants = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (zone added)
lengths = st.timedeltas(MICROSECOND, timedelta(days=900))
every_calendar = pytest.mark.parametrize("every", NAME)
every_word = pytest.mark.parametrize("every", [*NAME, "span"])
every_way = pytest.mark.parametrize("every", [*NAME, "span", "periods"])


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def expected(start: datetime, end: datetime, every: str) -> tuple[Period, ...]:
    """Days of [start, end) with one name are one period; only the run's own ends lie inside a day."""
    last = (end - MICROSECOND).date()
    days = [start.date() + timedelta(days=n) for n in range((last - start.date()).days + 1)]
    found = []
    for name, group in itertools.groupby(days, NAME[every]):
        members = list(group)
        after = datetime.combine(members[-1], datetime.min.time(), UTC) + timedelta(days=1)
        before = datetime.combine(members[0], datetime.min.time(), UTC)
        found.append(Period(name, max(before, start), min(after, end)))
    return tuple(found)


def planned(start: datetime, end: datetime, every: str) -> tuple[Period, ...]:
    """Of a calendar word, or `periods`: the user's own list, here three that follow each other."""
    if every != "periods":
        return plan_periods(start, end, every)
    cuts = sorted({start, start + (end - start) / 3, start + (end - start) / 2, end})
    return periods_of(PeriodConfig.model_validate({"periods": tuple(itertools.pairwise(cuts))}))


@every_way
@given(start=instants, length=lengths, share=st.floats(0, 1))
def test_every_instant_lies_in_exactly_one_period(every: str, start: datetime, length: timedelta, share: float) -> None:
    """To the microsecond: the first is in, the end is not, and no period reaches outside the run."""
    end = start + length
    periods = planned(start, end, every)
    assert (periods[0].start, periods[-1].end) == (start, end)
    assert all(one.end == following.start for one, following in itertools.pairwise(periods))
    for instant in (start, start + share * (length - MICROSECOND), end - MICROSECOND):
        assert sum(instant in period for period in periods) == 1
    assert not any(outside in period for period in periods for outside in (end, start - MICROSECOND))


@every_calendar
@given(start=instants, length=lengths)
def test_periods_are_those_of_the_calendar(every: str, start: datetime, length: timedelta) -> None:
    """Names and true ends, also of the first and last one that the run covers in part."""
    assert plan_periods(start, start + length, every) == expected(start, start + length, every)


@every_calendar
@given(instant=instants, before=lengths, after=lengths)
def test_the_name_of_a_moments_period_is_the_same_whatever_start_and_end(
    every: str, instant: datetime, before: timedelta, after: timedelta
) -> None:
    def name(start: datetime, end: datetime) -> str:
        return next(period.id for period in plan_periods(start, end, every) if instant in period)

    assert name(instant - before, instant + after) == name(instant, instant + MICROSECOND)


@every_way
@given(start=instants, length=lengths)
def test_names_are_unique_and_safe_in_a_path(every: str, start: datetime, length: timedelta) -> None:
    names = [period.id for period in planned(start, start + length, every)]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names)


@pytest.mark.parametrize(
    ("every", "year", "count"),
    [
        ("day", 2023, 365),
        ("day", 2024, 366),
        ("dekad", 2024, 36),
        ("15d", 2023, 24),
        ("15d", 2024, 24),
        ("month", 2024, 12),
        ("quarter", 2024, 4),
        ("season", 2024, 5),
        ("year", 2024, 1),
        ("span", 2024, 1),
    ],
)
def test_a_year_has_so_many(every: str, year: int, count: int) -> None:
    """A year meets five seasons: its December belongs to the next year's winter."""
    assert len(plan_periods(utc(year, 1, 1), utc(year + 1, 1, 1), every)) == count


@pytest.mark.parametrize(
    ("every", "inside", "name", "start", "end"),
    [
        ("day", utc(2024, 2, 29, 23), "2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("dekad", utc(2024, 2, 10, 23), "2024-02-d1", utc(2024, 2, 1), utc(2024, 2, 11)),
        ("dekad", utc(2024, 2, 11), "2024-02-d2", utc(2024, 2, 11), utc(2024, 2, 21)),
        ("dekad", utc(2024, 2, 29), "2024-02-d3", utc(2024, 2, 21), utc(2024, 3, 1)),
        ("dekad", utc(2023, 12, 31), "2023-12-d3", utc(2023, 12, 21), utc(2024, 1, 1)),
        ("15d", utc(2024, 1, 15), "2024-15d01", utc(2024, 1, 1), utc(2024, 1, 16)),
        ("15d", utc(2024, 3, 1), "2024-15d05", utc(2024, 3, 1), utc(2024, 3, 16)),
        ("15d", utc(2023, 12, 31), "2023-15d24", utc(2023, 12, 12), utc(2024, 1, 1)),
        ("15d", utc(2024, 12, 31), "2024-15d24", utc(2024, 12, 11), utc(2025, 1, 1)),
        ("month", utc(2024, 12, 31), "2024-12", utc(2024, 12, 1), utc(2025, 1, 1)),
        ("quarter", utc(2024, 12, 31), "2024-Q4", utc(2024, 10, 1), utc(2025, 1, 1)),
        ("season", utc(2023, 12, 1), "2024-DJF", utc(2023, 12, 1), utc(2024, 3, 1)),
        ("season", utc(2024, 2, 29), "2024-DJF", utc(2023, 12, 1), utc(2024, 3, 1)),
        ("season", utc(2024, 11, 30), "2024-SON", utc(2024, 9, 1), utc(2024, 12, 1)),
        ("year", utc(2024, 12, 31), "2024", utc(2024, 1, 1), utc(2025, 1, 1)),
        ("year", utc(9998, 12, 31), "9998", utc(9998, 1, 1), utc(9999, 1, 1)),
        ("season", utc(9998, 12, 31), "9999-DJF", utc(9998, 12, 1), utc(9999, 1, 1)),
        ("month", utc(1, 1, 1), "0001-01", utc(1, 1, 1), utc(1, 2, 1)),
    ],
)
def test_a_day_of_the_calendar_lies_in(every: str, inside: datetime, name: str, start: datetime, end: datetime) -> None:
    """Leap days, ends of years, the winter that begins in December."""
    (period,) = (one for one in plan_periods(start, end, every) if inside in one)
    assert period == Period(name, start, end)


@pytest.mark.parametrize(
    ("start", "end", "name"),
    [
        (utc(2024, 6, 1), utc(2024, 9, 1), "2024-06-01_2024-09-01"),
        (utc(2024, 6, 1, 6), utc(2024, 6, 1, 18, 30), "2024-06-01T060000_2024-06-01T183000"),
        (utc(2024, 6, 1), utc(2024, 6, 1, 0, 0, 0, 1), "2024-06-01_2024-06-01T000000-000001"),
    ],
)
def test_a_span_is_left_whole_and_named_by_its_ends(start: datetime, end: datetime, name: str) -> None:
    assert plan_periods(start, end, "span") == (Period(name, start, end),)


def config(**keys: object) -> PeriodConfig:
    return PeriodConfig.model_validate(keys)


def test_a_users_list_is_taken_in_order_of_time_with_its_gaps() -> None:
    listed = config(
        periods=(
            ("2024-03-01", "2024-04-01T12:00"),
            ("2023-12-31T23:00-01:00", "2024-02-01"),
            ("2024-02-01", "2024-02-03"),
        )
    )
    assert periods_of(listed) == (
        Period("2024-01-01_2024-02-01", utc(2024, 1, 1), utc(2024, 2, 1)),
        Period("2024-02-01_2024-02-03", utc(2024, 2, 1), utc(2024, 2, 3)),
        Period("2024-03-01_2024-04-01T120000", utc(2024, 3, 1), utc(2024, 4, 1, 12)),
    )
    assert not any(utc(2024, 2, 3) in period for period in periods_of(listed)), "a gap is in no period"


@given(st.lists(instants, min_size=4, max_size=20, unique=True).map(sorted), st.randoms())
def test_of_a_users_list_no_instant_lies_in_two_and_names_are_unique(ends: list[datetime], random: object) -> None:
    pairs = list(zip(ends[::2], ends[1::2], strict=False))
    random.shuffle(pairs)  # type: ignore[attr-defined]
    periods = periods_of(config(periods=tuple(pairs)))
    assert [(period.start, period.end) for period in periods] == sorted(pairs)
    assert all(sum(end in period for period in periods) <= 1 for end in ends)
    assert len({period.id for period in periods}) == len(pairs)


@every_word
def test_a_config_says_which(every: str) -> None:
    """Offsets become UTC, a date is its first moment."""
    chosen = config(start="2024-01-01T02:00+02:00", end="2025-01-01", every=every)
    assert periods_of(chosen) == plan_periods(utc(2024, 1, 1), utc(2025, 1, 1), every)


def test_padded_periods_keep_their_names() -> None:
    """2021 with 47 days before and 46 after is 15 November 2020 to 15 February 2022, its last day included."""
    config = PeriodConfig.model_validate(
        {"start": "2021-01-01", "end": "2023-01-01", "every": "year", "pad_days": (47, 46)}
    )
    first, second = periods_of(config)
    assert (first.id, second.id) == ("2021", "2022")
    assert (first.start, first.end) == (datetime(2020, 11, 15, tzinfo=UTC), datetime(2022, 2, 16, tzinfo=UTC))
    assert second.start is not None and first.end is not None and second.start < first.end


def test_windows_are_parts_of_every_year() -> None:
    windows = (("04-15", "06-16"), ("01-15", "03-16"))
    config = PeriodConfig.model_validate(
        {"start": "2020-01-01", "end": "2022-01-01", "every": "year", "windows": windows}
    )
    assert [period.id for period in periods_of(config)] == [
        "2020-01-15_2020-03-16",
        "2020-04-15_2020-06-16",
        "2021-01-15_2021-03-16",
        "2021-04-15_2021-06-16",
    ]


@pytest.mark.parametrize(
    ("windows", "every", "said"),
    [
        ((("02-29", "03-01"),), "year", "days of every year"),
        ((("03-01", "02-01"),), "year", "later than its start"),
        ((("01-01", "02-02"), ("02-01", "03-01")), "year", "none overlapping"),
        ((("01-01", "02-01"),), "month", "every: year"),
        ((("01-01", "02-01"), ("02-01", "03-01")), "year", "one of which begins"),
    ],
)
def test_windows_that_are_none_are_refused(windows: Any, every: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PeriodConfig.model_validate({"start": "2020-02-02", "end": "2021-01-01", "every": every, "windows": windows})


def test_a_tile_is_made_in_its_own_years_only() -> None:
    """Of its name, padded or not: DJF lies in the year of its January, a span in that of its middle."""
    seasons = plan_periods(datetime(2019, 12, 1, tzinfo=UTC), datetime(2021, 12, 1, tzinfo=UTC), "season")
    found = periods_by_tile(seasons, {"a": {2020}, "b": {2021, 2020}, "c": {1999}})
    assert found is not None
    assert found["a"] == {"2020-DJF", "2020-MAM", "2020-JJA", "2020-SON"}
    assert found["a"] < found["b"] and found["c"] == frozenset()
    padded = PeriodConfig.model_validate(
        {"start": "2020-01-01", "end": "2022-01-01", "every": "year", "pad_days": (47, 46)}
    )
    assert periods_by_tile(periods_of(padded), {"a": {2021}}) == {"a": frozenset({"2021"})}
    before = {"start": "2021-01-01", "end": "2021-03-01", "every": "month", "pad_days": (183, 0)}
    months = periods_of(PeriodConfig.model_validate(before))
    assert periods_by_tile(months, {"a": {2021}, "b": {2020}}) == {
        "a": frozenset({"2021-01", "2021-02"}),
        "b": frozenset(),
    }
    assert idle_years(months, {"a": {2020, 2021}}) == (2020,)
    span = {"start": "2020-12-01", "end": "2021-03-01", "every": "span", "pad_days": (183, 0)}
    (one,) = periods_of(PeriodConfig.model_validate(span))
    assert periods_by_tile([one], {"a": {2021}}) == {"a": frozenset({one.id})}
    assert periods_by_tile(seasons, None) is None
    assert idle_years(seasons, {"a": {2020}, "c": {1999, 2031}}) == (1999, 2031)
    assert idle_years(seasons, None) == idle_years([STATIC], {"c": {1999}}) == ()
