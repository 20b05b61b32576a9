"""What is made from other jobs begins when they are done, and is named as blocked where they are not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace

import pytest
from distributed import Client, LocalCluster

from cluster.backend import ClusterError
from pipeline.execute.driver import drive as module
from pipeline.execute.driver.drive import drive
from pipeline.execute.driver.fleet import standing
from pipeline.plan.groups import Group, listed
from pipeline.types import Job, Outcome, Status, Upstream
from tests.execute import tasks
from tests.execute.driver.test_drive import job
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


def made_from(number: int, *others: Job, region: str = "a") -> Job:
    upstream = tuple(Upstream(one.product, one.kind, one.tile.id, one.period, one.fingerprint) for one in others)
    return replace(job(number, region), upstream=upstream)


def run(
    monkeypatch: pytest.MonkeyPatch,
    client: Client,
    jobs: list[Job],
    task: object,
    clusters: dict[str, Future[tuple[Client, int]]] | None = None,
) -> dict[str, Outcome]:
    tasks.reset()
    monkeypatch.setattr(module, "run_group", task)
    seen: list[Outcome] = []
    groups = [Group((one,), one.memory) for one in jobs]
    clusters = clusters or {name: tasks.opened(client, 3) for name in "ab"}
    drive(listed(groups), {"p": Retries()}, standing(clusters), Told(seen.append), tasks.stop)  # type: ignore[dict-item]
    last = {one.job_id: one for one in seen}
    assert len([one for one in seen if one.status is not Status.RETRY]) == len(jobs), "each is reported once"
    return last


def test_nothing_begins_before_what_it_is_made_from_is_done(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    first, second = job(0), job(1, "b")
    both = made_from(2, first, second)
    last = made_from(3, both, second, region="b")
    seen = run(monkeypatch, client, [last, both, second, first], tasks.succeed)
    assert {one.status for one in seen.values()} == {Status.DONE}
    begun = [tile for tile, _ in tasks.order]
    assert begun.index("t2") > max(begun.index("t0"), begun.index("t1"))
    assert begun.index("t3") > begun.index("t2")


def test_what_an_earlier_run_has_committed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    seen = run(monkeypatch, client, [made_from(2, job(0), job(1))], tasks.succeed)
    assert [one.status for one in seen.values()] == [Status.DONE]


def test_a_job_that_was_not_made_blocks_all_that_is_made_from_it_by_name(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    bad, good = job(0), job(1)
    both, other = made_from(2, bad, good), made_from(3, good)
    last = made_from(4, both, other)

    def fail_t0(group: Group, _: object, attempt: int) -> list[Outcome]:
        state = Status.FAILED if group.jobs[0].tile.id == "t0" else Status.DONE
        return [replace(tasks.outcome(group.jobs[0], state, attempt), cause="a scratch in the film")]

    seen = run(monkeypatch, client, [bad, good, both, other, last], fail_t0)
    assert {tile: seen[f"p/{tile}/m"].status.value for tile in ("t0", "t1", "t2", "t3", "t4")} == {
        "t0": "failed",
        "t1": "done",
        "t2": "blocked",
        "t3": "done",
        "t4": "blocked",
    }
    assert seen["p/t2/m"].cause == "p/t0/m, which it is made from, failed: a scratch in the film"
    assert str(seen["p/t4/m"].cause).startswith("p/t2/m, which it is made from, blocked: p/t0/m")


def test_a_passing_fault_upstream_blocks_nothing(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    seen = run(monkeypatch, client, [job(0), made_from(1, job(0))], tasks.retry_t0_twice)
    assert {one.status for one in seen.values()} == {Status.DONE}


def test_a_region_without_a_cluster_costs_its_jobs_and_what_is_made_from_them(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    """The other region works on while it fails to come up."""
    here, there = job(0), job(1, "b")
    opening: Future[tuple[Client, int]] = Future()

    def fail() -> None:
        if not opening.done():
            opening.set_exception(ClusterError("region b: no quota"))

    monkeypatch.setattr(tasks, "done", fail)
    clusters = {"a": tasks.opened(client, 3), "b": opening}
    seen = run(monkeypatch, client, [here, there, made_from(2, here, there)], tasks.succeed_and_tell, clusters)
    assert seen["p/t0/m"].status is Status.DONE
    assert (seen["p/t1/m"].error, seen["p/t1/m"].cause) == ("ClusterError", "region b: no quota")
    assert seen["p/t2/m"].status is Status.BLOCKED


def test_what_has_not_begun_when_a_run_is_stopped_is_cancelled(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    seen = run(monkeypatch, client, [job(0), made_from(1, job(0)), made_from(2, job(0))], tasks.ask_to_stop)
    assert seen["p/t0/m"].status is Status.DONE
    assert seen["p/t1/m"].status is seen["p/t2/m"].status is Status.CANCELLED
