"""Laws of `period:`: start and end, or a list of one's own; which is said in words, at the key that is at fault."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.configs import SMALL, faults, load

HERE = "--set period: period"


@pytest.mark.parametrize(
    ("period", "fault"),
    [
        ("{start: 2024-06-01}", f"{HERE}.end: missing"),
        ("{end: 2024-06-01}", f"{HERE}.start: missing"),
        ("{periods: []}", f"{HERE}.periods: found a list of 0; allowed: a list, each a list of 2: a date such as"),
        ("{periods: 2024}", f"{HERE}.periods: found 2024; allowed: a list, each a list of 2: a date"),
        ("{periods: [[2024-06-01]]}", f"{HERE}.periods.0: found"),
        ("{periods: [[2024-06-01, june]]}", f'{HERE}.periods.0.1: found "june"; allowed: a date such as 2024-06-01'),
        ("{periods: [[2024-06-01, 2024-06-01]]}", "allowed: pairs [start, end] with a later end, for it is excluded"),
        ("{periods: [[2024-06-01, 9999-06-01]]}", "none after 9999-01-01"),
        (
            "{periods: [[2024-06-01, 2024-06-11], [2024-06-10, 2024-06-21]]}",
            "allowed: pairs that do not overlap; no moment lies in two periods",
        ),
        (
            "{start: 0001-01-02, end: 2024-01-01, pad_days: [2, 0]}",
            f"{HERE}.pad_days: found [2, 0]; allowed: no days before the year 1",
        ),
        (
            "{start: 2024-06-01, every: day, periods: [[2024-06-01, 2024-06-11]]}",
            f"{HERE}: found periods beside start and every; allowed: periods alone, or start and end",
        ),
    ],
)
def test_a_period_that_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, period: str, fault: str) -> None:
    (found,) = faults(tmp_path, SMALL, f"period={period}")
    assert fault in found


def test_of_a_list_start_and_end_are_those_of_all_of_it(tmp_path: Path) -> None:
    listed = "[[2024-06-01, 2024-07-01], [2023-01-01T01:00+01:00, 2023-02-01]]"
    period = load(tmp_path, SMALL, f"period={{periods: {listed}}}").period
    june = (datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
    january = (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 2, 1, tzinfo=UTC))
    assert period.periods == (january, june)
    assert (period.start, period.end) == (january[0], june[1])


@pytest.mark.parametrize("every", ["day", "dekad", "15d", "month", "quarter", "season", "year", "span"])
def test_every_word_is_known(tmp_path: Path, every: str) -> None:
    assert load(tmp_path, SMALL, f"period.every={every}").period.every == every
