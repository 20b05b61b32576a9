"""Columns as they are told of in a rule: which types they may have, and how text is read as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pipeline.checks.result import shown
from pipeline.checks.tally import Rule, Tally
from pipeline.config.columns import ColumnConfig
from pipeline.config.grades import Bounds

_EXACT: Mapping[str, pl.DataType] = {
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "uint8": pl.UInt8(),
    "uint16": pl.UInt16(),
    "uint32": pl.UInt32(),
    "uint64": pl.UInt64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
}
_CANONICAL: Mapping[str, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "time": pl.Datetime("us", "UTC"),
}
_ISO = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_TRUE, _FALSE = ("true", "t", "yes", "1"), ("false", "f", "no", "0")


def expected_type(column: ColumnConfig, found: pl.DataType | None) -> pl.DataType | None:
    """The type that is demanded of a column; the one that was found where it is of the family that is named."""
    if column.type is None:
        return None
    if column.type in _EXACT:
        return _EXACT[column.type]
    return found if found is not None and _is_of(found, column.type) else _CANONICAL[column.type]


def _is_of(found: pl.DataType, family: str) -> bool:
    if family == "integer":
        return found.is_integer()
    if family == "number":
        return found.is_numeric()
    if family == "time":
        return isinstance(found, pl.Datetime)
    if family == "text":
        return isinstance(found, pl.String | pl.Categorical | pl.Enum)
    return found == _CANONICAL[family]


def read_text(name: str, column: ColumnConfig) -> pl.Expr | None:
    """A column of text as its type; null where it cannot be read so. None: it is text already."""
    kind, text = column.type, pl.col(name).str.strip_chars()
    if kind in {None, "text"}:
        return None
    if kind == "boolean":
        small = text.str.to_lowercase()
        return pl.when(small.is_in(_TRUE)).then(pl.lit(value=True)).when(small.is_in(_FALSE)).then(pl.lit(value=False))
    if kind == "date":
        return text.str.to_date(column.format or "%Y-%m-%d", strict=False)
    if kind == "time":
        return _read_time(text, column.format)
    return text.cast(_EXACT.get(str(kind)) or _CANONICAL[str(kind)], strict=False)


def _read_time(text: pl.Expr, written: str | None) -> pl.Expr:
    if written is not None:
        zoned = "%z" in written or "%:z" in written or "%#z" in written
        read = text.str.to_datetime(written, strict=False, time_unit="us", time_zone="UTC" if zoned else None)
        return read if zoned else read.dt.replace_time_zone("UTC")
    iso = text.str.replace(" ", "T", literal=True).str.replace("[zZ]$", "+00:00")
    there = (iso.str.to_datetime(each, strict=False, time_unit="us", time_zone="UTC") for each in _ZONED)
    plain = (iso.str.to_datetime(each, strict=False, time_unit="us").dt.replace_time_zone("UTC") for each in _ISO)
    return pl.coalesce(*there, *plain)


def comparable(frame: pl.DataFrame) -> pl.DataFrame:
    """The same values with times in UTC, categories as text, and NaN, which is no number, as null."""
    changed = []
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Datetime) and kind.time_zone != "UTC":
            col = pl.col(name)
            changed.append(col.dt.convert_time_zone("UTC") if kind.time_zone else col.dt.replace_time_zone("UTC"))
        elif isinstance(kind, pl.Categorical | pl.Enum):
            changed.append(pl.col(name).cast(pl.String))
        elif kind.is_float():
            changed.append(pl.col(name).fill_nan(None))
    return frame.with_columns(changed) if changed else frame


@dataclass(frozen=True)
class TextColumns:
    """How the columns of a CSV file are read, made once for all files with the same header."""

    expressions: Mapping[str, pl.Expr]
    rules: Mapping[str, Rule]

    @classmethod
    def of(cls, names: list[str], columns: Mapping[str, ColumnConfig]) -> TextColumns:
        """Those of the named columns that are more than text."""
        known = {name: columns[name] for name in names if name in columns}
        read = {name: found for name, column in known.items() if (found := read_text(name, column)) is not None}
        rules = {name: Rule("type", name, known[name].severity, _words(known[name])) for name in read}
        return cls({name: each.alias(name) for name, each in read.items()}, rules)

    def read(self, frame: pl.DataFrame, first_row: int, tally: Tally, examples: int) -> pl.DataFrame:
        """The batch with its types; what cannot be read so is counted, and null."""
        if not self.expressions:
            return frame
        typed = frame.with_columns(list(self.expressions.values()))
        for name, rule in self.rules.items():
            lost = typed[name].null_count() - frame[name].null_count()
            if lost:
                at = (typed[name].is_null() & frame[name].is_not_null()).arg_true().head(examples).to_list()
                tally.count(rule, "values", lost, ((f"row {first_row + k}", frame[name][k]) for k in at))
        return typed


def _words(column: ColumnConfig) -> str:
    written = f" written as {column.format}" if column.format else ""
    return f"{column.type}{written}"


def bounds_of(pair: Bounds, kind: pl.DataType) -> Bounds | tuple[object, object]:
    """A range's ends as values that compare with a column."""
    if kind == pl.Date():
        return tuple(each.date() if isinstance(each, datetime) else each for each in pair)  # type: ignore[return-value]
    return pair


def range_words(pair: tuple[object, object]) -> str:
    """A range for people."""
    low, high = ("" if each is None else shown(_plain(each)) for each in pair)
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}" if high else "anything"


def _plain(value: object) -> object:
    """A number without needless digits; a time without an offset that is always the same."""
    if isinstance(value, float):
        return f"{value:.12g}"
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
