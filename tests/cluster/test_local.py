"""A local cluster is what its rendering says, reachable from this machine only, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
import requests
from distributed import KilledWorker, Nanny, Status, Worker
from distributed.client import default_client

from cluster.backend import ClusterError, open_cluster, render, wait_until
from cluster.spec import ClusterSpec

SPEC = ClusterSpec("test-here", "local", "here", workers=2, threads=1, worker_memory_bytes=2**30)


def test_it_renders_before_it_opens() -> None:
    arguments = render(SPEC)
    assert arguments["n_workers"] == 2
    assert arguments["host"] == "127.0.0.1"
    assert arguments["memory_limit"] == 2**30


def test_it_opens_what_it_rendered_and_leaves_nothing() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with open_cluster(SPEC) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        assert len(workers) == 2
        assert all(address.startswith("tcp://127.0.0.1:") for address in workers)
        assert {worker["nthreads"] for worker in workers.values()} == {1}
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        assert client.submit(sum, [1, 2, 3]).result(timeout=30) == 6
        with pytest.raises(ValueError, match="No clients"):
            default_client()
    # Python's own resource tracker serves every later cluster and ends with this process.
    new = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    _, alive = psutil.wait_procs([child for child in new if "resource_tracker" not in _line(child)], timeout=10)
    assert alive == []


def test_its_dashboard_is_there_when_somebody_looks() -> None:
    """It comes up with the first request; pages that do not exist are not found, before and after."""
    with open_cluster(SPEC) as client:
        root = client.dashboard_link.removesuffix("status")
        answers = [requests.get(root + page, timeout=30) for page in ("health", "nowhere", "status", "", "nowhere")]
    assert [answer.status_code for answer in answers] == [200, 404, 200, 200, 404]
    assert "bokeh" in answers[2].text.lower()
    assert answers[3].url == f"{root}status"


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _fresh_pages() -> int:
    """Pages that the second half of sixty buffers of 16 MiB needed, each let go before the next."""
    faults = []
    for _ in range(2):
        for _ in range(30):
            np.empty(2**24, np.uint8).fill(1)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return faults[1] - faults[0]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator only")
def test_a_worker_uses_memory_again() -> None:
    """Thirty times 4,096 pages would be a third of a tile's time."""
    with open_cluster(SPEC) as client:
        assert client.submit(_fresh_pages).result(timeout=60) < 3 * 4096


@pytest.mark.long
def test_a_task_that_ends_its_worker_runs_once_more_and_then_comes_back(tmp_path: Path) -> None:
    """One lost worker is bad luck; and whoever gave the task decides what two mean."""
    with open_cluster(SPEC) as client:
        lost = client.submit(_end_worker, tmp_path, pure=False)
        with pytest.raises(KilledWorker, match="2 different workers"):
            lost.result(timeout=60)
    assert len(list(tmp_path.iterdir())) == 2


def _end_worker(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    os.kill(os.getpid(), signal.SIGKILL)


def _end_worker_once(folder: Path) -> int:
    (folder / str(time.monotonic_ns())).touch()
    if (begun := len(list(folder.iterdir()))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return begun


def _log_as_a_closing_worker(dask_worker: Worker) -> bool:
    """And whether a thread that is not Python's asks this process for its interpreter, all the time."""
    logging.getLogger("distributed.worker").error("Failed to communicate with scheduler during heartbeat.")
    return dask_worker.monitor.monitor_gil_contention


@pytest.mark.long
def test_a_worker_that_left_in_good_order_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask itself would leave the cluster without it: with one worker, a run would wait for nobody."""
    monkeypatch.setattr("cluster.local._LOOK_S", 0.2)
    with open_cluster(replace(SPEC, workers=1)) as client:
        gone = list(client.scheduler_info()["workers"])
        client.retire_workers(gone)
        assert client.submit(os.getpid).result(timeout=60) > 0
        assert gone != list(client.scheduler_info()["workers"])


@pytest.mark.long
def test_a_worker_that_comes_back_late_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another in its place would have its name, and end it: then a task without fault has ended two workers."""
    monkeypatch.setattr("cluster.local._LOOK_S", 0.2)
    begun: list[Nanny] = []
    instantiate = Nanny.instantiate

    async def late(nanny: Nanny) -> Status:
        begun.append(nanny)
        if len(begun) > 1:
            await asyncio.sleep(3)
        return await instantiate(nanny)

    monkeypatch.setattr(Nanny, "instantiate", late)
    impatient = dask.config.set({"distributed.deploy.lost-worker-timeout": "500ms"})
    with impatient, open_cluster(replace(SPEC, workers=1)) as client:
        assert client.submit(_end_worker_once, tmp_path).result(timeout=60) == 2
        assert client.submit(_end_worker_once, tmp_path, pure=False).result(timeout=60) == 3
        time.sleep(1)
    assert len(begun) == 2
    assert begun[0] is begun[1]


def test_workers_that_are_being_closed_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """A heartbeat that meets a closing scheduler is no news: it once put a stack trace on a finished run's terminal.

    Nor does a thread that asks an ending interpreter for its lock: that printed "FATAL: exception not rethrown".
    """
    with open_cluster(SPEC) as client:
        assert not any(client.run(_log_as_a_closing_worker).values())
    assert capfd.readouterr().err == ""


def test_a_cluster_that_cannot_come_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError("no ports left")

    monkeypatch.setattr("cluster.local.LocalCluster", refuse)
    with pytest.raises(ClusterError, match="region here: no local cluster: OSError: no ports left"), open_cluster(SPEC):
        pass


def test_what_has_one_size_is_not_adaptive() -> None:
    """And what has not begins as small as it may be."""
    assert "adapt" not in render(SPEC)
    assert "adapt" not in render(replace(SPEC, minimum=2))
    arguments = render(replace(SPEC, workers=3, minimum=1))
    assert arguments["n_workers"] == 1
    assert arguments["adapt"] == {"minimum": 1, "maximum": 3}


def _nap(_: int) -> int:
    time.sleep(1.5)
    return os.getpid()


@pytest.mark.long
def test_workers_come_and_go_with_the_work() -> None:
    """Up to the maximum while every thread has a task of unknown length, down to the minimum when nothing is left."""
    with open_cluster(replace(SPEC, workers=3, minimum=1)) as client:

        def count() -> int:
            return len(client.scheduler_info(n_workers=-1)["workers"])

        assert count() == 1
        naps = client.map(_nap, range(12), pure=False)
        assert wait_until(lambda: True if count() == 3 else None, SPEC, threading.Event(), 60, lambda: f"{count()}")
        assert len(set(client.gather(naps))) == 3, "the new ones work"
        masks = client.run(signal.pthread_sigmask, signal.SIG_BLOCK, ())
        assert len(masks) == 3
        assert all(signal.SIGINT in mask for mask in masks.values()), "they do not see Ctrl-C either"
        del naps
        assert wait_until(lambda: True if count() == 1 else None, SPEC, threading.Event(), 60, lambda: f"{count()}")
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
