"""A scheduler that is lost costs what was to run there, by name; other regions go on, and nothing is waited for."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from pipeline.execute.driver import drive as module
from pipeline.execute.driver import shards
from pipeline.execute.driver.drive import Rules, drive
from pipeline.execute.driver.fleet import standing
from pipeline.plan.groups import listed
from pipeline.types import Outcome, Status
from tests.execute import tasks
from tests.execute.driver.test_drive import alone, job
from tests.execute.tasks import Retries, Told


@contextmanager
def cluster_and_client() -> Iterator[tuple[LocalCluster, Client]]:
    """The client knows nothing of the cluster object."""
    arguments = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(**arguments) as cluster,
        Client(cluster.scheduler_address, timeout=60, set_as_default=False) as client,
    ):
        yield cluster, client


@pytest.fixture
def regions() -> Iterator[dict[str, tuple[LocalCluster, Client]]]:
    with ExitStack() as stack:
        yield {region: stack.enter_context(cluster_and_client()) for region in "ab"}


def test_a_scheduler_that_is_lost_costs_its_region_only(
    monkeypatch: pytest.MonkeyPatch, regions: dict[str, tuple[LocalCluster, Client]]
) -> None:
    tasks.reset()
    monkeypatch.setattr(module, "run_group", tasks.succeed)
    jobs = [job(number, "ab"[number % 2]) for number in range(80)]
    seen: list[Outcome] = []
    regions["b"][1]._timeout = 1.0  # so long it looks for a scheduler that is gone; to connect at first it had longer

    def report(outcome: Outcome) -> None:
        if outcome.region == "b" and not any(one.region == "b" for one in seen):
            regions["b"][0].close()
        seen.append(outcome)

    clusters = {region: tasks.opened(client, 3) for region, (_, client) in regions.items()}
    drive(listed(alone(jobs)), {"p": Retries()}, standing(clusters), Told(report), tasks.stop)  # type: ignore[dict-item]
    last = {one.job_id: one for one in seen}
    assert last.keys() == {one.id for one in jobs}
    assert {one.status for one in last.values() if one.region == "a"} == {Status.DONE}
    lost = [one for one in last.values() if one.region == "b" and one.status is not Status.DONE]
    assert len(lost) > 30
    assert {(one.status, one.error) for one in lost} == {(Status.FAILED, "ClusterLostError")}
    assert all("region b" in str(one.cause) for one in lost)


@pytest.mark.parametrize(("faults", "told"), [(1, [("done", 1)]), (1000, [("retry", 1), ("done", 2)])])
def test_a_result_that_cannot_be_fetched_is_asked_for_again_and_then_a_lost_task(
    monkeypatch: pytest.MonkeyPatch,
    regions: dict[str, tuple[LocalCluster, Client]],
    faults: int,
    told: list[tuple[str, int]],
) -> None:
    """Its worker, or the scheduler, may go between the end of a task and the moment somebody asks for its record."""
    tasks.reset()
    monkeypatch.setattr(module, "run_group", tasks.succeed)
    monkeypatch.setattr(shards, "_FETCH_S", 60.0 if faults == 1 else 1.0)
    client, asked = regions["a"][1], list[str]()
    scheduler: Any = client.scheduler
    gather = scheduler.gather

    async def faulty(keys: list[str]) -> Any:
        asked.extend(keys)
        if keys == asked[:1] and len(asked) <= faults:
            raise OSError("connection reset")
        return await gather(keys=keys)

    monkeypatch.setattr(scheduler, "gather", faulty, raising=False)
    seen: list[Outcome] = []
    fleet = standing({"a": tasks.opened(client, 3)})
    drive(listed(alone([job(0)])), {"p": Retries()}, fleet, Told(seen.append), tasks.stop)  # type: ignore[dict-item]
    assert [(one.status.value, one.attempts) for one in seen] == told
    assert len(told) == 1 or (seen[0].error, seen[0].cause) == ("OSError", "connection reset")


def test_a_connection_that_breaks_is_found_again_and_its_scheduler_told_anew(
    monkeypatch: pytest.MonkeyPatch, regions: dict[str, tuple[LocalCluster, Client]]
) -> None:
    """It may be another scheduler at the same address, which knows nothing of the run."""
    tasks.reset()
    monkeypatch.setattr(module, "run_group", tasks.succeed)
    cluster, client = regions["a"]
    loop = client.loop.asyncio_loop  # type: ignore[union-attr]
    seen: list[Outcome] = []

    async def break_off(dask_scheduler: Any) -> None:
        dask_scheduler.worker_plugins.clear()
        for worker in cluster.workers.values():
            worker.plugins.clear()
        for comm in list(dask_scheduler.client_comms.values()):
            comm.abort()

    def report(outcome: Outcome) -> None:
        seen.append(outcome)
        if len(seen) == 4:
            asyncio.run_coroutine_threadsafe(break_off(cluster.scheduler), loop).result(30)

    told = Told(report)
    fleet = standing({"a": tasks.opened(client, 3)})
    drive(listed(alone([job(number) for number in range(30)])), {"p": Retries()}, fleet, told, tasks.stop)  # type: ignore[dict-item]
    last = {one.job_id: one for one in seen}
    assert len(last) == 30 and {(one.status, one.attempts) for one in last.values()} == {(Status.DONE, 1)}
    assert {one.error for one in seen} <= {None, "ClusterLostError"}
    assert {one.job_ids[0] for one in told.begun} >= {one.job_id for one in seen[12:]}, "it is listened to again"


def test_a_cluster_that_does_not_hear_holds_up_no_other_region(
    monkeypatch: pytest.MonkeyPatch, regions: dict[str, tuple[LocalCluster, Client]]
) -> None:
    tasks.reset()
    monkeypatch.setattr(module, "run_group", tasks.succeed)

    async def never(**_: Any) -> None:
        await asyncio.sleep(600)

    monkeypatch.setattr(regions["b"][1].scheduler, "register_worker_plugin", never, raising=False)
    seen: list[Outcome] = []

    def report(outcome: Outcome) -> None:
        seen.append(outcome)
        if len(seen) == 8:
            tasks.stop.set()

    began = time.monotonic()
    jobs = [job(number, "ab"[number % 2]) for number in range(16)]
    fleet = standing({region: tasks.opened(client, 3) for region, (_, client) in regions.items()})
    drive(listed(alone(jobs)), {"p": Retries()}, fleet, Told(report), tasks.stop)  # type: ignore[dict-item]
    assert [(one.region, one.status) for one in seen] == [("a", Status.DONE)] * 8 + [("b", Status.CANCELLED)] * 8
    assert time.monotonic() - began < 30


@contextmanager
def own_processes(folder: Path) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    """A scheduler and a worker that are processes of their own."""
    where = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    cli = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    with ExitStack() as stack:
        scheduler = stack.enter_context(
            subprocess.Popen(
                [*cli, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(where)], **quiet
            )  # type: ignore[call-overload]
        )
        stack.callback(scheduler.kill)
        cli = [sys.executable, "-m", "distributed.cli.dask_worker"]
        arguments = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60"]
        worker = stack.enter_context(subprocess.Popen([*cli, "--scheduler-file", str(where), *arguments], **quiet))  # type: ignore[call-overload]
        stack.callback(worker.kill)
        with Client(scheduler_file=str(where), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
            yield client, scheduler
            worker.kill()
            scheduler.kill()


@pytest.mark.long
def test_a_scheduler_that_stands_still_counts_as_lost(
    monkeypatch: pytest.MonkeyPatch, regions: dict[str, tuple[LocalCluster, Client]], tmp_path: Path
) -> None:
    """Its connection stands, so nothing breaks: only that it answers nobody tells."""
    tasks.reset()
    monkeypatch.setattr(module, "run_group", tasks.succeed)
    seen: list[Outcome] = []
    with own_processes(tmp_path) as (client, scheduler):

        def report(outcome: Outcome) -> None:
            seen.append(outcome)
            if len(seen) == 3:
                scheduler.send_signal(signal.SIGSTOP)

        @dataclass
        class Fleet:
            openings: Any

            def again(self, _region: str, _shard: int) -> Any:
                return tasks.opened(regions["a"][1], 3)

        told = Told(report)
        fleet = Fleet({"a": [tasks.opened(client, 3)]})
        work, rules = listed(alone([job(number) for number in range(20)])), Rules(worker_timeout_s=2.0)
        drive(work, {"p": Retries()}, fleet, told, tasks.stop, rules)  # type: ignore[dict-item]
    last = {one.job_id: one for one in seen}
    assert len(last) == 20 and {(one.status, one.attempts) for one in last.values()} == {(Status.DONE, 1)}
    assert [one.note for one in told.events if one.state == "lost"] == ["its scheduler did not answer for 2 s"]
