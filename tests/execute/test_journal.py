"""The journal never loses a line that was written, and never stops a run."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.execute import journal as module
from pipeline.execute.journal import Journal
from pipeline.types import Json
from pipeline.write.store import FolderStore, Store


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def lines(store: Store, run_id: str) -> list[Json]:
    """Every record of every segment, in order."""
    keys = sorted(key for key, _ in store.list_objects(f"runs/{run_id}/"))
    return [json.loads(line) for key in keys for line in store.get_bytes(key).decode().splitlines()]


def test_segments_hold_what_the_local_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_RECORDS", 3)
    store = FolderStore(str(tmp_path / "out"))
    with Journal(store, "r1") as journal:
        for number in range(10):
            journal.write({"event": "job", "number": number})
        local = journal.path
    assert [json.loads(line) for line in local.read_text().splitlines()] == lines(store, "r1")
    assert [record.get("number") for record in lines(store, "r1")] == [None, *range(10), None]
    assert len(list(store.list_objects("runs/r1/"))) == 4
    assert all(record["format"] == module.FORMAT for record in lines(store, "r1"))


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
    """Refuses the first puts."""

    refusals: list[str] = field(default_factory=list)

    def put_bytes(self, data: bytes, key: str) -> None:
        if len(self.refusals) < 2:
            self.refusals.append(key)
            raise StoreError("busy")
        super().put_bytes(data, key)


def test_a_refused_segment_goes_out_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_RECORDS", 1)
    store = Flaky(str(tmp_path / "out"))
    with Journal(store, "r1") as journal:
        journal.write({"number": 1})
        journal.write({"number": 2})
    assert store.refusals, "the store refused at least once"
    assert [record.get("number") for record in lines(store, "r1")] == [None, 1, 2, None]
