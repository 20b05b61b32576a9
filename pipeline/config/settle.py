"""Times as words, and how long what an event asks for is waited with."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from pipeline.config.section import Section

DAY_S = 86_400.0
_UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": DAY_S}
_DURATION_WORDS = "a time such as 90s, 30min, 6h or 5d"
_SETTLE_WORDS = "a time such as 6h after the last event, or period_end+5d"


def duration_s(text: str) -> float:
    """Seconds of a time in words. Raises ValueError for anything else.

    >>> [duration_s(text) for text in ("90s", "30min", "6h", "5d")]
    [90.0, 1800.0, 21600.0, 432000.0]
    """
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(s|min|h|d)", text)
    if match is None:
        raise ValueError(f"allowed: {_DURATION_WORDS}")
    return float(match[1]) * _UNITS_S[match[2]]


class SettleConfig(Section):
    """When what an event asks for is begun: after this much silence, and not before the period's end."""

    after_s: float = Field(description="Seconds without a further event of the same tile and period, float or object.")
    period_end_s: float | None = Field(
        default=None, description="Seconds after the end of the period before which nothing is begun; nothing: none."
    )

    @property
    def latest_s(self) -> float:
        """Seconds after the first event by which it is begun, however many follow: four times the silence."""
        return 4 * self.after_s


LATE_S = 6 * 3600.0
"""Silence that is waited for where an event comes after its period has long ended."""


def _settle(value: object) -> object:
    if not isinstance(value, str):
        return value
    begin, plus, rest = value.partition("+")
    if begin.strip() == "period_end":
        return {"after_s": LATE_S, "period_end_s": duration_s(rest.strip()) if plus else 0.0}
    try:
        return {"after_s": duration_s(value)}
    except ValueError:
        raise ValueError(f"allowed: {_SETTLE_WORDS}") from None


Settle = Annotated[
    SettleConfig,
    BeforeValidator(_settle),
    WithJsonSchema({"type": "string", "minLength": 2, "description": _SETTLE_WORDS}),
]
