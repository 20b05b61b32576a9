"""Keeps every region's cluster fed: a bounded number of jobs in flight, refilled in batches, one record back each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

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
    active: dict[Future[Outcome], tuple[Job, int]] = field(default_factory=dict)


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
    token = uuid4().hex[:8]
    finished = threading.Event()
    regions = [_Region(name, *clusters[name], deque((job, 1) for job in queue)) for name, queue in by_region(jobs)]
    while any(region.active or (region.queue and not stop.is_set()) for region in regions):
        for region in regions:
            while region.queue and len(region.active) < region.limit and not stop.is_set():
                _submit(region, assignments, token, finished)
        finished.wait(_POLL_S)
        finished.clear()
        for region in regions:
            for future in [future for future in region.active if future.done()]:
                job, attempt = region.active.pop(future)
                outcome = _outcome(job, attempt, future, assignments[job.product])
                if outcome.status is Status.RETRY:
                    region.queue.append((job, attempt + 1))
                report(outcome)
    for region in regions:
        for job, attempt in region.queue:
            report(Outcome(job.id, job.region, job.fingerprint, Status.CANCELLED, attempts=attempt - 1))


def _submit(region: _Region, assignments: Mapping[str, Assignment], token: str, finished: threading.Event) -> None:
    """Start the next job; its task's name says what it is, and is never used twice on one cluster."""
    job, attempt = region.queue.popleft()
    name = f"{job.product}-{job.tile.id}-{job.period.id}-{token}-{attempt}"
    future = region.client.submit(run_job, job, assignments[job.product], attempt, key=name, pure=False)
    region.active[future] = (job, attempt)
    # Only a wake-up: what is done is read off the futures themselves, so a lost call delays by a moment, no more.
    future.add_done_callback(lambda _: finished.set())


def _outcome(job: Job, attempt: int, future: Future[Outcome], assignment: Assignment) -> Outcome:
    """The task's own record; or, where the task left none, what became of its worker or cluster."""
    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    error = future.exception() if future.status == "error" else None
    cause = str(error) if error is not None else "the scheduler was lost"
    status = Status.RETRY if attempt <= assignment.retries else Status.FAILED
    kind = type(error).__name__ if error is not None else "SchedulerLost"
    return Outcome(job.id, job.region, job.fingerprint, status, attempts=attempt, error=kind, cause=cause)
