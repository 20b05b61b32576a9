"""`period:`: when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from pipeline.config.section import Section
from pipeline.config.values import UtcTime
from pipeline.types import Json

Spans = tuple[tuple[UtcTime, UtcTime], ...]
MonthDay = Annotated[
    str,
    Field(
        pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
        json_schema_extra={"patternErrorMessage": "a month and a day such as 01-15"},
    ),
]
Days = Annotated[int, Field(ge=0, le=183)]
_EARLIEST, _LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def _for_editors(schema: Json) -> None:
    del schema["required"]
    for key in ("start", "end"):
        schema["properties"][key]["default"] = None
    schema["oneOf"] = [{"required": ["start", "end"]}, {"required": ["periods"]}]


class PeriodConfig(Section):
    """When; dates and times are UTC unless they say otherwise, and ends are excluded."""

    model_config = ConfigDict(json_schema_extra=_for_editors)

    start: UtcTime = Field(
        description="First moment, included: a date or a time, in UTC where it names no zone; required unless "
        "periods is given."
    )
    end: UtcTime = Field(
        description="First moment after the last one (excluded): 2024-07-01 ends with 30 June; required unless "
        "periods is given."
    )
    every: Literal["day", "dekad", "15d", "month", "quarter", "season", "year", "span"] = Field(
        default="month",
        description="One output per day, dekad (days 1-10, 11-20, 21-end of a month), 15d (15 days from 1 "
        "January, 24 a year, the last runs to the year's end), month, quarter, season (DJF, MAM, JJA, "
        "SON; DJF has the year of its January) or year of the calendar, or one for the whole span.",
    )
    windows: tuple[tuple[MonthDay, MonthDay], ...] | None = Field(
        default=None,
        min_length=1,
        description="With every: year, only these parts of each year, [[01-15, 03-16]]: month-day, ends excluded; "
        "those that begin between start and end.",
    )
    pad_days: tuple[Days, Days] | None = Field(
        default=None,
        description="[before, after]: days around each period whose scenes belong to it too; its name stays, and "
        "periods may then share days; nothing: none.",
    )
    periods: Spans | None = Field(
        default=None,
        min_length=1,
        description="In place of start, end, every and windows: periods of your own, [[start, end], ...], ends "
        "excluded.",
    )

    @model_validator(mode="before")
    @classmethod
    def _span_of_the_list(cls, data: Json) -> Json:
        """With a list, start and end are those of all of it."""
        if not isinstance(data, dict):
            return data
        data = {**data, **{key: _tupled(data[key]) for key in ("windows", "pad_days") if key in data}}
        if data.get("periods") is None:
            return data
        beside = [key for key in ("start", "end", "every", "windows") if data.get(key) is not None]
        if beside:
            raise ValueError(f"found periods beside {' and '.join(beside)}; allowed: periods alone, or start and end")
        listed = _tupled(data["periods"])
        try:
            spans = TypeAdapter(Spans).validate_python(listed)
        except ValidationError:
            spans = ()  # told at its own key
        spans = tuple(pair for pair in spans if pair[0] < pair[1] <= _LATEST) or ((_EARLIEST, _LATEST),)
        starts, ends = zip(*spans, strict=True)
        return {**data, "periods": listed, "start": min(starts), "end": max(ends)}

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: UtcTime, info: ValidationInfo) -> UtcTime:
        if "start" in info.data and end <= info.data["start"]:
            meant = "for one day write the day after it" if end == info.data["start"] else "are they swapped?"
            raise ValueError(f"allowed: a date or time later than period.start, for the end is excluded; {meant}")
        if end > _LATEST:
            raise ValueError(f"allowed: nothing after {_LATEST:%Y-%m-%d}")
        return end

    @field_validator("windows")
    @classmethod
    def _within_a_year(
        cls, windows: tuple[tuple[str, str], ...] | None, info: ValidationInfo
    ) -> tuple[tuple[str, str], ...] | None:
        if windows is None:
            return None
        if info.data.get("every") != "year":
            raise ValueError("allowed: windows only with every: year")
        try:  # in a common year: 29 February is no day of every year
            ordered = sorted((_day_of(start), _day_of(end)) for start, end in windows)
        except ValueError:
            raise ValueError("allowed: days of every year") from None
        if not all(start < end for start, end in ordered) or any(b[0] < a[1] for a, b in pairwise(ordered)):
            raise ValueError(
                "allowed: pairs [start, end] within a year, each end later than its start, none overlapping"
            )
        start, end = info.data.get("start"), info.data.get("end")
        if start and end and not any(_within(day, start, end) for day, _ in windows):
            raise ValueError("allowed: windows of the year, at least one of which begins within start and end")
        return tuple(sorted(windows))

    @field_validator("pad_days")
    @classmethod
    def _after_the_first_year(cls, days: tuple[int, int] | None, info: ValidationInfo) -> tuple[int, int] | None:
        if days is not None and "start" in info.data and info.data["start"] - _EARLIEST < timedelta(days=days[0]):
            raise ValueError("allowed: no days before the year 1")
        return days

    @field_validator("periods")
    @classmethod
    def _apart(cls, periods: Spans | None) -> Spans | None:
        ordered = tuple(sorted(periods or ()))
        if not all(start < end <= _LATEST for start, end in ordered):
            raise ValueError("allowed: pairs [start, end] with a later end, for it is excluded, none after 9999-01-01")
        if any(following[0] < one[1] for one, following in pairwise(ordered)):
            raise ValueError("allowed: pairs that do not overlap; no moment lies in two periods")
        return ordered or None


def _tupled(value: Json) -> Json:
    """Strict values: a list from JSON is a tuple here."""
    return tuple(_tupled(each) for each in value) if isinstance(value, list) else value


def _within(day: str, start: datetime, end: datetime) -> bool:
    """Whether a month and day is within a span, of any of its years."""
    years = range(start.year, end.year + 1)
    return any(start <= datetime.fromisoformat(f"{year:04d}-{day}").replace(tzinfo=UTC) < end for year in years)


def _day_of(text: str) -> datetime:
    return datetime.strptime(f"2001-{text}", "%Y-%m-%d").replace(tzinfo=UTC)
