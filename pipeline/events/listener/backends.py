"""The two that a sink may write to: the inbox, or straight on to an SQS queue that a consumer takes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pipeline.config.events import EventsConfig
from pipeline.config.jobs import QueueConfig
from pipeline.errors import StoreError, TransientStoreError
from pipeline.events.consumer.queue import Queue, QueueError
from pipeline.events.inbox.inbox import Inbox, open_inbox
from pipeline.events.listener.sink import GroupSink, Proven, Sink, Stored

_SQS_MESSAGES, _SQS_BYTES = 10, 2**18
"""What SQS takes in one request."""
_SQS_THREADS = 4
"""Requests to SQS at a time: at 20 ms each they carry 2,000 messages a second."""


def open_sink(config: EventsConfig) -> Sink:
    """Where the config wants events stored.

    Raises PreflightError where that cannot be opened: an inbox of another version, a package that is missing.
    """
    if config.listen.to == "queue" and config.queue is not None:
        return GroupSink(QueueBackend(config.queue))
    return GroupSink(InboxBackend(open_inbox(config.inbox.get_secret_value())))


class InboxBackend:
    """One transaction for many messages; from one thread, since an inbox has one writer at a time anyway."""

    together = 200
    threads = 1

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def write(self, batch: Sequence[Proven]) -> Sequence[Stored | StoreError]:
        try:
            verdicts = iter(self._inbox.put([arrival for proven in batch for arrival in proven.arrivals]))
        except TransientStoreError:
            raise
        except StoreError as error:
            # One of them is what will not pass; the others are not to be lost with it.
            return [error] if len(batch) == 1 else [answer for one in batch for answer in self.write([one])]
        return [[next(verdicts) for _ in proven.arrivals] for proven in batch]

    def check(self) -> None:
        self._inbox.check()

    def counts(self) -> Mapping[str, int]:
        return self._inbox.counts()

    def close(self) -> None:
        self._inbox.close()


class QueueBackend:
    """Envelopes as SNS itself would have sent them to the queue."""

    together = _SQS_MESSAGES
    threads = _SQS_THREADS

    def __init__(self, config: QueueConfig) -> None:
        self._queue = Queue(config)

    def write(self, batch: Sequence[Proven]) -> Sequence[Stored | StoreError]:
        answers: dict[str, StoreError] = {}
        for entries in _requests([self._entry(number, one) for number, one in enumerate(batch)]):
            with _told():
                answer = self._queue.ask("send_message_batch", Entries=entries)
            for failed in answer.get("Failed", ()):
                told = f"queue {self._queue.url}: {failed.get('Code')}: {failed.get('Message', '')}"
                kind = StoreError if failed.get("SenderFault") else TransientStoreError
                answers[failed["Id"]] = kind(told)
        return [answers.get(str(number)) for number in range(len(batch))]

    def check(self) -> None:
        with _told():
            self._queue.attributes("QueueArn")

    def counts(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        self._queue.close()

    def _entry(self, number: int, proven: Proven) -> Mapping[str, str]:
        # ASCII, as SQS takes no text with characters that XML has not.
        entry = {"Id": str(number), "MessageBody": json.dumps(proven.fields)}
        if self._queue.url.endswith(".fifo"):
            id_ = str(proven.fields["MessageId"])
            entry |= {"MessageGroupId": id_, "MessageDeduplicationId": id_}
        return entry


@contextmanager
def _told() -> Iterator[None]:
    """A queue that refuses or cannot be reached is a store that is down: SNS shall come again."""
    try:
        yield
    except QueueError as error:
        raise TransientStoreError(str(error)) from error


def _requests(entries: Sequence[Mapping[str, str]]) -> Iterator[Sequence[Mapping[str, str]]]:
    """As many together as one request may hold bytes of."""
    together: list[Mapping[str, str]] = []
    size_bytes = 0
    for entry in entries:
        if together and size_bytes + len(entry["MessageBody"]) > _SQS_BYTES:
            yield together
            together, size_bytes = [], 0
        together.append(entry)
        size_bytes += len(entry["MessageBody"])
    if together:
        yield together
