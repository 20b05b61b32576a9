"""`check.table:`: what a table must be like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.grades import NumberSpan, Severity, Share, Span
from pipeline.config.quality import Level
from pipeline.config.section import Section
from pipeline.config.values import Texts

Exact = Literal[
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"
]  # fmt: skip
ColumnType = Literal["integer", "number", "text", "boolean", "date", "time"] | Exact
Value = bool | int | float | str
Text = Annotated[str, Field(min_length=1)]

SEVERITY = "What it counts where this is not kept, and a limit does not say warn or fail itself."


class ColumnConfig(Section):
    """What a column of a table must be like."""

    type: ColumnType | None = Field(
        default=None,
        description="Type of the values; of CSV, whether the text can be read so; nothing: any (Parquet), text (CSV).",
    )
    required: bool = Field(default=True, description="Whether the column must be there.")
    format: str | None = Field(
        default=None,
        min_length=1,
        description="Of CSV: how dates and times are written, as %d/%m/%Y; nothing: ISO 8601.",
    )
    nulls: Share | None = Field(
        default=None,
        description="Largest share (0 to 1) of rows without a value, as 0.1 or {warn: 0.1, fail: 0.5}; nothing: any.",
    )
    range: Span | None = Field(
        default=None,
        description="[lowest, highest] number or time, or {warn: [...], fail: [...]}; an end that is null is "
        "open; nothing: any.",
    )
    values: tuple[Value, ...] | None = Field(
        default=None, min_length=1, description="The only values that are allowed; nothing: any."
    )
    pattern: str | None = Field(
        default=None,
        min_length=1,
        description="Regular expression (without look-around or back-references) that a whole text must match; "
        "nothing: any.",
    )
    unique: bool = Field(default=False, description="Whether no value may come twice.")
    severity: Severity = Field(default="fail", description=SEVERITY)

    @model_validator(mode="after")
    def _fits_type(self) -> Self:
        if self.pattern is not None:
            _check_pattern(self.pattern)
            if self.type not in {None, "text"}:
                raise ValueError(f"found pattern with type {self.type}; allowed: only with text")
        times = [each for _, pair in (self.range.graded(self.severity) if self.range else ()) for each in pair]
        if any(isinstance(each, datetime) for each in times) and self.type not in {"date", "time"}:
            raise ValueError("found a time in range; allowed: only with type: date or time")
        if any(isinstance(each, float) for each in times) and self.type in {"text", "boolean", "date", "time"}:
            raise ValueError(f"found a number in range of {self.type}; allowed: {_ends(self.type)}")
        if times and self.type is None:
            raise ValueError("found range without type; required: type, since text has no range")
        if self.values is not None and not _fit(self.values, self.type):
            raise ValueError(f"found values {list(self.values)} with type {self.type}; allowed: values of that type")
        if self.format is not None and self.type not in {"date", "time"}:
            raise ValueError("found format; allowed: only with type: date or time")
        return self


def _fit(values: tuple[Value, ...], kind: str | None) -> bool:
    """Whether values may be those of a column; text may be written as a number."""
    if kind is None or kind == "text":
        return True
    if kind == "boolean":
        return all(isinstance(value, bool) for value in values)
    number = float | int if kind == "number" or kind.startswith("float") else int
    return kind not in {"date", "time"} and all(
        isinstance(value, number) and not isinstance(value, bool) for value in values
    )


def _ends(kind: str) -> str:
    return "times such as 2024-01-01" if kind in {"date", "time"} else "no range"


def _check_pattern(pattern: str) -> None:
    """Raises ValueError for what Rust's regular expressions, which take linear time, do not know."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"found pattern {pattern!r}: {error}; allowed: a regular expression") from None
    if re.search(r"\(\?(<?[=!]|P=|\()|(?<!\\)(\\\\)*\\[1-9]", pattern):
        raise ValueError(f"found pattern {pattern!r}; allowed: none that looks around or refers back")


class TableConfig(Section):
    """What a table, CSV or Parquet, must be like."""

    columns: Mapping[Text, ColumnConfig] = Field(
        default={},
        description="What single columns must be like, by name; a CSV column without a name is (column N), "
        "counted from 1.",
    )
    others: Level = Field(default="pass", description="What columns count that are not named: pass, warn or fail.")
    ordered: bool = Field(default=False, description="Whether the columns must stand in this order.")
    key: Texts = Field(
        default=(),
        description="Columns whose values together name a row: no such name may come twice, none be missing; "
        "nothing: not checked.",
    )
    rows: NumberSpan | None = Field(
        default=None,
        description="[least, most] rows, or {warn: [...], fail: [...]}; an end that is null is open; nothing: any.",
    )
    separator: str = Field(
        default=",", min_length=1, max_length=1, description='Of CSV: character between values; a tab is "\\t".'
    )
    quote: str = Field(default='"', min_length=1, max_length=1, description="Of CSV: character around values.")
    missing: tuple[str, ...] = Field(default=("",), description="Of CSV: texts that stand for no value.")
    severity: Severity = Field(default="fail", description=SEVERITY)
