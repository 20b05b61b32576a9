"""Lines that strangers cause."""

from __future__ import annotations

import logging

import pytest

from pipeline.events.listener.seldom import Seldom


def test_ten_lines_of_a_kind_a_minute_and_then_how_many_there_were(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [1000.0]
    seldom = Seldom(logging.getLogger("tests.seldom"), lambda: now_s[0])
    for number in range(25):
        seldom.tell("REFUSED", f"number {number}")
    seldom.tell("UNSTORED", "the database is gone", logging.ERROR)
    now_s[0] += 61
    seldom.tell("REFUSED", "later")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:10] == [f"refused: number {number}" for number in range(10)]
    assert lines[10:] == ["unstored: the database is gone", "refused: and 15 more in the last minute", "refused: later"]
    assert caplog.records[10].levelno == logging.ERROR


def test_a_line_stays_one_line_of_bounded_length(caplog: pytest.LogCaptureFixture) -> None:
    Seldom(logging.getLogger("tests.seldom")).tell("REFUSED", "a\nroot: logged in\r\x1b[2J" + "x" * 10_000)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("refused: a?root: logged in??[2Jxxx") and len(line) < 600
