"""A whole run on clusters that others started: TLS, a region a cluster, the same bytes, and workers may leave."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.tls import issue
from tests.cluster.demo import JOBS, REGIONS, Demo, check_same
from tests.cluster.processes import Processes


@pytest.mark.full
def test_two_regions_on_two_clusters_make_the_same_bytes_as_this_machine(
    demo_world: Path, calm_demo: Demo, tmp_path: Path, processes: Processes
) -> None:
    """Each has an authority of its own; every task runs in its region; a worker that leaves midway costs nothing."""
    clusters, members = {}, {}
    for region in REGIONS:
        clusters[region], started = _cluster(region, tmp_path, processes)
        members.update(started)
    there = Demo(tmp_path / "there", demo_world, clusters, {})
    running = there.start()
    running.until(lambda: f"{REGIONS[0]}-a" in there.workers().get(REGIONS[0], ()), "no job of that worker ended")
    leaving, environ = members.pop(f"{REGIONS[0]}-a")
    with _paused([members[f"{REGIONS[1]}-{name}"][0] for name in "ab"]):  # so that the run cannot end before
        hook = processes.start(sys.executable, "-m", "cluster.retire", "--grace", "60", environ=environ)
        assert hook.wait(90) == 0, processes.logs()
        leaving.wait(60)
        assert len(there.records()) < JOBS
    finished = running.wait()
    assert (finished.code, finished.counts()["done"]) == (0, JOBS), finished.text
    assert {record["attempts"] for record in there.records()} == {1}
    assert there.workers() == {region: {f"{region}-a", f"{region}-b"} for region in REGIONS}
    check_same(there, calm_demo)
    assert {name: process.poll() for name, (process, _) in members.items()} == dict.fromkeys(members)


@contextmanager
def _paused(workers: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Meanwhile they do nothing, nor do the processes that they started."""
    parents = [psutil.Process(worker.pid) for worker in workers]
    held = [process for parent in parents for process in (parent, *parent.children(recursive=True))]
    for process in held:
        process.suspend()
    try:
        yield
    finally:
        for process in held:
            process.resume()


Members = dict[str, tuple[subprocess.Popen[bytes], dict[str, str]]]
"""Name → process and its environment."""


def _cluster(region: str, folder: Path, processes: Processes) -> tuple[dict[str, Any], Members]:
    """(section of the config, its processes): a scheduler and two workers, with TLS."""
    credentials = issue(region, ["127.0.0.1"])
    environ = processes.tls(credentials, "scheduler")
    address, scheduler = processes.scheduler(environ=environ)
    assert address.startswith("tls://")
    members = {region: (scheduler, environ)}
    for name in (f"{region}-a", f"{region}-b"):
        own = processes.tls(credentials, "worker") | {"DASK_SCHEDULER_ADDRESS": address, "DASK_WORKER_NAME": name}
        members[name] = processes.worker(address, name, environ=own), own
    tls = {}
    for name, text in {"ca": credentials.ca, "cert": credentials.client.cert, "key": credentials.client.key}.items():
        path = folder / f"{region}-{name}.pem"
        path.write_text(text)
        tls[name] = str(path)
    sizes = {"workers": 2, "threads": 1, "worker_memory": "2GiB"}
    return {"backend": "existing", "address": address, "tls": tls, **sizes}, members
