"""Rows that repeat: the same as a dictionary of all rows would find, in memory and on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.checks.seen import Repeats, Seen

ROWS = st.lists(st.tuples(st.none() | st.integers(0, 9), st.none() | st.sampled_from("ab")), max_size=60)


@settings(deadline=None, max_examples=40)
@given(ROWS, st.integers(1, 20), st.sampled_from([0, 7, 1000]))
def test_repeats_are_those_of_a_plain_dictionary(
    rows: list[tuple[int | None, str | None]], batch: int, held: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = Seen(Path(folder), rows_held=held)
        frame = pl.DataFrame(rows, schema={"n": pl.Int64, "t": pl.String}, orient="row")
        lacking = sum(seen.add(frame[at : at + batch], at + 1) for at in range(0, len(rows), batch))
        found = seen.repeats(most=3)
    first: dict[tuple[int | None, str | None], int] = {}
    expected = []
    for number, row in enumerate(rows, start=1):
        if None not in row and first.setdefault(row, number) != number:
            expected.append((number, first[row]))
    assert lacking == sum(None in row for row in rows)
    assert found == Repeats(len(expected), tuple(expected[:3]))


def test_many_rows_go_to_disk(tmp_path: Path) -> None:
    seen = Seen(tmp_path, rows_held=100)
    seen.add(pl.DataFrame({"n": range(500)}), 1)
    assert any(tmp_path.iterdir())
    seen.add(pl.DataFrame({"n": [499]}), 501)
    assert seen.repeats(5) == Repeats(1, ((501, 500),))
