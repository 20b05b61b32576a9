"""The journal never loses a line that was written, and never stops a run."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.errors import CredentialsError, PreflightError, StoreError
from pipeline.execute.records import journal as module
from pipeline.execute.records.journal import Journal
from pipeline.execute.records.lines import FORMAT, journal_records, read_records
from pipeline.types import Begun, ClusterEvent, Json, Outcome, Status
from pipeline.write.store import FolderStore, Store


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def lines(store: Store, run_id: str) -> list[Json]:
    """Every record of every segment, in order."""
    keys = sorted(key for key, _ in store.list_objects(f"runs/{run_id}/"))
    return [json.loads(line) for key in keys for line in store.get_bytes(key).decode().splitlines()]


def wait_for_a_segment(store: Store, run_id: str) -> None:
    """Long before the few seconds are over."""
    deadline = time.monotonic() + 60
    while not list(store.list_objects(f"runs/{run_id}/")):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_segments_hold_what_the_local_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_RECORDS", 3)
    monkeypatch.setattr(module, "SEGMENT_SECONDS", 600)
    store = FolderStore(str(tmp_path / "out"))
    with Journal(store, "r1") as journal:
        for number in range(10):
            journal.write({"event": "job", "number": number})
        wait_for_a_segment(store, "r1")
        local = journal.path
    assert [json.loads(line) for line in local.read_text().splitlines()] == lines(store, "r1")
    assert [record.get("number") for record in lines(store, "r1")] == [None, *range(10), None]
    assert len(list(store.list_objects("runs/r1/"))) >= 2
    assert all(record["format"] == FORMAT for record in lines(store, "r1"))


def test_the_end_says_what_ended_it(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path / "out"))
    with pytest.raises(KeyboardInterrupt), Journal(store, "r1"):
        raise KeyboardInterrupt
    assert lines(store, "r1")[-1]["error"] == "KeyboardInterrupt"


def test_others_see_a_record_though_nothing_follows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is put within seconds, also when the run then waits for hours."""
    monkeypatch.setattr(module, "SEGMENT_SECONDS", 0.01)
    store = FolderStore(str(tmp_path / "out"))
    with Journal(store, "r1") as journal:
        journal.write({"number": 1})
        deadline = time.monotonic() + 60
        while [record.get("number") for record in lines(store, "r1")][-1:] != [1]:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@dataclass(frozen=True)
class Flaky(FolderStore):
    """Refuses the first put."""

    refusals: list[str] = field(default_factory=list)

    def put_bytes(self, data: bytes, key: str) -> None:
        if not self.refusals:
            self.refusals.append(key)
            raise StoreError("busy")
        super().put_bytes(data, key)


def test_a_refused_segment_goes_out_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_RECORDS", 1)
    store = Flaky(str(tmp_path / "out"))
    with Journal(store, "r1") as journal:
        journal.write({"number": 1})
        deadline = time.monotonic() + 60
        while not store.refusals:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        journal.write({"number": 2})
    assert [record.get("number") for record in lines(store, "r1")] == [None, 1, 2, None]


class Disk:
    """A local disk that takes so many bytes more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room, self._write = room, os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, handle: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[: self.room]
        self.room -= len(part)
        return self._write(handle, part)


def test_a_full_disk_ends_the_run_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others read on; and when there is room again, nothing lacks here either."""
    reasons: list[str] = []
    store, disk = FolderStore(str(tmp_path / "out")), Disk(monkeypatch, 300)
    with Journal(store, "r1", reasons.append) as journal:
        for number in range(10):
            journal.write({"event": "job", "number": number})
        local = journal.path.read_bytes()
        assert local.endswith(b"\n") and 0 < len(local) <= 300
        written, faults = read_records(local, "here")
        assert faults == [] and [one.get("number") for one in written] == [None, *range(len(written) - 1)]
        disk.room = 10**6
    assert len(reasons) == 10 - (len(written) - 1)
    assert reasons[0].startswith(f"journal {journal.path}: No space left on device: ")
    numbers = [None, *range(10), None]
    assert [one.get("number") for one in read_records(journal.path.read_bytes(), "here")[0]] == numbers
    assert [one.get("number") for one in journal_records(store, "r1", pytest.fail)] == numbers


