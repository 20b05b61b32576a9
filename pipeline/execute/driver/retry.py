"""What is said of a task that left no record of its own: its worker, its cluster or its time was lost.

A lost cluster costs a job nothing, a lost worker no attempt: only a job that ends its worker while nothing else runs
there is at fault. A deadline costs an attempt, and a job that meets it twice is given up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from distributed import KilledWorker
from distributed.core import Status as WorkerStatus
from distributed.scheduler import NoValidWorkerError

from pipeline.errors import ClusterLostError, DeadlineError, PoisonError
from pipeline.plan.groups import Group, Work
from pipeline.types import Job, Outcome, Status

_GIB = 2**30
_DEADLINES = 2
"""So often a job may meet its deadline: once it may have been its machine's fault."""
_TOGETHER = 2
"""So often, if tried again at all, with others beside it: those who only ran beside it are done by then, mostly."""
_LOSSES = 20
"""So many clusters, connections or records of one job may be lost, before somebody has to look."""


@dataclass(frozen=True)
class Task:
    """A group of the work, or one job of it, and what came of it so far; holds no job."""

    number: int
    """Of the group in the work."""
    place: int | None = None
    """Of the job in its group, where it is made by itself."""
    attempt: int = 1
    deaths: int = 0
    """Times that its worker ended under it, which may have been another's fault."""
    deadlines: int = 0
    unheard: int = 0
    """Times that it was done, and its worker lost before anybody had its records."""
    losses: int = 0
    """Times that its cluster was lost: nobody's fault."""
    alone: bool = False
    """Nothing else runs on its cluster meanwhile: if a worker ends then, there is no doubt about what ended it."""
    pause_s: float = 0.0
    """Waited before it is looked at again, since another run is making it."""
    hog: str = ""
    """Why it lost a worker before, where that was for memory."""
    last: bool = False
    """Looked at once more, since nothing else is left to do."""

    @property
    def begun(self) -> int:
        """How often it was begun, this time included."""
        return self.attempt + self.deaths + self.unheard

    def group(self, work: Work) -> Group:
        """Its jobs, made anew."""
        group = work[self.number]
        if self.place is None:
            return group
        job = group.jobs[self.place]
        return Group((job,), job.memory)

    def single(self, place: int, size: int) -> Task:
        """One job of it by itself, with what came of it so far."""
        return self if size == 1 else replace(self, place=place)


@dataclass(frozen=True)
class Verdict:
    """What is said of every job of a task, and how it goes on with them where they are tried again."""

    status: Status
    error: str
    cause: str
    again: Task

    def outcome(self, job: Job, begun: int) -> Outcome:
        """begun: how often the job was begun."""
        return Outcome(
            job.id, job.region, job.fingerprint, self.status, attempts=begun, error=self.error, cause=self.cause
        )


class SilentError(Exception):
    """A worker answered nobody any more, so it was ended: one of several may have brought it to that."""


class UnheardError(Exception):
    """The records of a task that was done did not come: of what kind the fault was, and its words."""


class HogError(Exception):
    """A worker was ended because of its memory, with what ran on it; the message says how much there was."""


def judge(task: Task, group: Group, error: BaseException, retries: int) -> Verdict:
    """What an error means that is not the task's own record."""
    several = len(group.jobs) > 1
    if isinstance(error, KilledWorker | HogError):
        return _killed(task, error, retries, several=several)
    if isinstance(error, ClusterLostError | NoValidWorkerError):
        failed = task.losses + 1 >= _LOSSES
        again = replace(task, losses=task.losses + 1)
        kind, cause = ClusterLostError.__name__, str(error)
    elif isinstance(error, UnheardError):
        failed = task.unheard + 1 >= _LOSSES
        again = replace(task, unheard=task.unheard + 1)
        kind, cause = error.args
    elif isinstance(error, SilentError):
        failed = False
        again = replace(task, deaths=task.deaths + 1, alone=True)
        kind, cause = DeadlineError.__name__, str(error)
    elif isinstance(error, DeadlineError):
        again = replace(task, attempt=task.attempt + 1, deadlines=task.deadlines + 1)
        failed = not several and (again.deadlines >= _DEADLINES or task.attempt > retries)
        kind, cause = type(error).__name__, str(error)
    else:
        again = replace(task, attempt=task.attempt + 1, alone=task.attempt > retries)
        failed = not several and task.attempt > retries
        kind, cause = type(error).__name__, str(error)
    return Verdict(Status.FAILED if failed else Status.RETRY, kind, cause, again)


def _killed(task: Task, error: Exception, retries: int, *, several: bool) -> Verdict:
    """Of a task under which Dask lost as many workers as it may."""
    hog = str(error) if isinstance(error, HogError) else task.hog
    if task.alone and not several:
        why = hog or (
            "native code crashed on one of its inputs, or the system ended it, such as for the machine's memory"
        )
        cause = f"it ended each worker that it was given to, at last with nothing beside it: {why}"
        return Verdict(Status.FAILED, PoisonError.__name__, cause, task)
    again = replace(
        task, deaths=task.deaths + 1, alone=task.deaths + 1 >= min(_TOGETHER, retries + 1), hog="" if several else hog
    )
    cause = f"its workers ended, by it or by what ran beside it: {error}"
    return Verdict(Status.RETRY, KilledWorker.__name__, cause, again)


def named(error: BaseException, ended: Mapping[str, int]) -> BaseException:
    """The error; of a worker that was ended because of its memory, one that says so.

    ended: bytes that were in use, by the addresses of workers that their nannies ended for that.
    """
    if not isinstance(error, KilledWorker):
        return error
    worker = error.last_worker
    if worker.address not in ended and worker.status != WorkerStatus.paused:
        return error
    limit = worker.memory_limit / _GIB
    used = f"{ended[worker.address] / _GIB:.2f} GiB" if worker.address in ended else "nearly all"
    return HogError(
        f"memory: {used} of the {limit:.2f} GiB of worker {worker.address} were in use, so it was ended: give workers "
        "more (worker_memory of the region's cluster), or fewer threads"
    )


def lost_connection(region: str, cause: str) -> ClusterLostError:
    """What is said of what was in flight."""
    return ClusterLostError(f"the cluster of region {region} was lost under it: {cause}")
