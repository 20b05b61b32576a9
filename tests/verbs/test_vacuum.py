"""Vacuum removes what belongs to nothing, and nothing that an item names, a live run counts on, or that is young."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import PreflightError
from pipeline.execute.records import lease as leases
from pipeline.execute.records.lease import LEASE_S, Owner, scratch_prefix, this_process
from pipeline.execute.records.runs import REMOVALS, settle_run
from pipeline.session import Options, open_session
from pipeline.types import Plan
from pipeline.write.store import FolderStore
from tests.products.derived import OPTICAL, plan
from tests.verbs.making import (
    age,
    elsewhere,
    ended_process,
    files,
    groundswell,
    lease,
    make_output,
    make_world,
    put,
    put_run,
)

DAY_S = 86_400
FINGERPRINT = "0123456789abcdef" * 2
ORPHAN = f"data/sentinel2/33N-469-3906/2024-06/red_{FINGERPRINT[:12]}_aaaaaaaaaaaa.tif"
CHUNK = f"data/sentinel2/33N-469-3906/2024-06/zarr_{FINGERPRINT[:12]}_aaaaaaaaaaaa.zarr/red/c/0/0"
TEMPORARY = f"data/sentinel2/.tmp-{'0' * 32}"
RESULT = f"checks/tables/arrivals/day/.tmp-{'0' * 32}"


def gone(output: Path, *options: object) -> set[str]:
    """What a vacuum removes; nothing else changes but the mark of that."""
    before = files(output)
    assert groundswell("vacuum", output, *options) == 0
    after = {key: data for key, data in files(output).items() if key != REMOVALS}
    before.pop(REMOVALS, None)
    assert {key: before[key] for key in after} == after
    return before.keys() - after.keys()


@pytest.mark.parametrize("key", [ORPHAN, CHUNK, TEMPORARY, RESULT, f".tmp-{'0' * 32}"])
@pytest.mark.parametrize(
    ("age_s", "older_than", "removed"),
    [(0, "0", True), (DAY_S - 600, "24h", False), (DAY_S + 600, "24h", True), (3600, "30min", True)],
)
def test_what_no_item_names_goes_by_its_age(
    output: Path, key: str, age_s: float, older_than: str, *, removed: bool
) -> None:
    put(output, key, age_s=age_s)
    assert gone(output, "--older-than", older_than) == ({key} if removed else set())


def test_an_output_of_nothing_but_checks_is_one(tmp_path: Path) -> None:
    put(tmp_path, "checks/tables/arrivals/day/a.csv.json")
    put(tmp_path, RESULT)
    assert gone(tmp_path, "--older-than", "0") == {RESULT}


def test_a_day_is_the_default_age(output: Path) -> None:
    put(output, ORPHAN, age_s=DAY_S - 600)
    assert gone(output) == set()


@pytest.mark.parametrize(
    "key",
    [
        "data/readme.txt",
        "data/sentinel2/33N-469-3906/2024-06/own.tif",
        "own/.tmp-00000000000000000000000000000000",
        "data/sentinel2/.tmp-mine",
        "notes/red_0123456789ab_aaaaaaaaaaaa.tif",
    ],
)
def test_what_no_commit_would_name_so_is_left_alone(output: Path, key: str) -> None:
    put(output, key, age_s=10 * DAY_S)
    assert gone(output, "--older-than", "0") == set()


def test_a_dry_run_names_and_removes_nothing(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(output, ORPHAN)
    assert gone(output, "--older-than", "0", "--dry-run") == set()
    assert f"would remove: {ORPHAN}\nwould remove: 1 data objects (1 B)" in capsys.readouterr().out


LIVE = {"here": (this_process, 10 * DAY_S), "elsewhere and lately": (elsewhere, LEASE_S / 2)}
DEAD = {
    "its process has ended": (ended_process, 0.0),
    "its number is another process's": (lambda: replace(this_process(), started=1), 0.0),
    "elsewhere and silent": (elsewhere, LEASE_S + 60),
    "it has no lease": (lambda: None, 0.0),
}


@pytest.mark.parametrize("how", LIVE)
def test_nothing_of_a_live_run_goes(output: Path, how: str) -> None:
    """Its records, what it may have put, and unfinished puts, which may be its; whatever the age."""
    owner, age_s = LIVE[how]
    put_run(output, "20260101T000000000Z-aaaaaa", owner(), {"sentinel2/33N-469-3906/2024-06": FINGERPRINT}, age_s)
    put(output, ORPHAN)
    put(output, CHUNK)
    put(output, TEMPORARY)
    other = put(output, ORPHAN.replace(FINGERPRINT[:12], "f" * 12))
    assert gone(output, "--older-than", "0", "--superseded") == {other.relative_to(output).as_posix()}


@pytest.mark.parametrize("how", DEAD)
def test_a_dead_unfinished_run_goes_with_what_it_left(output: Path, how: str) -> None:
    owner, age_s = DEAD[how]
    put_run(output, "20260101T000000000Z-aaaaaa", owner(), {"sentinel2/33N-469-3906/2024-06": FINGERPRINT}, age_s)
    own = {key for key in files(output) if key.startswith("runs/20260101")}
    put(output, ORPHAN)
    assert gone(output, "--older-than", "1h") == set(), "all of it is young"
    assert gone(output, "--older-than", "0") == own | {ORPHAN}


def test_a_lease_that_a_finished_run_left_goes_alone(output: Path) -> None:
    (finished,) = output.glob("runs/*/finished.json")
    left = finished.with_name("lease.json")
    left.write_bytes(lease(ended_process()))
    assert gone(output, "--older-than", "0") == {left.relative_to(output).as_posix()}


def test_an_item_that_cannot_be_read_keeps_its_data(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (item,) = output.glob("items/*/*_2024-06_*.json")
    item.write_bytes(item.read_bytes()[:-10])
    assert gone(output, "--older-than", "0") == set()
    assert f"note: {item.relative_to(output)} cannot be read" in capsys.readouterr().out


def superseded_world(tmp_path: Path) -> tuple[Path, Path]:
    """A world whose items were made twice, with other parameters: (config, output)."""
    _, config = make_world(tmp_path / "world")
    make_output(config)
    make_output(config, "products.0.composite=mean")
    return config, tmp_path / "world" / "output"


def test_superseded_items_go_with_their_files_when_asked(tmp_path: Path) -> None:
    """What is left is sound: the items that readers see, and what those name."""
    _, output = superseded_world(tmp_path)
    shown = json.loads((output / "collections/sentinel2/collection.json").read_text())["links"]
    current = {link["href"].removeprefix("../../") for link in shown if link["rel"] == "item"}
    assert gone(output, "--older-than", "0") == set()
    assert gone(output, "--superseded") == set(), "all of it is young"
    old = {key for key in files(output) if key.startswith("items/")} - current
    removed = gone(output, "--older-than", "0", "--superseded")
    assert {key for key in removed if key.startswith("items/")} == old and len(old) == 2
    fingerprints = {key.rpartition("_")[2][:12] for key in old}
    assert {key.split("_")[-2] for key in removed - old} == fingerprints
    assert groundswell("verify", output, "--all") == 0


def test_pages_that_a_killed_run_left_behind_are_renewed_before_what_they_name_goes(tmp_path: Path) -> None:
    """Killed between its end and its pages: readers of the old ones would find nothing behind their links."""
    _, config = make_world(tmp_path / "world")
    output = tmp_path / "world" / "output"
    make_output(config)
    pages = {key: data for key, data in files(output).items() if key.startswith(("catalog", "collections", "items.p"))}
    make_output(config, "products.0.composite=mean")
    for key, data in pages.items():
        (output / key).write_bytes(data)
    assert groundswell("vacuum", output, "--older-than", "0", "--superseded") == 0
    assert groundswell("verify", output, "--all") == 0


def test_an_item_that_a_live_run_counts_on_is_not_superseded(tmp_path: Path) -> None:
    """A run that found the old parameters' items done makes them current at its end."""
    _, output = superseded_world(tmp_path)
    plans = sorted(output.glob("runs/*/plan.jsonl"))
    first = {record["job"]: record["fingerprint"] for record in map(json.loads, plans[0].read_text().splitlines())}
    put_run(output, "29990101T000000000Z-aaaaaa", this_process(), first)
    assert gone(output, "--older-than", "0", "--superseded") == set()


