"""Ctrl-C and SIGTERM: what is in flight is committed, nothing is left running, the next run does the rest."""

from __future__ import annotations

import signal
import time

import pytest

from pipeline.errors import EXIT_INTERRUPTED, EXIT_TERMINATED
from tests.faults._runs import JOBS, Case, Running, Tree, check_items, check_same
from tests.faults.invariants import Expected, check_invariants

pytestmark = pytest.mark.long

DRAIN_S = 60
"""More than a few small jobs need on a busy machine, and far less than any time-out within Dask."""
AT_ONCE_S = 45
"""A worker that does not leave is killed by Dask after four seconds; the job in flight is held for twice as long."""
HOLD = {"action": "hold", "step": "item_put", "number": 1}
"""The first job to come there stays there: a long job in flight."""

SLOW = {"action": "slow", "step": "item_put", "number": 0}
"""However fast the machine is, jobs are left when a signal comes at the first commit."""


def held(case: Case) -> Running:
    """A run with one job held just before its commit; the other thread goes on with the others."""
    running = case.start(str(case.config), order=HOLD)
    running.until(lambda: "item_put" in case.steps(), "no job came to its commit")
    return running


@pytest.mark.parametrize(
    ("number", "group", "code"),
    [
        pytest.param(signal.SIGINT, True, EXIT_INTERRUPTED, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, False, EXIT_TERMINATED, id="SIGTERM", marks=pytest.mark.full),
        pytest.param(signal.SIGTERM, True, EXIT_TERMINATED, id="SIGTERM-to-all", marks=pytest.mark.full),
    ],
)
def test_an_interrupted_run_drains_and_resumes(
    case: Case, calm: Tree, number: signal.Signals, *, group: bool, code: int
) -> None:
    """A terminal sends Ctrl-C to workers too, a service manager SIGTERM: neither loses a job in flight."""
    running = case.start(str(case.config), order=SLOW)
    running.until(lambda: "item_put" in case.steps(), "no job came to its commit")
    running.interrupt(number, group=group)
    sent = time.monotonic()
    ended = running.wait()
    assert ended.code == code, ended.text
    assert time.monotonic() - sent < DRAIN_S
    counts = ended.counts()
    assert counts["failed"] == counts["skipped"] == 0
    assert 0 < counts["done"] < JOBS, "some were in flight, some not started"
    assert counts["done"] + counts["not started"] == JOBS
    check_invariants(case, calm, ended, Expected(code, not_made=counts["not started"]))
    assert check_items(case.tree()) == counts["done"]
    assert "interrupted: run the same command again to resume" in ended.text
    again = case.run()
    assert again.code == 0, again.text
    assert again.counts() == {"done": counts["not started"], "skipped": counts["done"], "failed": 0, "not started": 0}
    check_same(case, calm)
    check_invariants(case, calm, again, Expected())


@pytest.mark.full
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, EXIT_INTERRUPTED), (signal.SIGTERM, EXIT_TERMINATED)])
def test_a_second_signal_ends_at_once(case: Case, calm: Tree, number: signal.Signals, code: int) -> None:
    """Even while a job takes long; what was in flight is lost, what was committed is not."""
    running = held(case)
    running.interrupt(number, group=number == signal.SIGINT)
    running.until(lambda: "stopping: jobs in flight" in running.log.read_text(), "the first signal was not noticed")
    time.sleep(1)
    assert running.process.poll() is None, "the first signal waits for the job in flight"
    running.interrupt(number, group=number == signal.SIGINT)
    sent = time.monotonic()
    ended = running.wait()
    assert time.monotonic() - sent < AT_ONCE_S
    assert ended.code == code, ended.text
    assert "error: interrupted: what was in flight is lost; run again to resume" in ended.text
    committed = check_items(case.tree())
    assert committed < JOBS
    again = case.run()
    assert again.code == 0, again.text
    assert again.counts()["skipped"] == committed
    check_same(case, calm)


@pytest.mark.full
@pytest.mark.parametrize("after_s", [0.4, 1.2, 2.4])
def test_ctrl_c_before_the_first_job(case: Case, after_s: float) -> None:
    """While libraries load, the catalogue is searched or the cluster comes up: the run ends as interrupted, no more."""
    running = case.start(str(case.config))
    time.sleep(after_s)
    running.interrupt(signal.SIGINT, group=True)
    ended = running.wait()
    assert ended.code in {EXIT_INTERRUPTED, -signal.SIGINT}, ended.text
    assert check_items(case.tree()) < JOBS
