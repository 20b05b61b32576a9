"""Status tells from plan and journal alone what became of a run, so any machine that sees the output can follow it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.execute.progress.live import progress_records
from pipeline.execute.records.journal import Journal
from pipeline.execute.records.lease import Owner, this_process
from pipeline.execute.records.tally import Tally, Totals
from pipeline.types import ClusterEvent, Json, Outcome, Status
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
    assert lines[0].startswith(f"run {RUN}: live")
    assert f" (process {this_process().pid} on " in lines[0]
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


def test_what_the_run_said_of_itself_is_told_by_region_and_product(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With rate, time left, dollars, bytes, workers; and how long ago that was."""
    begin(tmp_path, this_process())
    tally = Tally(Totals({("us-west-2", "sentinel2"): 6}, {("us-west-2", "sentinel2"): 1}), lambda: 3.5)
    with Journal(FolderStore(str(tmp_path)), RUN) as journal:
        with progress_records(journal.write, tally):
            event = ClusterEvent("us-west-2", 0, "up", "local", workers=4, dashboard="http://127.0.0.1:8787/status")
            tally.cluster(event)
            counted = ClusterEvent("us-west-2", 0, "workers", workers=5)
            for one in (event, counted):
                journal.write({"event": "cluster", **asdict(one)})
            for number in range(3):
                tally.ended(Outcome(JOBS[number], "us-west-2", "f", Status.DONE, seconds=60.0, read_bytes=10**9))
        journal._put_segment()
        found = ask(tmp_path, capsys)
        assert groundswell("status", tmp_path) == 0
    row = found["progress"]["rows"][0]
    assert (row["region"], row["product"], row["done"], row["skipped"], row["read_bytes"]) == (
        *("us-west-2", "sentinel2", 3, 1),
        3 * 10**9,
    )
    assert (found["progress"]["usd"], found["progress"]["workers"]) == (3.5, {"us-west-2": 4})
    assert found["progress"]["eta_s"] == pytest.approx(60.0, rel=0.05)
    assert 0 <= found["silent_s"] < 100
    text = capsys.readouterr().out
    assert "  us-west-2  sentinel2  3/6, 1 skipped, 3/min, 60 s left, 3.0 GB read, 0 B written" in text
    assert "  4 workers, $3.50, 60 s left, 3.0 GB read, 0 B written" in text
    assert "us-west-2: local cluster: 5 workers, dashboard: http://127.0.0.1:8787/status" in text
    assert "s ago" in text.splitlines()[0]


def test_a_dead_run_has_no_pace_no_workers_and_no_time_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path, ended_process())
    tally = Tally(Totals({("us-west-2", "sentinel2"): 6}), lambda: 3.5)
    with Journal(FolderStore(str(tmp_path)), RUN) as journal:
        with progress_records(journal.write, tally):
            tally.cluster(ClusterEvent("us-west-2", 0, "up", "local", workers=4))
            tally.ended(Outcome(JOBS[0], "us-west-2", "f", Status.DONE, seconds=60.0))
        journal._put_segment()
        assert groundswell("status", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"run {RUN}: dead")
    assert [line for line in lines if line.startswith("  ")] == ["  us-west-2  sentinel2  1/6", "  $3.50"]


def test_many_failures_are_told_by_cause(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them by name: as JSON."""
    jobs = [f"dem/t{number}/static" for number in range(300)]
    put_run(tmp_path, RUN, None, dict.fromkeys(jobs, "0" * 32))
    with Journal(FolderStore(str(tmp_path)), RUN) as journal:
        for number, job in enumerate(jobs):
            cause = f"http://h/{number}.tif: HTTP 404" if number % 3 else "no space left"
            record = {"job_id": job, "status": "failed", "attempts": 1, "error": "AssetError", "cause": cause}
            journal.write({"event": "job", **record})
    assert groundswell("status", tmp_path) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed: ")]
    assert [line.split(" such as ")[0] for line in lines] == [
        *("failed: 200 jobs by AssetError,", "failed: 100 jobs by AssetError,")
    ]
    assert [one["job"] for one in ask(tmp_path, capsys)["failed"]] == sorted(jobs)


def test_damaged_and_missing_records_are_set_aside_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path, None)
    with Journal(FolderStore(str(tmp_path)), RUN) as journal:
        for number in range(3):
            journal.write(outcome(number, "done"))
            journal._put_segment()
    folder = tmp_path / "runs" / RUN
    data = (folder / "journal-000001.jsonl").read_bytes()
    (folder / "journal-000001.jsonl").write_bytes(data.replace(b'"done"', b'"dome"'))
    (folder / "journal-000002.jsonl").unlink()
    found = ask(tmp_path, capsys)
    assert (found["done"], found["open"]) == (1, 5)
    assert len(found["faults"]) == 2
    assert "journal-000002.jsonl is missing" in found["faults"][0]
    assert "journal-000001.jsonl, line 1: damaged" in found["faults"][1]
    assert groundswell("status", tmp_path) == 0
    assert capsys.readouterr().out.count("warning: ") == 2


def test_records_of_a_newer_version_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path, None)
    put(tmp_path, f"runs/{RUN}/journal-000000.jsonl", b'{"format": 99, "event": "job"}\n')
    assert groundswell("status", tmp_path) == 3
    assert f"runs/{RUN}/journal-000000.jsonl: written by a newer version" in capsys.readouterr().err
