"""Keeps every region's cluster fed: a bounded number of jobs in flight, refilled in batches, one record back each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from distributed import Client, Future

from pipeline.execute.task import Assignment, run_job
from pipeline.plan.jobs import by_region
from pipeline.types import Job, Outcome, Status

_POLL_S = 0.5


@dataclass
class _Region:
    """One cluster and what it still has to do."""

    name: str
    client: Client
    limit: int
    queue: deque[tuple[Job, int]]
    """(job, attempt), next first."""
    active: dict[Future, tuple[Job, int]] = field(default_factory=dict)


def drive(
    jobs: Sequence[Job],
    assignments: Mapping[str, Assignment],
    clusters: Mapping[str, tuple[Client, int]],
    report: Callable[[Outcome], None],
    stop: threading.Event,
) -> None:
    """Run every job on its region's cluster and report each outcome once; returns when nothing is in flight.

    assignments: by product name. clusters: region → (client, jobs in flight at most). When `stop` is set no job is
    started any more, those in flight end and are reported, the rest are reported as cancelled.
    """
    finished: SimpleQueue[tuple[_Region, Future]] = SimpleQueue()
    regions = [_Region(name, *clusters[name], deque((job, 1) for job in queue)) for name, queue in by_region(jobs)]
    while any(region.active or (region.queue and not stop.is_set()) for region in regions):
        for region in regions:
            while region.queue and len(region.active) < region.limit and not stop.is_set():
                _submit(region, assignments, finished)
        for region, future in _batch(finished):
            job, attempt = region.active.pop(future)
            outcome = _outcome(job, attempt, future, assignments[job.product])
            if outcome.status is Status.RETRY:
                region.queue.append((job, attempt + 1))
            report(outcome)
    for region in regions:
        for job, attempt in region.queue:
            report(Outcome(job.id, job.region, job.fingerprint, Status.CANCELLED, attempts=attempt - 1))


def _submit(
    region: _Region, assignments: Mapping[str, Assignment], finished: SimpleQueue[tuple[_Region, Future]]
) -> None:
    job, attempt = region.queue.popleft()
    name = f"{job.product}-{job.tile.id}-{job.period.id}-{job.fingerprint[:8]}-{attempt}"
    future = region.client.submit(run_job, job, assignments[job.product], attempt, key=name, pure=False)
    region.active[future] = (job, attempt)
    future.add_done_callback(lambda done: finished.put((region, done)))


def _batch(finished: SimpleQueue[tuple[_Region, Future]]) -> list[tuple[_Region, Future]]:
    """Everything that has finished by now; waits a moment when nothing has."""
    batch = []
    try:
        batch.append(finished.get(timeout=_POLL_S))
        while True:
            batch.append(finished.get_nowait())
    except Empty:
        return batch


def _outcome(job: Job, attempt: int, future: Future, assignment: Assignment) -> Outcome:
    """The task's own record; or, where the task left none, what became of its worker or cluster."""
    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    error = future.exception() if future.status == "error" else None
    cause = str(error) if error is not None else "the scheduler was lost"
    status = Status.RETRY if attempt <= assignment.retries else Status.FAILED
    kind = type(error).__name__ if error is not None else "SchedulerLost"
    return Outcome(job.id, job.region, job.fingerprint, status, attempts=attempt, error=kind, cause=cause)
