"""What another run is making is looked at again after everything else, and left to it when nothing else is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from distributed import Client, LocalCluster

from pipeline.execute.driver import drive as module
from pipeline.execute.driver import regions
from pipeline.execute.driver.drive import drive
from pipeline.execute.driver.fleet import standing
from pipeline.plan.groups import Group, listed
from pipeline.types import Job, Outcome, Status
from tests.execute import tasks
from tests.execute.driver.test_drive import alone, job
from tests.execute.driver.test_drive_upstream import made_from
from tests.execute.tasks import Retries, Told

PAUSE_S = 0.05


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0", protocol="inproc://"
        ) as cluster,
        Client(cluster, set_as_default=False) as made,
    ):
        yield made


def claimed_until(looks: int) -> object:
    """A task by which tile t0 is another run's, so many times that it is looked at."""

    def task(group: Group, _: object, attempt: int) -> list[Outcome]:
        outcomes = []
        for one in group.jobs:
            with tasks.lock:
                tasks.order.append((one.tile.id, attempt))
                seen = sum(tile == one.tile.id for tile, _ in tasks.order)
            state = Status.CLAIMED if one.tile.id == "t0" and seen <= looks else Status.DONE
            outcomes.append(replace(tasks.outcome(one, state, attempt), cause="run r2 on host h is making it"))
        return outcomes

    return task


def run(monkeypatch: pytest.MonkeyPatch, client: Client, jobs: list[Job], looks: int) -> list[Outcome]:
    tasks.reset()
    monkeypatch.setattr(module, "run_group", claimed_until(looks))
    monkeypatch.setattr(regions, "_PAUSE_S", PAUSE_S)
    seen: list[Outcome] = []
    fleet = standing({"a": tasks.opened(client, 2)})
    drive(listed(alone(jobs)), {"p": Retries()}, fleet, Told(seen.append), tasks.stop)  # type: ignore[dict-item]
    return seen


def of(seen: list[Outcome], tile: str) -> list[tuple[str, int]]:
    return [(one.status.value, one.attempts) for one in seen if one.job_id == f"p/{tile}/m"]


def test_a_job_that_another_run_gives_up_is_made_after_all_others(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    jobs = [job(number) for number in range(8)]
    seen = run(monkeypatch, client, [*jobs, made_from(9, jobs[0])], 1)
    assert of(seen, "t0") == [("claimed", 1), ("done", 1)], "it costs no attempt"
    assert [tile for tile, _ in tasks.order][-2:] == ["t0", "t9"]
    assert {one.status for one in {one.job_id: one for one in seen}.values()} == {Status.DONE}


def test_the_run_ends_when_only_what_another_makes_is_left(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    jobs = [job(number) for number in range(4)]
    seen = run(monkeypatch, client, [*jobs, made_from(5, jobs[0]), made_from(6, jobs[1])], 1000)
    last = {one.job_id: one for one in seen}
    assert set(of(seen, "t0")) == {("claimed", 1)}, "it costs no attempt"
    assert tasks.order[-1][0] == "t0", "looked at once more, when nothing else was left"
    assert (last["p/t5/m"].status, last["p/t5/m"].attempts) == (Status.CLAIMED, 0)
    assert str(last["p/t5/m"].cause).startswith("p/t0/m, which it is made from, claimed: run r2 on host h")
    assert {last[f"p/t{number}/m"].status for number in (1, 2, 3, 6)} == {Status.DONE}


def test_a_run_that_is_stopped_cancels_what_was_another_runs(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(regions, "_LONGEST_PAUSE_S", 100.0)
    tasks.reset()
    monkeypatch.setattr(module, "run_group", claimed_until(1000))
    monkeypatch.setattr(regions, "_PAUSE_S", 100.0)
    seen: list[Outcome] = []

    def tell(outcome: Outcome) -> None:
        seen.append(outcome)
        tasks.stop.set()

    fleet = standing({"a": tasks.opened(client, 2)})
    drive(listed(alone([job(0)])), {"p": Retries()}, fleet, Told(tell), tasks.stop)  # type: ignore[dict-item]
    assert of(seen, "t0") == [("claimed", 1), ("cancelled", 0)]
