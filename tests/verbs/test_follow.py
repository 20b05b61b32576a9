"""Following a run shows it as it goes, reads only what is new, and ends when the run does, with how it ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.execute.records.follow import Following, Progress
from pipeline.execute.records.history import State
from pipeline.execute.records.journal import Journal
from pipeline.execute.records.lease import this_process
from pipeline.types import Json
from pipeline.write.folder import FolderStore
from tests.verbs.making import ended_process, groundswell, put_run

RUN = "20260101T000000000Z-aaaaaa"
JOBS = [f"dem/t{number}/static" for number in range(6)]


def job(number: int, status: str = "done") -> Json:
    error = {"error": "AssetError", "cause": "gone"} if status == "failed" else {"error": None, "cause": None}
    return {"event": "job", "job_id": JOBS[number], "status": status, "attempts": 1, **error}


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released by every look at a run."""
    look, released = Following.look, threading.Semaphore(0)

    def counted(self: Following) -> Progress:
        found = look(self)
        released.release()
        return found

    monkeypatch.setattr(Following, "look", counted)
    return released


@contextmanager
def running(output: Path, looked: threading.Semaphore, last: str = "done") -> Iterator[None]:
    """A run of six jobs that is at work while this is open: one job after each look at it, then its end."""
    put_run(output, RUN, this_process(), dict.fromkeys(JOBS, "0" * 32))

    def work() -> None:
        with Journal(FolderStore(str(output)), RUN) as journal:
            for number in range(6):
                looked.acquire(timeout=30)
                journal.write(job(number, last if number == 5 else "done"))
                journal._put_segment()
        (output / "runs" / RUN / "finished.json").write_text("{}")
        (output / "runs" / RUN / "lease.json").unlink()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize(("last", "code"), [("done", 0), ("failed", 1)])
def test_it_is_followed_to_its_end(
    tmp_path: Path, looked: threading.Semaphore, capsys: pytest.CaptureFixture[str], last: str, code: int
) -> None:
    with running(tmp_path, looked, last):
        assert groundswell("status", tmp_path, "--follow", "--every", "0.05s") == code
    lines = capsys.readouterr().out.splitlines()
    seen = [line.split()[1] for line in lines if line.startswith(("live: ", "finished: "))]
    assert seen[0] == "0/6"
    assert len(set(seen)) >= 4
    assert seen[-1] == "6/6"
    assert lines[-2 if last == "failed" else -1].startswith("6 jobs planned: ")


def test_as_json_each_look_is_a_line_and_the_last_one_is_whole(
    tmp_path: Path, looked: threading.Semaphore, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path, looked, "failed"):
        assert groundswell("status", tmp_path, "--follow", "--every", "0.05", "--json") == 1
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {look["format"] for look in looks} == {1}
    done = [look["done"] for look in looks]
    assert done == sorted(done)
    assert (looks[0]["state"], looks[-2]["state"], looks[-2]["failed"]) == ("live", "finished", 1)
    assert [one["job"] for one in looks[-1]["failed"]] == [JOBS[5]]


def test_a_run_that_died_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_run(tmp_path, RUN, ended_process(), dict.fromkeys(JOBS, "0" * 32))
    assert groundswell("status", tmp_path, "--follow") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "run the same command again to resume"


def test_a_store_that_is_away_for_a_moment_ends_nothing(
    tmp_path: Path, looked: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stays away does, by name."""
    look, fails = Following.look, iter([False, True, True, False, True])

    def shaky(self: Following) -> Progress:
        if next(fails, False):
            raise StoreError("HTTP 503")
        return look(self)

    monkeypatch.setattr(Following, "look", shaky)
    with running(tmp_path, looked):
        assert groundswell("status", tmp_path, "--follow", "--every", "0") == 0
    put_run(tmp_path, RUN, this_process(), dict.fromkeys(JOBS, "0" * 32))
    (tmp_path / "runs" / RUN / "finished.json").unlink()
    fails = iter([False, *[True] * 100])
    assert groundswell("status", tmp_path, "--follow", "--every", "0") == 3


class Counted(FolderStore):
    """A folder that remembers what was read."""

    def get_bytes(self, key: str) -> bytes:
        read.append(key)
        return super().get_bytes(key)


read: list[str] = []


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    """A day of a run is thousands of segments; the plan is the largest of all."""
    put_run(tmp_path, RUN, this_process(), dict.fromkeys(JOBS, "0" * 32))
    following = Following(Counted(str(tmp_path)), RUN)
    read.clear()
    with Journal(FolderStore(str(tmp_path)), RUN) as journal:
        for number in range(6):
            journal.write(job(number))
            journal._put_segment()
            progress = following.look()
            assert (progress.state, progress.done) == (State.LIVE, number + 1)
    keys = [key for key in read if "lease" not in key]
    assert sorted(keys) == sorted(set(keys))
    assert f"runs/{RUN}/plan.jsonl" in keys