def test_a_disk_that_is_full_from_the_beginning_is_found_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch, 20)
    journal = Journal(FolderStore(str(tmp_path / "out")), "r1", pytest.fail)
    with pytest.raises(PreflightError, match=r"journal cannot be kept in .*No space left.*XDG_STATE_HOME"), journal:
        pytest.fail("it was begun")
    assert journal.path.read_bytes() == b""
    assert list(FolderStore(str(tmp_path / "out")).list_objects()) == []


class Refused(FolderStore):
    """Whose credentials ran out."""

    def put_bytes(self, data: bytes, key: str) -> None:
        raise CredentialsError(f"{key}: {len(data)} bytes: ExpiredToken")


def test_credentials_that_ran_out_end_the_run(tmp_path: Path) -> None:
    """The journal is what puts while jobs are long: it learns first."""
    reasons: list[str] = []
    with Journal(Refused(str(tmp_path / "out")), "r1", reasons.append) as journal:
        journal.write({"number": 1})
    assert len(reasons) == 1 and "ExpiredToken" in reasons[0]
    assert len(read_records(journal.path.read_bytes(), "here")[0]) == 3


def test_a_store_that_refuses_makes_nobody_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tells of jobs pays for one refusal, not for one a record."""
    monkeypatch.setattr(module, "SEGMENT_RECORDS", 1)
    puts: list[str] = []

    class Down(FolderStore):
        def put_bytes(self, data: bytes, key: str) -> None:
            puts.append(key)
            raise StoreError(f"down for {len(data)} bytes")

    with Journal(Down(str(tmp_path / "out")), "r1") as journal:
        for number in range(50):
            journal.write({"number": number})
            time.sleep(0.002)
        assert len(puts) <= 2, "one refusal, and what was told while it was on its way"


def test_a_store_that_does_not_answer_makes_nobody_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tells of jobs also keeps clusters fed: it never waits for a put, however long that takes."""
    monkeypatch.setattr(module, "SEGMENT_RECORDS", 3)
    told = threading.Event()
    in_time: list[bool] = []

    class Silent(FolderStore):
        def put_bytes(self, data: bytes, key: str) -> None:
            in_time.append(told.wait(10))
            super().put_bytes(data, key)

    store = Silent(str(tmp_path / "out"))
    with Journal(store, "r1") as journal:
        for number in range(20):
            journal.write({"number": number})
        told.set()
    assert in_time[0]
    assert [record.get("number") for record in lines(store, "r1")] == [None, *range(20), None]


def test_it_is_told_from_many_threads_and_mixes_no_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_RECORDS", 7)
    store = FolderStore(str(tmp_path / "out"))

    def tell(name: int) -> None:
        for number in range(100):
            journal.write({"name": name, "number": number})

    with Journal(store, "r1") as journal:
        threads = [threading.Thread(target=tell, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for records in (
        read_records(journal.path.read_bytes(), "here")[0],
        list(journal_records(store, "r1", pytest.fail)),
    ):
        told = [one for one in records if "name" in one]
        assert [[one["number"] for one in told if one["name"] == name] for name in range(4)] == [[*range(100)]] * 4


def test_it_listens(tmp_path: Path) -> None:
    """Each thing that happens is a record of its own kind; the first and the last say what they were given."""
    store = FolderStore(str(tmp_path / "out"))
    with Journal(store, "r1", begin={"command": ["run"]}) as journal:
        journal.cluster(ClusterEvent("eu", 0, "up", workers=2))
        journal.began(Begun(("p/t/m",), "eu", 0, "tcp://w", 1, 5.0))
        journal.ended(Outcome("p/t/m", "eu", "f", Status.DONE))
        journal.over(3, "budget")
    begin, cluster, start, job, end = journal_records(store, "r1", pytest.fail)
    assert [one["event"] for one in (begin, cluster, start, job, end)] == ["begin", "cluster", "start", "job", "end"]
    assert (begin["command"], cluster["workers"], start["job_ids"]) == (["run"], 2, ["p/t/m"])
    assert (job["status"], end["code"], end["reason"], end["error"]) == ("done", 3, "budget", None)
