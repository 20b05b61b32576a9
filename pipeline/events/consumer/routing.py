"""What events ask for: rules are asked about each event once, and their orders stored with it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.config.events import EventsConfig
from pipeline.errors import GroundswellError
from pipeline.events.event import Event, Order
from pipeline.events.inbox.inbox import Filed, Inbox
from pipeline.events.rules.route import route_event
from pipeline.events.rules.templates import open_templates

_PAGE = 500
"""Events that are routed by one transaction."""
_FIRST_S, _LONGEST_S = 5.0, 300.0
"""Between two questions about an event that could not be answered."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Stuck:
    """An event of which the rules could not say what it asks for, such as where a run's config cannot be read."""

    count: int
    again_s: float
    """By the monotonic clock."""


class Router:
    """Asks the rules; `run` is for one thread, everything else for any."""

    def __init__(self, config: EventsConfig, inbox: Inbox, now: Callable[[], float] = time.time) -> None:
        self.wake = threading.Event()
        """Set it where there is a new event, so that it is routed at once."""
        self._config, self._inbox, self._now = config, inbox, now
        self._templates = open_templates(config)
        self._stuck: dict[int, _Stuck] = {}
        self._stored, self._routed = 0, 0
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raises ConfigError where the config of a rule's run cannot be read."""
        self._templates.check()

    def orders(self, event: Event) -> list[Order]:
        """What an event asks for now. Raises ConfigError where a run's config cannot be read."""
        return route_event(event, self._config, self._templates, self._now())

    def mark(self) -> int:
        """To be kept by whoever has stored events; those are routed once `is_past` says so."""
        with self._lock:
            self._stored += 1
            mark = self._stored
        self.wake.set()
        return mark

    def is_past(self, mark: int) -> bool:
        """Whether all events that were stored before the mark was made are routed, by this consumer or another."""
        with self._lock:
            return self._routed >= mark

    def run(self, stop: threading.Event | None = None) -> int:
        """Route all that is there, unless `stop` is set; how many events that were. Raises as an inbox does."""
        self.wake.clear()
        with self._lock:
            mark = self._stored
        count = 0
        while page := self._page():
            if stop is not None and stop.is_set():
                return count
            count += self._route(page)
        with self._lock:
            self._routed = mark
        return count

    def _page(self) -> list[Filed]:
        """Some events that nobody was asked about; those that are stuck only when it is their time."""
        found = self._inbox.unrouted(_PAGE + len(self._stuck))
        numbers = {filed.number for filed in found}
        self._stuck = {number: stuck for number, stuck in self._stuck.items() if number in numbers}
        now_s = time.monotonic()
        return [one for one in found if one.number not in self._stuck or self._stuck[one.number].again_s <= now_s]

    def _route(self, page: list[Filed]) -> int:
        routed = {}
        for filed in page:
            try:
                routed[filed.number] = self.orders(filed.arrival.event)
            except GroundswellError as error:
                self._hold(filed, error)
            else:
                self._stuck.pop(filed.number, None)
        self._inbox.route(routed)
        return len(routed)

    def _hold(self, filed: Filed, error: GroundswellError) -> None:
        count = self._stuck[filed.number].count + 1 if filed.number in self._stuck else 1
        pause_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(count - 1, 20))
        self._stuck[filed.number] = _Stuck(count, time.monotonic() + pause_s)
        _log.error("event %s: what it starts is not known: %s", filed.arrival.event.identity, error)
