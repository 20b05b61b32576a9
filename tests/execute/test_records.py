"""Current is the item that the newest finished run planned and that is there; interrupted runs decide nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.execute.records import begin_run, current_items, finish_run, new_run_id, planned
from pipeline.types import Plan, Skip
from pipeline.write.store import FolderStore

JOB = "sentinel2/33N-1-2/2024-06"
OLD, NEW = "0" * 32, "1" * 32


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(str(tmp_path / "out"))


def item(store: FolderStore, fingerprint: str) -> str:
    key = f"items/sentinel2/33N-1-2_2024-06_{fingerprint}.json"
    store.put_bytes(b"{}", key)
    return key


def plan(fingerprint: str) -> Plan:
    return Plan((), (Skip(JOB, fingerprint, "already committed"),))


def run(store: FolderStore, run_id: str, fingerprint: str, *, finished: bool = True) -> None:
    begin_run(store, run_id, {}, plan(fingerprint), ())
    if finished:
        finish_run(store, run_id, {})


def test_the_newest_finished_run_decides(store: FolderStore) -> None:
    old, new = item(store, OLD), item(store, NEW)
    run(store, "1", OLD)
    assert current_items(store) == {JOB: old}
    run(store, "2", NEW)
    assert current_items(store) == {JOB: new}
    run(store, "3", OLD)
    assert current_items(store) == {JOB: old}


def test_an_interrupted_run_decides_nothing(store: FolderStore) -> None:
    old = item(store, OLD)
    item(store, NEW)
    run(store, "1", OLD)
    run(store, "2", NEW, finished=False)
    assert current_items(store) == {JOB: old}


def test_a_planned_item_that_failed_leaves_the_older_one_current(store: FolderStore) -> None:
    old = item(store, OLD)
    run(store, "1", OLD)
    run(store, "2", NEW)
    assert current_items(store) == {JOB: old}


def test_a_plan_of_a_newer_format_is_refused(store: FolderStore) -> None:
    store.put_bytes(json.dumps({"format": 99, "job": JOB, "fingerprint": OLD}).encode(), "runs/1/plan.jsonl")
    with pytest.raises(StoreError, match="newer version"):
        list(planned(store, "1"))


def test_run_ids_sort_by_time_and_never_collide() -> None:
    early, late = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 6, 1, 0, 0, 1, tzinfo=UTC)
    assert new_run_id(early) < new_run_id(late)
    assert len({new_run_id(early) for _ in range(100)}) == 100
