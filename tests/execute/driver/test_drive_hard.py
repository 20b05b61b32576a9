"""Jobs that hang, crash or take all memory are named and set aside; what ran beside them is done, as if they were not.

On worker processes with their nannies, as every backend has them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client

from cluster.backend import open_cluster
from cluster.spec import LocalSpec
from pipeline.execute.driver import drive as module
from pipeline.execute.driver.drive import Rules, drive
from pipeline.execute.driver.fleet import standing
from pipeline.plan.groups import Group, listed
from pipeline.types import Outcome, Status
from tests.execute import tasks
from tests.execute.driver.test_drive import alone, job, together
from tests.execute.hard_tasks import run_hard
from tests.execute.tasks import Retries, Told

MEMORY = 400 * 2**20
PLAIN = ("t1", "t2", "t3", "t4", "t5", "t6")

FULL = pytest.mark.full


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with open_cluster(LocalSpec("hard", "local", "a", 2, 1, MEMORY)) as made:
        yield made


def groups_of(*names: str) -> list[Group]:
    jobs = [job(number) for number in range(len(names))]
    return alone([replace(one, tile=replace(one.tile, id=name)) for one, name in zip(jobs, names, strict=True)])


class Assigned(Retries):
    """What `run_hard` takes for an assignment is the folder that it notes its begins in."""

    retries = 0


class Hard:
    """Sent in place of `run_group`: the folder is the tests' own."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __call__(self, group: Group, _: object, attempt: int) -> list[Outcome]:
        return run_hard(group, self.folder, attempt)


def run(
    monkeypatch: pytest.MonkeyPatch, client: Client, groups: list[Group], folder: Path, timeout_s: float = 60.0
) -> tuple[Mapping[str, Outcome], Told]:
    """The last word on each tile."""
    tasks.reset()
    monkeypatch.setattr(module, "run_group", Hard(folder))
    seen: list[Outcome] = []
    told = Told(seen.append)
    fleet = standing({"a": tasks.opened(client, 4)})
    drive(listed(groups), {"p": Assigned()}, fleet, told, tasks.stop, Rules(job_timeout_s=timeout_s))  # type: ignore[dict-item]
    final = [one for one in seen if one.status is not Status.RETRY]
    assert len(final) == len({one.job_id for one in final}) == sum(len(group.jobs) for group in groups)
    return {one.job_id.split("/")[1]: one for one in final}, told


def check_bystanders(last: Mapping[str, Outcome]) -> None:
    others = {name: one for name, one in last.items() if name in PLAIN}
    assert {one.status for one in others.values()} == {Status.DONE}


def pids(folder: Path, name: str) -> list[int]:
    return [int(line) for line in (folder / name).read_text().splitlines()]


def await_end_of(numbers: list[int]) -> None:
    end = time.monotonic() + 30
    while any(Path(f"/proc/{number}").exists() for number in numbers):
        assert time.monotonic() < end, f"of {numbers} some live on"
        time.sleep(0.1)


@pytest.mark.parametrize("kind", [pytest.param("sleep", marks=FULL), pytest.param("hold", marks=pytest.mark.long)])
def test_a_job_that_never_ends_is_named_and_its_process_is_ended(
    monkeypatch: pytest.MonkeyPatch, client: Client, tmp_path: Path, kind: str
) -> None:
    """F57: also one that holds the interpreter in C, so that its worker answers nobody."""
    began = time.monotonic()
    last, _ = run(monkeypatch, client, groups_of(*PLAIN[:3], f"{kind}0", *PLAIN[3:]), tmp_path, timeout_s=2.0)
    check_bystanders(last)
    hung = last[f"{kind}0"]
    assert (hung.status, hung.error) == (Status.FAILED, "DeadlineError")
    assert "2 s (run.job_timeout_s)" in str(hung.cause)
    # A worker that answers nobody cannot say what it has done: then each is begun once more, in no doubt about others.
    assert kind == "hold" or {one.attempts for one in last.values()} == {1}, "it cost no other an attempt"
    assert time.monotonic() - began < 60
    await_end_of(pids(tmp_path, f"{kind}0"))


@pytest.mark.long
def test_a_job_that_hangs_after_its_commit_is_done(
    monkeypatch: pytest.MonkeyPatch, client: Client, tmp_path: Path
) -> None:
    """What is committed is never told of as failed: it is looked for once its worker has ended."""

    class Looked:
        def exists(self, key: str) -> bool:
            assert key.startswith("items/p/late0_")
            with suppress(ProcessLookupError):
                os.kill(pids(tmp_path, "late0")[-1], 0)
                raise AssertionError("its worker might commit even now")
            return (tmp_path / "committed").exists()

    monkeypatch.setattr(Assigned, "store", Looked())
    last, _ = run(monkeypatch, client, groups_of("late0"), tmp_path, timeout_s=1.0)
    assert (last["late0"].status, last["late0"].error) == (Status.DONE, None)
    assert "was lost after it was committed" in last["late0"].warnings[0]


@FULL
def test_of_a_group_that_never_ends_only_the_job_that_hangs_is_lost(
    monkeypatch: pytest.MonkeyPatch, client: Client, tmp_path: Path
) -> None:
    jobs = [group.jobs[0] for group in groups_of("t1", "sleep0", "t2")]
    last, _ = run(monkeypatch, client, [together(jobs)], tmp_path, timeout_s=1.0)
    check_bystanders(last)
    assert last["sleep0"].error == "DeadlineError"


@FULL
def test_a_job_that_crashes_its_process_is_poison(
    monkeypatch: pytest.MonkeyPatch, client: Client, tmp_path: Path
) -> None:
    """F03."""
    last, _ = run(monkeypatch, client, groups_of("crash0", *PLAIN), tmp_path)
    check_bystanders(last)
    assert (last["crash0"].status, last["crash0"].error) == (Status.FAILED, "PoisonError")
    assert "with nothing beside it" in str(last["crash0"].cause) and "memory:" not in str(last["crash0"].cause)


@pytest.mark.long
def test_a_job_that_takes_all_memory_is_poison_and_says_so(
    monkeypatch: pytest.MonkeyPatch, client: Client, tmp_path: Path
) -> None:
    """F04."""
    last, _ = run(monkeypatch, client, groups_of("hog0", *PLAIN), tmp_path)
    check_bystanders(last)
    assert (last["hog0"].status, last["hog0"].error) == (Status.FAILED, "PoisonError")
    assert "memory:" in str(last["hog0"].cause) and "0.39 GiB" in str(last["hog0"].cause)
    assert "worker_memory" in str(last["hog0"].cause)


@pytest.mark.long
def test_a_worker_that_is_taken_away_costs_no_job_an_attempt(
    monkeypatch: pytest.MonkeyPatch, client: Client, tmp_path: Path
) -> None:
    """F01."""
    # One worker: a job that was under two, which Dask counts as held by each, is begun anew and counts that.
    last, told = run(monkeypatch, client, groups_of("leave0", *PLAIN), tmp_path)
    assert {one.status for one in last.values()} == {Status.DONE}
    assert {one.attempts for one in last.values()} == {1}, told.again
    assert len(pids(tmp_path, "leave0")) == 2, "it was begun again"
    assert os.getpid() not in pids(tmp_path, "leave0")
    assert {one.job_ids[0].split("/")[1] for one in told.begun} >= {*PLAIN}
