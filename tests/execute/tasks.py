"""Tasks that stand in for `run_job`; they share this module's state, since the test cluster runs in this process."""

from __future__ import annotations

import threading
import time

from pipeline.types import Job, Outcome, Status

lock = threading.Lock()
stop = threading.Event()
order: list[tuple[str, int]] = []
running, most = [0], [0]


def reset() -> None:
    """Forget earlier tests."""
    stop.clear()
    order.clear()
    running[0] = most[0] = 0


def outcome(job: Job, status: Status, attempt: int) -> Outcome:
    return Outcome(job.id, job.region, job.fingerprint, status, attempts=attempt)


def succeed(job: Job, _: object, attempt: int) -> Outcome:
    """Done, after a moment in which the number of running tasks is noted."""
    with lock:
        order.append((job.tile.id, attempt))
        running[0] += 1
        most[0] = max(most[0], running[0])
    time.sleep(0.02)
    with lock:
        running[0] -= 1
    return outcome(job, Status.DONE, attempt)


def retry_t0_twice(job: Job, _: object, attempt: int) -> Outcome:
    """Tile t0 meets a passing fault twice."""
    with lock:
        order.append((job.tile.id, attempt))
    return outcome(job, Status.RETRY if job.tile.id == "t0" and attempt < 3 else Status.DONE, attempt)


def die(_job: Job, _: object, attempt: int) -> Outcome:
    """A task that leaves no record of its own."""
    raise MemoryError(f"attempt {attempt}")


def ask_to_stop(job: Job, _: object, attempt: int) -> Outcome:
    """The user presses Ctrl-C while this runs."""
    stop.set()
    time.sleep(0.1)
    return outcome(job, Status.DONE, attempt)
