"""`period:`: when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.config.section import Section
from pipeline.config.values import UtcTime


class PeriodConfig(Section):
    """When; dates and times are UTC unless they say otherwise."""

    start: UtcTime = Field(description="First moment, included.")
    end: UtcTime = Field(description="Last moment, excluded.")
    every: Literal["month", "span"] = Field(
        default="month", description="One output per calendar month, or one for the span."
    )

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: UtcTime, info: ValidationInfo) -> UtcTime:
        if "start" in info.data and end <= info.data["start"]:
            raise ValueError("allowed: a date or time later than period.start, for the end is excluded")
        return end
