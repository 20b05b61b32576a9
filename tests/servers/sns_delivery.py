"""How SNS delivers: 15 s to answer, 2xx to 4xx end it, all else is tried again for a while and then given up.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

Document = dict[str, str]
TIMEOUT_S = 15.0
"""That an endpoint has to answer."""
DELAYS_S = (20.0, 20.0, 20.0)
"""Between attempts, where a subscription has no policy of its own."""
LONGEST_S = 3600.0
"""After the first attempt nothing is tried again."""


@dataclass(frozen=True)
class Policy:
    """How long an endpoint may take, and how often it is tried again."""

    delays_s: Sequence[float] = DELAYS_S
    """In SNS's seconds."""
    speed: float = 1.0
    """How many of SNS's seconds pass in one."""
    timeout_s: float = TIMEOUT_S
    """Of this machine's seconds."""

    def again_s(self, tried: int, began_s: float) -> float | None:
        """When, by the monotonic clock, the next attempt is; None: there is none."""
        if tried > len(self.delays_s):
            return None
        at_s = time.monotonic() + self.delays_s[tried - 1] / self.speed
        return at_s if at_s <= began_s + LONGEST_S / self.speed else None


POLICY = Policy()
"""Of a subscription that has none of its own."""


@dataclass(frozen=True)
class Attempt:
    """One request to an endpoint."""

    id: str
    status: int
    """0: there was no answer in time."""
    took_s: float


@dataclass
class Subscription:
    """An endpoint of a topic, and what became of what it was sent."""

    url: str
    topic: str
    version: str = "2"
    policy: Policy = POLICY
    tell_dead: Callable[[Document], None] | None = None
    """Is given what was given up."""
    arn: str = ""
    confirmed: threading.Event = field(default_factory=threading.Event)
    attempts: list[Attempt] = field(default_factory=list)
    dead: list[Document] = field(default_factory=list)
    """What was given up: the dead letters."""


class Deliveries:
    """What is on its way, and what waits for another attempt."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sns")
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers, self._under_way, self._closed = itertools.count(), 0, False
        self._timer = threading.Thread(target=self._watch, name="sns clock", daemon=True)
        self._timer.start()

    def deliver(self, to: Subscription, document: Document) -> None:
        """Returns at once."""
        with self._changed:
            self._under_way += 1
        self._pool.submit(self._attempt, to, document, 1, time.monotonic())

    def settle(self, timeout_s: float) -> None:
        """Return when nothing is on its way and nothing waits for another attempt."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._under_way, timeout_s), f"{self._under_way} on their way"

    def close(self) -> None:
        """Deliver nothing further."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._timer.join()
        self._pool.shutdown(cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def post(self, url: str, document: Mapping[str, Any], *, timeout_s: float, arn: str = "") -> int:
        """One attempt: the status of the answer; 0 where there is none in time."""
        parts, body = urlsplit(url), json.dumps(document, indent=2).encode()
        connection = self._connection(parts.netloc, timeout_s)
        try:
            connection.request("POST", parts.path or "/", body, _headers(document, arn))
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0
        if answer.will_close:
            connection.close()
        return answer.status

    def _connection(self, place: str, timeout_s: float) -> http.client.HTTPConnection:
        """Of this thread, kept open; made anew where the other side closed it meanwhile."""
        kept: dict[str, http.client.HTTPConnection] = self._local.__dict__
        connection = kept.get(place)
        if connection is None:
            connection = kept[place] = http.client.HTTPConnection(place)
            with self._changed:
                self._connections.append(connection)
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(0)
            try:
                connection.sock.recv(1)
            except BlockingIOError:
                connection.sock.settimeout(timeout_s)
            except OSError:
                connection.close()
            else:
                connection.close()
        return connection

    def _attempt(self, to: Subscription, document: Document, tried: int, began_s: float) -> None:
        before_s = time.monotonic()
        status = self.post(to.url, document, timeout_s=to.policy.timeout_s, arn=to.arn)
        to.attempts.append(Attempt(document["MessageId"], status, time.monotonic() - before_s))
        failed = not 200 <= status < 500
        again_s = to.policy.again_s(tried, began_s) if failed else None
        if again_s is not None:
            with self._changed:
                further = (again_s, next(self._numbers), lambda: self._attempt(to, document, tried + 1, began_s))
                heapq.heappush(self._waiting, further)
                self._changed.notify_all()
            return
        if failed:
            to.dead.append(document)
            if to.tell_dead is not None:
                to.tell_dead(document)
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def _watch(self) -> None:
        """Hand what waits for another attempt to the pool, when its time has come."""
        with self._changed:
            while not self._closed:
                left_s = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if left_s is None or left_s > 0:
                    self._changed.wait(left_s)
                else:
                    self._pool.submit(heapq.heappop(self._waiting)[2])


def _headers(document: Mapping[str, Any], arn: str) -> dict[str, str]:
    named = {"message-type": "Type", "message-id": "MessageId", "topic-arn": "TopicArn"}
    headers = {f"x-amz-sns-{name}": str(document.get(key, "")) for name, key in named.items()}
    if arn:
        headers["x-amz-sns-subscription-arn"] = arn
    return headers | {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
    }
