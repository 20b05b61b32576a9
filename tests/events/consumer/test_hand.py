"""Messages in hand: each stays hidden until the work of its own events is done, whatever fails meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.config import load_events
from pipeline.config.events import EventsConfig
from pipeline.errors import TransientStoreError
from pipeline.events.consumer.hand import Hand
from pipeline.events.consumer.queue import Queue, QueueError, Receipt
from pipeline.events.consumer.routing import Router
from pipeline.events.event import Ended, State
from pipeline.events.inbox.inbox import Arrival, Inbox
from pipeline.events.inbox.sqlite import SqliteInbox
from pipeline.events.messages.envelopes import read_message
from tests.events.consuming import Arrivals, told
from tests.servers.sqs import Sqs, SqsQueue, run_sqs

KEY = ("csv", "object/arrivals/0.csv")


@pytest.fixture(scope="module")
def sqs() -> Iterator[Sqs]:
    with run_sqs() as server:
        yield server


class Flaky(Queue):
    """A queue whose next requests to hide messages fail."""

    fails = 0

    def hide(self, receipts: Mapping[Receipt, int]) -> dict[str, str]:
        if receipts and self.fails:
            self.fails -= 1
            raise QueueError("no answer")
        return super().hide(receipts)


class Setup:
    """One queue, one inbox, and what is between them."""

    def __init__(self, sqs: Sqs, folder: Path, inbox: Inbox, **queue: int) -> None:
        self.made: SqsQueue = sqs.queue("hand", receipts=100)
        self.config: EventsConfig = load_events(Arrivals(folder).write(self.made.config(wait_s=0, **queue)))
        assert self.config.queue is not None
        self.inbox, self.queue = inbox, Flaky(self.config.queue)
        self.router = Router(self.config, inbox)
        self.hand = Hand(self.config, self.queue, inbox, self.router)

    def arrive(self, sequencer: str) -> None:
        """A message is received, stored and kept; nothing is routed."""
        self.made.send([told("0.csv", sequencer)])
        [receipt] = self.queue.receive(10)
        message = read_message(receipt.body, via="sqs")
        self.inbox.put([Arrival(event, message.id) for event in message.events])
        self.hand.take(receipt, message.events, self.router.mark())

    def do(self) -> None:
        """The order is done."""
        [taken] = self.inbox.take(time.time(), 60, 10, {"csv": None})
        assert self.inbox.finish(taken, Ended(taken.order.target), time.time())


class Meanwhile(SqliteInbox):
    """An inbox that is away, or in which another event is routed just after it was asked for the states of orders."""

    away = False
    router: Router | None = None

    def states(self, orders: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], State]:
        if self.away:
            raise TransientStoreError("it is away")
        found = super().states(orders)
        if self.router is not None:
            self.router.run()
        return found


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Meanwhile]:
    with Meanwhile(str(tmp_path / "inbox.db")) as opened:
        yield opened


def test_a_message_whose_event_is_not_routed_yet_is_kept_though_the_order_of_a_former_one_is_done(
    sqs: Sqs, tmp_path: Path, inbox: Meanwhile
) -> None:
    setup = Setup(sqs, tmp_path, inbox)
    setup.arrive("01")
    setup.router.run()
    setup.do()
    setup.hand.look()
    assert setup.made.empty
    setup.arrive("02")
    inbox.router = setup.router
    setup.hand.look()
    setup.router.run()
    assert (setup.made.depth(), len(setup.hand)) == ((0, 1), 1)
    setup.hand.look()
    assert inbox.states([KEY]) == {KEY: State.WAITING}
    setup.do()
    setup.hand.look()
    assert (setup.made.depth(), len(setup.hand)) == ((0, 0), 0)
    setup.queue.close()


def test_what_failed_before_a_message_came_is_none_of_its_failures(sqs: Sqs, tmp_path: Path, inbox: Meanwhile) -> None:
    setup = Setup(sqs, tmp_path, inbox)
    setup.hand.told(KEY, failed=True)
    setup.arrive("01")
    setup.router.run()
    setup.hand.look()
    assert len(setup.hand) == 1
    setup.hand.told(KEY, failed=True)
    setup.hand.look()
    assert len(setup.hand) == 0
    setup.queue.close()


@pytest.mark.long
def test_messages_stay_hidden_while_the_inbox_is_away_and_a_request_fails(
    sqs: Sqs, tmp_path: Path, inbox: Meanwhile
) -> None:
    """Of three seconds, half may go by before the first request, and that one fails."""
    setup = Setup(sqs, tmp_path, inbox, visibility_s=3)
    setup.arrive("01")
    setup.router.run()
    inbox.away, setup.queue.fails = True, 1
    end_s = time.monotonic() + 4.2
    while time.monotonic() < end_s:
        with pytest.raises(TransientStoreError):
            setup.hand.look()
        assert setup.made.depth() == (0, 1)
        time.sleep(0.05)
    assert setup.queue.fails == 0
    setup.hand.give_back()
    assert setup.made.depth() == (1, 0)
    setup.queue.close()
