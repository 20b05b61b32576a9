"""From a queue into the inbox: messages are read, stored durably, and kept in hand until their work is done."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.events import EventsConfig
from pipeline.errors import StoreError, TransientStoreError
from pipeline.events.consumer.hand import Hand
from pipeline.events.consumer.queue import Queue, QueueError, Receipt
from pipeline.events.consumer.routing import Router
from pipeline.events.event import Message
from pipeline.events.inbox.inbox import Arrival, Inbox
from pipeline.events.messages.envelopes import read_message
from pipeline.events.proof.admit import check_admitted
from pipeline.events.refusals import RefusedError

_FIRST_S, _LONGEST_S = 1.0, 60.0
"""Between two requests to a queue that cannot be reached."""
_EMPTY_S = 1.0
"""Between two requests to an empty queue, where the requests themselves do not wait."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Read:
    """A message of the queue, and what it says."""

    receipt: Receipt
    message: Message


class Poll:
    """Receives; `step` is for one thread."""

    def __init__(self, config: EventsConfig, queue: Queue, inbox: Inbox, router: Router, hand: Hand) -> None:
        assert config.queue is not None  # noqa: S101 (there is nothing to poll without one)
        self.empty = False
        """Whether the last request found nothing."""
        self._config, self._settings = config, config.queue
        self._queue, self._inbox, self._router, self._hand = queue, inbox, router, hand
        self._pause_s = 0.0

    def step(self, stop: threading.Event) -> None:
        """Receive once, where there is room; what comes after the end was asked for goes back."""
        room = self._settings.in_hand - len(self._hand)
        if room <= 0:
            self._hand.wait(_EMPTY_S)
            return
        try:
            if self._pause_s:
                self._inbox.check()  # a message that cannot be stored would only count as received once more
            receipts = self._queue.receive(room)
        except (QueueError, StoreError) as error:
            self._pause(stop, error)
            return
        self._pause_s = 0.0
        if stop.is_set():
            self._hand.release(receipts)
            return
        if receipts:
            try:
                self.take(receipts)
            except TransientStoreError as error:
                self._hand.release(receipts)
                self._pause(stop, error)
        elif self._settings.wait_s == 0:
            stop.wait(_EMPTY_S)
        self.empty = not receipts

    def _pause(self, stop: threading.Event, error: Exception) -> None:
        self._pause_s = min(_LONGEST_S, max(_FIRST_S, 2 * self._pause_s))
        _log.warning("%s; again in %g s", error, self._pause_s)
        stop.wait(self._pause_s)

    def take(self, receipts: Sequence[Receipt]) -> None:
        """Store what messages tell of, and keep them; what cannot be read or stored comes again after a while.

        Raises TransientStoreError where the inbox is away: nothing is lost, what was stored comes again as known.
        """
        read = [found for receipt in receipts if (found := self._read(receipt)) is not None]
        for part in self._stored(read) if read else ():
            mark = self._router.mark()
            for one in part:
                self._hand.take(one.receipt, one.message.events, mark)
        self._hand.notify()

    def _read(self, receipt: Receipt) -> Read | None:
        try:
            message = read_message(receipt.body, via="sqs")
            check_admitted(message, self._config)
        except RefusedError as error:
            self._hand.put_back([receipt], f"refused: {error}")
            return None
        if not message.events:
            _log.info("message %s: %s", receipt.id, message.note or "no events")
        return Read(receipt, message)

    def _stored(self, read: Sequence[Read]) -> list[Sequence[Read]]:
        """Those whose events are durable: all at once, or where that is refused each by itself."""
        cause = self._put(read)
        if cause is None:
            return [read]
        if len(read) == 1:
            self._hand.put_back([read[0].receipt], cause)
            return []
        return [part for one in read for part in self._stored([one])]

    def _put(self, read: Sequence[Read]) -> str | None:
        """Why these could not be stored; None where they were. Raises TransientStoreError."""
        now_s = time.time()
        arrivals = [
            Arrival(event, one.message.id, one.message.topic, "sqs", now_s)
            for one in read
            for event in one.message.events
        ]
        try:
            if arrivals:
                self._inbox.put(arrivals)
        except TransientStoreError:
            raise
        except StoreError as error:
            return f"not stored: {error}"
        return None
