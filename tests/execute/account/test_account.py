"""The account of a run is what its records say, and nothing else: the last word on each job, cause and cluster."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import StoreError
from pipeline.execute.account.account import read_account
from pipeline.execute.records.lines import line_of
from pipeline.types import AssetLoss, ClusterEvent, Finding, Json, Outcome, Quality, Status
from pipeline.types.account import BLOCKED, DONE, FAILED, NONE, OPEN, SKIPPED, Account
from pipeline.write.store import FolderStore

RUN = "20260101T000000000Z-aaaaaa"
TILES = [f"33N-{number:03d}-0001" for number in range(5)]
LOSS = AssetLoss("S2A", "red", "s3://b/red.tif", "TransientAssetError", "timed out after 30 s", 4)


def job(number: int, status: Status, time_s: float, **fields: Json) -> Json:
    outcome = Outcome(f"s2/{TILES[number]}/2024-06", "eu", f"{number:032x}", status, **fields)
    return {"event": "job", "time": time_s, **asdict(outcome)}


RECORDS: list[Json] = [
    {
        "event": "begin",
        "time": 100.0,
        "command": ["python", "-m", "pipeline.run", "c.yaml"],
        "environment": {"python": "3.11"},
    },
    {"event": "cluster", "time": 101.0, **asdict(ClusterEvent("eu", 0, "up", "local", 2, 1))},
    job(0, Status.RETRY, 103.0, seconds=2.0, error="TransientAssetError", cause="HTTP 503"),
    job(
        0,
        Status.DONE,
        106.0,
        seconds=2.5,
        begun_s=103.4,
        attempts=2,
        worker="w1",
        read_bytes=7,
        written_bytes=9,
        quality=Quality("warn", (Finding("few", "warn", "1 of 3"),)),
        losses=(LOSS,),
    ),
    job(
        1,
        Status.FAILED,
        107.0,
        seconds=1.0,
        attempts=4,
        worker="w2",
        error="AssetError",
        cause="s3://b/1.tif: HTTP 404",
    ),
    job(
        2,
        Status.BLOCKED,
        107.5,
        attempts=0,
        error="BlockedError",
        cause="made from s2/33N-001-0001/2024-06, which failed",
    ),
    {
        "event": "committed_before",
        "time": 108.0,
        "job_id": f"s2/{TILES[4]}/2024-06",
        "quality": {"status": "fail", "found": [{"flag": "gap", "level": "fail", "text": "0.5 is below 0.9"}]},
    },
    {"event": "notice", "time": 108.1, "target": "x", "cause": "refused", "subjects": ["a", "b"]},
    {"event": "progress", "time": 108.2, "usd": 0.5, "rows": [{"done": 1, "read_bytes": 7, "written_bytes": 9}]},
    {"event": "end", "time": 109.0, "error": None, "code": 1, "reason": None},
]


def put(folder: Path, records: list[Json]) -> FolderStore:
    run = folder / "runs" / RUN
    run.mkdir(parents=True)
    plan: list[Json] = [
        {
            "format": 1,
            "job": f"s2/{tile}/2024-06",
            "fingerprint": f"{number:032x}",
            "state": "run" if number < 4 else "already committed",
        }
        for number, tile in enumerate(TILES)
    ]
    plan[0] |= {"region": "eu", "bbox": [10.0, 44.0, 10.5, 44.5], "read_bytes": 5}
    (run / "plan.jsonl").write_text("".join(json.dumps(line) + "\n" for line in plan))
    (run / "config.json").write_text('{"name": "po"}')
    (run / "journal-000000.jsonl").write_text("".join(line_of(record) + "\n" for record in records))
    return FolderStore(str(folder))


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return read_account(put(tmp_path, RECORDS), RUN)


def test_the_last_word_on_each_job_counts(account: Account) -> None:
    assert account.jobs.state.tolist() == [DONE, FAILED, BLOCKED, OPEN, SKIPPED]
    assert account.jobs.attempts.tolist() == [2, 4, 0, 0, 0]
    assert account.jobs.begun_s.tolist() == [
        103.4,
        106.0,
        0,
        0,
        0,
    ]  # one that does not say began `seconds` before its end
    assert [account.jobs.workers[code] if code != NONE else None for code in account.jobs.worker] == [
        "w1",
        "w2",
        None,
        None,
        None,
    ]
    assert (account.jobs.read_bytes.sum(), account.jobs.written_bytes.sum(), account.jobs.planned_bytes[0]) == (7, 9, 5)
    np.testing.assert_array_equal(account.jobs.bounds[0], [10.0, 44.0, 10.5, 44.5])
    assert np.isnan(account.jobs.bounds[1:]).all()
    assert account.jobs.id(3) == f"s2/{TILES[3]}/2024-06"


def test_failures_are_grouped_and_what_they_blocked_comes_after(account: Account) -> None:
    assert [(one.number, one.error, one.text, one.count) for one in account.causes] == [
        (0, "AssetError", "<address>: HTTP 404", 1),
        (1, "BlockedError", "made from <job>, which failed", 1),
    ]
    assert account.jobs.cause.tolist() == [NONE, 0, 1, NONE, NONE]
    assert account.messages == {
        1: "AssetError: s3://b/1.tif: HTTP 404",
        2: "BlockedError: made from s2/33N-001-0001/2024-06, which failed",
    }
    assert [(one.error, one.count) for one in account.repeated] == [("TransientAssetError", 1)]


def test_quality_of_new_and_of_earlier_tiles_and_lost_inputs(account: Account) -> None:
    assert account.jobs.verdict.tolist() == [2, 0, 0, 0, 3]
    assert [(one.flag, one.level, one.count) for one in account.flags] == [("few", "warn", 1), ("gap", "fail", 1)]
    assert account.jobs.flags.tolist() == [1, 0, 0, 0, 2]
    assert [(one.asset, one.text, one.count) for one in account.lost] == [("red", "timed out after # s", 1)]
    assert account.jobs.losses.tolist() == [1, 0, 0, 0, 0]


def test_what_is_told_beside_the_jobs(account: Account) -> None:
    assert (account.name, account.state, account.code, account.seconds) == ("po", "interrupted", 1, 9.0)
    assert account.command == ("python", "-m", "pipeline.run", "c.yaml")
    assert account.environment == {"python": "3.11"}
    assert [(one.time_s, one.event.state, one.event.workers) for one in account.clusters] == [(101.0, "up", 2)]
    assert [(one.usd, one.done) for one in account.progress] == [(0.5, 1)]
    assert (account.skipped, account.notices_failed, account.faults) == ((("already committed", 1),), 2, ())


def test_the_journal_of_this_machine_tells_the_same_as_its_segments(tmp_path: Path, account: Account) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(line_of(record) + "\n" for record in RECORDS))
    (tmp_path / "runs" / RUN / "journal-000000.jsonl").unlink()
    again = read_account(FolderStore(str(tmp_path)), RUN, log)
    np.testing.assert_array_equal(again.jobs.state, account.jobs.state)
    assert (again.causes, again.messages, again.seconds) == (account.causes, account.messages, account.seconds)


def test_a_damaged_line_costs_itself_and_is_told(tmp_path: Path) -> None:
    store = put(tmp_path, RECORDS)
    segment = tmp_path / "runs" / RUN / "journal-000000.jsonl"
    segment.write_text(segment.read_text().replace("HTTP 404", "HTTP 405"))
    account = read_account(store, RUN)
    assert account.jobs.state.tolist() == [DONE, OPEN, BLOCKED, OPEN, SKIPPED]
    assert len(account.faults) == 1
    assert "damaged" in account.faults[0]


def test_a_run_that_left_a_plan_alone_is_dead_and_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = put(tmp_path, [])
    account = read_account(store, RUN)
    assert (account.state, account.seconds, account.jobs.count(OPEN)) == ("dead", 0.0, 4)
    with pytest.raises(StoreError, match="found no run nothing"):
        read_account(store, "nothing")
