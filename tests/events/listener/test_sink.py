"""Groups of messages: each is answered for itself, and none is said to be stored that is not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.errors import StoreError, TransientStoreError
from pipeline.events.event import ObjectEvent, Verdict
from pipeline.events.inbox.inbox import Arrival, open_inbox
from pipeline.events.listener.backends import InboxBackend
from pipeline.events.listener.sink import GroupSink, Proven, Stored

NUL = "\x00"


def proven(*keys: str, sequencer: str = "0A") -> Proven:
    """A message that tells of these objects."""
    events = [ObjectEvent("arrivals-of-tests", key, etag="e", sequencer=sequencer) for key in keys]
    return Proven(tuple(Arrival(event, "m", "t", "sns", 1.0) for event in events), {"MessageId": keys[0]})


class Slow:
    """A backend that takes its time and keeps what it got together."""

    together, threads = 50, 1

    def __init__(self, error: Exception | None = None) -> None:
        self.groups: list[int] = []
        self.error = error
        self.free = threading.Event()
        self.free.set()

    def write(self, batch: Sequence[Proven]) -> Sequence[Stored | StoreError]:
        self.groups.append(len(batch))
        self.free.wait(10)
        time.sleep(0.01)
        if self.error is not None:
            raise self.error
        return [(Verdict.NEW,)] * len(batch)

    def check(self) -> None: ...

    def counts(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None: ...


async def put_all(sink: GroupSink, messages: Sequence[Proven]) -> list[Stored | BaseException]:
    return await asyncio.gather(*(sink.put(one) for one in messages), return_exceptions=True)


def test_what_arrives_during_a_commit_is_committed_together() -> None:
    backend = Slow()
    sink = GroupSink(backend)
    answers = asyncio.run(put_all(sink, [proven(str(number)) for number in range(200)]))
    sink.close()
    assert answers == [(Verdict.NEW,)] * 200
    assert sum(backend.groups) == 200
    assert len(backend.groups) <= 10 and max(backend.groups) <= backend.together


def test_messages_of_one_group_get_their_own_verdicts(tmp_path: Path) -> None:
    sink = GroupSink(InboxBackend(open_inbox(str(tmp_path / "inbox"))))
    messages = [proven("a", "b"), proven("a"), proven("c", sequencer="0B"), proven("c", sequencer="0A")]
    answers = asyncio.run(put_all(sink, messages))
    assert sink.counts()["events"] == 3
    sink.close()
    assert [list(each) for each in answers if isinstance(each, Sequence)] == [
        [Verdict.NEW, Verdict.NEW],
        [Verdict.DUPLICATE],
        [Verdict.NEW],
        [Verdict.STALE],
    ]


def test_a_message_that_the_store_will_not_take_fails_alone(tmp_path: Path) -> None:
    sink = GroupSink(InboxBackend(open_inbox(str(tmp_path / "inbox"))))
    answers = asyncio.run(put_all(sink, [proven("a"), proven("b" + NUL), proven("c")]))
    assert sink.counts()["events"] == 2
    sink.close()
    assert [isinstance(each, StoreError) for each in answers] == [False, True, False]


@pytest.mark.parametrize("error", [TransientStoreError("the database is gone"), RuntimeError("a fault of the program")])
def test_when_the_store_fails_everybody_is_told_and_the_next_is_tried_again(error: Exception) -> None:
    backend = Slow(error)
    sink = GroupSink(backend)

    async def both() -> tuple[list[Stored | BaseException], Stored]:
        failed = await put_all(sink, [proven(str(number)) for number in range(20)])
        backend.error = None
        return failed, await sink.put(proven("after"))

    failed, after = asyncio.run(both())
    sink.close()
    assert all(isinstance(each, StoreError) for each in failed)
    assert after == (Verdict.NEW,)


def test_whoever_gave_up_waiting_is_not_stored() -> None:
    backend = Slow()
    backend.free.clear()
    sink = GroupSink(backend)

    async def gives_up() -> None:
        first = asyncio.create_task(sink.put(proven("first")))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sink.put(proven("second")), 0.05)
        backend.free.set()
        await first
        await sink.put(proven("third"))

    asyncio.run(gives_up())
    sink.close()
    assert sum(backend.groups) == 2


def test_closing_stores_what_is_in_hand() -> None:
    backend = Slow()

    async def closed() -> list[Stored | BaseException]:
        sink = GroupSink(backend)
        waiting = asyncio.ensure_future(put_all(sink, [proven(str(number)) for number in range(120)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.to_thread(sink.close)
        return await waiting

    assert asyncio.run(closed()) == [(Verdict.NEW,)] * 120


def test_a_listener_that_ends_at_once_leaves_the_commit_in_hand_to_end() -> None:
    backend = Slow()
    backend.free.clear()

    async def ends() -> GroupSink:
        sink = GroupSink(backend)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sink.put(proven("in-hand")), 0.05)
        return sink

    sink = asyncio.run(ends())  # its loop is closed when the commit returns
    backend.free.set()
    sink.close()
    assert backend.groups == [1]
