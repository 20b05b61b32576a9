"""Keeps every region's cluster fed: a bounded number of groups in flight, refilled as they end; a record a job."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from uuid import uuid4

from distributed import Client, Future, KilledWorker

from pipeline.execute.task import Assignment, run_group
from pipeline.plan.groups import Group
from pipeline.types import Job, Outcome, Status

_POLL_S = 0.5


@dataclass(frozen=True)
class _Task:
    """A group on its way, and how often it was begun."""

    group: Group
    attempt: int = 1
    alone: bool = False
    """Nothing else runs in its region meanwhile: if a worker ends then, there is no doubt about what ended it."""


@dataclass
class _Region:
    """One cluster and what it still has to do."""

    client: Client
    limit: int
    queue: deque[_Task]
    """Next first."""
    active: dict[Future[list[Outcome]], _Task] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        """Whether the next task may begin."""
        if not self.queue or any(task.alone for task in self.active.values()):
            return False
        return not self.active if self.queue[0].alone else len(self.active) < self.limit


def drive(
    groups: Sequence[Group],
    assignments: Mapping[str, Assignment],
    clusters: Mapping[str, tuple[Client, int]],
    report: Callable[[Outcome], None],
    stop: threading.Event,
) -> None:
    """Run every group on its region's cluster and report each job's outcome once; returns when nothing is in flight.

    assignments: by product name. clusters: region → (client, groups in flight at most). When `stop` is set no group is
    started any more, those in flight end and are reported, the jobs of the rest are reported as cancelled. Whatever is
    tried again is tried job by job, after everything else.
    """
    token = uuid4().hex[:8]
    finished = threading.Event()
    regions = [
        _Region(*clusters[name], deque(_Task(group) for group in members)) for name, members in _by_region(groups)
    ]
    while any(region.active or (region.queue and not stop.is_set()) for region in regions):
        for region in regions:
            while region.free and not stop.is_set():
                _submit(region, assignments, token, finished)
        finished.wait(_POLL_S)
        finished.clear()
        for region in regions:
            _collect(region, assignments, report)
    for region in regions:
        for task in region.queue:
            for job in task.group.jobs:
                report(Outcome(job.id, job.region, job.fingerprint, Status.CANCELLED, attempts=task.attempt - 1))


def _by_region(groups: Sequence[Group]) -> Iterator[tuple[str, list[Group]]]:
    def region(group: Group) -> str:
        return group.jobs[0].region

    for name, members in groupby(sorted(groups, key=region), key=region):
        yield name, list(members)


def _submit(region: _Region, assignments: Mapping[str, Assignment], token: str, finished: threading.Event) -> None:
    """Start the next task; its name says what it is, and is never used twice on one cluster."""
    task = region.queue.popleft()
    assignment = assignments[task.group.jobs[0].product]
    name = f"{task.group.id.replace('/', '-')}-{token}-{task.attempt}"
    future = region.client.submit(run_group, task.group, assignment, task.attempt, key=name, pure=False)
    region.active[future] = task
    # Only a wake-up: what is done is read off the futures themselves, so a lost call delays by a moment, no more.
    future.add_done_callback(lambda _: finished.set())


def _collect(region: _Region, assignments: Mapping[str, Assignment], report: Callable[[Outcome], None]) -> None:
    """Report what has ended, and put to the end of the queue what is tried again."""
    for future in [future for future in region.active if future.done()]:
        task = region.active.pop(future)
        retries = assignments[task.group.jobs[0].product].retries
        for job, outcome in zip(task.group.jobs, _outcomes(task, future, retries), strict=True):
            if outcome.status is Status.RETRY:
                region.queue.append(_again(job, task, retries))
            report(outcome)


def _again(job: Job, task: _Task, retries: int) -> _Task:
    """A job by itself; alone in its region once its attempts are used up and it may not have been its own fault."""
    return _Task(Group((job,), job.memory), task.attempt + 1, alone=task.attempt > retries)


def _outcomes(task: _Task, future: Future[list[Outcome]], retries: int) -> list[Outcome]:
    """The task's own records; or, where it left none, what became of its worker or cluster.

    A lost worker costs a job its attempts, and never more than the job that ends its worker when nothing else runs.
    """
    if future.status == "finished":
        outcomes: list[Outcome] = future.result()
        return outcomes
    error = future.exception() if future.status == "error" else None
    kind, cause = (
        (type(error).__name__, str(error)) if error is not None else ("SchedulerLost", "the scheduler was lost")
    )
    in_doubt = len(task.group.jobs) > 1 or (isinstance(error, KilledWorker) and not task.alone)
    status = Status.RETRY if in_doubt or task.attempt <= retries else Status.FAILED
    return [
        Outcome(job.id, job.region, job.fingerprint, status, attempts=task.attempt, error=kind, cause=cause)
        for job in task.group.jobs
    ]
