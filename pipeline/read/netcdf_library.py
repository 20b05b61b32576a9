"""The NetCDF library in a process of its own: what it never returns from, or crashes on, costs one file."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.read.netcdf3 import Bytes

MOST_BYTES = 1 << 30
"""What the variables that are read of one file may take up: compressed, a few bytes can claim any size."""
LONGEST_S = 120.0
"""How long the library may take over one file; the largest take it seconds."""
_CHILD = Path(__file__).with_name("netcdf_child.py")
_ENDED_BY_OTHERS = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}


class NotNetcdfError(ValueError):
    """The bytes are of another format, which the message names where it is known."""


class LibraryLostError(OSError):
    """The process was ended from outside, or could not be started: that says nothing about the file."""


@dataclass(frozen=True)
class Loaded:
    """Variables that were read by the NetCDF library."""

    arrays: Mapping[str, NDArray[Any]]
    fills: Mapping[str, Any]

    def get(self, name: str) -> NDArray[Any] | None:
        return self.arrays.get(name)

    def fill(self, name: str) -> Any:
        return self.fills.get(name)


class Library:
    """Reads one file after the other, for one thread; its process starts with the first and ends with the block.

    A start takes a fifth of a second of CPU, a file then milliseconds. After a file that is refused the next one gets a
    process of its own.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def read(self, data: Bytes, names: Collection[str]) -> Loaded:
        """The named variables that the file has. Raises NotNetcdfError and LibraryLostError."""
        asked = {"names": sorted(names), "most_bytes": MOST_BYTES, "longest_s": LONGEST_S, "bytes": len(data)}
        child = self._started()
        late = _Late(child)
        try:
            answer = _exchanged(child, json.dumps(asked).encode(), data)
        except BaseException:
            child.kill()  # in the middle of an answer
            self._end()
            raise
        finally:
            late.cancel()
        if isinstance(answer, Loaded):
            return answer
        code, said = self._end()
        if answer is not None:
            raise NotNetcdfError(f"the NetCDF library cannot read it: {answer}")
        if late.came:
            raise NotNetcdfError(f"the NetCDF library did not return from it in {LONGEST_S} s")
        if code in _ENDED_BY_OTHERS:
            raise LibraryLostError(f"the process of the NetCDF library was ended from outside ({code}): {said}")
        raise NotNetcdfError(f"the NetCDF library ended with {code} on it: {said}")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            errors = None
            try:
                errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
                self._child = subprocess.Popen(  # noqa: S603 (this interpreter, our own file)
                    [sys.executable, "-P", str(_CHILD)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    process_group=0,  # a Ctrl-C ends the run, which ends this; by itself it would condemn the file
                )
            except OSError as error:
                if errors is not None:
                    errors.close()
                raise LibraryLostError(f"the process of the NetCDF library cannot be started: {error}") from error
            self._errors = errors
        return self._child

    def _end(self) -> tuple[int, str]:
        """How the process ended, and its last words."""
        child, errors = self._child, self._errors
        self._child = self._errors = None
        if child is None or errors is None:
            return 0, ""
        assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018 (they are pipes)
        with suppress(OSError):
            child.stdin.close()
        child.stdout.close()
        try:
            child.wait(1.0)
        except subprocess.TimeoutExpired:
            child.kill()
        with errors:
            code = child.wait()
            errors.seek(0)
            return code, errors.read().decode(errors="replace").strip().rpartition("\n")[2] or "no word"


class _Late:
    """Ends a process that takes too long."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.came, self._child = False, child
        self._timer = Timer(LONGEST_S, self._come)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()
        self._timer.join()

    def _come(self) -> None:
        self.came = True
        self._child.kill()


def _exchanged(child: subprocess.Popen[bytes], asked: bytes, data: Bytes) -> Loaded | str | None:
    """What `netcdf_child` answers: values, why there are none, or nothing, since it has ended."""
    assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018 (they are pipes)
    with suppress(BrokenPipeError):
        child.stdin.write(asked + b"\n")
        child.stdin.write(data)
        child.stdin.flush()
    head = child.stdout.readline()
    if not head.endswith(b"\n"):
        return None
    found: str | list[tuple[str, str, list[int], str | None]] = json.loads(head)
    if isinstance(found, str):
        return found
    size = sum(math.prod(shape) * np.dtype(stored).itemsize for _, stored, shape, _ in found)
    values = child.stdout.read(size)
    return _loaded(found, values) if len(values) == size else None


def _loaded(lines: list[tuple[str, str, list[int], str | None]], values: bytes) -> Loaded:
    arrays: dict[str, NDArray[Any]] = {}
    fills: dict[str, Any] = {}
    at = 0
    for name, stored, shape, fill in lines:
        dtype = np.dtype(stored)
        arrays[name] = np.ndarray(shape, dtype, values, at)
        at += arrays[name].nbytes
        fills[name] = None if fill is None else np.frombuffer(bytes.fromhex(fill), dtype)[0]
    return Loaded(arrays, fills)
