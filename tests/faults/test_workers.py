"""Workers that end, by accident or by what they are given: time is lost, or one job, by name; nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults._runs import JOBS, Case, Tree
from tests.faults.invariants import Expected, check_invariants

POISON = "sentinel2/33N-205-3885/2024-07"
CHAOS = """\
import pathlib, random
from distributed.chaos import KillWorker

async def dask_setup(worker):
    deaths = pathlib.Path({folder!r})
    number = len(list(deaths.iterdir()))
    if number < {most}:
        (deaths / str(number)).touch()
        source = random.Random(f"{seed}-{{number}}")
        mode = ("sys.exit", "graceful", "segfault")[number % 3]
        await worker.plugin_add(KillWorker(delay=f"{{source.uniform(2.0, 5.0)}}s", mode=mode))
"""
"""Loaded by every worker: the first few of a run die at a drawn moment, in each of three ways in turn."""


@pytest.mark.full
def test_f02_workers_that_die_at_any_time_cost_time_only(case: Case, calm: Tree, tmp_path: Path) -> None:
    """Death after death, in every way that a process can end: each job is committed once, as ever."""
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    preload = tmp_path / "chaos.py"
    preload.write_text(CHAOS.format(folder=str(deaths), most=4, seed=2))
    running = case.start(
        str(case.config),
        order={"action": "slow", "step": "item_put", "number": 0, "seconds": 4.0},
        environment={"DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([str(preload)])},
    )
    finished = running.wait()
    told = check_invariants(case, calm, finished, Expected(loud=True, killed=True))
    assert len(list(deaths.iterdir())) >= 2
    assert any(record["attempts"] > 1 for record in told.values()), "no worker died while it had a job"


@pytest.mark.full
def test_f03_a_job_that_ends_its_worker_is_set_aside_by_name(case: Case, calm: Tree) -> None:
    """A segmentation fault, at every attempt: that one job fails; who was beside it is done."""
    finished = case.start(str(case.config), order={"action": "segfault", "step": f"begin {POISON}", "number": 0}).wait()
    told = check_invariants(case, calm, finished, Expected(1, (POISON, "PoisonError"), not_made=1, killed=True))
    assert told[POISON]["status"] == "failed"
    assert finished.counts()["done"] == JOBS - 1


@pytest.mark.full
def test_f04_a_job_that_wants_all_memory_is_set_aside_by_name(case: Case, calm: Tree) -> None:
    """Its worker is ended at its limit, before the machine suffers; the message says that it was memory."""
    order = {"action": "hog", "step": f"begin {POISON}", "number": 0}
    limit = ("--set", "clusters.default={backend: local, worker_memory: 1GiB}")
    finished = case.start(str(case.config), *limit, order=order).wait()
    expected = Expected(1, (POISON, "PoisonError", "memory"), not_made=1, killed=True)
    check_invariants(case, calm, finished, expected)


@pytest.mark.full
def test_f57_a_job_that_never_ends_is_ended_after_its_time(case: Case, calm: Tree) -> None:
    """It hangs in C and holds the interpreter's lock, so that nothing within its worker can help: one job, by name."""
    order = {"action": "spin", "step": f"begin {POISON}", "number": 0}
    limits = ("--set", "run.job_timeout_s=15", "--set", "run.retries=1")
    finished = case.start(str(case.config), *limits, order=order).wait()
    told = check_invariants(case, calm, finished, Expected(1, (POISON, "DeadlineError"), not_made=1, killed=True))
    assert finished.counts()["done"] == JOBS - 1
    assert told[POISON]["error"] == "DeadlineError"
