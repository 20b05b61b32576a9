"""Named spans of time, half-open, in UTC: calendar periods by rule, or the user's own list.

Names are the calendar's, so they are the same whatever start and end a run has:

    day      2024-06-01
    dekad    2024-06-d1, -d2, -d3      days 1-10, 11-20, 21 to the month's end
    15d      2024-15d01 … 2024-15d24   15 days each, counted from 1 January; the last one runs to the year's end
    month    2024-06
    quarter  2024-Q1 … 2024-Q4
    season   2024-DJF, -MAM, -JJA, -SON   2024-DJF begins in December 2023: the year is that of its January
    year     2024
    span     2024-06-01_2024-09-01     as is each pair of a user's list; an end inside a day says its time of day

`pad_days` makes a period longer and leaves its name: `2024` may then begin in November 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pipeline.config.period import PeriodConfig
from pipeline.types import Period

STATIC = Period("static", None, None)
"""The one period of what has no time."""
_SEASONS = ("DJF", "MAM", "JJA", "SON")
_STEP_DAYS, _STEPS = 15, 24


def periods_of(config: PeriodConfig) -> tuple[Period, ...]:
    """The periods of a config in order of time; without `pad_days` no moment lies in two of them."""
    if config.periods is not None:
        found = tuple(_span(start, end) for start, end in config.periods)
    elif config.windows is not None:
        found = _windows(config)
    else:
        found = plan_periods(config.start, config.end, config.every)
    return found if config.pad_days is None else tuple(_padded(one, *config.pad_days) for one in found)


def periods_by_tile(
    periods: Sequence[Period], years: Mapping[str, Collection[int]] | None
) -> dict[str, frozenset[str]] | None:
    """Tile id → ids of the periods that lie in the years it is asked for; None: in every one.

    A period lies in the year of its name, whatever `pad_days` say: DJF in that of its January, a span in that of its
    middle.
    """
    if years is None:
        return None
    lie = [(one.id, named_year(one.id)) for one in periods if one != STATIC]
    return {tile: frozenset(period for period, year in lie if year in asked) for tile, asked in years.items()}


def idle_years(periods: Sequence[Period], years: Mapping[str, Collection[int]] | None) -> tuple[int, ...]:
    """Years in which some tile is asked for and no period lies; what has no time lies in all of them."""
    if STATIC in periods:
        return ()
    lie = {named_year(one.id) for one in periods}
    return tuple(sorted({year for asked in (years or {}).values() for year in asked} - lie))


def named_year(period_id: str) -> int:
    """The year that a period lies in, by its name: of the calendar, or from one date to another.

    >>> named_year("2024-DJF"), named_year("2023-11-01_2025-02-01")
    (2024, 2024)
    """
    first, _, last = period_id.partition("_")
    if not last:
        return int(first[:4])
    start, end = (datetime.fromisoformat(side[:10]) for side in (first, last))
    return (start + (end - start) / 2).year


def _padded(period: Period, before: int, after: int) -> Period:
    """The same period with days before and after it."""
    if period.start is None or period.end is None:
        return period
    return replace(period, start=period.start - timedelta(days=before), end=period.end + timedelta(days=after))


def _windows(config: PeriodConfig) -> tuple[Period, ...]:
    """The parts of each year that begin within a run's start and end."""
    found = []
    for year in range(config.start.year, config.end.year + 1):
        for start, end in config.windows or ():
            span = [datetime.fromisoformat(f"{year:04d}-{day}").replace(tzinfo=UTC) for day in (start, end)]
            if config.start <= span[0] < config.end:
                found.append(_span(*span))
    return tuple(found)


def plan_periods(start: datetime, end: datetime, every: str) -> tuple[Period, ...]:
    """[start, end) cut where the calendar cuts it, or left whole (`span`); every instant lies in exactly one period.

    A period that the run covers in part keeps its name (`2024-06`) and says its true ends. start and end are UTC,
    the end not after the year 9998.

    >>> june, august = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC)
    >>> [period.id for period in plan_periods(june, august, "month")]
    ['2024-06', '2024-07']
    >>> [period.id for period in plan_periods(june, june + timedelta(days=25), "dekad")]
    ['2024-06-d1', '2024-06-d2', '2024-06-d3']
    """
    if every == "span":
        return (_span(start, end),)
    periods = []
    cursor = start
    while cursor < end:
        name, following = _CALENDAR[every](cursor)
        periods.append(Period(name, cursor, min(following, end)))
        cursor = following
    return tuple(periods)


def _span(start: datetime, end: datetime) -> Period:
    return Period(f"{_moment(start)}_{_moment(end)}", start, end)


def _moment(time: datetime) -> str:
    """The date, and the time of day where it is not midnight: two spans within one day have two names."""
    since = time - _midnight(time)
    if not since:
        return f"{time.date()}"
    return f"{time.date()}T{time:%H%M%S}" + (f"-{time.microsecond:06d}" if time.microsecond else "")


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def _month(year: int, month: int) -> datetime:
    """The first moment of a month; months beyond the twelfth are those of the next year."""
    return datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)


def _day(time: datetime) -> tuple[str, datetime]:
    return f"{time.date()}", _midnight(time) + timedelta(days=1)


def _dekad(time: datetime) -> tuple[str, datetime]:
    number = min((time.day - 1) // 10, 2)
    first = _month(time.year, time.month)
    following = first + timedelta(days=10 * (number + 1)) if number < 2 else _month(time.year, time.month + 1)
    return f"{time.year:04d}-{time.month:02d}-d{number + 1}", following


def _fifteen_days(time: datetime) -> tuple[str, datetime]:
    first = _month(time.year, 1)
    number = min((time - first).days // _STEP_DAYS, _STEPS - 1) + 1
    following = first + timedelta(days=_STEP_DAYS * number) if number < _STEPS else _month(time.year + 1, 1)
    return f"{time.year:04d}-15d{number:02d}", following


def _calendar_month(time: datetime) -> tuple[str, datetime]:
    return f"{time.year:04d}-{time.month:02d}", _month(time.year, time.month + 1)


def _quarter(time: datetime) -> tuple[str, datetime]:
    number = (time.month - 1) // 3 + 1
    return f"{time.year:04d}-Q{number}", _month(time.year, 3 * number + 1)


def _season(time: datetime) -> tuple[str, datetime]:
    year, number = divmod(time.year * 12 + time.month, 12)
    season = number // 3
    return f"{year:04d}-{_SEASONS[season]}", _month(year, 3 * season + 3)


def _year(time: datetime) -> tuple[str, datetime]:
    return f"{time.year:04d}", _month(time.year + 1, 1)


_CALENDAR: Mapping[str, Callable[[datetime], tuple[str, datetime]]] = {
    "day": _day,
    "dekad": _dekad,
    "15d": _fifteen_days,
    "month": _calendar_month,
    "quarter": _quarter,
    "season": _season,
    "year": _year,
}
"""By the config's word: an instant to the name of the calendar period it lies in, and that period's excluded end."""
