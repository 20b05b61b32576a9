"""Tasks that stand in for `run_group`; they share this module's state, since the test cluster runs in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace

from distributed import Client, KilledWorker

from pipeline.execute.listen import Silent
from pipeline.plan.groups import Group
from pipeline.types import Begun, ClusterEvent, Job, Outcome, Status

lock = threading.Lock()
stop = threading.Event()
order: list[tuple[str, int]] = []
running, most, deaths = [0], [0], [0]


class Told(Silent):
    """Has a function told of every outcome, and keeps the rest."""

    def __init__(self, tell: Callable[[Outcome], None]) -> None:
        self.tell = tell
        self.again: list[Outcome] = []
        """What was told of those that are tried again."""
        self.begun: list[Begun] = []
        self.events: list[ClusterEvent] = []

    def ended(self, outcome: Outcome) -> None:
        if outcome.status is Status.RETRY:
            self.again.append(outcome)
        self.tell(outcome)

    def began(self, begun: Begun) -> None:
        self.begun.append(begun)

    def cluster(self, event: ClusterEvent) -> None:
        self.events.append(event)


class Empty:
    """As much of a store as the driver itself looks at."""

    def exists(self, _key: str) -> bool:
        return False


class Retries:
    """As much of an Assignment as the driver itself looks at."""

    retries = 2
    overwrite = False
    store = Empty()


def reset() -> None:
    """Forget earlier tests."""
    stop.clear()
    order.clear()
    running[0] = most[0] = deaths[0] = 0


def opened(client: Client, limit: int) -> Future[tuple[Client, int]]:
    """A cluster that is up."""
    future: Future[tuple[Client, int]] = Future()
    future.set_result((client, limit))
    return future


def outcome(job: Job, status: Status, attempt: int) -> Outcome:
    return Outcome(job.id, job.region, job.fingerprint, status, attempts=attempt)


def succeed(group: Group, _: object, attempt: int) -> list[Outcome]:
    """Done, after a moment in which the number of running tasks is noted."""
    with lock:
        order.extend((job.tile.id, attempt) for job in group.jobs)
        running[0] += 1
        most[0] = max(most[0], running[0])
    time.sleep(0.02)
    with lock:
        running[0] -= 1
    return [outcome(job, Status.DONE, attempt) for job in group.jobs]


def done() -> object:
    """What a test wants to happen when a task has ended."""
    return None


def succeed_and_tell(group: Group, given: object, attempt: int) -> list[Outcome]:
    """Done, and somebody learns of it."""
    outcomes = succeed(group, given, attempt)
    done()
    return outcomes


def retry_t0_twice(group: Group, _: object, attempt: int) -> list[Outcome]:
    """Tile t0 meets a passing fault twice."""
    with lock:
        order.extend((job.tile.id, attempt) for job in group.jobs)
    return [
        outcome(job, Status.RETRY if job.tile.id == "t0" and attempt < 3 else Status.DONE, attempt)
        for job in group.jobs
    ]


def die(_group: Group, _: object, attempt: int) -> list[Outcome]:
    """A task that leaves no record of its own."""
    raise MemoryError(f"attempt {attempt}")


def ask_to_stop(group: Group, _: object, attempt: int) -> list[Outcome]:
    """The user presses Ctrl-C while this runs."""
    stop.set()
    time.sleep(0.1)
    return [outcome(job, Status.DONE, attempt) for job in group.jobs]


def end_worker_with_t2(group: Group, _: object, attempt: int) -> list[Outcome]:
    """Tile t2 ends its worker, and with that everything that runs there at the same time."""
    names = [job.tile.id for job in group.jobs]
    with lock:
        order.extend((name, attempt) for name in names)
        before = deaths[0]
        deaths[0] += "t2" in names
        running[0] += 1
    time.sleep(0.05)
    with lock:
        running[0] -= 1
        if deaths[0] > before:
            raise KilledWorker("task", SimpleNamespace(address="here", status=None), 0)  # type: ignore[arg-type]
    return [outcome(job, Status.DONE, attempt) for job in group.jobs]
