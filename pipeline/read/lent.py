"""Tokens and keys that a service lends for a while: fetched once for all threads, renewed before they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lent(Generic[T]):
    """What this process was lent, by name; never written anywhere."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._lock = threading.Lock()
        self._known: dict[Hashable, tuple[T, float, float]] = {}

    def get(self, name: Hashable, fetch: Callable[[], tuple[T, float]], newer_than: float = 0.0) -> T:
        """The value of that name, from `fetch` where there is none that still holds.

        fetch: gives the value and the time at which it ends, in seconds since 1970; a fifth of its life, at most five
        minutes, is kept back, so that a read that starts with it can end with it. newer_than: a moment of
        `time.monotonic()`; what was lent before it was refused and is not used again, so that threads that were
        refused together fetch one new value.
        """
        with self._lock:
            value, good_until, fetched = self._known.get(name, (None, 0.0, 0.0))
            if value is None or time.time() >= good_until or fetched <= newer_than:
                began = time.monotonic()
                value, ends = fetch()
                good_until = ends - min(300.0, 0.2 * max(0.0, ends - time.time()))
                self._known[name] = value, good_until, began
            return value
