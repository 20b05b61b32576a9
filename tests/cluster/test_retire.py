"""A worker that leaves in good time costs nothing; one that cannot says what is lost, and no task is blamed for it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import dask.config
import pytest
from distributed import Client, Scheduler, Worker
from distributed.comm.core import CommClosedError

from cluster import retire as module
from cluster.retire import RetireError, main, retire
from cluster.tls import issue
from tests.cluster.processes import Processes

RESULTS = 20


def _work(folder: Path, number: int) -> int:
    """Leaves a trace of each time it is computed."""
    (folder / f"{number}-{time.monotonic_ns()}").touch()
    return number


def _held(folder: Path, number: int) -> int:
    """Goes on until somebody says so."""
    (folder / f"{number}-{time.monotonic_ns()}").touch()
    deadline = time.monotonic() + 60
    while not (folder / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return number


def _count(folder: Path) -> int:
    return sum(1 for path in folder.iterdir() if path.name != "go")


Body = Callable[[Scheduler, Client, list[Worker]], Awaitable[None]]


def _on_cluster(names: list[str], body: Body) -> None:
    """Run it beside a scheduler and workers of these names, all in this process."""

    async def run() -> None:
        async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0") as scheduler:
            workers = [
                Worker(scheduler.address, name=name, nthreads=1, host="127.0.0.1", dashboard=False) for name in names
            ]
            try:
                await asyncio.gather(*workers)
                async with Client(scheduler.address, asynchronous=True, set_as_default=False) as client:
                    await body(scheduler, client, workers)
            finally:
                await asyncio.gather(*(worker.close(executor_wait=False) for worker in workers))

    asyncio.run(run())


async def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_results_of_a_retired_worker_are_not_computed_again(tmp_path: Path) -> None:
    async def body(scheduler: Scheduler, client: Client, workers: list[Worker]) -> None:
        futures = client.map(
            _work, [tmp_path] * RESULTS, range(RESULTS), pure=False, workers="a", allow_other_workers=True
        )
        await client.gather(futures)
        assert len(workers[0].data) >= RESULTS // 2
        assert await retire(scheduler.address, "a", 30) == "worker a was retired"
        await workers[0].finished()
        assert [worker.name for worker in scheduler.workers.values()] == ["b"]
        assert await client.gather(futures) == list(range(RESULTS))
        assert _count(tmp_path) == RESULTS

    _on_cluster(["a", "b"], body)


def test_what_runs_may_end_and_what_waits_goes_elsewhere(tmp_path: Path) -> None:
    """Dask's own retirement would let go of a running task, which others then begin anew."""

    async def body(scheduler: Scheduler, client: Client, workers: list[Worker]) -> None:
        futures = client.map(_held, [tmp_path] * 4, range(4), pure=False)
        await _until(lambda: _count(tmp_path) == 2)
        leaving = asyncio.create_task(retire(scheduler.address, "a", 60))
        await _until(lambda: workers[0].status.name == "closing_gracefully")
        (tmp_path / "go").touch()
        assert await leaving == "worker a was retired"
        assert await client.gather(futures) == list(range(4))
        assert _count(tmp_path) == 4

    _on_cluster(["a", "b"], body)


def test_what_does_not_end_in_time_is_named_and_not_blamed(tmp_path: Path) -> None:
    """A worker that the scheduler lost would count against the task, and twice is once too often."""

    async def body(scheduler: Scheduler, client: Client, workers: list[Worker]) -> None:
        future = client.submit(_held, tmp_path, 1, key="long", workers="a", allow_other_workers=True)
        await _until(lambda: _count(tmp_path) == 1)
        with pytest.raises(RetireError, match=r"still computing 1 tasks, which others begin anew: \['long'\]"):
            await retire(scheduler.address, "a", 1)
        await _until(lambda: _count(tmp_path) == 2)
        assert scheduler.tasks["long"].suspicious == 0
        (tmp_path / "go").touch()
        assert await future == 1

    _on_cluster(["a", "b"], body)


