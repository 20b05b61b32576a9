"""Ctrl-C and SIGTERM: the first lets jobs in flight end, the second ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from pipeline.errors import EXIT_INTERRUPTED, EXIT_TERMINATED


@dataclass
class Interrupt:
    """Whether somebody asked the run to end, and the exit code that says so."""

    stop: threading.Event = field(default_factory=threading.Event)
    code: int = 0
    reason: str | None = None
    """Why the run itself decided to end: budget, credentials, disk."""

    def halt(self, reason: str) -> None:
        """End the run as the first signal would, for a reason of its own; the first one counts."""
        if self.reason is None:
            self.reason = reason
        self.stop.set()


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Interrupt]:
    """While it is open, the first SIGINT or SIGTERM sets `stop`; a second one raises KeyboardInterrupt(exit code).

    Outside the main thread, where Python delivers no signals, nothing is changed.
    """
    state = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if state.code:
            raise KeyboardInterrupt(state.code)
        state.code = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED
        state.stop.set()
        with suppress(RuntimeError):  # a print that is interrupted cannot be entered again: the message is lost then
            say("stopping: jobs in flight are finished and committed; once more ends at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
