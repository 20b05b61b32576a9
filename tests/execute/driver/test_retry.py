"""What is said of a task without a record: a lost cluster costs nothing, a lost worker no attempt, a deadline one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import KilledWorker

from pipeline.errors import ClusterLostError, DeadlineError
from pipeline.execute.driver.retry import HogError, SilentError, Task, judge, named
from pipeline.plan.groups import Group, listed
from pipeline.types import Status
from tests.execute.driver.test_drive import alone, job, together

RETRIES = 3
ONE: Group = alone([job(0)])[0]
FOUR: Group = together([job(number) for number in range(4)])


def killed(address: str = "tcp://w:1", status: Any = None) -> KilledWorker:
    worker: Any = SimpleNamespace(address=address, status=status, memory_limit=2**30)
    return KilledWorker("task", worker, 1)


def rounds(group: Group, error: Exception, retries: int = RETRIES) -> list[Task]:
    """The tasks of one job, until the verdict is that it failed; a group comes back as its jobs."""
    tasks = [Task(0)]
    while len(tasks) < 50:
        several = group if tasks[-1].place is None else ONE
        verdict = judge(tasks[-1], several, error, retries)
        if verdict.status is Status.FAILED:
            return tasks
        tasks.append(verdict.again.single(1, len(several.jobs)))
    raise AssertionError("it never ends")


def test_a_job_that_ends_its_workers_is_given_up_only_when_nothing_ran_beside_it() -> None:
    made = rounds(ONE, killed())
    assert [task.alone for task in made] == [False, False, True], "no more workers are ended than it takes"
    assert {task.attempt for task in made} == {1}, "no attempt is lost"
    assert made[-1].begun == 3
    assert [task.alone for task in rounds(ONE, killed(), retries=0)] == [False, True]
    assert rounds(FOUR, killed())[-1].place == 1, "of a group, each job by itself"


def test_a_poison_says_that_it_was_memory_where_it_was() -> None:
    last = Task(0, alone=True)
    hog = named(killed(), {"tcp://w:1": 2**30})
    assert isinstance(hog, HogError)
    verdict = judge(last, ONE, hog, 0)
    assert (verdict.status, verdict.error) == (Status.FAILED, "PoisonError")
    assert "memory: 1.00 GiB of the 1.00 GiB of worker tcp://w:1" in verdict.cause
    other = judge(last, ONE, named(killed("tcp://w:2"), {"tcp://w:1": 2**30}), 0)
    assert other.error == "PoisonError" and "memory:" not in other.cause


def test_a_deadline_costs_an_attempt_and_is_met_twice_at_most() -> None:
    late = DeadlineError("it took longer than 9 s")
    made = rounds(ONE, late)
    assert [task.attempt for task in made] == [1, 2]
    assert len(rounds(ONE, late, retries=0)) == 1
    group = judge(Task(0), FOUR, late, 0)
    assert group.status is Status.RETRY, "nobody knows which of them it was"
    assert len(rounds(FOUR, late)) == 2


def test_a_worker_that_answers_nobody_costs_none_of_its_jobs_an_attempt() -> None:
    again = judge(Task(0), ONE, SilentError("worker w answered nobody any more"), 0)
    assert (again.status, again.error) == (Status.RETRY, "DeadlineError")
    assert (again.again.attempt, again.again.deadlines, again.again.alone) == (1, 0, True), "the next time tells"


def test_a_lost_cluster_costs_nothing_but_not_for_ever() -> None:
    lost = ClusterLostError("gone")
    again = judge(Task(0, attempt=2, deaths=1), ONE, lost, 0).again
    assert (again.attempt, again.deaths, again.alone) == (2, 1, False)
    assert len(rounds(ONE, lost)) == 20


@pytest.mark.parametrize("retries", [0, 2])
def test_any_other_error_costs_an_attempt(retries: int) -> None:
    made = rounds(ONE, MemoryError("in the task"), retries)
    assert [task.attempt for task in made] == list(range(1, retries + 2))


def test_a_task_makes_its_jobs_anew() -> None:
    work = listed([FOUR, ONE])
    assert Task(0).group(work) == FOUR
    third = Task(0).single(2, 4).group(work)
    assert third == Group((FOUR.jobs[2],), FOUR.jobs[2].memory)
    assert replace(Task(1), attempt=3).single(0, 1).group(work) == ONE
