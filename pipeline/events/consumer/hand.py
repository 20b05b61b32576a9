"""Messages of a queue in hand: hidden for as long as what they ask for is being done, deleted when it is done.

What waits by intent, to settle or for another day's budget, keeps no message: the inbox holds it durably.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.config.events import EventsConfig
from pipeline.errors import GroundswellError
from pipeline.events.consumer.queue import LONGEST_S, Queue, QueueError, Receipt, back_off_s
from pipeline.events.consumer.routing import Router
from pipeline.events.consumer.work import Key
from pipeline.events.event import Event, Order, State
from pipeline.events.inbox.inbox import Inbox

_MARGIN_S = 60.0
"""Before the end of the time for which SQS hides a message at most."""
_log = logging.getLogger(__name__)


def awaited(orders: Sequence[Order], config: EventsConfig) -> frozenset[Key]:
    """The orders that a message waits for: those that are to be done at once."""
    rules = config.rules
    at_once = {name for name, rule in rules.items() if rule.settle is None and rule.per_day is None}
    return frozenset((one.rule, one.target) for one in orders if one.rule in at_once)


@dataclass(eq=False)
class _Message:
    receipt: Receipt
    awaited: frozenset[Key]
    mark: int
    """Of the router, after its events were stored."""
    extend_s: float
    """When to hide it for longer, by the monotonic clock."""
    since_s: float = field(default_factory=time.monotonic)


class Hand:
    """Those in hand, of one consumer. Methods may be called from several threads."""

    def __init__(self, config: EventsConfig, queue: Queue, inbox: Inbox, router: Router) -> None:
        assert config.queue is not None  # noqa: S101 (there is no hand without one)
        self._config, self._settings = config, config.queue
        self._queue, self._inbox, self._router = queue, inbox, router
        self._held: dict[str, _Message] = {}
        self._failing: set[Key] = set()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._held)

    def wait(self, timeout_s: float) -> None:
        """Until something may have changed."""
        with self._changed:
            self._changed.wait(timeout_s)

    def take(self, receipt: Receipt, events: Sequence[Event], mark: int) -> None:
        """Keep a message whose events are stored. Raises as an inbox does."""
        try:
            keys = [awaited(self._router.orders(event), self._config) for event in events]
        except GroundswellError as error:  # a run's config that cannot be read, of which the router tells as well
            self.put_back([receipt], str(error))
            return
        extend_s = time.monotonic() + self._settings.visibility_s / 2
        message = _Message(receipt, frozenset().union(*keys), mark, extend_s)
        with self._changed:
            self._held[receipt.id] = message  # maybe the same again, which came before it was extended

    def put_back(self, receipts: Sequence[Receipt], cause: str) -> None:
        """Let messages come again after a while, the longer the more often they came: the queue may set them aside."""
        for one in receipts:
            again_s = back_off_s(self._settings, one.count)
            _log.warning("message %s, receipt %d: %s; again in %d s", one.id, one.count, cause, again_s)
        self._hide({one: back_off_s(self._settings, one.count) for one in receipts})

    def told(self, key: Key, *, failed: bool) -> None:
        """An order was done, or failed once; what fails before a message asks for it is none of that message's."""
        with self._changed:
            if not failed:
                self._failing.discard(key)
            elif any(key in one.awaited for one in self._held.values()):
                self._failing.add(key)
            self._changed.notify_all()

    def look(self) -> None:
        """Hide messages for longer, delete those whose work is done, and put those back whose work failed.

        Raises as an inbox does; messages stay hidden all the same.
        """
        self._extend()
        with self._changed:
            held = list(self._held.values())
        # Asked before the states are read: those of an event that is not routed yet may be of former events.
        past = [one for one in held if not one.awaited or self._router.is_past(one.mark)]
        keys = {key for one in past for key in one.awaited}
        states = self._inbox.states(sorted(keys)) if keys else {}
        with self._changed:
            failing, self._failing = self._failing, set()
        done, failed = [], []
        for one in past:
            if one.awaited & failing or State.FAILED in map(states.get, one.awaited):
                failed.append(one)
            elif all(states.get(key, State.DONE) is State.DONE for key in one.awaited):
                done.append(one)
        self._release(done + failed)
        self._delete([one.receipt for one in done])
        self.put_back([one.receipt for one in failed], "what it asks for failed")

    def notify(self) -> None:
        """Say that something has changed."""
        with self._changed:
            self._changed.notify_all()

    def release(self, receipts: Sequence[Receipt]) -> None:
        """Let others have these at once."""
        self._hide(dict.fromkeys(receipts, 0))

    def give_back(self) -> None:
        """Let others have everything at once."""
        with self._changed:
            held = list(self._held.values())
        self._release(held)
        self.release([one.receipt for one in held])

    def _release(self, messages: Collection[_Message]) -> None:
        with self._changed:
            for one in messages:
                if self._held.get(one.receipt.id) is one:
                    del self._held[one.receipt.id]
            self._changed.notify_all()

    def _delete(self, receipts: Sequence[Receipt]) -> None:
        try:
            failed = self._queue.delete(receipts)
        except QueueError as error:
            failed = {"all": str(error)}
        for name, cause in failed.items():
            _log.warning("message %s: not deleted, so it comes again and is known then: %s", name, cause)

    def _extend(self) -> None:
        """Hide those for longer of whose time half is over; let those go that SQS hides no longer."""
        now_s, visibility_s = time.monotonic(), self._settings.visibility_s
        with self._changed:
            left = {one: one.since_s + LONGEST_S - _MARGIN_S - now_s for one in self._held.values()}
        old = [one for one, left_s in left.items() if left_s <= 0]
        for one in old:
            _log.warning("message %s: in hand for as long as SQS allows; it comes again", one.receipt.id)
        self._release(old)
        due = [one for one, left_s in left.items() if left_s > 0 and one.extend_s <= now_s]
        failed = self._hide({one.receipt: min(visibility_s, math.ceil(left[one])) for one in due})
        for one in due:  # where it failed there is time for some more attempts
            one.extend_s = now_s + visibility_s / (8 if one.receipt.id in failed else 2)

    def _hide(self, receipts: Mapping[Receipt, int]) -> Collection[str]:
        """Ids of those where that failed."""
        try:
            failed = self._queue.hide(receipts)
        except QueueError as error:
            failed = dict.fromkeys((one.id for one in receipts), str(error))
        for name, cause in failed.items():
            _log.warning("message %s: its time stays as it is: %s", name, cause)
        return failed
