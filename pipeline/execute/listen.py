"""Who is told of what happens in a run: journal, progress, metrics, notices, the meter of dollars."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from pipeline.types import Begun, ClusterEvent, Outcome


class Listener(Protocol):
    """Told of everything, one thing at a time; must return soon, and never raises for what it cannot deliver."""

    def cluster(self, event: ClusterEvent) -> None:
        """A cluster came up, changed its workers, was lost or closed."""

    def began(self, begun: Begun) -> None:
        """A worker has begun a task; may come late, doubled, or not at all."""

    def ended(self, outcome: Outcome) -> None:
        """An attempt at a job ended; RETRY and CLAIMED are not the last word on a job, all others are."""


class Silent:
    """A listener to derive from: whatever it does not override is nothing to it."""

    def cluster(self, event: ClusterEvent) -> None: ...
    def began(self, begun: Begun) -> None: ...
    def ended(self, outcome: Outcome) -> None: ...


class Listeners:
    """Several listeners as one, told in order, from any thread."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._lock = threading.RLock()

    def cluster(self, event: ClusterEvent) -> None:
        with self._lock:
            for one in self._listeners:
                one.cluster(event)

    def began(self, begun: Begun) -> None:
        with self._lock:
            for one in self._listeners:
                one.began(begun)

    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            for one in self._listeners:
                one.ended(outcome)
