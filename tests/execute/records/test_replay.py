"""A run leaves the jobs that failed in a file, and what `--replay` reads of it are these jobs; all else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.execute.records.replay import ReplayFile, read_replay
from pipeline.types import Outcome, Status
from pipeline.write.store import open_store


def outcome(number: int, status: Status) -> Outcome:
    return Outcome(f"p/t{number}/2024-06", "a", f"{number:032x}", status, attempts=1, error="PoisonError", cause="hm")


def test_what_failed_or_was_blocked_is_what_is_made_again(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    with ReplayFile(store, "r1", print) as replay:
        for number, status in enumerate(Status):
            replay.ended(outcome(number, status))
    assert replay.key == "runs/r1/replay.jsonl"
    wanted = {outcome(number, status).job_id for number, status in enumerate(Status) if status in ("failed", "blocked")}
    assert read_replay(str(tmp_path / "out" / replay.key), open_store) == wanted
    folder, _, name = f"file://{tmp_path}/out/{replay.key}".rpartition("/")
    assert read_replay(f"{folder}/{name}", lambda place: open_store(place.removeprefix("file://"))) == wanted


def test_a_run_without_failures_leaves_no_file(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    with ReplayFile(store, "r1", print) as replay:
        replay.ended(outcome(1, Status.DONE))
    assert not store.exists(replay.key)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"job": "p/t/m"}\nnot json\n', r":2: is no JSON"),
        ('{"job": "p"}\n', r":1: found"),
        ('["p/t/m"]\n', r":1: found"),
        ('{"job": "p/t/m", "format": 9}\n', r":1: is of format 9"),
        ('{"job": "p/t/m", "format": "old"}\n', r":1: is of format 'old'"),
        ("\n", "names no job"),
    ],
)
def test_what_is_no_replay_file_is_refused_by_file_and_line(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=fault) as refused:
        read_replay(str(path), open_store)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the replay file cannot be read"):
        read_replay(str(tmp_path / "none.jsonl"), open_store)
