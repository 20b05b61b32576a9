"""A sequence of any length in little memory: what is appended lies in a temporary file, and is made anew when asked."""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
import weakref
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, cast, overload

T = TypeVar("T")
_BUFFER_BYTES = 2**20
"""Held in memory until there is so much of it: what is small never touches a disk."""


class Spooled(Sequence[T], Generic[T]):
    """Values that are pickled as they come: `append` from any thread; every access gives a value of its own.

    The file has no name, so that nothing is left of it however the process ends. Raises OSError where it cannot grow.
    """

    def __init__(self) -> None:
        self._ends = array("Q")
        self._buffer = bytearray()
        self._stored = 0
        self._file: int | None = None
        self._lock = threading.Lock()

    def append(self, value: T) -> int:
        """Put a value to the end; its number."""
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._buffer += data
            self._ends.append(self._stored + len(self._buffer))
            if len(self._buffer) >= _BUFFER_BYTES:
                self._flush()
            return len(self._ends) - 1

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, number: int) -> T: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[T]: ...
    def __getitem__(self, number: int | slice) -> T | Sequence[T]:
        places = range(len(self._ends))[number]
        if isinstance(places, range):
            return tuple(self._read(place) for place in places)
        return self._read(places)

    def __iter__(self) -> Iterator[T]:
        """What was there when it began."""
        return map(self._read, range(len(self._ends)))

    def _read(self, number: int) -> T:
        first, last = self._ends[number - 1] if number else 0, self._ends[number]
        if last > self._stored or self._file is None:
            with self._lock:  # it may be on its way to the file
                if last > self._stored:
                    data = bytes(self._buffer[first - self._stored : last - self._stored])
                    return cast("T", pickle.loads(data))  # noqa: S301 (this process wrote it)
        return cast("T", pickle.loads(os.pread(cast("int", self._file), last - first, first)))  # noqa: S301 (as above)

    def _flush(self) -> None:
        if self._file is None:
            self._file = _unnamed()
            weakref.finalize(self, os.close, self._file)
        left = memoryview(self._buffer)
        at = self._stored
        while left:
            written = os.pwrite(self._file, left, at)
            left, at = left[written:], at + written
        self._buffer, self._stored = bytearray(), at

    def __reduce__(self) -> Any:
        raise TypeError("a spooled sequence stays in its process: send its values")


def _unnamed() -> int:
    """An open file without a name, in the folder for temporary files."""
    with tempfile.TemporaryFile(prefix="groundswell-") as file:
        return os.dup(file.fileno())
