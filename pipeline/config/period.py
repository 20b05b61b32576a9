"""`period:`: when."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from pipeline.config.section import Section
from pipeline.config.values import UtcTime
from pipeline.types import Json

Spans = tuple[tuple[UtcTime, UtcTime], ...]
_EARLIEST, _LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def _for_editors(schema: Json) -> None:
    del schema["required"]
    schema["oneOf"] = [{"required": ["start", "end"]}, {"required": ["periods"]}]


class PeriodConfig(Section):
    """When; dates and times are UTC unless they say otherwise, and ends are excluded."""

    model_config = ConfigDict(json_schema_extra=_for_editors)

    start: UtcTime = Field(description="First moment, included.")
    end: UtcTime = Field(description="Last moment, excluded.")
    every: Literal["day", "dekad", "15d", "month", "quarter", "season", "year", "span"] = Field(
        default="month",
        description="One output per day, dekad (days 1-10, 11-20, 21-end of a month), 15d (15 days from 1 January, 24 "
        "a year, the last runs to the year's end), month, quarter, season (DJF to SON; DJF has the year of its "
        "January) or year of the calendar, or one for the span.",
    )
    periods: Spans | None = Field(
        default=None, min_length=1, description="Instead of the others: your own [[start, end], ...], ends excluded."
    )

    @model_validator(mode="before")
    @classmethod
    def _span_of_the_list(cls, data: Json) -> Json:
        """With a list, start and end are those of all of it."""
        if not isinstance(data, dict) or data.get("periods") is None:
            return data
        beside = [key for key in ("start", "end", "every") if key in data]
        if beside:
            raise ValueError(f"found periods beside {' and '.join(beside)}; allowed: periods alone, or start and end")
        listed = data["periods"]
        if isinstance(listed, list):  # strict values: a list from JSON is a tuple here
            listed = tuple(tuple(pair) if isinstance(pair, list) else pair for pair in listed)
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
            raise ValueError("allowed: a date or time later than period.start, for the end is excluded")
        if end > _LATEST:
            raise ValueError(f"allowed: nothing after {_LATEST:%Y-%m-%d}")
        return end

    @field_validator("periods")
    @classmethod
    def _apart(cls, periods: Spans | None) -> Spans | None:
        ordered = tuple(sorted(periods or ()))
        if not all(start < end <= _LATEST for start, end in ordered):
            raise ValueError("allowed: pairs [start, end] with a later end, for it is excluded, none after 9999-01-01")
        if any(following[0] < one[1] for one, following in pairwise(ordered)):
            raise ValueError("allowed: pairs that do not overlap; no moment lies in two periods")
        return ordered or None
