"""What the statements of an inbox are run by: one transaction of a database, of either kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

Row = tuple[object, ...]


class Session(Protocol):
    """One transaction. Statements are of the SQL that both databases speak; a value stands as `?`.

    FOR UPDATE, with or without SKIP LOCKED, ends a statement where it stands.
    """

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Run a statement; what it returns."""

    def each(self, statement: str, values: Sequence[Sequence[object]]) -> list[list[Row]]:
        """Run a statement that returns rows with each of these; what each returns, in this order."""

    def run(self, statement: str, values: Sequence[Sequence[object]]) -> None:
        """Run a statement that returns nothing with each of these."""


def number(value: object) -> float:
    """A number of a row."""
    return float(cast("float", value))


def count(value: object) -> int:
    """A whole number of a row."""
    return cast("int", value)
