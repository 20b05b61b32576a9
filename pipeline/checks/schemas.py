"""The rules of a table as schemas of pandera: its columns and types, and the values of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from pipeline.checks.columns import bounds_of, expected_type, range_words
from pipeline.checks.result import listed, shown
from pipeline.checks.tally import Rule, Tally
from pipeline.config.columns import ColumnConfig, TableConfig, Value


def judge_columns(names: pl.Schema, config: TableConfig, tally: Tally, *, text: bool) -> tuple[str, ...]:
    """Compare a table's columns with the rule; returns the named ones that are there with their type.

    text: the table is CSV, whose types are read from text, so that only names and their order are compared.
    """
    wanted = {
        name: pa.Column(
            None if text else expected_type(column, names.get(name)), required=column.required, nullable=True
        )
        for name, column in config.columns.items()
    }
    strict = config.others != "pass"
    schema = pa.DataFrameSchema(wanted, strict=strict, ordered=config.ordered)
    wrong: set[str] = set()
    try:
        schema.validate(pl.DataFrame(schema=names), lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            wrong |= _judge_column(error, names, config, tally)
    return tuple(name for name in config.columns if name in names and name not in wrong)


def _judge_column(error: SchemaError, names: pl.Schema, config: TableConfig, tally: Tally) -> set[str]:
    """Note what pandera found of one column; returns those whose values cannot be looked at."""
    reason = error.reason_code
    if reason is SchemaErrorReason.WRONG_DATATYPE:
        name = str(error.schema.name)
        column = config.columns[name]
        tally.note(Rule("type", name, column.severity, str(column.type)), names[name])
        return {name}
    told = _names(error.failure_cases)
    if reason is SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
        for name in told:
            rule = Rule("column", name, config.columns[name].severity, "a column of this name")
            tally.note(rule, f"none (there are {listed(names.names())})")
    elif reason is SchemaErrorReason.COLUMN_NOT_IN_SCHEMA:
        if config.others != "pass":
            for name in told:
                tally.note(Rule("others", shown(name), config.others, "only columns that are named"), "this column")
    elif reason is SchemaErrorReason.COLUMN_NOT_ORDERED:
        order = [name for name in config.columns if name in names]
        found = [name for name in names if name in config.columns]
        tally.note(Rule("order", "", config.severity, listed(order)), listed(found))
    else:
        raise error
    return set()


def _names(cases: Any) -> list[str]:
    """The columns that an error of pandera's is about; it gives one name or a frame of them."""
    if isinstance(cases, pl.DataFrame):
        return [str(name) for name in cases.to_series(0)]
    return [str(cases)]


@dataclass(frozen=True)
class ValueSchema:
    """What pandera compares the values of each batch with, made once for all tables with the same columns."""

    schema: pa.DataFrameSchema | None
    rules: Mapping[tuple[str, str], Rule]

    @classmethod
    def of(cls, types: Mapping[str, pl.DataType], columns: Mapping[str, ColumnConfig]) -> ValueSchema:
        """types: of those columns whose values can be looked at."""
        checks = {name: _checks(name, columns[name], kind) for name, kind in types.items() if name in columns}
        rules = {(name, str(check.name)): rule for name, pairs in checks.items() for check, rule in pairs}
        wanted = {
            name: pa.Column(checks=[check for check, _ in pairs], nullable=True)
            for name, pairs in checks.items()
            if pairs
        }
        return cls(pa.DataFrameSchema(wanted) if wanted else None, rules)

    def judge(self, batch: pl.DataFrame, first_row: int, tally: Tally, examples: int) -> None:
        """Count the values of a batch that do not keep their rules."""
        if self.schema is None:
            return
        try:
            self.schema.validate(batch.select(list(self.schema.columns)), lazy=True)
        except SchemaErrors as errors:
            for error in errors.schema_errors:
                self._count(error, batch, first_row, tally, examples)

    def _count(self, error: SchemaError, batch: pl.DataFrame, first_row: int, tally: Tally, examples: int) -> None:
        if not isinstance(error.check, pa.Check):
            raise error
        name = str(error.schema.name)
        if error.reason_code is SchemaErrorReason.CHECK_ERROR:  # such as a pattern for numbers
            tally.note(self.rules[name, str(error.check.name)], f"values of type {batch.schema[name]}")
            return
        if error.reason_code is not SchemaErrorReason.DATAFRAME_CHECK:
            raise error
        kept = error.check_output.to_series(0)
        bad = (~kept).fill_null(value=False)
        at = bad.arg_true().head(examples).to_list()
        cases = ((f"row {first_row + k}", batch[name][k]) for k in at)
        tally.count(self.rules[name, str(error.check.name)], "values", int(bad.sum()), cases)


def _checks(name: str, column: ColumnConfig, kind: pl.DataType) -> list[tuple[pa.Check, Rule]]:
    """The checks of one column, each with the rule that it is for."""
    found: list[tuple[pa.Check, Rule]] = []
    for severity, pair in column.range.graded(column.severity) if column.range else ():
        low, high = bounds_of(pair, kind)
        rule = Rule("range", name, severity, range_words((low, high)))
        found.append((_range_check(low, high, f"range {severity}"), rule))
    if column.values is not None:
        allowed = _as(column.values, kind)
        rule = Rule("values", name, column.severity, f"one of {listed(column.values)}")
        found.append((pa.Check.isin(allowed, name="values", n_failure_cases=1), rule))
    if column.pattern is not None:
        rule = Rule("pattern", name, column.severity, f"text that matches {column.pattern}")
        found.append((pa.Check.str_matches(f"^(?:{column.pattern})$", name="pattern", n_failure_cases=1), rule))
    return found


def _range_check(low: object, high: object, name: str) -> pa.Check:
    if low is not None and high is not None:
        return pa.Check.in_range(low, high, name=name, n_failure_cases=1)
    if low is not None:
        return pa.Check.ge(low, name=name, n_failure_cases=1)
    if high is not None:
        return pa.Check.le(high, name=name, n_failure_cases=1)
    return pa.Check(lambda _: True, name=name)


def _as(values: Sequence[Value], kind: pl.DataType) -> list[Any]:
    """Allowed values as the column has them."""
    if kind == pl.Boolean():
        return [value for value in values if isinstance(value, bool)]
    if kind.is_numeric():
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if kind.is_integer():
            return [int(value) for value in numbers if float(value).is_integer()]
        return [Decimal(str(value)) if kind.is_decimal() else float(value) for value in numbers]
    return [str(value) for value in values]
