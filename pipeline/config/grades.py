"""Limits of checks that warn before they fail: `0.1`, or `{warn: 0.1, fail: 0.5}`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from pipeline.config.quality import Fraction, MostFraction
from pipeline.config.section import Section
from pipeline.config.values import UtcTime
from pipeline.types import Json

Severity = Literal["warn", "fail"]
Bound = float | UtcTime | None
Bounds = tuple[Bound, Bound]

_LIMIT = "Beyond it counts what `severity` says."
_PAIR: Json = {
    "type": "array",
    "prefixItems": [{"type": ["number", "string", "null"]}] * 2,
    "minItems": 2,
    "maxItems": 2,
}
_SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}


def _either(of: Json) -> Json:
    """A limit, or what of it is a warning and what a failure."""
    about = {"warn": "Beyond it is a warning; nothing: never.", "fail": "Beyond it is a failure; nothing: never."}
    keys = {key: {"anyOf": [of, {"type": "null"}], "default": None, "description": about[key]} for key in about}
    return {"anyOf": [of, {"type": "object", "properties": keys, "additionalProperties": False}]}


def _graded(value: object) -> object:
    if not isinstance(value, dict):
        return {"limit": _tuple(value)}
    return {key: _tuple(each) for key, each in value.items()}


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Within(Section):
    """Between which values all should lie; an end that is null is open."""

    limit: Bounds | None = Field(default=None, description=_LIMIT)
    warn: Bounds | None = Field(default=None, description="[lowest, highest]; beyond is a warning.")
    fail: Bounds | None = Field(default=None, description="[lowest, highest]; beyond is a failure.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for pair in (self.limit, self.warn, self.fail):
            low, high = pair or (None, None)
            if low is None or high is None:
                continue
            if isinstance(low, datetime) != isinstance(high, datetime) or low > high:  # type: ignore[operator]
                raise ValueError("allowed: [lowest, highest], two numbers or two times, the smaller one first")
        return self

    def graded(self, severity: Severity) -> tuple[tuple[Severity, Bounds], ...]:
        """Each severity and its range, those that are given. severity: of one that does not say it."""
        pairs: tuple[tuple[Severity, Bounds | None], ...] = (
            (severity, self.limit),
            ("fail", self.fail),
            ("warn", self.warn),
        )
        return tuple((grade, bounds) for grade, bounds in pairs if bounds is not None)


def _of_numbers(span: Within) -> Within:
    """Raises ValueError for times."""
    if any(isinstance(each, datetime) for _, pair in span.graded("fail") for each in pair):
        raise ValueError("found a time; allowed: [lowest, highest], two numbers")
    return span


class MostShare(MostFraction):
    """A share that should not be larger."""

    limit: Fraction | None = Field(default=None, description=_LIMIT)

    def broken_by(self, share: float, severity: Severity) -> tuple[Severity, float] | None:
        """The gravest limit that is broken. severity: of one that does not say it."""
        pairs: tuple[tuple[Severity, float | None], ...] = (
            ("fail", self.fail),
            (severity, self.limit),
            ("warn", self.warn),
        )
        broken = [(grade, most) for grade, most in pairs if most is not None and share > most]
        return min(broken, key=lambda each: each[0] != "fail", default=None)


Span = Annotated[Within, BeforeValidator(_graded), WithJsonSchema(_either(_PAIR))]
"""[lowest, highest]; or {warn: […], fail: […]}."""
NumberSpan = Annotated[Span, AfterValidator(_of_numbers)]
"""The same, of numbers only."""
Share = Annotated[MostShare, BeforeValidator(_graded), WithJsonSchema(_either(_SHARE))]
"""The largest share; or {warn: …, fail: …}."""
