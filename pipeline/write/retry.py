"""How often a request to a store is sent, what pauses lie between, and who counts what was sent again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ATTEMPTS = 6
BACKOFF_S = 0.5
"""Upper bound of the first pause; it doubles, with full jitter."""
LONGEST_S = 8.0
"""Upper bound of any pause: five of them last at most 15.5 s, half of that as a rule."""


class Count:
    """How many requests were sent again; counted from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def add(self) -> None:
        with self._lock:
            self.count += 1


_COUNT: ContextVar[Count | None] = ContextVar("store_retries", default=None)


@contextmanager
def counting() -> Iterator[Count]:
    """Count what is sent again by this thread while the block is open, and by those that were given its context."""
    count = Count()
    token = _COUNT.set(count)
    try:
        yield count
    finally:
        _COUNT.reset(token)


def again() -> None:
    """Note that a request is sent again."""
    if (count := _COUNT.get()) is not None:
        count.add()


def pause(attempt: int) -> None:
    """Sleep after an attempt, counted from 1: so long that a store recovers, never as long as others do."""
    time.sleep(random.uniform(0, min(LONGEST_S, BACKOFF_S * 2 ** (attempt - 1))))  # noqa: S311 (jitter, not a secret)
