"""A local cluster is what its rendering says, reachable from this machine only, and leaves nothing behind."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from distributed import KilledWorker
from distributed.client import default_client

from cluster.backend import BACKENDS, ClusterError, open_cluster, render
from cluster.sizing import TASK_SHARE, local_share, task_bytes
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
    _, alive = psutil.wait_procs(
        [child for child in psutil.Process().children(recursive=True) if child.pid not in before], timeout=10
    )
    # Python's own resource tracker serves every later cluster and ends with this process.
    assert [child for child in alive if "resource_tracker" not in " ".join(child.cmdline())] == []


def test_its_dashboard_is_there_when_somebody_looks() -> None:
    """It comes up with the first request; pages that do not exist are not found, before and after."""
    with open_cluster(SPEC) as client:
        root = client.dashboard_link.removesuffix("status")
        answers = [requests.get(root + page, timeout=30) for page in ("health", "nowhere", "status", "", "nowhere")]
    assert [answer.status_code for answer in answers] == [200, 404, 200, 200, 404]
    assert "bokeh" in answers[2].text.lower()
    assert answers[3].url == f"{root}status"


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


def _log_as_a_closing_worker() -> None:
    logging.getLogger("distributed.worker").error("Failed to communicate with scheduler during heartbeat.")


def test_workers_that_are_being_closed_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """A heartbeat that meets a closing scheduler is no news: it once put a stack trace on a finished run's terminal."""
    with open_cluster(SPEC) as client:
        client.run(_log_as_a_closing_worker)
    assert capfd.readouterr().err == ""


def test_a_cluster_that_cannot_come_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError("no ports left")

    monkeypatch.setattr("cluster.local.LocalCluster", refuse)
    with pytest.raises(ClusterError, match="region here: no local cluster: OSError: no ports left"), open_cluster(SPEC):
        pass


def test_every_backend_in_the_table_exists() -> None:
    for name in BACKENDS:
        assert render(ClusterSpec("n", name, "r", 1, 1, 2**30))


def test_shares_never_exceed_the_machine() -> None:
    total = psutil.virtual_memory().total
    for clusters in (1, 2, 5):
        threads, memory = local_share(clusters)
        assert threads >= 1
        assert memory * clusters <= total
    assert task_bytes(1000, 2) == int(1000 * TASK_SHARE) // 2
