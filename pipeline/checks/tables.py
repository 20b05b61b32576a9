"""CSV and Parquet against the rules of a table, batch by batch."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline.checks.check import UnreadableError
from pipeline.checks.columns import TextColumns, comparable, range_words
from pipeline.checks.numbers import judge_share
from pipeline.checks.result import Finding, shown
from pipeline.checks.schemas import ValueSchema, judge_columns
from pipeline.checks.seen import Seen
from pipeline.checks.tally import Rule, Tally
from pipeline.config.columns import TableConfig
from pipeline.types import Json

_BLOCK_BYTES = 4 * 2**20
"""Of CSV that are read at once; no row may be longer."""
_HEAD_BYTES = 64 * 2**10
"""In which the first line of CSV ends."""
BATCH_ROWS = 65_536
_MOST_COLUMNS = 10_000
_COLUMNS_TOLD = 200
"""Of how many columns the facts tell."""


@dataclass
class _Column:
    """What is known of a column so far."""

    nulls: int = 0
    low: Any = None
    high: Any = None

    def add(self, nulls: int, low: Any, high: Any) -> None:
        self.nulls += nulls
        if low is not None:
            self.low = low if self.low is None else min(self.low, low)
            self.high = high if self.high is None else max(self.high, high)


@dataclass
class TableCheck:
    """The rules of one rule's tables, with what was made of them for columns that were met before."""

    config: TableConfig
    examples: int
    _texts: dict[tuple[str, ...], TextColumns] = field(default_factory=dict)
    _values: dict[tuple[Any, ...], ValueSchema] = field(default_factory=dict)
    _good: dict[tuple[Any, ...], tuple[str, ...]] = field(default_factory=dict)

    def run(self, path: Path, kind: str, scratch: Path) -> tuple[tuple[Finding, ...], dict[str, Json]]:
        """Read a whole table. Raises UnreadableError where it cannot be read to its end."""
        return _TableRun(self, Tally(self.examples), scratch, text=kind == "CSV").run(path)

    def text_columns(self, names: tuple[str, ...]) -> TextColumns:
        """How text is read, made once."""
        if names not in self._texts:
            self._texts[names] = TextColumns.of(list(names), self.config.columns)
        return self._texts[names]

    def good_columns(self, schema: pl.Schema, tally: Tally, *, text: bool) -> tuple[str, ...]:
        """The named columns that are there with their type; columns without a fault are compared once."""
        key = (text, *schema.items())
        known = self._good.get(key)
        if known is None:
            own = Tally(0)
            known = judge_columns(schema, self.config, own, text=text)
            tally.take(own)
            if not own.findings():
                self._good[key] = known
        return known

    def value_schema(self, types: Mapping[str, pl.DataType]) -> ValueSchema:
        """What values are compared with, made once."""
        key = tuple(types.items())
        if key not in self._values:
            self._values[key] = ValueSchema.of(types, self.config.columns)
        return self._values[key]


