"""Batches as processes beside the consumer: each crash or hang costs one batch, and nobody else.

A child that checks objects is kept and given the next batch, since to start one takes longer than most checks; a run
gets a child of its own.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from pipeline.events.consumer.batches import Batch, Over, read_line
from pipeline.events.event import Ended

_IDLE_S = 60.0
"""After which a child without work is ended."""
_BATCHES = 100
"""After which a child is followed by a new one: libraries keep memory."""
_END_S = 10.0
"""Between asking a child to end and making it."""
_TICK_S = 0.5
_log = logging.getLogger(__name__)


class Runner(Protocol):
    """A way to have batches done. Methods may be called from several threads."""

    def run(self, batch: Batch, tell: Callable[[Ended], None], stop: threading.Event, timeout_s: float) -> Over:
        """Tell what became of each target, as soon as it is known, and how the batch ended; raises nothing.

        stop: set, it ends the batch as soon as possible; nothing of it goes on afterwards.
        """

    def tidy(self) -> None:
        """End what has had nothing to do for some time."""

    def close(self) -> None:
        """End everything."""


class Processes:
    """Batches as processes of this machine."""

    def __init__(self, *, keep: Callable[[Batch], bool]) -> None:
        """keep: whether the child of a batch may be given another one."""
        self._keep, self._lock = keep, threading.Lock()
        self._idle: list[_Child] = []

    def run(self, batch: Batch, tell: Callable[[Ended], None], stop: threading.Event, timeout_s: float) -> Over:
        kept = self._keep(batch)
        try:
            child = self._taken(kept=kept)
        except OSError as error:
            return Over(f"no process could be started: {error.strerror}")
        try:
            over = child.work(batch, tell, stop, timeout_s)
        except BaseException:
            child.end()
            raise
        if kept and child.good:
            with self._lock:
                self._idle.append(child)
        else:
            child.end()
        return over

    def tidy(self) -> None:
        with self._lock:
            old = [child for child in self._idle if child.since_s + _IDLE_S < time.monotonic()]
            self._idle = [child for child in self._idle if child not in old]
        for child in old:  # in a thread of its own: whoever calls this has leases to renew
            threading.Thread(target=child.end, name="end", daemon=True).start()

    def close(self) -> None:
        with self._lock:
            old, self._idle = self._idle, []
        for child in old:
            child.end()

    def _taken(self, *, kept: bool) -> _Child:
        """The child that worked last, or a new one."""
        with self._lock:
            while kept and self._idle:
                child = self._idle.pop()
                if child.good:
                    return child
                child.end()
        return _Child()


class _Child:
    """One process, which leads a group of its own; used by one thread at a time."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.events.consumer.batch", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._lines = queue.SimpleQueue[str | None]()
        self._reader = threading.Thread(target=self._read, name=f"batch {self._process.pid}", daemon=True)
        self._reader.start()
        self._count, self._broken = 0, False
        self.since_s = time.monotonic()

    @property
    def good(self) -> bool:
        """Whether it can take another batch."""
        return not self._broken and self._process.poll() is None and self._count < _BATCHES

    def work(self, batch: Batch, tell: Callable[[Ended], None], stop: threading.Event, timeout_s: float) -> Over:
        """Do one batch; a child that did not come to its end is not good any more."""
        over = self._work(batch, tell, stop, timeout_s)
        self._broken |= over.died or stop.is_set()
        self._count += 1
        self.since_s = time.monotonic()
        return over

    def _work(self, batch: Batch, tell: Callable[[Ended], None], stop: threading.Event, timeout_s: float) -> Over:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 (it was asked for)
        end_s = time.monotonic() + timeout_s
        with suppress(BrokenPipeError):  # it is gone: its output has ended as well
            stdin.write(batch.text().encode() + b"\n")
            stdin.flush()
        while not stop.is_set():
            if time.monotonic() >= end_s:
                self._rest(tell)
                return Over(f"it took longer than `jobs.timeout_s`, {timeout_s:g} s, and was ended", died=True)
            try:
                line = self._lines.get(timeout=_TICK_S)
            except queue.Empty:
                # What it forked may hold its output open for longer than it lives.
                if self._process.poll() is None or not self._lines.empty():
                    continue
                line = None
            if line is None:
                return Over(f"its process {_how(self._process.wait())}", died=True)
            found = read_line(line)
            if isinstance(found, Ended):
                tell(found)
            elif found is not None:
                return found
        self._rest(tell)
        return Over("it was asked to end")

    def _rest(self, tell: Callable[[Ended], None]) -> None:
        """End it, and hear what it still says: what was committed in its last moments counts."""
        self.end()
        while not self._lines.empty():
            found = read_line(self._lines.get() or "")
            if isinstance(found, Ended) and not found.failed:
                tell(found)

    def end(self) -> None:
        """Close its input, and where it works all the same ask it to end; then make it, with all that it started."""
        process = self._process
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()  # to one that is idle, this says that there is no more
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            _log.warning("process %d did not end within %g s: it is killed", process.pid, _END_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it started may outlive it
        process.wait()
        self._reader.join(_TICK_S)
        if process.stdout is not None and not self._reader.is_alive():
            process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (it was asked for)
        for line in self._process.stdout:
            self._lines.put(line.decode(errors="replace").rstrip("\n"))
        self._lines.put(None)


def _how(code: int) -> str:
    """How a process ended, for people."""
    if code >= 0:
        return f"ended with exit code {code} before it was done: its log says why"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    hint = ": most likely it took more memory than there is" if -code == signal.SIGKILL else ""
    return f"was ended by {name}{hint}"
