"""Earlier runs are learned from: those of this machine by their journals, those of others by the output; no others."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.execute.records.journal import state_folder
from pipeline.execute.records.learned import read_history
from pipeline.execute.records.lines import line_of
from pipeline.plan.rates import learn
from pipeline.types import Actual, Taken, Used
from pipeline.write.store import Store, open_store

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ACTUAL = Actual(
    0.5,
    (
        Taken("median", "sentinel2", "default", 10, 40.0, 8, 30.0, 15.0, 10**8, 10**7),
        Taken("broken", "dem", "default", 0, 4.0, 0, 0.0, 0.0, 0, 0),
    ),
    (Used("default", "local", "here", 2, 0.5, 0.5, open_s=3.0, first_s=1.0, close_s=2.0, usd=0.0),),
    0.0,
    0.0,
)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = state_folder() / "runs"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "output").mkdir()
    return open_store(str(tmp_path / "output"))


def journal(folder: Path, run: str, *records: object) -> None:
    lines = [json.dumps(record) for record in ({"event": "begin"}, *records, {"event": "end", "error": None})]
    (folder / f"{run}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_journal_tells_what_each_kind_took_and_how_long_ago(state: Path, store: Store) -> None:
    """A kind of which nothing was made tells nothing of durations."""
    journal(state, "20261112T000000000Z-aaaaaa", {"event": "actual", "crc": 1, **ACTUAL.document()})
    history = read_history(store, NOW)
    (seen,), (opened,) = history.seen, history.opened
    assert (seen.kind, seen.backend, seen.machine) == ("sentinel2", "local", "here")
    assert (seen.jobs, seen.made_s, seen.work_s, seen.age_days) == (8, 30.0, 15.0, 10.0)
    assert (opened.open_s, opened.first_s, opened.close_s) == (3.0, 1.0, 2.0)


def test_runs_of_other_machines_are_learned_from_where_this_one_has_few(state: Path, store: Store) -> None:
    run = "20261110T000000000Z-bbbbbb"
    store.put_bytes(json.dumps({"format": 1, "actual": ACTUAL.document()}).encode(), f"runs/{run}/finished.json")
    assert [seen.run for seen in read_history(store, NOW).seen] == [run]
    for day in range(11, 16):
        journal(state, f"202611{day}T000000000Z-aaaaaa", {"event": "actual", **ACTUAL.document()})
    assert run not in [seen.run for seen in read_history(store, NOW).seen]


def test_a_run_that_is_in_both_is_one_run(state: Path, store: Store) -> None:
    run = "20261110T000000000Z-bbbbbb"
    store.put_bytes(json.dumps({"format": 1, "actual": ACTUAL.document()}).encode(), f"runs/{run}/finished.json")
    journal(state, run, {"event": "actual", **ACTUAL.document()})
    assert len(read_history(store, NOW).seen) == 1


def test_what_cannot_be_read_teaches_nothing_and_stops_nobody(state: Path, store: Store) -> None:
    journal(state, "20261101T000000000Z-aaaaaa", {"event": "job"})
    journal(state, "20261102T000000000Z-aaaaaa", {"event": "actual", "rows": [{"kind": 3}]})
    journal(state, "20261103T000000000Z-aaaaaa", {"event": "actual", **ACTUAL.document()})
    (state / "20261104T000000000Z-aaaaaa.jsonl").write_bytes(b'{"event": "actual", "rows"')
    (state / "20261105T000000000Z-aaaaaa.jsonl").write_bytes(os.urandom(1000))
    store.put_bytes(b"[]", "runs/20261106T000000000Z-cccccc/finished.json")
    store.put_bytes(b"{}", "runs/20261107T000000000Z-cccccc/finished.json")
    assert [seen.run for seen in read_history(store, NOW).seen] == ["20261103T000000000Z-aaaaaa"]


ODD = ["x", [], {}, -1, 0, 10**400, 1e308, 1e-308, math.inf, math.nan]
PLACES = [("rows", name) for name in ("kind", "region", "timed", "made_s", "work_s")] + [
    ("regions", name) for name in ("region", "backend", "machine", "open_s", "first_s", "close_s")
]


@pytest.mark.parametrize(("part", "name"), PLACES)
def test_numbers_that_no_run_can_have_teach_nothing(state: Path, store: Store, part: str, name: str) -> None:
    """Whatever stands in a record of an earlier run, the next one is told near what whole records say."""
    journal(state, "20261103T000000000Z-aaaaaa", {"event": "actual", **ACTUAL.document()})
    for number, odd in enumerate(ODD):
        document = json.loads(json.dumps(ACTUAL.document()))
        document[part][0][name] = odd
        journal(state, f"20261104T0000{number:02}000Z-bbbbbb", {"event": "actual", **document})
    history = read_history(store, NOW)
    rates = learn(history.seen, history.opened, "local", "here")
    for kind in ("sentinel2", "dem", "of nobody"):
        factor = rates.factor(kind)
        assert 1 < factor.low < factor.mid < factor.high < 4
    assert rates.open_s.high < 10
    assert rates.first_s < 10 > rates.close_s


def test_a_run_of_the_year_one_and_a_line_whose_checksum_is_wrong_teach_nothing(state: Path, store: Store) -> None:
    journal(state, "00010101T000000000Z-aaaaaa", {"event": "actual", **ACTUAL.document()})
    damaged = line_of({"event": "actual", **ACTUAL.document()}).replace('"made_s": 30.0', '"made_s": 31.0')
    (state / "20261104T000000000Z-aaaaaa.jsonl").write_text(damaged + "\n", encoding="utf-8")
    history = read_history(store, NOW)
    assert [seen.made_s for seen in history.seen] == [30.0]
    assert learn(history.seen, history.opened, "local", "here").factor("sentinel2").mid == pytest.approx(2.0)


def test_without_any_run_there_is_nothing_to_learn(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nowhere"))
    assert read_history(store, NOW).seen == ()
