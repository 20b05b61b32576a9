"""Ends jobs at every step of their commit, for real, and counts what that doubled, tore or changed.

`python -m tests.faults.kills` begins 225 jobs (COUNT) of one process each and ends nine in ten of them by SIGKILL at a
drawn step, has each made again by another process, at times while a third makes the same job beside it; half of them on
the S3 server, where it is there. No cluster, so that hundreds take minutes. SEED chooses another set.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.demo import build_world
from pipeline.execute.records.lease import Lease, run_lease
from pipeline.execute.worker.task import Assignment, run_job
from pipeline.products import load_product
from pipeline.session import Options, open_session
from pipeline.types import Job, Status
from pipeline.write.commit import list_committed
from pipeline.write.store import FolderStore, Store, open_store
from tests.faults._runs import Case, Tree, check_items, items, products
from tests.servers.weed import find_weed, run_weed

COUNT = 225
STEPS = 16
"""Of a job: two of its claim, before and after each of five files, three around its item, and one more of its claim."""
BESIDE = 4
"""One trial in so many has a second process at the same job at the same time."""


@dataclass
class Found:
    """What all trials came to."""

    kills: Counter[str] = field(default_factory=Counter)
    """By step before which the process was ended."""
    committed: int = 0
    """Trials in which the job was committed already when its process was ended."""
    torn: int = 0
    """Looks at the output, after a kill or at the end, that found an item without whole data."""
    doubled: int = 0
    """Trials after which a job had several items, or one that was put again."""
    differing: int = 0
    """Trials after which an item or a file differed from the calm run's."""
    unfinished: int = 0
    """Trials after which a temporary file or a pending upload was left at the output."""


class KillAt(logging.Handler):
    """Ends this process just before the step of this number, counted from 0; tells of it through a pipe."""

    def __init__(self, number: int, pipe: int) -> None:
        super().__init__()
        self.number, self.pipe = number, pipe

    def emit(self, record: logging.LogRecord) -> None:
        self.number -= 1
        if self.number < 0:
            os.write(self.pipe, record.getMessage().removeprefix("commit step ").encode())
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Place:
    """An output of one's own for a trial, looked at without the project's code."""

    case: Case
    store: Store


def make(job: Job, assignment: Assignment, kill_at: int | None = None) -> tuple[int, int]:
    """(process, pipe that tells before which step it ended) of a child that makes a job, unless it is committed."""
    told, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        return child, told
    status, run_id = 1, f"run-{os.getpid()}"
    try:
        os.close(told)
        if kill_at is not None:
            logger = logging.getLogger("pipeline.write.commit")
            logger.setLevel(logging.DEBUG)
            logger.addHandler(KillAt(kill_at, tell))
        status = 0
        with Lease(assignment.store, run_lease(run_id)):
            if job.fingerprint not in list_committed(assignment.store, job.product):
                outcome = run_job(job, replace(assignment, claimed_by=run_id), 1)
                status = 0 if outcome.status in {Status.DONE, Status.CLAIMED} else 2
    finally:
        os._exit(status)


def ended(child: int, told: int) -> tuple[int, str]:
    """(exit status, negative for a signal; the step before which it was ended)."""
    _, status = os.waitpid(child, 0)
    with os.fdopen(told, "rb") as pipe:
        return os.waitstatus_to_exitcode(status), pipe.read().decode()


def trial(place: Place, job: Job, assignment: Assignment, calm: Tree, source: random.Random, found: Found) -> None:
    """One job ended once and made again; adds to what was found."""
    assignment = replace(assignment, store=place.store, context=replace(assignment.context, store=place.store))
    first = make(job, assignment, source.randrange(STEPS))
    second = make(job, assignment) if source.randrange(BESIDE) == 0 else None
    code, step = ended(*first)
    beside = ended(*second)[0] if second else 0
    killed = code == -signal.SIGKILL
    found.kills[step.partition(":")[0] if killed else "ended before"] += 1
    before = place.case.tree()
    torn = is_torn(before)
    found.committed += bool(items(before))
    again = ended(*make(job, assignment))[0]
    if again or beside:
        raise RuntimeError(
            f"{job.id}, ended before {step!r}: the process after it ended with {again}, beside: {beside}"
        )
    after = place.case.tree()
    found.torn += torn or is_torn(after)
    rewritten = [key for key in items(before) if after.get(key) != before[key]]
    found.doubled += len(items(after)) != 1 or bool(rewritten)
    made, right = products(after), products(calm)
    found.differing += any(right.get(key) != value for key, value in made.items())
    # Beside its scratch folder, which a vacuum removes, a process that was ended between two puts leaves nothing.
    found.unfinished += any(not left.startswith(str(place.case.scratch)) for left in map(str, place.case.unfinished()))


def is_torn(tree: Tree) -> bool:
    """Whether an item names a file that is missing, short or of other bytes."""
    try:
        check_items(tree)
    except AssertionError:
        return True
    return False


def run(count: int, seed: int, tell: Callable[[str], object]) -> Found:
    """All trials, in turn on a folder and on the S3 server."""
    found, source = Found(), random.Random(seed)  # noqa: S311 (chooses test cases)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kills-")))
        binary = find_weed()
        (folder / "weed").mkdir()
        server = stack.enter_context(run_weed(binary, folder / "weed")) if binary else None
        if server:
            os.environ.update(server.environment)
            server.make_bucket("kills")
        world = build_world(folder / "world", px=256).folder
        case = Case(folder / "calm", world)
        session = open_session(Options(case.config))
        jobs: Sequence[Job] = list(session.plan.jobs)
        load_product(jobs[0].kind)  # before there are children, which then need not import it each
        assignment = session.assignments()[jobs[0].product]
        for job in jobs:
            if ended(*make(job, replace(assignment, store=FolderStore(case.output)))) != (0, ""):
                raise RuntimeError(f"{job.id}: not made, though nobody ended it")
        calm = case.tree()
        for number in range(count):
            on_s3 = server is not None and number % 2 == 1
            name = f"trial-{number}"
            own = Case(folder / name, world, server if on_s3 else None, f"s3://kills/{name}" if on_s3 else "")
            store = open_store(own.output, endpoint=server.endpoint if on_s3 and server else None)
            tempfile.tempdir = str(own.scratch)
            trial(Place(own, store), source.choice(jobs), assignment, calm, source, found)
            if (number + 1) % 25 == 0:
                tell(f"{number + 1} of {count}: {summed(found)}")
    return found


def summed(found: Found) -> str:
    """The figures in one line."""
    return (
        f"{found.kills.total() - found.kills['ended before']} kills, duplicate commits: {found.doubled}, "
        f"digest mismatches: {found.differing}, torn: {found.torn}, left unfinished: {found.unfinished}"
    )


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Print the figures; 1 where any of them is not 0."""
    count, seed = int(os.environ.get("COUNT", COUNT)), int(os.environ.get("SEED", "1"))
    started = time.monotonic()
    found = run(count, seed, say)
    say(json.dumps({"seed": seed, "by step": dict(sorted(found.kills.items())), "committed": found.committed}))
    say(f"{summed(found)}; {time.monotonic() - started:.0f} s")
    return int(bool(found.doubled or found.differing or found.torn or found.unfinished))


if __name__ == "__main__":
    sys.exit(main())
