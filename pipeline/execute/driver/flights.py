"""Tasks on their way, and what becomes of what a cluster is asked."""

from __future__ import annotations

import time
from concurrent.futures import Future as Answer
from dataclasses import dataclass, field
from typing import Any

from distributed import Future

from pipeline.execute.driver.retry import Task
from pipeline.plan.groups import Group
from pipeline.types import Outcome

Ended = tuple["Flight", "list[Outcome] | BaseException"]
"""A task that has ended: its own records, or why it has none."""


def fault_of(answer: Answer[Any]) -> BaseException | None:
    """Why what was asked has no answer; None where it has. It was answered, or will never be."""
    return ConnectionAbortedError("nobody answers any more") if answer.cancelled() else answer.exception()


@dataclass(eq=False)
class Flight:
    """A task on its way."""

    task: Task
    group: Group
    name: str
    future: Future[list[Outcome]] | None = None
    sent_s: float = field(default_factory=time.monotonic)
    worker: str | None = None
    """Address of the worker that has begun it, as far as anybody heard."""
    begun_s: float | None = None
    """When that was heard, by this process' own clock."""
    asked_s: float | None = None
    """When its records were asked for first."""

    def rest(self) -> None:
        """It is to begin anew, elsewhere."""
        self.worker = self.begun_s = None
        self.sent_s = time.monotonic()
