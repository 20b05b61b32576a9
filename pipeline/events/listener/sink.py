"""Where the listener puts what was proven: durable when `put` returns, many requests to a commit.

A commit to a disk takes milliseconds, whatever is in it. While one goes on, what arrives gathers for the next: a
request waits for two commits at most, and their number does not grow with that of the requests.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import GroundswellError, StoreError, TransientStoreError
from pipeline.events.event import Verdict
from pipeline.events.inbox.inbox import Arrival
from pipeline.types import Json

_WAITING = 10_000
"""Messages that wait for a commit; with more of them the store is as good as down."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Proven:
    """A message that was proven and read."""

    arrivals: tuple[Arrival, ...]
    fields: Mapping[str, Json]
    """Its envelope, as SNS posted it."""


Stored = Sequence[Verdict] | None
"""A verdict for each arrival of a message, in their order; None where only the consumer can tell."""


class Sink(Protocol):
    """Something durable."""

    async def put(self, proven: Proven) -> Stored:
        """When this returns, the message is durable.

        Raises TransientStoreError where the store is down, StoreError for what it will not take.
        """

    def check(self) -> None:
        """Return where a put would succeed now; raises as that does. Blocks."""

    def counts(self) -> Mapping[str, int]:
        """What is stored, for metrics; may be empty. Blocks, and raises as `check` does."""

    def close(self) -> None:
        """Store what is in hand, then let go."""


class Backend(Protocol):
    """What a sink's threads write to; every method blocks."""

    together: int
    """Messages of one commit at most: bounds how long the first of them waits for the last."""
    threads: int

    def write(self, batch: Sequence[Proven]) -> Sequence[Stored | StoreError]:
        """Store messages together; an answer for each of them. Raises StoreError where it holds for all of them."""

    def check(self) -> None: ...

    def counts(self) -> Mapping[str, int]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class _Waiting:
    proven: Proven
    stored: asyncio.Future[Stored]


class GroupSink:
    """Commits by groups, from threads of its own; `put` is called in one event loop only."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(_WAITING)
        self._threads = [
            threading.Thread(target=self._work, name=f"sink-{number}", daemon=True) for number in range(backend.threads)
        ]
        for thread in self._threads:
            thread.start()

    async def put(self, proven: Proven) -> Stored:
        stored: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait(_Waiting(proven, stored))
        except queue.Full:
            raise TransientStoreError(f"{_WAITING} messages wait for the store already") from None
        return await stored

    def check(self) -> None:
        self._backend.check()

    def counts(self) -> Mapping[str, int]:
        return self._backend.counts()

    def close(self) -> None:
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._backend.close()

    def _work(self) -> None:
        going = True
        while going:
            group, going = self._group()
            if group:
                self._commit(group)

    def _group(self) -> tuple[list[_Waiting], bool]:
        """What waits by now, and whether to go on after it. Whoever gave up waiting is left out."""
        group: list[_Waiting] = []
        one = self._waiting.get()
        while one is not None:
            if not one.stored.cancelled():
                group.append(one)
            if len(group) == self._backend.together:
                return group, True
            try:
                one = self._waiting.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, group: list[_Waiting]) -> None:
        answers: Sequence[Stored | GroundswellError]
        try:
            answers = self._backend.write([one.proven for one in group])
        except StoreError as error:
            answers = [error] * len(group)
        except Exception as error:  # noqa: BLE001 (a fault of the program: else nobody would ever be answered again)
            _LOG.exception("messages could not be stored")
            answers = [StoreError(f"not stored: {type(error).__name__}")] * len(group)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            group[0].stored.get_loop().call_soon_threadsafe(_tell, group, answers)


def _tell(group: Sequence[_Waiting], answers: Sequence[Stored | GroundswellError]) -> None:
    for one, answer in zip(group, answers, strict=True):
        if one.stored.done():
            continue
        if isinstance(answer, GroundswellError):
            one.stored.set_exception(answer)
        else:
            one.stored.set_result(answer)
