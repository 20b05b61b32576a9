"""Every job is reported once: done, tried again, failed or cancelled; and never too many are in flight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from affine import Affine
from distributed import Client, LocalCluster
from odc.geo.geobox import GeoBox

from pipeline.execute.driver import drive as module
from pipeline.execute.driver.drive import drive
from pipeline.execute.driver.fleet import standing
from pipeline.plan.groups import Group, listed
from pipeline.types import Job, MemoryPlan, Outcome, Period, Status, Tile
from tests.execute import tasks
from tests.execute.tasks import Retries, Told


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=4, processes=False, dashboard_address="127.0.0.1:0", protocol="inproc://"
        ) as cluster,
        Client(cluster, set_as_default=False) as made,
    ):
        yield made


def job(number: int, region: str = "a") -> Job:
    tile = Tile(f"t{number}", GeoBox((4, 4), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"))
    return Job("p", "p", tile, Period("m", None, None), region, (), f"{number:032x}", MemoryPlan(4, 1), 0)


def alone(jobs: list[Job]) -> list[Group]:
    return [Group((job,), job.memory) for job in jobs]


def together(jobs: list[Job]) -> Group:
    return Group(tuple(jobs), MemoryPlan(4, 1))


def run(monkeypatch: pytest.MonkeyPatch, client: Client, groups: list[Group], task: Any) -> list[Outcome]:
    tasks.reset()
    monkeypatch.setattr(module, "run_group", task)
    seen: list[Outcome] = []
    clusters = dict.fromkeys(("a", "b"), tasks.opened(client, 3))
    drive(listed(groups), {"p": Retries()}, standing(clusters), Told(seen.append), tasks.stop)  # type: ignore[dict-item]
    return seen


def test_every_job_of_every_region_is_reported_once(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    jobs = [job(number, "ab"[number % 2]) for number in range(20)]
    seen = run(monkeypatch, client, alone(jobs), tasks.succeed)
    assert sorted(one.job_id for one in seen) == sorted(one.id for one in jobs)
    assert {one.status for one in seen} == {Status.DONE}


def test_the_same_jobs_can_run_again_on_the_same_cluster(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    for _ in range(3):
        assert len(run(monkeypatch, client, alone([job(number) for number in range(5)]), tasks.succeed)) == 5


def test_in_flight_is_bounded(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    run(monkeypatch, client, alone([job(number) for number in range(15)]), tasks.succeed)
    assert 1 < tasks.most[0] <= 3


def test_a_passing_fault_is_tried_again_after_the_others(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    seen = run(monkeypatch, client, alone([job(number) for number in range(6)]), tasks.retry_t0_twice)
    assert [one.status for one in seen if one.job_id == job(0).id] == [Status.RETRY, Status.RETRY, Status.DONE]
    assert [attempt for tile, attempt in tasks.order if tile == "t0"] == [1, 2, 3]
    assert tasks.order.index(("t0", 2)) > 3, "the others went first"


def test_a_task_that_dies_is_tried_again_and_then_named(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    seen = run(monkeypatch, client, alone([job(1)]), tasks.die)
    assert [one.status for one in seen] == [Status.RETRY, Status.RETRY, Status.FAILED]
    assert (seen[-1].error, seen[-1].cause) == ("MemoryError", "attempt 3")


def test_stop_finishes_what_runs_and_cancels_the_rest(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    jobs = [job(number) for number in range(10)]
    statuses = [one.status for one in run(monkeypatch, client, alone(jobs), tasks.ask_to_stop)]
    assert 1 <= statuses.count(Status.DONE) <= 3
    assert statuses.count(Status.DONE) + statuses.count(Status.CANCELLED) == len(jobs)


def test_every_job_of_a_group_is_reported_once(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    jobs = [job(number) for number in range(12)]
    groups = [together(jobs[:4]), together(jobs[4:10]), *alone(jobs[10:])]
    seen = run(monkeypatch, client, groups, tasks.succeed)
    assert sorted(one.job_id for one in seen) == sorted(one.id for one in jobs)


def test_a_job_of_a_group_is_tried_again_by_itself(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    jobs = [job(number) for number in range(4)]
    seen = run(monkeypatch, client, [together(jobs)], tasks.retry_t0_twice)
    assert [one.status for one in seen if one.job_id == jobs[0].id] == [Status.RETRY, Status.RETRY, Status.DONE]
    assert [one.status for one in seen if one.job_id != jobs[0].id] == [Status.DONE] * 3
    assert tasks.order[4:] == [("t0", 2), ("t0", 3)]


def test_a_group_that_dies_comes_back_job_by_job(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    jobs = [job(number) for number in range(3)]
    seen = run(monkeypatch, client, [together(jobs)], tasks.die)
    for one in jobs:
        of_job = [(outcome.status, outcome.attempts) for outcome in seen if outcome.job_id == one.id]
        assert of_job == [(Status.RETRY, 1), (Status.RETRY, 2), (Status.FAILED, 3)]


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 4])
def test_a_tile_that_ends_its_worker_costs_one_named_job(
    monkeypatch: pytest.MonkeyPatch, client: Client, size: int
) -> None:
    """Whatever ran beside it, each time it was tried, is done in the end."""
    jobs = [job(number) for number in range(8)]
    groups = [together(jobs[first : first + size]) for first in range(0, 8, size)]
    seen = run(monkeypatch, client, groups, tasks.end_worker_with_t2)
    last = {one.job_id: one for one in seen}
    assert {name for name, one in last.items() if one.status is Status.DONE} == {one.id for one in jobs} - {jobs[2].id}
    assert (last[jobs[2].id].status, last[jobs[2].id].error) == (Status.FAILED, "PoisonError")
    assert last[jobs[2].id].attempts == 3, "twice with others, and once with nothing beside it"


def test_stop_cancels_every_job_of_a_group_that_has_not_begun(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    jobs = [job(number) for number in range(40)]
    groups = [together(jobs[first : first + 4]) for first in range(0, 40, 4)]
    seen = run(monkeypatch, client, groups, tasks.ask_to_stop)
    assert sorted(one.job_id for one in seen) == sorted(one.id for one in jobs)
    assert sum(one.status is Status.CANCELLED for one in seen) >= 28
