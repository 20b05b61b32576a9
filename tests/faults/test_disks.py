"""Disks that fill up, and a journal that was damaged: named, never an exit code of 0 without the work, never a loss."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from pipeline.execute.records import journal
from pipeline.execute.records.lines import journal_records
from pipeline.write.store import FolderStore
from tests.faults._disks import fill, small_disk
from tests.faults._runs import JOBS, Case, Tree, check_items, within
from tests.faults.invariants import Expected, check_invariants, last_records_beside_output

SLOW = {"action": "slow", "step": "item_put", "number": 0, "seconds": 2.0}
"""However fast the machine is, jobs are left when a disk is filled at the first commit; its last page takes some more
records."""


@pytest.mark.full
def test_f23_a_scratch_disk_that_fills_up_fails_jobs_by_its_path(case: Case, calm: Tree) -> None:
    """What needs it fails, with the folder; nothing half is left on it; with room again the rest is made."""
    with small_disk(case.scratch, 48 * 1024):
        running = case.start(str(case.config), "--set", "run.retries=0", order=SLOW)
        running.until(lambda: "item_put" in case.steps(), "no job came to its commit")
        filler = fill(case.scratch)
        while running.process.poll() is None:  # what ends gives back its room
            fill(case.scratch)
            time.sleep(0.02)
        finished = running.wait()
        committed = check_items(case.tree())
        filler.unlink()
        told = check_invariants(case, calm, finished, Expected(1, ("OutputError", str(case.scratch)), not_made=None))
        failed = [record for record in told.values() if record["status"] == "failed"]
        assert all(str(case.scratch) in record["cause"] for record in failed), failed
        again = case.run()
        check_invariants(case, calm, again, Expected())
        assert again.counts()["skipped"] == committed


@pytest.mark.full
def test_f23_a_scratch_disk_that_is_full_already_is_found_before_anything_runs(case: Case, calm: Tree) -> None:
    with small_disk(case.scratch, 4 * 1024):
        expected = Expected(3, ("error: ", str(case.scratch)), started=False)
        check_invariants(case, calm, case.run(), expected)


@pytest.mark.long
def test_f24_a_run_whose_journal_finds_no_room_ends_and_can_be_resumed(case: Case, calm: Tree) -> None:
    """Jobs in flight are committed, no other begins, exit 3 with the cause; what was written down stays readable."""
    with small_disk(case.state, 256):
        running = case.start(str(case.config), order=SLOW)
        running.until(lambda: "item_put" in case.steps(), "no job came to its commit")
        filler = fill(case.state)
        finished = running.wait()
        (journal,) = Path(case.state, "groundswell", "runs").glob("*.jsonl")
        assert all(json.loads(line) for line in journal.read_text().splitlines()), "whole records only"
        told = last_records_beside_output(case)
        done = {job_id for job_id, record in told.items() if record["status"] == "done"}
        assert 0 < len(done) < JOBS
        expected = Expected(3, ("No space left on device", str(case.state)), not_made=JOBS - len(done))
        check_invariants(case, calm, finished, expected, told)
        filler.unlink()
        again = case.run()
        check_invariants(case, calm, again, Expected())
        assert again.counts()["skipped"] == len(done)


@pytest.mark.full
def test_f25_a_damaged_journal_is_set_aside_with_a_warning(case: Case, calm: Tree) -> None:
    """A record cut short and a flipped bit, here and at the output: both are said, the rest is read, no run is lost."""
    first = case.run()
    assert first.code == 0, first.text
    (local,) = Path(case.state, "groundswell", "runs").glob("*.jsonl")
    longest = max((key for key in case.keys("runs") if "/journal-" in key), key=lambda key: len(case.read(key)))
    for path in (local, Path(case.output, longest)):
        lines = path.read_bytes().splitlines(keepends=True)
        middle = bytearray(lines[2])
        middle[len(middle) // 2] ^= 1
        path.write_bytes(b"".join((*lines[:2], middle, *lines[3:-1], lines[-1][: len(lines[-1]) // 2])))
    reported = case.verb("report", "--no-plots")
    assert reported.code == 0, reported.text
    for fault in ("line 3: damaged, and is set aside", "the last record is torn, and is dropped"):
        assert any("journal-" in line and fault in line for line in reported.text.splitlines()), reported.text
    told = case.verb("status")
    assert told.code == 0 and "Traceback" not in told.text, told.text
    again = case.run()
    check_invariants(case, calm, again, Expected())
    assert again.counts()["skipped"] == JOBS


def test_f22_records_keep_their_order_though_the_clock_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read as they were written, by the numbers of their segments; the time in them is for people."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(journal, "SEGMENT_SECONDS", 0.01)
    seconds = itertools.count(2 * 10**9, -3600)
    monkeypatch.setattr("pipeline.execute.records.journal.time.time", lambda: next(seconds))
    store = FolderStore(str(tmp_path / "output"))
    with journal.Journal(store, "run-1") as written:
        for number in range(30):
            written.write({"event": "note", "number": number})
            within(60, lambda: len(list(store.list_objects("runs/run-1/"))) > number // 2, "no segment was put")  # noqa: B023 (called at once)
    records = list(journal_records(store, "run-1", pytest.fail))
    assert [record["number"] for record in records if record["event"] == "note"] == list(range(30))
    assert records[0]["time"] > records[-1]["time"]
    assert len(list(store.list_objects("runs/run-1/"))) > 10
