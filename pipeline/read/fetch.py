"""The bytes of one file, on a disk, over https or on S3: its head, and ranges of that same version, whole or an error.

Ranges that lie close together are one request, and all requests of a call are in flight at once. Where a file cannot be
read so, `Unsupported` says why and GDAL reads it.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from pipeline.errors import AssetError
from pipeline.read.access import Access
from pipeline.read.flight import ChangedError, CutError, Flight, Version
from pipeline.read.stores import Place, Unsupported, locate

__all__ = ["ByteSource", "ChangedError", "CutError", "Unsupported", "Version", "open_source"]

HEAD_BYTES = 16 * 1024
GAP_BYTES = 64 * 1024
"""Bytes that are read for nothing rather than asked around: a request costs more."""
PIECE_BYTES = 8 * 2**20
"""Spans are not merged beyond this; a longer span stays whole."""
KEPT_HEADS = 512
MOST_CHANGES = 2
"""A file that seems to change oftener is left to GDAL, which takes every answer for the same file."""

Spans = Sequence[tuple[int, int]]
"""(start, length) in bytes."""
T = TypeVar("T")
_Key = tuple[str, Access, int]
"""Address, way in and process: a fork does not have what its parent asked for."""
_Head = tuple[bytes, Version]


@dataclass(frozen=True)
class ByteSource:
    """One open file. Threads may share it."""

    href: str
    """As the catalogue has it, unsigned."""
    head: bytes = field(repr=False)
    """The first HEAD_BYTES, the whole file if it is smaller."""
    version: Version
    """What the head is of, and all that is read."""
    read: Callable[[Spans], list[memoryview]] = field(repr=False)
    """Pieces, (start, stop) each."""

    def ranges(self, spans: Spans) -> list[memoryview]:
        """One view per span, in the order asked; all that has to be read for them is in flight at once.

        A view keeps alive the piece that was read with it. Raises OSError where a span lies outside the file, or did
        not come whole and of `.version`.
        """
        for start, length in spans:
            if start < 0 or length < 0 or start + length > self.version.size:
                raise OSError(f"{length} bytes at {start} expected; the file ends at {self.version.size}")
        pieces, places = plan_pieces(spans)
        bodies = self.read(pieces) or [memoryview(b"")]
        return [bodies[piece][first:last] for piece, first, last in places]


@contextmanager
def open_source(href: str, access: Access, newer_than: float = 0.0) -> Iterator[ByteSource]:
    """A file whose href `check_href` has passed, while the block runs.

    The head of a remote file is asked for once in this process; every later answer must be of its version.
    newer_than: a moment of `time.monotonic()`; credentials lent before it were refused and are not used again.

    Raises Unsupported, OSError naming what was found, and AssetError where the source's credentials cannot be had.
    """
    if "://" not in href:
        descriptor = os.open(href, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            yield _open_file(href, descriptor)
        finally:
            os.close(descriptor)
        return
    place, key = locate(href, access, newer_than), (href, access, os.getpid())
    if _HEADS.changes(key) >= MOST_CHANGES:
        raise Unsupported("several versions of it were given in turn, as by servers that do not agree on its ETag")
    head = _outcome(_HEADS.get(key, lambda: _FLIGHT.start(_read_head(place)), fresh=newer_than > 0))
    try:
        yield ByteSource(href, *head, partial(_read_remote, place, key, head[1]))
    except OSError:
        _HEADS.drop(key)  # it may be why: a file that was cut short is asked anew, and may be whole by then
        raise


def plan_pieces(spans: Spans) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Pieces to read, (start, stop) in order, and for every span its piece and the first and last byte within it."""
    pieces: list[tuple[int, int]] = []
    of_span = [0] * len(spans)
    for index in sorted(range(len(spans)), key=spans.__getitem__):
        start, length = spans[index]
        stop = start + length
        if length == 0:
            continue
        if pieces and start - pieces[-1][1] <= GAP_BYTES and max(stop, pieces[-1][1]) - pieces[-1][0] <= PIECE_BYTES:
            pieces[-1] = (pieces[-1][0], max(stop, pieces[-1][1]))
        else:
            pieces.append((start, stop))
        of_span[index] = len(pieces) - 1
    places = [
        (piece, start - pieces[piece][0], start + length - pieces[piece][0]) if length else (0, 0, 0)
        for piece, (start, length) in zip(of_span, spans, strict=True)
    ]
    return pieces, places


