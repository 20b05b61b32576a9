"""Groups that are made from jobs of this run: each waits here, as a number, until those are done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from pipeline.plan.groups import Head, Work
from pipeline.types import Outcome, Status


class Waiting:
    """What waits for what. It holds numbers and names, never a job: those are made anew when they are needed."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._regions: dict[int, str] = {}
        self._open: dict[int, int] = {}
        self._users: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, head: Head) -> None:
        """A group with needs."""
        self._open[head.number], self._regions[head.number] = len(head.needs), head.region
        for job_id in head.needs:
            self._users.setdefault(job_id, []).append(head.number)

    def made(self, job_id: str) -> Iterator[tuple[str, int]]:
        """(region, number) of the groups that can begin now that this job is done."""
        for number in self._users.pop(job_id, ()):
            if number in self._open:
                self._open[number] -= 1
                if not self._open[number]:
                    del self._open[number]
                    yield self._regions.pop(number), number

    def lost(self, outcome: Outcome) -> Iterator[Outcome]:
        """What becomes of everything that is made from a job which was not made, over any number of steps."""
        status = Status.CLAIMED if outcome.status is Status.CLAIMED else Status.BLOCKED
        error = "ClaimedError" if status is Status.CLAIMED else "BlockedError"
        causes = deque([outcome])
        while causes:
            first = causes.popleft()
            cause = f"{first.job_id}, which it is made from, {first.status.value}: {first.cause}"
            for number in self._users.pop(first.job_id, ()):
                if self._open.pop(number, None) is None:
                    continue
                for job in self._work[number].jobs:
                    left = Outcome(job.id, job.region, job.fingerprint, status, attempts=0, error=error, cause=cause)
                    causes.append(left)
                    yield left

    def numbers(self) -> list[int]:
        """Of all that still waits."""
        return list(self._open)