def test_a_run_that_was_planned_before_a_vacuum_counts_on_nothing_that_it_removed(tmp_path: Path) -> None:
    """What the old config's plan skips goes before that run begins: it must not end as if all were there."""
    config, output = superseded_world(tmp_path)
    session = open_session(Options(config))
    assert len(session.plan.skipped) == 2 and not session.plan.jobs
    assert gone(output, "--older-than", "0", "--superseded")
    runs = set(output.glob("runs/*/finished.json"))
    with pytest.raises(PreflightError, match="2 items were removed while this run was planned"):
        session.run()
    assert set(output.glob("runs/*/finished.json")) == runs
    assert len(make_output(config)) == 2, "the next one makes them again"
    assert groundswell("verify", output) == 0


def test_what_a_current_item_is_made_from_is_kept(demo_world: Path, tmp_path: Path) -> None:
    """Another config made the input anew: the stack of the old one is still current, and can be made again."""
    stack = "{product: stack, inputs: [sentinel2]}"
    other = OPTICAL.replace("source: s2", "source: s2, composite: mean")
    config, output = tmp_path / "run.yaml", tmp_path / "output"
    plan(demo_world, tmp_path, [OPTICAL, stack])
    make_output(config)
    plan(demo_world, tmp_path, [other])
    make_output(config)
    assert gone(output, "--older-than", "0", "--superseded") == set()
    assert groundswell("verify", output, "--all") == 0
    plan(demo_world, tmp_path, [other, stack])
    make_output(config)
    removed = {
        key.split("/")[1] for key in gone(output, "--older-than", "0", "--superseded") if key.startswith("items")
    }
    assert removed == {"sentinel2", "stack"}
    assert groundswell("verify", output, "--all") == 0


