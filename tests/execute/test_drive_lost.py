"""A scheduler that is lost costs what was to run there, by name; other regions go on, and nothing is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from distributed import Client, LocalCluster

from pipeline.execute import drive as module
from pipeline.execute.drive import drive
from pipeline.types import Outcome, Status
from tests.execute import tasks
from tests.execute.test_drive import Retries, alone, job


@contextmanager
def cluster_and_client() -> Iterator[tuple[LocalCluster, Client]]:
    """The client looks for a scheduler that is lost for a second; it knows nothing of the cluster object."""
    arguments = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(**arguments) as cluster,
        Client(cluster.scheduler_address, timeout=1, set_as_default=False) as client,
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

    def report(outcome: Outcome) -> None:
        if outcome.region == "b" and not any(one.region == "b" for one in seen):
            regions["b"][0].close()
        seen.append(outcome)

    clusters = {region: tasks.opened(client, 3) for region, (_, client) in regions.items()}
    drive(alone(jobs), {"p": Retries()}, clusters, report, tasks.stop)  # type: ignore[dict-item]
    last = {one.job_id: one for one in seen}
    assert last.keys() == {one.id for one in jobs}
    assert {one.status for one in last.values() if one.region == "a"} == {Status.DONE}
    lost = [one for one in last.values() if one.region == "b" and one.status is not Status.DONE]
    assert len(lost) > 30
    assert {(one.status, one.error) for one in lost} == {(Status.FAILED, "SchedulerLost")}
    assert all("region b" in str(one.cause) for one in lost)


def test_a_result_that_cannot_be_fetched_is_a_lost_task(
    monkeypatch: pytest.MonkeyPatch, regions: dict[str, tuple[LocalCluster, Client]]
) -> None:
    """Its worker, or the scheduler, may go between the end of a task and the moment somebody asks for its record."""
    tasks.reset()
    monkeypatch.setattr(module, "run_group", tasks.succeed)
    client, fetched = regions["a"][1], list[object]()
    gather: Any = client._gather

    async def once_lost(*arguments: Any, **further: Any) -> Any:
        fetched.append(arguments)
        if len(fetched) == 1:
            raise OSError("connection reset")
        return await gather(*arguments, **further)

    monkeypatch.setattr(client, "_gather", once_lost)
    seen: list[Outcome] = []
    drive(alone([job(0)]), {"p": Retries()}, {"a": tasks.opened(client, 3)}, seen.append, tasks.stop)  # type: ignore[dict-item]
    assert [(one.status, one.attempts) for one in seen] == [(Status.RETRY, 1), (Status.DONE, 2)]
    assert (seen[0].error, seen[0].cause) == ("OSError", "connection reset")
