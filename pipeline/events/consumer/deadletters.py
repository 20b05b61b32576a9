"""What a queue has set aside goes back to it: by SQS itself, or one by one where a server cannot do that."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from pipeline.config.jobs import QueueConfig
from pipeline.events.consumer.queue import MOST, Queue, QueueError, asked, open_client

_POLL_S = 2.0
_CANNOT = frozenset({"InvalidAction", "UnknownOperation", "UnknownOperationException", "UnsupportedOperation"})
"""Codes of a server that does not know the operation, or not for this queue."""
_NOT_IMPLEMENTED = frozenset({"404", "405", "500", "501", "NotImplemented", "InternalFailure"})
"""The same, of servers that are none of AWS."""
_HIDDEN_S = 60
"""For a message that is moved by hand."""
_log = logging.getLogger(__name__)


def dead_letters_of(config: QueueConfig, client: Any = None) -> DeadLetters | None:
    """The queue of dead letters that the config names, or else the queue itself; None where it sets nothing aside.

    Raises QueueError, and PreflightError as `open_client`.
    """
    client = client if client is not None else open_client(config)
    queue = Queue(config, client)
    url = config.dead_letters or _named(queue, client)
    if url is None:
        client.close()
        return None
    return DeadLetters(queue, Queue(config.model_copy(update={"url": url, "wait_s": 0}), client), client)


class DeadLetters:
    """A queue, and where it puts what it gave up. Every method raises QueueError."""

    def __init__(self, queue: Queue, dead: Queue, client: Any) -> None:
        self._queue, self._dead, self._client = queue, dead, client

    @property
    def url(self) -> str:
        """Of the dead letters."""
        return self._dead.url

    def count(self) -> int:
        """How many there are, about."""
        return self._dead.depth().waiting

    def move(self, patience_s: float) -> int:
        """Move all of them back, waiting so long for SQS to do so; how many were moved."""
        source, target = (queue.attributes("QueueArn")["QueueArn"] for queue in (self._dead, self._queue))
        try:
            asked(
                self.url,
                "start_message_move_task",
                lambda: self._client.start_message_move_task(SourceArn=source, DestinationArn=target),
            )
        except QueueError as error:
            foreign = self._is_foreign and error.code in _NOT_IMPLEMENTED
            if error.code.rpartition(".")[2] not in _CANNOT and not foreign:
                raise
            _log.info("%s: moves no messages by itself (%s): they are moved one by one", self.url, error.code)
            return self._move_each()
        return self._followed(source, patience_s)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    @property
    def _is_foreign(self) -> bool:
        return ".amazonaws." not in str(self._client.meta.endpoint_url)

    def _followed(self, source: str, patience_s: float) -> int:
        """How many SQS moved; it goes on by itself where that takes longer than anybody waits."""
        end_s = time.monotonic() + patience_s
        while True:
            found = asked(
                self.url,
                "list_message_move_tasks",
                lambda: self._client.list_message_move_tasks(SourceArn=source, MaxResults=1),
            )
            task: Mapping[str, Any] = next(iter(found.get("Results", ())), {})
            moved = int(task.get("ApproximateNumberOfMessagesMoved", 0))
            if task.get("Status") == "FAILED":
                raise QueueError(f"queue {self.url}: moved {moved} and stopped: {task.get('FailureReason', '')}")
            if task.get("Status") != "RUNNING" or time.monotonic() > end_s:
                return moved
            time.sleep(_POLL_S)

    def _move_each(self) -> int:
        """Send each to the queue before it is deleted: where that is interrupted it comes twice, and is known then."""
        count, most = 0, self._dead.depth().waiting
        while count < most and (receipts := self._dead.receive(MOST)):
            self._dead.hide(dict.fromkeys(receipts, _HIDDEN_S))
            for one in receipts:  # each by itself: ten may be more than one request holds
                self._queue.ask("send_message", MessageBody=one.body.decode(errors="surrogatepass"))
                self._dead.delete([one])
                count += 1
        return count


def _named(queue: Queue, client: Any) -> str | None:
    """The address of the queue that a redrive policy names; None without one."""
    policy = queue.attributes("RedrivePolicy").get("RedrivePolicy")
    if policy is None:
        return None
    account, name = json.loads(policy)["deadLetterTargetArn"].split(":")[-2:]
    found: str = asked(
        queue.url, "get_queue_url", lambda: client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
    )["QueueUrl"]
    return found
