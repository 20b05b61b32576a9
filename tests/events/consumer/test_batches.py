"""What a batch is told, and what it says: lines that lose nothing, and nothing else on standard output."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.consumer.batch import Answers, Configs, run_batch
from pipeline.events.consumer.batches import (
    Batch,
    BatchError,
    Over,
    Where,
    ended_line,
    over_line,
    read_batch,
    read_line,
)
from pipeline.events.event import Ended
from tests.events.consuming import Arrivals

TEXT = st.text()


@given(path=TEXT, sets=st.lists(TEXT), names=st.tuples(TEXT, TEXT), targets=st.lists(TEXT))
def test_a_batch_is_one_line_that_loses_nothing(
    path: str, sets: list[str], names: tuple[str, str], targets: list[str]
) -> None:
    rule, token = names
    batch = Batch(Where(Path(path), tuple(sets)), rule, tuple(targets), token)
    assert read_batch(batch.text()) == batch
    assert "\n" not in batch.text()


@given(target=TEXT, cause=TEXT, note=TEXT, flags=st.tuples(st.booleans(), st.booleans()))
def test_a_line_of_a_target_loses_nothing(target: str, cause: str, note: str, flags: tuple[bool, bool]) -> None:
    ended = Ended(target, flags[0], cause, note, flags[1])
    assert read_line(ended_line(ended)) == ended
    assert "\n" not in ended_line(ended)
    assert read_line(over_line(Over(cause, flags[0]))) == Over(cause, flags[0])


@pytest.mark.parametrize(
    "line",
    ["", "ended", "ended {}", "ended []", 'ended {"target": "a", "more": 1}', "batch 7", "INFO a log", "ended {"],
)
def test_what_is_no_line_says_nothing(line: str) -> None:
    assert read_line(line) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"config": 1, "sets": [], "rule": "a", "targets": []}'),
        '{"config": "a", "sets": "b", "rule": "a", "targets": []}',
        '{"config": "a", "sets": [], "rule": "a", "targets": [1]}',
    ],
)
def test_what_is_no_batch_is_refused(text: str) -> None:
    with pytest.raises(BatchError, match="expected a batch"):
        read_batch(text)


def test_each_target_is_told_of_once_and_no_other() -> None:
    out = io.StringIO()
    answers = Answers(Batch(Where(Path("a")), "csv", ("one", "two")), out)
    for target in ("one", "one", "other"):
        answers.tell(Ended(target))
    assert answers.over(None) is False
    assert out.getvalue().splitlines() == [
        ended_line(Ended("one")),
        'batch {"cause": "nothing was said of 1 targets", "passing": true}',
    ]


def test_a_line_without_the_token_of_the_batch_is_none_of_its() -> None:
    """As where a log tells of an object whose key holds a line break and a line like one of these."""
    out = io.StringIO()
    Answers(Batch(Where(Path("a")), "csv", ("one",), "f00 "), out).tell(Ended("one"))
    assert read_line(out.getvalue().rstrip("\n"), "f00 ") == Ended("one")
    assert read_line(ended_line(Ended("one")), "f00 ") is None


def said(batch: Batch) -> Over:
    """The only line of a batch that fails as a whole."""
    out = io.StringIO()
    assert run_batch(batch, Configs(), out) is False
    [line] = out.getvalue().splitlines()
    over = read_line(line)
    assert isinstance(over, Over)
    return over


def test_a_batch_that_fails_as_a_whole_says_why(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path)
    arrivals.write()
    unknown = said(Batch(Where(arrivals.config), "nothing", ("a",)))
    assert "found no rule nothing, expected one of csv" in unknown.cause
    wrong = said(Batch(Where(arrivals.config, ("jobs.parallel=0",)), "csv", ("a",)))
    assert "jobs.parallel" in wrong.cause and "\n" not in wrong.cause
    missing = said(Batch(Where(tmp_path / "none.yaml"), "csv", ("a",)))
    assert "none.yaml" in missing.cause


def test_the_file_of_rules_is_read_again_where_it_has_changed(tmp_path: Path) -> None:
    arrivals, configs = Arrivals(tmp_path), Configs()
    where = Where(arrivals.write())
    first = configs.get(where)
    assert configs.get(where) is first
    arrivals.write(name="another")
    os.utime(arrivals.config, ns=(1, 1))
    assert configs.get(where).name == "another"
    assert configs.get(Where(where.path, ("name=third",))).name == "third"
