"""Status tells from plan and journal alone what became of a run, so any machine that sees the output can follow it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.execute.journal import Journal
from pipeline.execute.lease import Owner, this_process
from pipeline.types import Json
from pipeline.write.store import FolderStore
from tests.verbs.making import elsewhere, ended_process, groundswell, put, put_run

RUN = "20260101T000000000Z-aaaaaa"
JOBS = [f"sentinel2/33N-{number}-1/2024-06" for number in range(6)]


def outcome(number: int, status: str, attempts: int = 1, cause: str | None = None) -> Json:
    """As the client writes it for one job."""
    error = "StoreError" if cause else None
    return {
        "event": "job",
        "job_id": JOBS[number],
        "status": status,
        "attempts": attempts,
        "error": error,
        "cause": cause,
    }


def begin(output: Path, owner: Owner | None) -> None:
    """A run of six jobs, and one that was found done."""
    put_run(output, RUN, owner, {job: f"{number:032x}" for number, job in enumerate(JOBS)})
    skip = {"format": 1, "job": "sentinel2/33N-9-1/2024-06", "fingerprint": "f" * 32, "state": "already committed"}
    plan = output / "runs" / RUN / "plan.jsonl"
    plan.write_text(plan.read_text() + json.dumps(skip) + "\n")


def ask(output: Path, capsys: pytest.CaptureFixture[str], *options: str) -> Json:
    assert groundswell("status", output, "--json", *options) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("state", "owner"),
    [("live", this_process), ("live", elsewhere), ("dead", ended_process), ("dead", lambda: None)],
)
def test_a_run_on_its_way(tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str, owner: object) -> None:
    """A job counts by its last outcome; one that was tried again and then done is done."""
    assert callable(owner)
    begin(tmp_path, owner())
    journal = Journal(FolderStore(str(tmp_path)), RUN)
    with journal:
        for record in (
            outcome(0, "done"),
            outcome(1, "retry", cause="busy"),
            outcome(2, "failed", cause="full"),
            outcome(1, "done", attempts=2),
            outcome(3, "retry", cause="busy"),
        ):
            journal.write(record)
        journal._put_segment()
        found = ask(tmp_path, capsys)
    assert found["state"] == state
    assert (found["planned"], found["done"], found["open"], found["retried"]) == (6, 2, 3, 2)
    assert found["skipped"] == {"already committed": 1}
    assert found["failed"] == [{"job": JOBS[2], "error": "StoreError", "cause": "full"}]


def test_an_interrupted_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path, None)
    with Journal(FolderStore(str(tmp_path)), RUN) as journal:
        journal.write(outcome(0, "done"))
        for number in range(1, 6):
            journal.write(outcome(number, "cancelled", attempts=0))
    found = ask(tmp_path, capsys)
    assert (found["state"], found["done"], found["cancelled"], found["open"]) == ("interrupted", 1, 5, 0)
    assert groundswell("status", tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "run the same command again to resume"


def test_a_copy_of_the_records_is_enough(output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = ask(output, capsys)
    shutil.copytree(output / "runs", tmp_path / "copy" / "runs")
    assert ask(tmp_path / "copy", capsys) == here
    assert here["state"] == "finished"


def test_a_run_is_asked_for_by_its_id(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest otherwise; one that is not there is named with those that are."""
    newest = ask(output, capsys)["run"]
    begin(output, None)
    assert (ask(output, capsys)["run"], ask(output, capsys, "--run", RUN)["run"]) == (max(newest, RUN), RUN)
    assert groundswell("status", output, "--run", "none") == 3
    assert newest in capsys.readouterr().err


def test_failures_are_named_with_their_causes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path, this_process())
    with Journal(FolderStore(str(tmp_path)), RUN) as journal:
        journal.write(outcome(4, "failed", attempts=4, cause="no space left"))
    assert groundswell("status", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"run {RUN}: live (process {this_process().pid} on " in lines[0]
    assert lines[1] == "6 jobs planned: 0 done, 1 failed, 5 in flight or waiting; 0 attempts were repeated"
    assert f"failed: {JOBS[4]}: StoreError: no space left" in lines


def test_what_was_blocked_is_named_and_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path, this_process())
    with Journal(FolderStore(str(tmp_path)), RUN) as journal:
        journal.write(outcome(3, "failed", attempts=4, cause="no space left"))
        journal.write(outcome(4, "blocked", attempts=0, cause=f"{JOBS[3]}, which it is made from, failed"))
    assert groundswell("status", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "6 jobs planned: 0 done, 1 failed, 1 blocked, 4 in flight or waiting; 0 attempts were repeated"
    assert any(line.startswith(f"blocked: {JOBS[4]}: ") and JOBS[3] in line for line in lines)


def test_records_of_a_newer_version_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path, None)
    put(tmp_path, f"runs/{RUN}/journal-000000.jsonl", b'{"format": 99, "event": "job"}\n')
    assert groundswell("status", tmp_path) == 3
    assert f"runs/{RUN}/journal-000000.jsonl: written by a newer version" in capsys.readouterr().err