def test_a_scheduler_that_hangs_in_the_end_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook's time is counted: what it sits out, the worker's process lacks."""
    monkeypatch.setattr(module, "_REACH_S", 2.0)

    async def body(scheduler: Scheduler, client: Client, workers: list[Worker]) -> None:
        hung = asyncio.Event()
        for operation in ("retire_workers", "unregister"):
            monkeypatch.setitem(scheduler.handlers, operation, lambda **_: hung.wait())
        with pytest.raises(RetireError, match="had not answered, or not handed over all"):
            await asyncio.wait_for(retire(scheduler.address, "a", 0.5), 20)

    _on_cluster(["a"], body)


def test_a_scheduler_that_ends_meanwhile_is_not_waited_for(tmp_path: Path) -> None:
    """At the end of a cluster all its pods are told to go at once, and the scheduler is the first that is gone."""

    async def body(scheduler: Scheduler, client: Client, workers: list[Worker]) -> None:
        await client.submit(_work, tmp_path, 1, pure=False)  # which nobody else could take
        leaving = asyncio.create_task(retire(scheduler.address, "a", 600))
        await _until(lambda: workers[0].status.name == "closing_gracefully")
        await scheduler.close()
        with pytest.raises((ConnectionError, CommClosedError)):
            await asyncio.wait_for(leaving, 30)

    _on_cluster(["a"], body)


def test_results_that_nobody_takes_are_named(tmp_path: Path) -> None:
    async def body(scheduler: Scheduler, client: Client, workers: list[Worker]) -> None:
        future = client.submit(_work, tmp_path, 1, pure=False)
        await future
        with pytest.raises(RetireError, match="no other worker had taken what it holds, which is computed again"):
            await retire(scheduler.address, "a", 1)
        assert not scheduler.workers

    _on_cluster(["a"], body)


def test_a_worker_that_comes_meanwhile_takes_over(tmp_path: Path) -> None:
    async def body(scheduler: Scheduler, client: Client, workers: list[Worker]) -> None:
        future = client.submit(_work, tmp_path, 1, pure=False)
        await future
        leaving = asyncio.create_task(retire(scheduler.address, "a", 30))
        await asyncio.sleep(0.5)
        async with Worker(scheduler.address, name="b", nthreads=1, host="127.0.0.1", dashboard=False):
            assert await leaving == "worker a was retired"
            assert await future == 1
        assert _count(tmp_path) == 1

    _on_cluster(["a"], body)


def test_one_that_is_not_in_the_cluster_has_nothing_to_hand_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither has one whose name another pod has taken over meanwhile: that one stays."""

    async def body(scheduler: Scheduler, client: Client, workers: list[Worker]) -> None:
        assert "nothing to hand over" in await retire(scheduler.address, "other", 30)
        monkeypatch.setattr(module, "_is_here", lambda _host: False)
        assert "nothing to hand over" in await retire(scheduler.address, "a", 30)
        assert len(scheduler.workers) == 1

    _on_cluster(["a"], body)


def test_addresses_of_this_machine_are_known_from_others() -> None:
    """By what may be listened at, which holds for each network of a pod; 192.0.2.1 is nobody's (RFC 5737)."""
    assert [module._is_here(host) for host in ("127.0.0.1", "127.7.3.2", "192.0.2.1")] == [True, True, False]


def test_at_the_end_of_a_cluster_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its scheduler may be gone before its workers are told to go."""
    monkeypatch.setenv("DASK_WORKER_NAME", "a")
    with dask.config.set({"scheduler-address": "tcp://127.0.0.1:9"}):
        assert main(["--grace", "60"]) == 0
    assert "no scheduler at tcp://127.0.0.1:9 any more" in capsys.readouterr().out


def test_a_worker_that_is_not_named_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert "DASK_WORKER_NAME" not in os.environ
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "DASK_SCHEDULER_ADDRESS and DASK_WORKER_NAME" in capsys.readouterr().err


@pytest.mark.long
def test_the_hook_saves_what_a_plain_stop_loses(processes: Processes, tmp_path: Path) -> None:
    """Processes and TLS, as in a pod: after SIGTERM alone all that the worker held is computed again, here nothing."""
    credentials = issue("test", ["127.0.0.1"])
    still = {"DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "False"}
    address, _ = processes.scheduler(environ=processes.tls(credentials, "scheduler") | still)
    again = {}
    with Client(address, security=credentials.security(), set_as_default=False) as client:
        processes.worker(address, "stays", environ=processes.tls(credentials, "worker"))
        for way in ("plain", "hook"):
            environ = processes.tls(credentials, "worker") | {
                "DASK_SCHEDULER_ADDRESS": address,
                "DASK_WORKER_NAME": way,
            }
            leaving = processes.worker(address, way, environ=environ)
            client.wait_for_workers(2, timeout=60)
            folder = tmp_path / way
            folder.mkdir()
            futures = [
                client.submit(_work, folder, number, pure=False, workers=way, allow_other_workers=True)
                for number in range(RESULTS)
            ]
            client.gather(futures)
            if way == "hook":
                command = (sys.executable, "-m", "cluster.retire", "--grace", "60")
                assert processes.start(*command, environ=environ).wait(90) == 0, processes.logs()
            else:
                leaving.terminate()
            leaving.wait(60)
            client.gather(futures)
            again[way] = _count(folder) - RESULTS
    assert again == {"plain": RESULTS, "hook": 0}
