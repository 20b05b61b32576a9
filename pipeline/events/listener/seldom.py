"""Log lines that strangers cause, so many a minute at most: whoever sends rubbish fills no disk with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_SPAN_S = 60.0
_MOST = 10
_SHOWN = 500


class Seldom:
    """Ten lines of each kind a minute; the next one after that says how many there were."""

    def __init__(self, log: logging.Logger, now_s: Callable[[], float] = time.monotonic) -> None:
        self._log, self._now_s = log, now_s
        self._since: dict[str, float] = {}
        self._count: dict[str, int] = {}

    def tell(self, kind: str, text: str, level: int = logging.WARNING) -> None:
        """Log one line. kind: one of a few, never from outside; text may hold anything, and stays one line."""
        now_s = self._now_s()
        if now_s - self._since.get(kind, -_SPAN_S) >= _SPAN_S:
            held_back = self._count.get(kind, 0) - _MOST
            if held_back > 0:
                self._log.log(level, "%s: and %d more in the last minute", kind.lower(), held_back)
            self._since[kind], self._count[kind] = now_s, 0
        self._count[kind] += 1
        if self._count[kind] <= _MOST:
            line = "".join(each if each.isprintable() else "?" for each in text[:_SHOWN])
            self._log.log(level, "%s: %s", kind.lower(), line)