class _TableRun:
    """One table on its way through."""

    def __init__(self, check: TableCheck, tally: Tally, scratch: Path, *, text: bool) -> None:
        self._check, self._tally, self._scratch, self._text = check, tally, scratch, text
        self._config = check.config
        self._rows = 0
        self._columns: dict[str, _Column] = {}
        self._types: dict[str, str] = {}
        self._seen: dict[tuple[str, ...], Seen] = {}
        self._good: tuple[str, ...] = ()

    def run(self, path: Path) -> tuple[tuple[Finding, ...], dict[str, Json]]:
        batches = _read_csv(path, self._config, self._tally) if self._text else _read_parquet(path)
        try:
            self._begin(next(batches))
            for batch in batches:
                self._look_at(batch)
        except (pa.ArrowException, pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
            raise UnreadableError(str(error)) from error
        self._end()
        return self._tally.findings(self._rows), self._facts()

    def _begin(self, empty: pl.DataFrame) -> None:
        """Compare the columns, known by a batch without rows."""
        schema = empty.schema
        self._good = self._check.good_columns(schema, self._tally, text=self._text)
        self._columns = {name: _Column() for name in schema}
        self._types = {name: _type_name(kind) for name, kind in schema.items()}
        for name, column in self._config.columns.items():
            if self._text and name in schema and column.type is not None:
                self._types[name] = column.type
        unique = [(name,) for name in self._good if self._config.columns[name].unique]
        key = self._config.key
        gone = [name for name in key if name not in schema]
        if gone:
            rule = Rule("key", "", self._config.severity, f"columns {', '.join(key)}")
            self._tally.note(rule, f"no column {', '.join(gone)}")
        self._seen = {names: Seen(self._scratch) for names in (*unique, *((key,) if key and not gone else ()))}

    def _look_at(self, raw: pl.DataFrame) -> None:
        first, examples = self._rows + 1, self._check.examples
        batch = raw
        if self._text:
            batch = self._check.text_columns(tuple(raw.columns)).read(raw, first, self._tally, examples)
        batch = comparable(batch)
        values = self._check.value_schema({name: batch.schema[name] for name in self._good})
        values.judge(batch, first, self._tally, examples)
        for names, seen in self._seen.items():
            lacking = seen.add(batch.select(names), first)
            if names == self._config.key:
                rule = Rule("key", ", ".join(names), self._config.severity, "a value in each column of the key")
                self._tally.count(rule, "rows without it", lacking)
        for name, (nulls, low, high) in _statistics(batch).items():
            self._columns[name].add(nulls, low, high)
        self._rows += len(batch)

    def _end(self) -> None:
        config, tally = self._config, self._tally
        tally.total(_ragged(config), self._rows + tally.counted(_ragged(config)))
        for names, seen in self._seen.items():
            repeats = seen.repeats(self._check.examples)
            key = names == config.key
            severity = config.severity if key else config.columns[names[0]].severity
            rule = Rule("key" if key else "unique", ", ".join(names), severity, "no two rows with the same")
            cases = ((f"row {row}", f"as in row {earlier}") for row, earlier in repeats.first)
            tally.count(rule, "rows that repeat an earlier one", repeats.count, cases)
        for severity, (least, most) in config.rows.graded(config.severity) if config.rows else ():
            if (least is not None and self._rows < least) or (most is not None and self._rows > most):  # type: ignore[operator]
                tally.note(Rule("rows", "", severity, f"{range_words((least, most))} rows"), f"{self._rows:,} rows")
        for name, column in config.columns.items():
            limits = column.nulls
            if limits is None or name not in self._columns or not self._rows:
                continue
            rule = Rule("nulls", name, column.severity, "rows")
            judge_share(rule, limits, (self._columns[name].nulls, self._rows), tally)

    def _facts(self) -> dict[str, Json]:
        columns = [
            {
                "name": shown(name),
                "type": self._types[name],
                "nulls": column.nulls,
                "min": None if column.low is None else shown(str(column.low)),
                "max": None if column.high is None else shown(str(column.high)),
            }
            for name, column in list(self._columns.items())[:_COLUMNS_TOLD]
        ]
        return {"rows": self._rows, "columns": len(self._columns), "of_columns": columns}


def _statistics(batch: pl.DataFrame) -> dict[str, tuple[int, Any, Any]]:
    """Of each column its nulls, and of numbers and times the least and the greatest."""
    ordered = [name for name, kind in batch.schema.items() if kind.is_numeric() or kind.is_temporal()]
    found = [pl.all().null_count().name.prefix("n"), pl.col(ordered).min().name.prefix("l")]
    row = batch.select(*found, pl.col(ordered).max().name.prefix("h")).row(0, named=True)
    return {name: (row[f"n{name}"], row.get(f"l{name}"), row.get(f"h{name}")) for name in batch.columns}


def _type_name(kind: pl.DataType) -> str:
    return str(kind).lower()


def _read_csv(path: Path, config: TableConfig, tally: Tally) -> Iterator[pl.DataFrame]:
    """A batch without rows, and then all rows as text; those with more or fewer values than the header are left out."""
    ragged = _ragged(config)

    def leave_out(row: Any) -> str:
        at = f"line {row.number}" if row.number is not None else "a row"
        tally.count(ragged, "rows with more or fewer values", 1, [(at, f"{row.actual_columns} values: {row.text}")])
        return "skip"

    reader = pa_csv.open_csv(
        _ended(path),
        pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        pa_csv.ParseOptions(
            delimiter=config.separator, quote_char=config.quote, newlines_in_values=True, invalid_row_handler=leave_out
        ),
        pa_csv.ConvertOptions(
            default_column_type=pa.string(), strings_can_be_null=True, null_values=list(config.missing)
        ),
    )
    with reader:
        names = _own_names(reader.schema.names, config, tally)
        yield pl.DataFrame(schema=dict.fromkeys(names, pl.String()))
        for batch in reader:
            yield _frame(batch.rename_columns(names))
    _check_quotes(path, config)


def _ended(path: Path) -> Any:
    """A file; one of a single line with an end to it, without which the library finds nothing in a header."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES + 1)
    whole = len(head) > _HEAD_BYTES or b"\n" in head or b"\r" in head
    return path if whole else pa.BufferReader(head + b"\n")


def _check_quotes(path: Path, config: TableConfig) -> None:
    """Raise UnreadableError where quotes never end or text follows them: the library takes rows for one value then."""
    with path.open("rb") as file:
        if not any(config.quote.encode() in block for block in iter(lambda: file.read(_BLOCK_BYTES), b"")):
            return
    csv.field_size_limit(_BLOCK_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, delimiter=config.separator, quotechar=config.quote, strict=True)
        try:
            deque(rows, maxlen=0)
        except csv.Error as error:
            raise UnreadableError(f"quotes that are not in order up to line {rows.line_num:,}: {error}") from error


def _ragged(config: TableConfig) -> Rule:
    return Rule("shape", "", config.severity, "as many values in each row as there are columns")


def _own_names(names: list[str], config: TableConfig, tally: Tally) -> list[str]:
    """Column names, each once: a second one of a name is noted and gets another."""
    if len(names) > _MOST_COLUMNS:
        raise UnreadableError(f"{len(names):,} columns; at most {_MOST_COLUMNS:,} are read")
    own: list[str] = []
    for number, found in enumerate(names, 1):
        name = found or f"(column {number})"
        if name in own:
            tally.note(Rule("column", shown(name), config.severity, "each name once"), "a second column of this name")
        while name in own:
            name = f"{name} (again)"
        own.append(name)
    return own


def _read_parquet(path: Path) -> Iterator[pl.DataFrame]:
    """A batch without rows, and then all rows; checksums of pages are compared where the file has them."""
    with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
        schema = file.schema_arrow
        if len(schema.names) > _MOST_COLUMNS:
            raise UnreadableError(f"{len(schema.names):,} columns; at most {_MOST_COLUMNS:,} are read")
        if len(set(schema.names)) < len(schema.names):
            raise UnreadableError("several columns of one name")
        yield _frame(schema.empty_table())
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            yield _frame(batch)


def _plain(field: pa.Field) -> pa.Field:
    """Times as of UTC, which they are counted in, since polars knows no zone such as +05:30; no numbers of 16 bits."""
    kind = field.type
    if pa.types.is_timestamp(kind) and kind.tz:
        return field.with_type(pa.timestamp(kind.unit, "UTC"))
    return field.with_type(pa.float32()) if pa.types.is_float16(kind) else field


def _frame(batch: Any) -> pl.DataFrame:
    """A batch of Arrow's for polars."""
    found = pl.from_arrow(batch.cast(pa.schema([_plain(field) for field in batch.schema])))
    if not isinstance(found, pl.DataFrame):
        raise UnreadableError(f"no table but {type(found).__name__}")
    return found
