"""A driver that lives keeps its cluster from its idle time; one that died does not."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from distributed import Client, LocalCluster
from distributed.protocol.pickle import dumps

from cluster.backend import ClusterError
from cluster.lease import _touch, kept
from tests.cluster.processes import Processes

IDLE_S = 3.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A scheduler in this process; nobody ever gives it work."""
    with LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster, set_as_default=False) as client:
        yield client


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_is_renewed_at_once_and_again_and_then_no_more(cluster: LocalCluster, client: Client) -> None:
    calls = list[float]()
    with kept(client, 0.4, lambda: calls.append(time.monotonic())):
        _until(lambda: len(calls) == 1)
        scheduler: Any = cluster.scheduler
        scheduler.idle_since = 1.0  # idle for fifty years
        _until(lambda: len(calls) >= 3)
        assert scheduler.idle_since is None or scheduler.idle_since > time.time() - 30
    ended = len(calls)
    time.sleep(0.3)
    assert len(calls) == ended
    assert "groundswell-lease" not in {thread.name for thread in threading.enumerate()}


def test_the_schedulers_own_idle_time_counts_where_it_is_shorter(cluster: LocalCluster, client: Client) -> None:
    """A cluster of somebody else's has one that no config knows."""
    scheduler: Any = cluster.scheduler
    calls = list[float]()
    scheduler.idle_timeout = 0.4
    try:
        with kept(client, 3600, lambda: calls.append(time.monotonic())):
            _until(lambda: len(calls) >= 3)
    finally:
        scheduler.idle_timeout = None


def test_a_renewal_that_fails_is_told_and_tried_again(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    calls = list[int]()

    def renew() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise ClusterError("region here: no API")

    with caplog.at_level(logging.WARNING, "cluster.lease"), kept(client, 0.1, renew):
        _until(lambda: len(calls) >= 4)
    assert caplog.messages == ["the lease on the cluster was not renewed: ClusterError: region here: no API"] * 2


def test_a_client_that_closed_itself_keeps_nothing_and_says_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """As Dask's does when it cannot connect again: the thread ends, and not by an error of its own."""
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
        caplog.at_level(logging.WARNING, "cluster.lease"),
        kept(client, 0.1),
    ):
        client.close()
        _until(lambda: "groundswell-lease" not in {thread.name for thread in threading.enumerate()})
        assert len(caplog.messages) <= 1


SCHEDULER = """
import pickle, sys, types

sys.modules["cluster"] = None
scheduler = types.SimpleNamespace(idle_since=1.0, idle_timeout=7.0)
print(pickle.load(sys.stdin.buffer)(scheduler), scheduler.idle_since)
"""


def test_the_scheduler_needs_nothing_of_this_project() -> None:
    """What it is given is sent whole: a scheduler that others keep knows no package of ours."""
    sent = dumps(_touch())
    ended = subprocess.run([sys.executable, "-c", SCHEDULER], input=sent, capture_output=True, check=True)
    assert ended.stdout == b"7.0 None\n"


DRIVER = """
import sys, time
from distributed import Client
from cluster.lease import kept

with Client(sys.argv[1], set_as_default=False) as client, kept(client, float(sys.argv[2])):
    print("kept", flush=True)
    time.sleep(600)
"""


@pytest.mark.long
def test_a_killed_driver_keeps_nothing(processes: Processes) -> None:
    """A scheduler outlives three idle times beside a driver that has nothing to do, and ends once that is killed."""
    address, scheduler = processes.scheduler("--idle-timeout", str(IDLE_S))
    driver = processes.start(sys.executable, "-c", DRIVER, address, "900", stdout=subprocess.PIPE)
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"kept\n"
    with pytest.raises(subprocess.TimeoutExpired):
        scheduler.wait(3 * IDLE_S)
    os.kill(driver.pid, signal.SIGKILL)
    assert scheduler.wait(60) == 0
