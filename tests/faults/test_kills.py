"""A run killed at any point and started again ends as one never killed; no item ever names a missing or short file.

After a vacuum nothing of the killed run is left: the set of objects is that of a calm run.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session
from pipeline.types import Status
from pipeline.write.store import FolderStore
from tests.faults._runs import CHECKOUT, FILES, JOBS, Case, Tree, check_clean, check_items, products
from tests.faults.invariants import Expected, check_invariants

SEED = 20240601
COMMIT = (
    *(f"{step}:{file}" for file in FILES for step in ("data_put", "data_put_done")),
    "item_render",
    "item_put",
    "item_put_done",
)
"""Every step of a commit, in order."""
STEPS = ("claim", "claim_done", *COMMIT, "release")
"""Every step of a job within a run."""
FORGET = ("nothing", "journal", "runs")
"""What is deleted before the second run: nothing of it may be needed."""


@dataclass(frozen=True)
class Point:
    """Where a run is killed: the number-th time that any of its jobs comes to a step."""

    step: str
    number: int
    forget: str

    def __str__(self) -> str:
        return f"{self.step}#{self.number}-forget-{self.forget}"


def draw(count: int, seed: int) -> list[Point]:
    """Points between the first data put and the last item, every step at least once where `count` allows."""
    source = random.Random(seed)  # noqa: S311 (chooses test cases)
    steps = source.sample(STEPS, len(STEPS)) + source.choices(STEPS, k=max(0, count - len(STEPS)))
    points = []
    for place, step in enumerate(steps[:count]):
        # Two jobs run at once: some file is there when a third begins, and an item lacks until all but two are done.
        first, last = (3 if step == COMMIT[0] else 1), (JOBS - 2 if step in {COMMIT[-1], STEPS[-1]} else JOBS)
        points.append(Point(step, source.randint(first, last), FORGET[place % len(FORGET)]))
    return points


def forget(case: Case, what: str) -> None:
    """Delete local journals, or all that runs left at the output beside the items and their data."""
    if what != "nothing":
        shutil.rmtree(case.state)
    if what == "runs":
        shutil.rmtree(Path(case.output, "runs"))


def resume(case: Case, calm: Tree, what: str) -> None:
    """What a killed run left is sound; the next makes only the rest, and all is as if nothing had happened."""
    committed = check_items(case.tree())
    assert committed < JOBS
    forget(case, what)
    finished = case.run()
    assert finished.code == 0, finished.text
    assert finished.counts() == {"done": JOBS - committed, "skipped": committed, "failed": 0, "not started": 0}
    check_clean(case, calm)
    check_invariants(case, calm, finished, Expected())


FEW = 3
"""Of the points in `make test-long`; a job ended at every step, in one process, is below."""
POINTS = [
    pytest.param(point, marks=pytest.mark.full if place >= FEW else (), id=str(point))
    for place, point in enumerate(draw(16, SEED))
]


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_at_a_commit_step_resumes(case: Case, calm: Tree, point: Point) -> None:
    order = {"action": "run", "step": point.step, "number": point.number}
    killed = case.start(str(case.config), order=order).wait()
    assert killed.code == -signal.SIGKILL, killed.text
    assert (case.steps()[-1], case.steps().count(point.step)) == (point.step, point.number)
    resume(case, calm, point.forget)


@pytest.mark.long
@pytest.mark.parametrize("seed", [SEED + 1, pytest.param(SEED + 2, marks=pytest.mark.full)])
def test_a_client_killed_at_any_time_resumes(case: Case, calm: Tree, seed: int) -> None:
    """Its workers end too, wherever they are: nothing of a run outlives its client."""
    after_s = random.Random(seed).uniform(0.0, 0.6)  # noqa: S311 (chooses test cases)
    one_stays = {"action": "hold", "step": "item_put", "number": JOBS - 1}  # however fast the machine is
    running = case.start(str(case.config), order=one_stays)
    running.until(lambda: set(case.steps()) & set(STEPS), "no commit has begun")
    time.sleep(after_s)
    running.interrupt(signal.SIGKILL, group=False)
    assert running.wait().code == -signal.SIGKILL
    resume(case, calm, "nothing")


@pytest.mark.full
@pytest.mark.parametrize("point", draw(2, SEED + 3), ids=str)
def test_a_run_outlives_its_worker(case: Case, calm: Tree, point: Point) -> None:
    """A worker killed within a commit costs time only: its jobs are done again, and all are done."""
    order = {"action": "worker", "step": point.step, "number": point.number}
    finished = case.start(str(case.config), order=order).wait()
    assert finished.code == 0, finished.text
    assert finished.counts() == {"done": JOBS, "skipped": 0, "failed": 0, "not started": 0}
    assert case.steps().count(point.step) > JOBS, "the job that was killed came to this step twice"
    check_clean(case, calm)
    check_invariants(case, calm, finished, Expected())


class KilledError(BaseException):
    """Stands for the end of the process: nothing in the project catches it."""


class KillAt(logging.Handler):
    """Raises just before the step of this number, counted from 0."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.steps = number, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.steps.append(record.getMessage().removeprefix("commit step "))
        if len(self.steps) > self.number:
            raise KilledError(self.steps[-1])


@pytest.fixture
def commits() -> Iterator[logging.Logger]:
    logger = logging.getLogger("pipeline.write.commit")
    level, handlers = logger.level, list(logger.handlers)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.setLevel(level)
    logger.handlers = handlers


def test_a_job_ended_at_any_step_is_done_again(faults_world: Path, tmp_path: Path, commits: logging.Logger) -> None:
    """The same law for one job in this process, at every step there is."""
    case = Case(tmp_path / "case", faults_world)
    session = open_session(Options(case.config))
    job = session.plan.jobs[0]
    assignment = session.assignments()[job.product]

    def run(output: str, number: int) -> list[str]:
        commits.handlers = [handler := KillAt(number)]
        outcome = run_job(job, replace(assignment, store=FolderStore(output)), 1)
        assert outcome.status is Status.DONE, outcome
        return handler.steps

    assert tuple(run(case.output, len(COMMIT))) == COMMIT
    calm = products(case.tree())
    for number, step in enumerate(COMMIT):
        other = replace(case, folder=tmp_path / f"case-{number}", output="")
        with pytest.raises(KilledError, match=step):
            run(other.output, number)
        assert check_items(other.tree()) == (step == "item_put_done")
        run(other.output, len(COMMIT))
        assert products(other.tree()) == calm, step


@pytest.mark.full
def test_drawn_kills_double_tear_and_change_nothing(tmp_path: Path) -> None:
    """The first of the kills of `make kills`, which ends with 0 only where all its figures are."""
    environment = {**os.environ, "COUNT": "16", "PYTHONPATH": str(CHECKOUT), "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tests.faults.kills"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "duplicate commits: 0, digest mismatches: 0, torn: 0, left unfinished: 0" in done.stdout
