"""Keeps every region's cluster fed: a bounded number of groups in flight, refilled as they end; a record a job.

What is made from other jobs waits for them here: the cluster sees only tasks that can begin.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from uuid import uuid4

from distributed import Client, Future, KilledWorker
from distributed.client import ClosedClientError

from pipeline.execute.task import Assignment, run_group
from pipeline.plan.groups import Group
from pipeline.types import Job, Outcome, Status

_POLL_S = 0.5
_FETCH_S = 60.0
"""For the records of one group, on a worker that has just made them."""
_LOST = "SchedulerLost"

Opening = futures.Future[tuple[Client, int]]
"""A cluster that comes up, or does not: its client, and how many groups may be in flight on it."""


@dataclass(frozen=True)
class _Task:
    """A group on its way, and how often it was begun."""

    group: Group
    attempt: int = 1
    alone: bool = False
    """Nothing else runs in its region meanwhile: if a worker ends then, there is no doubt about what ended it."""


class _Waiting:
    """Jobs that are made from jobs of this run which have not ended yet, each in a group of its own."""

    def __init__(self, groups: Sequence[Group]) -> None:
        inside = {job.id for group in groups for job in group.jobs}
        self._needs = {
            number: needs
            for number, group in enumerate(groups)
            if (needs := {one.job_id for job in group.jobs for one in job.upstream} & inside)
        }
        self._groups = {number: groups[number] for number in self._needs}
        self.ready = [group for number, group in enumerate(groups) if number not in self._needs]
        self._users: dict[str, list[int]] = defaultdict(list)
        for number, needs in self._needs.items():
            for job_id in needs:
                self._users[job_id].append(number)

    @property
    def groups(self) -> list[Group]:
        return list(self._groups.values())

    def made(self, job_id: str) -> Iterator[Group]:
        """The groups that can begin now that this job is done."""
        for number in self._users.pop(job_id, ()):
            self._needs[number].discard(job_id)
            if number in self._groups and not self._needs[number]:
                yield self._groups.pop(number)

    def lost(self, outcome: Outcome) -> Iterator[Outcome]:
        """What becomes of everything that is made from a job which was not made, over any number of steps."""
        for number in self._users.pop(outcome.job_id, ()):
            group = self._groups.pop(number, None)
            for job in group.jobs if group is not None else ():
                cause = f"{outcome.job_id}, which it is made from, {outcome.status.value}: {outcome.cause}"
                blocked = Outcome(
                    job.id, job.region, job.fingerprint, Status.BLOCKED, attempts=0, error="BlockedError", cause=cause
                )
                yield blocked
                yield from self.lost(blocked)


@dataclass
class _Region:
    """One cluster and what it still has to do."""

    name: str
    opening: Opening
    queue: deque[_Task] = field(default_factory=deque)
    """Next first."""
    active: dict[Future[list[Outcome]], _Task] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        """Whether the next task may begin."""
        if not self.queue or not self.opening.done() or any(task.alone for task in self.active.values()):
            return False
        client, limit = self.opening.result()
        # A client that has lost its scheduler looks for it, for a while that it bounds itself.
        if client.status != "running":
            return False
        return not self.active if self.queue[0].alone else len(self.active) < limit

    @property
    def lost(self) -> bool:
        """Whether there was a cluster, and its client has given up to find it again."""
        up = self.opening.done() and self.opening.exception() is None
        return up and self.opening.result()[0].status in {"closing", "closed"}

    @property
    def failure(self) -> tuple[str, str] | None:
        """Why there is no cluster, as kind and cause; None while that is open."""
        error = self.opening.exception() if self.opening.done() else None
        if error is not None:
            return type(error).__name__, str(error)
        return (_LOST, f"the scheduler of region {self.name} was lost, and not found again") if self.lost else None


class _Run:
    """Where every group stands: waiting for others, in its region's queue, or ended."""

    def __init__(
        self,
        groups: Sequence[Group],
        clusters: Mapping[str, Opening],
        report: Callable[[Outcome], None],
    ) -> None:
        self._report = report
        self._waiting = _Waiting(groups)
        self._regions = {name: _Region(name, clusters[name]) for name in sorted({*map(_region_of, groups)})}
        for group in self._waiting.ready:
            self._begin(group)

    @property
    def regions(self) -> list[_Region]:
        return list(self._regions.values())

    def ended(self, outcome: Outcome) -> None:
        """Report what became of a job, and what that means for those that are made from it."""
        self._report(outcome)
        if outcome.status is Status.DONE:
            for group in self._waiting.made(outcome.job_id):
                self._begin(group)
        elif outcome.status is not Status.RETRY:
            for blocked in self._waiting.lost(outcome):
                self._report(blocked)

    def cancel(self) -> None:
        """Report everything that was not begun, or not begun again."""
        left = [(group, 0) for group in self._waiting.groups]
        left += [(task.group, task.attempt - 1) for region in self.regions for task in region.queue]
        for group, attempts in left:
            for job in group.jobs:
                self._report(Outcome(job.id, job.region, job.fingerprint, Status.CANCELLED, attempts=attempts))

    def give_up(self) -> None:
        """Report what was to run in regions that have no cluster, or none any more; it may be waited for elsewhere."""
        for region in self.regions:
            while region.queue and (failure := region.failure) is not None:
                task = region.queue.popleft()
                for outcome in _without_record(task, Status.FAILED, failure, task.attempt - 1):
                    self.ended(outcome)

    def _begin(self, group: Group) -> None:
        self._regions[_region_of(group)].queue.append(_Task(group))


