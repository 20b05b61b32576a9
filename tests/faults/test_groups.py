"""Runs of neighbouring tiles as one task: what they leave is what single jobs leave, also when a worker is lost."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.faults._runs import JOBS, Case, Tree, check_clean, check_items, check_same

pytestmark = pytest.mark.long
TOGETHER = ("--set", "run.super_tile=4")
TASKS = 4
"""Two tiles in each of two UTM zones meet, in each of two months."""


def journal(case: Case) -> list[dict[str, object]]:
    """What became of jobs, attempt by attempt, as the run wrote it down."""
    paths = sorted(Path(case.output, "runs").glob("*/journal-*.jsonl"))
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return [line for line in lines if line["event"] == "job"]


def test_a_run_of_groups_leaves_what_a_run_of_single_jobs_leaves(case: Case, calm: Tree) -> None:
    finished = case.start(str(case.config), *TOGETHER).wait()
    assert finished.code == 0, finished.text
    assert f"{JOBS} jobs in {TASKS} tasks" in finished.text
    assert finished.counts() == {"done": JOBS, "skipped": 0, "failed": 0, "not started": 0}
    check_same(case, calm)
    assert Counter(line["job_id"] for line in journal(case)).most_common(1)[0][1] == 1
    assert len(journal(case)) == JOBS, "a line for each job"


FURTHER = [pytest.param(step, marks=pytest.mark.full) for step in ("data_put:qa", "item_put_done")]


@pytest.mark.parametrize("step", ["item_put", *FURTHER])
def test_a_worker_lost_in_a_group_costs_time_only(case: Case, calm: Tree, step: str) -> None:
    """What it was at is made again job by job, each done once in the end."""
    order = {"action": "worker", "step": step, "number": 2}
    finished = case.start(str(case.config), *TOGETHER, order=order).wait()
    assert finished.code == 0, finished.text
    assert finished.counts() == {"done": JOBS, "skipped": 0, "failed": 0, "not started": 0}
    check_clean(case, calm)


def test_a_run_killed_in_a_group_resumes(case: Case, calm: Tree) -> None:
    """As single jobs or as groups: what was committed is skipped."""
    killed = case.start(str(case.config), *TOGETHER, order={"action": "run", "step": "item_put", "number": 4}).wait()
    assert killed.code == -signal.SIGKILL, killed.text
    committed = check_items(case.tree())
    assert 0 < committed < JOBS
    finished = case.start(str(case.config), *TOGETHER).wait()
    assert finished.code == 0, finished.text
    assert finished.counts() == {"done": JOBS - committed, "skipped": committed, "failed": 0, "not started": 0}
    check_clean(case, calm)
