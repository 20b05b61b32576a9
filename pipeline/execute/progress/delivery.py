"""Delivers small documents to one receiver, each at least once, from threads of its own: nobody waits for it."""

from __future__ import annotations

import json
import os
import random
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

_LONGEST_S = 10.0
"""Between two attempts of one thread at a receiver that takes nothing."""
_FIRST_S = 0.5
_IN_FLIGHT_S = 30.0
"""For requests that are on their way when a receiver is given up; each has its own, shorter bounds."""


@dataclass(frozen=True)
class Sent:
    """What became of some documents, each in one of three ways."""

    delivered: int = 0
    again: tuple[bytes, ...] = ()
    """Not taken for a cause that may pass."""
    refused: tuple[tuple[bytes, str], ...] = ()
    """Not taken, and never will be; each with its cause."""
    cause: str = ""
    """Of `again`."""
    after_s: float = 0.0
    """The receiver asks to be left alone for so long."""


class Sender(Protocol):
    """The way to one receiver; used by one thread."""

    most: int
    """Documents that go together."""

    def send(self, bodies: Sequence[bytes]) -> Sent:
        """One attempt within bounds of its own; never raises for what a network or a receiver may do."""


@dataclass(frozen=True)
class Lost:
    """A document that was given up."""

    subject: str
    cause: str


class Backlog:
    """First in, first out, in an unnamed file: in memory a number each, and never more than what is being sent."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by `close`)
        self._sizes = deque[int]()
        self._begin = self._end = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, body: bytes) -> None:
        """Append one. Raises OSError where the disk is full; what was there is kept."""
        view, at = memoryview(body), self._end
        while view:
            written = os.pwrite(self._file.fileno(), view, at)
            view, at = view[written:], at + written
        self._end = at
        self._sizes.append(len(body))

    def take(self) -> bytes:
        """Remove the first."""
        body = os.pread(self._file.fileno(), self._sizes.popleft(), self._begin)
        self._begin += len(body)
        if not self._sizes:
            self._file.truncate(0)
            self._begin = self._end = 0
        return body

    def close(self) -> None:
        """Nothing can be put or taken any more."""
        self._file.close()


class Delivery:
    """What is put is sent, in any order, again and again while the cause may pass; `settle` ends the patience.

    What was not taken goes behind everything else, so one document that its receiver cannot stand holds up no other.
    name: of the receiver, for people. make: its sender, called in the thread that uses it.
    """

    def __init__(self, name: str, make: Callable[[], Sender], threads: int, say: Callable[[str], None]) -> None:
        self.name = name
        self._make, self._say = make, say
        self._backlog = Backlog()
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._wanted = threads
        self._in_flight = 0
        self._success_s = 0.0
        self._giving_up = self._told = False
        self._cause = "the run ended"
        self._lost: list[Lost] = []

    def put(self, body: bytes) -> None:
        """Have one document delivered; returns at once."""
        with self._changed:
            self._keep(body)
            if not self._threads:
                named = f"notices to {self.name}"
                self._threads = [
                    threading.Thread(target=self._work, name=named, daemon=True) for _ in range(self._wanted)
                ]
                for thread in self._threads:
                    thread.start()
            self._changed.notify()

    def settle(self, patience_s: float, since_s: float | None = None) -> list[Lost]:
        """Wait until all is delivered, or for so long without any success; what was lost since the last call.

        since_s: when somebody began to wait, by the monotonic clock; None: now.
        """
        with self._changed:
            began_s = time.monotonic() if since_s is None else since_s
            while self._backlog or self._in_flight:
                left = max(began_s, self._success_s) + patience_s - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._giving_up = True
            while self._backlog:
                self._lose(self._backlog.take(), self._cause)
            if not self._changed.wait_for(lambda: not self._in_flight, _IN_FLIGHT_S):
                self._lost.append(Lost(f"{self._in_flight} that are on their way", self._cause))
            self._giving_up = False
            lost, self._lost = self._lost, []
            return lost

    def close(self) -> None:
        """Send no more; what is still there is lost without a word."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(1.0)  # a request that is on its way ends by itself, within its bounds
        self._backlog.close()

    def _work(self) -> None:
        failures, sender = 0, self._make()
        while batch := self._take(sender.most):
            sent = sender.send(batch)
            with self._changed:
                self._ended(batch, sent)
            failures = failures + 1 if sent.again else 0
            if failures:
                longest = min(_LONGEST_S, _FIRST_S * 2 ** min(failures - 1, 10))
                pause = random.uniform(longest / 2, longest)  # noqa: S311 (so that threads do not come together)
                self._closed.wait(max(pause, sent.after_s))

    def _take(self, most: int) -> list[bytes]:
        """Some documents, as soon as there are any; none when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed.is_set() or self._backlog)
            if self._closed.is_set():
                return []
            batch = [self._backlog.take() for _ in range(min(most, len(self._backlog)))]
            self._in_flight += len(batch)
            return batch

    def _ended(self, batch: Sequence[bytes], sent: Sent) -> None:
        self._in_flight -= len(batch)
        if sent.delivered:
            self._success_s = time.monotonic()
        for body, cause in sent.refused:
            self._lose(body, cause)
        if sent.again:
            self._cause = sent.cause
            self._tell(f"{sent.cause}; it is tried again until the run ends")
        for body in sent.again:
            if self._giving_up:
                self._lose(body, sent.cause)
            elif not self._closed.is_set():
                self._keep(body)
        self._changed.notify_all()

    def _keep(self, body: bytes) -> None:
        try:
            self._backlog.put(body)
        except OSError as error:
            self._lose(body, f"there is no room to keep it in {tempfile.gettempdir()}: {error.strerror}")

    def _lose(self, body: bytes, cause: str) -> None:
        self._tell(cause)
        self._lost.append(Lost(json.loads(body)["subject"], cause))

    def _tell(self, cause: str) -> None:
        """Say it the first time: a receiver that is down has everybody wait, and no log filled."""
        if not self._told:
            self._told = True
            self._say(f"warning: notices: {self.name}: {cause}")


def grouped(lost: Sequence[Lost], most: int = 500) -> Iterator[tuple[str, list[str]]]:
    """(cause, subjects) of what was lost, a few hundred at a time."""
    by_cause: dict[str, list[str]] = {}
    for one in lost:
        by_cause.setdefault(one.cause, []).append(one.subject)
    for cause, subjects in by_cause.items():
        for first in range(0, len(subjects), most):
            yield cause, subjects[first : first + most]
