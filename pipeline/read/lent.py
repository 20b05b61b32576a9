"""Tokens and keys that a service lends for a while: fetched once for all threads, renewed before they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pipeline.errors import AssetError

T = TypeVar("T")

SLOW_S = 5.0
"""A fetch that fails after so long was a time-out, which nobody should wait for once more at once."""
KEPT_S = 30.0
"""How long such a failure is the answer."""


class Lent(Generic[T]):
    """What this process was lent, by name; never written anywhere. One slow name holds up no other."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._loans: dict[Hashable, _Loan[T]] = {}

    def get(self, name: Hashable, fetch: Callable[[], tuple[T, float]], newer_than: float = 0.0) -> T:
        """The value of that name, from `fetch` where there is none that still holds.

        fetch: gives the value and the time at which it ends, in seconds since 1970; a fifth of its life, at most five
        minutes, is kept back, so that a read that starts with it can end with it. newer_than: a moment of
        `time.monotonic()`; what was lent before it was refused and is not used again, so that threads that were
        refused together fetch one new value.

        Raises the AssetError of `fetch`, once for all threads that waited for it; one that was slow to come also for
        those that ask in the next KEPT_S seconds.
        """
        asked = time.monotonic()
        loan = self._loans.setdefault(name, _Loan())
        with loan.lock:
            if loan.value is None or time.time() >= loan.good_until or loan.fetched <= newer_than:
                if loan.failure is not None and asked < loan.fails_until:
                    raise copy(loan.failure)
                return loan.renew(fetch)
            return loan.value


@dataclass
class _Loan(Generic[T]):
    """One name: what was lent last, and how the last fetch failed, if it did."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: T | None = None
    good_until: float = 0.0
    fetched: float = 0.0
    failure: AssetError | None = None
    fails_until: float = 0.0

    def renew(self, fetch: Callable[[], tuple[T, float]]) -> T:
        began = time.monotonic()
        try:
            value, ends = fetch()
        except AssetError as error:
            failed = time.monotonic()
            # A copy has no traceback, in whose frames the credentials are.
            self.failure, self.fails_until = copy(error), failed + (KEPT_S if failed - began >= SLOW_S else 0.0)
            raise
        self.good_until = ends - min(300.0, 0.2 * max(0.0, ends - time.time()))
        self.value, self.fetched, self.failure = value, began, None
        return value