def _open_file(href: str, descriptor: int) -> ByteSource:
    """A file on a disk: never mapped, as one that is cut meanwhile would end the process."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    version = _version_of(status)
    head = bytes(_read_at(descriptor, 0, min(HEAD_BYTES, version.size)))

    def read(pieces: Spans) -> list[memoryview]:
        bodies = [_read_at(descriptor, start, stop - start) for start, stop in pieces]
        found = _version_of(os.fstat(descriptor))
        if found != version:
            raise ChangedError.of(found, version)
        return bodies

    return ByteSource(href, head, version, read)


def _read_at(descriptor: int, start: int, length: int) -> memoryview:
    """Whole, or an OSError: one call of the system gives at most 2 GiB, and a network's disk may give less."""
    body = os.pread(descriptor, length, start)
    while len(body) < length:
        more = os.pread(descriptor, length - len(body), start + len(body))
        if not more:
            raise OSError(f"{len(body)} bytes found at {start}, {length} expected")
        body += more
    return memoryview(body)


def _version_of(status: os.stat_result) -> Version:
    return Version(status.st_size, f"{status.st_mtime_ns}-{status.st_ino}")


def _read_remote(place: Place, key: _Key, version: Version, pieces: Spans) -> list[memoryview]:
    try:
        return [memoryview(body) for body in _outcome(_FLIGHT.start(_FLIGHT.pieces(place, pieces, version)))]
    except OSError as error:
        # What was kept of the file may be why.
        _HEADS.drop(key)
        if isinstance(error, ChangedError):
            _HEADS.note_change(key)
        raise


async def _read_head(place: Place) -> _Head:
    body, version = await _FLIGHT.first(place, HEAD_BYTES)
    return bytes(body), version


def _outcome(future: Future[T]) -> T:
    """What came of it. An error is copied: threads that wait together would write into one traceback."""
    try:
        return future.result()
    except (Unsupported, AssetError, OSError) as error:
        raise copy(error) from None


class _Heads:
    """Heads of the remote files used last, and those that are on their way; failures are not kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[_Key, Future[_Head]] = OrderedDict()
        self._changes: OrderedDict[_Key, int] = OrderedDict()

    def get(self, key: _Key, ask: Callable[[], Future[_Head]], *, fresh: bool = False) -> Future[_Head]:
        """The head of that file, from `ask` if it is not known, or has to be fresh."""
        with self._lock:
            known = self._known.pop(key, None)
            head = ask() if known is None or fresh else known
            self._known[key] = head
            if len(self._known) > KEPT_HEADS:
                self._known.popitem(last=False)
        if head is not known:
            head.add_done_callback(lambda done: self.drop(key, done) if done.exception() else None)
        return head

    def changes(self, key: _Key) -> int:
        """How often that file was another one than its head said."""
        return self._changes.get(key, 0)

    def note_change(self, key: _Key) -> None:
        with self._lock:
            self._changes[key] = self._changes.pop(key, 0) + 1
            if len(self._changes) > KEPT_HEADS:
                self._changes.popitem(last=False)

    def drop(self, key: _Key, only: Future[_Head] | None = None) -> None:
        """Forget that file; only: if this is what is known of it."""
        with self._lock:
            if only is None or self._known.get(key) is only:
                self._known.pop(key, None)


_FLIGHT = Flight()
_HEADS = _Heads()