def test_an_item_whose_place_has_no_current_one_is_kept(output: Path) -> None:
    """An interrupted run's commits are work that the next run need not do again."""
    shutil.rmtree(output / "runs")
    kept = {key for key in files(output) if key.startswith(("items/", "data/"))}
    assert gone(output, "--older-than", "0", "--superseded") == set()
    assert kept <= files(output).keys()


def test_a_run_that_begins_waits_for_a_vacuum(output: Path) -> None:
    """Whoever's lock is there and held is named; the run goes on when it is gone."""
    lock = put(output, "locks/vacuum-1.json", lease(this_process()))
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        lock.unlink()

    settle_run(FolderStore(str(output)), Plan((), ()), say)
    assert said == ["waiting: a vacuum is going on (locks/vacuum-1.json)"]


@pytest.mark.parametrize("how", sorted(DEAD.keys() - {"it has no lease"}))
def test_nobody_waits_for_a_vacuum_that_was_killed(output: Path, how: str) -> None:
    owner, age_s = DEAD[how]
    made = owner()
    assert isinstance(made, Owner)
    put(output, "locks/vacuum-1.json", lease(made), age_s)
    settle_run(FolderStore(str(output)), Plan((), ()), pytest.fail)
    assert gone(output, "--older-than", "0") == {"locks/vacuum-1.json"}


def test_temporary_folders_of_dead_processes_go(output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of living ones, of other machines and of other programs stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    mine = scratch_prefix()
    dead = mine.replace(f"-{this_process().pid}-", f"-{ended_process().pid}-")
    stay = [f"{mine}x", f"{dead.rpartition('-')[0][:-8]}00000000-x", "groundswell-x", "other-1-2-3"]
    for name in [*stay, f"{dead}x", f"{dead}young"]:
        (tmp_path / "tmp" / name / "inside").mkdir(parents=True)
        age(tmp_path / "tmp" / name, 0 if name.endswith("young") else 2 * DAY_S)
    assert gone(output) == set()
    assert {path.name for path in (tmp_path / "tmp").iterdir()} == {*stay, f"{dead}young"}


def test_a_vacuum_that_was_asleep_removes_nothing(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that was not renewed in time may be taken for dead by a run that has begun since."""
    put(output, ORPHAN)
    monkeypatch.setattr(leases, "LEASE_S", 0.0)
    assert groundswell("vacuum", output, "--older-than", "0") == 3
    assert (output / ORPHAN).exists()
