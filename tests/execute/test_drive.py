"""Every job is reported once: done, tried again, failed or cancelled; and never too many are in flight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from affine import Affine
from distributed import Client, LocalCluster
from odc.geo.geobox import GeoBox

from pipeline.execute import drive as module
from pipeline.execute.drive import drive
from pipeline.types import Job, MemoryPlan, Outcome, Period, Status, Tile
from tests.execute import tasks


class Retries:
    """As much of an Assignment as the driver itself looks at."""

    retries = 2


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=4, processes=False, dashboard_address=None, protocol="inproc://"
        ) as cluster,
        Client(cluster, set_as_default=False) as made,
    ):
        yield made


def job(number: int, region: str = "a") -> Job:
    tile = Tile(f"t{number}", GeoBox((4, 4), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"))
    return Job("p", "p", tile, Period("m", None, None), region, (), f"{number:032x}", MemoryPlan(4, 1), 0)


def run(monkeypatch: pytest.MonkeyPatch, client: Client, jobs: list[Job], task: Any) -> list[Outcome]:
    tasks.reset()
    monkeypatch.setattr(module, "run_job", task)
    seen: list[Outcome] = []
    clusters = dict.fromkeys(("a", "b"), (client, 3))
    drive(jobs, {"p": Retries()}, clusters, seen.append, tasks.stop)  # type: ignore[dict-item]
    return seen


def test_every_job_of_every_region_is_reported_once(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    jobs = [job(number, "ab"[number % 2]) for number in range(20)]
    seen = run(monkeypatch, client, jobs, tasks.succeed)
    assert sorted(one.job_id for one in seen) == sorted(one.id for one in jobs)
    assert {one.status for one in seen} == {Status.DONE}


def test_the_same_jobs_can_run_again_on_the_same_cluster(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    for _ in range(3):
        assert len(run(monkeypatch, client, [job(number) for number in range(5)], tasks.succeed)) == 5


def test_in_flight_is_bounded(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    run(monkeypatch, client, [job(number) for number in range(15)], tasks.succeed)
    assert 1 < tasks.most[0] <= 3


def test_a_passing_fault_is_tried_again_after_the_others(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    seen = run(monkeypatch, client, [job(number) for number in range(6)], tasks.retry_t0_twice)
    assert [one.status for one in seen if one.job_id == job(0).id] == [Status.RETRY, Status.RETRY, Status.DONE]
    assert [attempt for tile, attempt in tasks.order if tile == "t0"] == [1, 2, 3]
    assert tasks.order.index(("t0", 2)) > 3, "the others went first"


def test_a_task_that_dies_is_tried_again_and_then_named(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    seen = run(monkeypatch, client, [job(1)], tasks.die)
    assert [one.status for one in seen] == [Status.RETRY, Status.RETRY, Status.FAILED]
    assert (seen[-1].error, seen[-1].cause) == ("MemoryError", "attempt 3")


def test_stop_finishes_what_runs_and_cancels_the_rest(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    jobs = [job(number) for number in range(10)]
    statuses = [one.status for one in run(monkeypatch, client, jobs, tasks.ask_to_stop)]
    assert 1 <= statuses.count(Status.DONE) <= 3
    assert statuses.count(Status.DONE) + statuses.count(Status.CANCELLED) == len(jobs)
