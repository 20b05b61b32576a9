"""What this process has in flight: one event loop for all its remote reads, with a bound on requests and on bytes.

How many requests wait for their answers has nothing to do with how many threads do: a thread hands over all the
pieces of a file at once.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pipeline.read.stores import STALL_S, Place, Unsupported

if TYPE_CHECKING:
    from obstore import Bytes, ObjectMeta

BUDGET_BYTES = 256 * 2**20
FLOOR_BYTES = 8 * 2**20
MAX_REQUESTS = 64
FLOOR_REQUESTS = 4
_RANGELESS = {"RangeNotSupported", "ParseContentRange", "NoContentRange"}
"""What the client calls servers that give no ranges, or do not say which one they gave."""
T = TypeVar("T")


@dataclass(frozen=True)
class Version:
    """What a file was when its head was read."""

    size: int
    mark: str
    """The server's ETag, or the time of the last change; a file's time of change and number on a disk."""


class ChangedError(OSError):
    """A file is not what it was when its head was read; the next time it may be read whole."""

    @classmethod
    def of(cls, found: Version, expected: Version) -> ChangedError:
        return cls(f"the file changed while it was read: {found} found, {expected} expected")


@dataclass
class Room:
    """Who may ask now: first come, first served, while what is in flight stays under its limits.

    Both limits are quartered when a request that began after the last time was too slow or came to a busy server:
    what is in flight shares one line, and some servers admit few at once. They grow again, slowly, with what
    arrives. Lives on the event loop.
    """

    limit_bytes: float = BUDGET_BYTES
    limit_requests: float = MAX_REQUESTS
    used_bytes: int = 0
    requests: int = 0
    cut: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def take(self, size: int) -> AsyncIterator[None]:
        """Room for an answer of so many bytes; one larger than the limit is in flight alone."""
        async with self.turn:
            while self.requests and (
                self.used_bytes + size > self.limit_bytes or self.requests + 1 > self.limit_requests
            ):
                self.freed.clear()
                await self.freed.wait()
            self.used_bytes += size
            self.requests += 1
        began = asyncio.get_running_loop().time()
        try:
            yield
        except (TimeoutError, _BusyError):
            if began > self.cut:
                self._narrow()
            raise
        else:
            self.limit_bytes = min(BUDGET_BYTES, self.limit_bytes + size / 32)
            self.limit_requests = min(MAX_REQUESTS, self.limit_requests + 1 / 32)
        finally:
            self.used_bytes -= size
            self.requests -= 1
            self.freed.set()

    def _narrow(self) -> None:
        # A quarter: a read has few attempts, and should not spend them all on finding out.
        self.cut = asyncio.get_running_loop().time()
        self.limit_bytes = max(FLOOR_BYTES, min(self.limit_bytes, self.used_bytes) / 4)
        self.limit_requests = max(FLOOR_REQUESTS, min(self.limit_requests, self.requests) / 4)


class Flight:
    """The event loop, started by the first that needs it."""

    def __init__(self) -> None:
        """Start nothing."""
        self.room = Room()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    def start(self, work: Coroutine[None, None, T]) -> Future[T]:
        """`work`, begun now on the loop. Raises Unsupported in a fork of a process that has begun some."""
        with self._lock:
            if self._loop is None:
                self._loop, self._process = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True).start()
        if self._process != os.getpid():
            # The threads of the client stay behind in a fork: it would wait for ever.
            work.close()
            raise Unsupported("this process is a fork of one that reads remote files")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def pieces(self, place: Place, pieces: Sequence[tuple[int, int]], version: Version) -> list[Bytes]:
        """Every (start, stop), whole and of that version, all asked for at once. Raises OSError for the first fault."""
        asked = [asyncio.ensure_future(self._piece(place, start, stop, version)) for start, stop in pieces]
        try:
            return await asyncio.gather(*asked)
        finally:
            for one in asked:
                one.cancel()

    async def _piece(self, place: Place, start: int, stop: int, version: Version) -> Bytes:
        body, meta = await self.get(place, start, stop)
        if _version(meta) != version:
            raise ChangedError.of(_version(meta), version)
        if len(body) != stop - start:
            raise OSError(f"{len(body)} bytes found at {start}, {stop - start} expected")
        return body

    async def first(self, place: Place, size: int) -> tuple[Bytes, Version]:
        """The first bytes of a file, all of it if it is smaller, and its version. Raises OSError or Unsupported."""
        try:
            body, meta = await self.get(place, 0, size)
        except _NoWordError as error:
            raise Unsupported(str(error), passing=error.passing) from None
        expected = min(size, meta["size"])
        if len(body) != expected:
            raise OSError(f"{len(body)} bytes found at 0, {expected} expected")
        return body, _version(meta)

    async def get(self, place: Place, start: int, stop: int) -> tuple[Bytes, ObjectMeta]:
        """What one request gives. Raises OSError, a TimeoutError where the time was up."""
        import obstore  # noqa: PLC0415 (files on a disk do without it)
        from obstore.exceptions import BaseError  # noqa: PLC0415 (the same)

        async with self.room.take(stop - start):
            try:
                answer = await obstore.get_async(place.store, place.path, options={"range": (start, stop)})
                return await answer.bytes_async(), answer.meta
            except (BaseError, OSError, ValueError) as error:
                raise _explain(error, place) from None


class _BusyError(OSError):
    """The server has too much to do."""


class CutError(OSError):
    """An answer ended before its announced length: the line's fault, since a cut file announces less."""


class _NoWordError(OSError):
    """Nothing was said about the file itself: another client, with other settings, may get through."""

    passing = True


def _explain(error: Exception, place: Place) -> OSError:
    """The failure, without the client's own text: it repeats the address and the server's answer, secrets included."""
    said = str(error)
    status = re.search(r"non-2xx status code: (\d+)", said)
    if status is not None:
        refused = status[1] in {"400", "401", "403"} and not place.lent
        kind = _NoWordError if refused else _BusyError if status[1] in {"429", "503"} else OSError
        return kind(f"HTTP response code: {status[1]}")
    if "TimedOut" in said or "kind: Timeout" in said:
        stall_s = min(STALL_S, place.timeout_s)
        return TimeoutError(f"nothing came for {stall_s:g} s, or not all of it in {place.timeout_s:g} s")
    if "kind: Interrupted" in said:
        return CutError("the answer was cut")
    names = dict.fromkeys(re.findall(r"\b(?:kind|source|inner): ([A-Z]\w+)", said))
    failure = _NoWordError(f"no answer to a range: {', '.join((type(error).__name__, *names))}")
    failure.passing = not _RANGELESS & names.keys()
    return failure


def _version(meta: ObjectMeta) -> Version:
    changed = meta["last_modified"]
    return Version(meta["size"], meta["e_tag"] or (changed.isoformat() if changed.timestamp() else ""))
