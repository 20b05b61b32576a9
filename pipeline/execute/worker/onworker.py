"""What the driver puts on each worker once, so that a task carries nothing but its jobs; and the task itself."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from pipeline.types import Outcome

MEMORY_TOPIC = "worker-restart-memory"
"""Dask's own: a nanny ends its worker because of its memory."""


class Bench(WorkerPlugin):
    """The assignments of a run, by product, and what makes a group: given to workers that are there, or come later."""

    def __init__(self, run: Callable[..., list[Outcome]], assignments: Mapping[str, Any]) -> None:
        self.run = run
        self.assignments = dict(assignments)

    def setup(self, worker: Worker) -> None:
        """Nothing is opened: an assignment opens what it needs when it is used."""


def perform(bench: str, name: str, group: bytes, attempt: int) -> list[Outcome]:
    """Make a pickled group by the assignment on the bench of this name, after telling that it has begun.

    The scheduler hands the bytes on as they are. Raises LookupError where this worker has no such bench.
    """
    worker = get_worker()
    worker.log_event(bench, {"name": name, "worker": worker.address, "at": time.time()})
    held = worker.plugins.get(bench)
    if not isinstance(held, Bench):
        raise LookupError(f"worker {worker.address} was never told what to do: it has no {bench}")  # noqa: TRY004
    jobs = pickle.loads(group)  # noqa: S301 (of this run's driver, by the way that this function came)
    return held.run(jobs, held.assignments[jobs.jobs[0].product], attempt)
