"""Current is the item that the newest finished run planned and that is there; interrupted runs decide nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.execute.records.runs import begin_run, current_items, finish_run, new_run_id, planned, read_plan
from pipeline.plan.jobs import Targets, plan_jobs
from pipeline.plan.outlines import lonlat_bounds
from pipeline.types import Plan, Skip
from pipeline.write.store import FolderStore
from tests.plan.makers import JUNE, make_item, make_product, make_tile

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


def test_a_plan_says_of_every_job_where_it_lies(store: FolderStore) -> None:
    """Also of what is skipped; and it is read alike with and without that."""
    tiles = tuple(make_tile(column) for column in range(3))
    product = make_product("sentinel2")
    made = {"sentinel2": Targets(tiles, (JUNE,))}
    items, budget = [make_item(1, (0, 3)), make_item(2, (0, 1))], {"us-west-2": 2**33}
    done = plan_jobs([product], made, items, {}, budget).jobs[1].fingerprint
    found = plan_jobs([product], made, items, {"sentinel2": {done}}, budget)
    begin_run(store, "1", {}, found, ())
    lines = list(read_plan(store, "1"))
    assert [(line["job"], line["state"]) for line in lines] == [
        ("sentinel2/tile-0/2024-06", "run"),
        ("sentinel2/tile-2/2024-06", "run"),
        ("sentinel2/tile-1/2024-06", "already committed"),
    ]
    assert [line["scenes"] for line in lines] == [2, 1, 1]
    for line, tile in zip(lines, (tiles[0], tiles[2], tiles[1]), strict=True):
        assert (line["region"], line["kind"], line["px"]) == ("us-west-2", "sentinel2", 256 * 256)
        assert line["bbox"] == pytest.approx(lonlat_bounds(tile.geobox), abs=2e-5) and line["read_bytes"] > 0
    short = "".join(
        json.dumps({name: line[name] for name in ("format", "job", "fingerprint", "state")}) + "\n" for line in lines
    )
    store.put_bytes(short.encode(), "runs/2/plan.jsonl")
    store.put_bytes(short.replace(": ", ":").encode(), "runs/3/plan.jsonl")
    expected = [(line["job"], line["fingerprint"]) for line in lines]
    assert [list(planned(store, run_id)) for run_id in "123"] == [expected] * 3


def test_what_is_known_is_not_listed_again(store: FolderStore) -> None:
    """Of other products it is."""
    run(store, "1", OLD)
    assert current_items(store, {"sentinel2": {OLD: "known"}}) == {JOB: "known"}
    assert current_items(store, {"other": {}}) == {}
