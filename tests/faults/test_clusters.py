"""Clusters that are lost, or never come up: replaced, or named within their time; what is committed is never redone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.cluster.processes import Processes
from tests.faults._runs import JOBS, Case, Tree
from tests.faults.invariants import Expected, check_invariants

SLOW = {"action": "slow", "step": "item_put", "number": 0, "seconds": 1.0}
RECOVERED_S = 120.0
"""From the end of a scheduler to the next commit, on a cluster that is there by then."""


@dataclass
class Centre:
    """A computing centre: a scheduler and a worker of two threads, that come and go by a test's word."""

    case: Case
    processes: Processes
    found: list[subprocess.Popen[bytes]] = field(default_factory=list)
    worker: subprocess.Popen[bytes] | None = None

    @property
    def file(self) -> Path:
        """Where the newest scheduler wrote its address."""
        return self.case.folder / "scheduler.json"

    def open(self, *, workers: bool = True) -> None:
        """A scheduler, found by its file; and a worker."""
        address, scheduler = self.processes.scheduler()
        self.found.append(scheduler)
        if workers:
            environ = {**self.case.ordered(SLOW), "TMPDIR": str(self.case.scratch)}
            self.worker = self.processes.worker(
                address, "a", "--nthreads", "2", "--memory-limit", "2GiB", environ=environ
            )
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"address": address}))
        new.replace(self.file)

    def lose(self) -> None:
        """The scheduler dies, and nobody writes that down."""
        self.file.unlink()
        self.found[-1].kill()
        self.found[-1].wait()

    def options(self, *, timeout_s: int = 60, region: str = "default") -> tuple[str, str, str]:
        """What a config says of it."""
        section = {
            "backend": "existing",
            "scheduler_file": str(self.file),
            "workers": 1,
            "threads": 2,
            "worker_memory": "2GiB",
            "start_timeout_s": timeout_s,
        }
        return "--yes", "--set", f"clusters.{region}={json.dumps(section)}"


@pytest.fixture
def centre(case: Case, tmp_path: Path) -> Iterator[Centre]:
    folder = tmp_path / "centre"
    folder.mkdir()
    processes = Processes(folder)
    try:
        yield Centre(case, processes)
    finally:
        processes.end()


def committed(case: Case) -> int:
    return len(case.keys("items"))


@pytest.mark.long
def test_f05_a_scheduler_that_is_killed_is_replaced_and_nothing_is_done_twice(
    case: Case, calm: Tree, centre: Centre
) -> None:
    """With everything it knew; the run takes the next one, looks what is committed, and does the rest."""
    centre.open()
    running = case.start(str(case.config), *centre.options())
    running.until(lambda: committed(case) >= 2, "nothing was committed")
    centre.lose()
    lost, before = time.monotonic(), committed(case)
    centre.open()
    running.until(lambda: committed(case) > before + 2, "nothing was committed any more")
    recovered_s = time.monotonic() - lost
    finished = running.wait()
    told = check_invariants(case, calm, finished, Expected(killed=True))
    assert recovered_s < RECOVERED_S
    assert case.steps().count("item_put") <= JOBS + 2, "no more is done again than what was in flight"
    assert len(told) == JOBS
    sys.stdout.write(f"recovered in {recovered_s:.1f} s\n")


@pytest.mark.full
@pytest.mark.parametrize("restarts", [0, 1])
def test_f05_a_scheduler_that_never_comes_back_fails_its_jobs_by_name(
    case: Case, calm: Tree, centre: Centre, restarts: int
) -> None:
    """Bounded, exit 1: some were made before."""
    centre.open()
    options = (*centre.options(timeout_s=30), "--set", f"run.cluster_restarts={restarts}")
    running = case.start(str(case.config), *options)
    running.until(lambda: committed(case) >= 2, "nothing was committed")
    assert centre.worker is not None
    for child in psutil.Process(centre.worker.pid).children(recursive=True):
        child.kill()  # or it would commit what it has, once the run has told of it as lost
    centre.lose()
    finished = running.wait()
    error = "ClusterError" if restarts else "ClusterLostError"
    told = check_invariants(case, calm, finished, Expected(1, (error, "default"), not_made=None, killed=True))
    assert error in {one["error"] for one in told.values() if one["status"] == "failed"}


@pytest.mark.full
def test_f06_without_any_worker_a_run_ends_by_name(case: Case, calm: Tree, centre: Centre) -> None:
    """Within the time that was allowed: exit 3, as no cluster came up at all."""
    centre.open(workers=False)
    finished = case.start(str(case.config), *centre.options(timeout_s=3)).wait()
    check_invariants(case, calm, finished, Expected(3, ("error: no cluster came up", "default"), started=False))


@pytest.mark.full
def test_f06_a_region_without_workers_costs_its_own_jobs(case: Case, calm: Tree, centre: Centre) -> None:
    """Exit 1: the other region's jobs are done."""
    centre.open(workers=False)
    items = f"{case.world}/s2/collection.json"
    both = [{"product": "sentinel2", "source": "s2", "bands": ["red"]}]
    both.append({"product": "sentinel2", "name": "far", "source": "far", "bands": ["red"]})
    sources = {"s2": {"items": items}, "far": {"items": items, "region": "far"}}
    sets = (f"sources={json.dumps(sources)}", f"products={json.dumps(both)}", "run.cross_region=allow")
    options = (*centre.options(timeout_s=3, region="far"), *(word for one in sets for word in ("--set", one)))
    finished = case.start(str(case.config), *options).wait()
    told = check_invariants(case, calm, finished, Expected(1, ("far",), not_made=JOBS))
    assert {one["region"] for one in told.values() if one["status"] == "failed"} == {"far"}
