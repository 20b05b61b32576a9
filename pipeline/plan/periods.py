"""Named spans of time, half-open, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.types import Period


def plan_periods(start: datetime, end: datetime, every: str) -> tuple[Period, ...]:
    """[start, end) cut into calendar months, or left whole (`span`); every instant of it lies in exactly one period.

    A month that the run covers in part keeps its name (`2024-06`) and says its true ends.
    """
    if every == "span":
        return (Period(f"{start:%Y-%m-%d}_{end:%Y-%m-%d}", start, end),)
    periods = []
    cursor = start
    while cursor < end:
        following = datetime(cursor.year + cursor.month // 12, cursor.month % 12 + 1, 1, tzinfo=UTC)
        periods.append(Period(f"{cursor:%Y-%m}", cursor, min(following, end)))
        cursor = following
    return tuple(periods)