def drive(
    groups: Sequence[Group],
    assignments: Mapping[str, Assignment],
    clusters: Mapping[str, Opening],
    report: Callable[[Outcome], None],
    stop: threading.Event,
) -> None:
    """Run every group on its region's cluster and report each job's outcome once; returns when nothing is in flight.

    A group begins when all jobs of this run that it is made from are done; where one is not, its jobs are reported as
    blocked. What an earlier run committed is there already. A region begins as soon as its cluster is up, whatever the
    others do; the jobs of one whose cluster does not come up, or whose scheduler is lost for good, are reported failed.

    assignments: by product name. clusters: by region. When `stop` is set no group is started any more, those in flight
    end and are reported, the jobs of the rest are reported as cancelled. Whatever is tried again is tried job by job,
    after everything else.
    """
    token = uuid4().hex[:8]
    finished = threading.Event()
    run = _Run(groups, clusters, report)
    while any(region.active or (region.queue and not stop.is_set()) for region in run.regions):
        run.give_up()
        for region in run.regions:
            while region.free and not stop.is_set():
                _submit(region, assignments, token, finished)
        finished.wait(_POLL_S)
        finished.clear()
        for region in run.regions:
            _collect(region, assignments, run.ended)
    run.cancel()


def _region_of(group: Group) -> str:
    return group.jobs[0].region


def _submit(region: _Region, assignments: Mapping[str, Assignment], token: str, finished: threading.Event) -> None:
    """Start the next task; its name says what it is, and is never used twice on one cluster."""
    task = region.queue.popleft()
    assignment = assignments[task.group.jobs[0].product]
    name = f"{task.group.id.replace('/', '-')}-{token}-{task.attempt}"
    client, _ = region.opening.result()
    try:
        future = client.submit(run_group, task.group, assignment, task.attempt, key=name, pure=False)
    except ClosedClientError:  # this very moment
        region.queue.appendleft(task)
        return
    region.active[future] = task
    # Only a wake-up: what is done is read off the futures themselves, so a lost call delays by a moment, no more.
    future.add_done_callback(lambda _: finished.set())


def _collect(region: _Region, assignments: Mapping[str, Assignment], report: Callable[[Outcome], None]) -> None:
    """Report what has ended, and put to the end of the queue what is tried again."""
    lost = region.lost  # nobody tells the futures of a client that is closed
    for future in [future for future in region.active if lost or future.done()]:
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
    error: BaseException | None = None
    if future.status == "finished":
        try:
            outcomes: list[Outcome] = future.result(timeout=_FETCH_S)
        except Exception as fault:  # noqa: BLE001 (of the network, or of a task that had to be run again for it)
            error = fault
        else:
            return outcomes
    elif future.status == "error":
        error = future.exception()
    failure = (type(error).__name__, str(error)) if error is not None else (_LOST, "the scheduler was lost")
    in_doubt = len(task.group.jobs) > 1 or (isinstance(error, KilledWorker) and not task.alone)
    status = Status.RETRY if in_doubt or task.attempt <= retries else Status.FAILED
    return _without_record(task, status, failure, task.attempt)


def _without_record(task: _Task, status: Status, failure: tuple[str, str], attempts: int) -> list[Outcome]:
    """What is reported of a task that left no records of its own; failure: kind and cause."""
    error, cause = failure
    return [
        Outcome(job.id, job.region, job.fingerprint, status, attempts=attempts, error=error, cause=cause)
        for job in task.group.jobs
    ]
