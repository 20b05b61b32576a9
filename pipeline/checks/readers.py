"""The processes that objects are read in, kept while this one lives: a start costs a second, an object little."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from pipeline.checks.checksums import Checksum
from pipeline.checks.guard import Guard
from pipeline.checks.result import Result, Subject
from pipeline.config.checks import CheckConfig

_LIFE = 2000
"""Objects after which a process is replaced: libraries seldom give back all that they took."""
_KEPT = 8


class _Idle:
    """Processes that nobody uses just now."""

    def __init__(self) -> None:
        self._guards: list[Guard] = []
        self._lock = threading.Lock()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def take(self) -> Guard:
        with self._lock:
            return self._guards.pop() if self._guards else Guard()

    def give_back(self, guard: Guard) -> None:
        """Keep it for the next who asks."""
        with self._lock:
            if guard.answered < _LIFE and len(self._guards) < _KEPT:
                self._guards.append(guard)
                return
        guard.close()

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            guards, self._guards = self._guards, []
        for guard in guards:
            guard.kill()  # it holds nothing, and its own end would take longer
            guard.close()

    def _forget(self) -> None:
        """In a process that was forked: they are the parent's."""
        self._guards, self._lock = [], threading.Lock()


_IDLE = _Idle()


def end_idle() -> None:
    """End the processes that are kept."""
    _IDLE.close()


class Readers:
    """Some of these processes for the threads of one batch, `most` at once."""

    def __init__(self, most: int) -> None:
        self._turns = threading.Semaphore(most)
        self._lock = threading.Lock()
        self._busy: set[Guard] = set()

    def run(
        self, config: CheckConfig, subject: Subject, path: Path, checksums: Sequence[Checksum], scratch: Path
    ) -> Result:
        """What is found of an object; waits for its turn. Raises CheckLostError."""
        with self._turns:
            guard = _IDLE.take()
            with self._lock:
                self._busy.add(guard)
            try:
                return guard.run(config, subject, path, checksums, scratch)
            finally:
                with self._lock:
                    self._busy.discard(guard)
                _IDLE.give_back(guard)

    def kill(self) -> None:
        """End those that are in use: a large object would hold up the end of its batch."""
        with self._lock:
            for guard in self._busy:
                guard.kill()
