"""The inbox in the tables of a database: what both kinds have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Self, TypeVar

from pipeline.events.event import Ended, ObjectEvent, Order, State, Taken, Verdict
from pipeline.events.inbox import stored_events, stored_orders, stored_taking
from pipeline.events.inbox.inbox import Arrival, Filed
from pipeline.events.inbox.session import Session

T = TypeVar("T")

MIGRATIONS = (
    (
        """CREATE TABLE events (
            number {number},
            received_s {real} NOT NULL,
            digest {text} UNIQUE,
            sender {text} NOT NULL,
            body {text} NOT NULL,
            routed smallint NOT NULL DEFAULT 0
        )""",
        "CREATE INDEX events_unrouted ON events (number) WHERE routed = 0",
        "CREATE INDEX events_received ON events (received_s)",
        """CREATE TABLE objects (
            bucket {text} NOT NULL,
            name {text} NOT NULL,
            sequencer {text} NOT NULL,
            state {text} NOT NULL,
            PRIMARY KEY (bucket, name)
        )""",
        """CREATE TABLE orders (
            rule {text} NOT NULL,
            target {text} NOT NULL,
            state {text} NOT NULL DEFAULT 'waiting',
            due_s {real} NOT NULL,
            latest_s {real} NOT NULL,
            ready_s {real},
            revision integer NOT NULL DEFAULT 1,
            running integer NOT NULL DEFAULT 0,
            attempts integer NOT NULL DEFAULT 0,
            begun_day integer NOT NULL DEFAULT 0,
            token {text} NOT NULL DEFAULT '',
            lease_s {real} NOT NULL DEFAULT 0,
            ended_s {real},
            cause {text} NOT NULL DEFAULT '',
            note {text} NOT NULL DEFAULT '',
            PRIMARY KEY (rule, target)
        )""",
        "CREATE INDEX orders_first ON orders (rule, ready_s, target) WHERE attempts = 0 AND ready_s IS NOT NULL",
        "CREATE INDEX orders_again ON orders (rule, ready_s, target) WHERE attempts > 0 AND ready_s IS NOT NULL",
        "CREATE INDEX orders_state ON orders (state, due_s)",
        """CREATE TABLE begun (
            rule {text} NOT NULL,
            day integer NOT NULL,
            orders integer NOT NULL,
            PRIMARY KEY (rule, day)
        )""",
    ),
)
"""Each brings the tables from one release's to the next one's; columns' types are the databases' own.

ready_s: when an order may be taken: when it is due, or when the lease of who has it ends; none where it has ended.
running: the revision that is being done. begun: by day (UTC, of 1970), orders that were begun.
"""


class Turn(Enum):
    """What one may do at a time, beside all that locks only the rows that it changes."""

    PUT = 1
    TAKE = 2


class TableInbox(ABC):
    """An `Inbox` whose transactions are those of a database."""

    @abstractmethod
    def _write(self, work: Callable[[Session], T], turn: Turn | None = None) -> T:
        """Do this in one transaction: durable on return; where it raises, as if it had not been."""

    @abstractmethod
    def _read(self, work: Callable[[Session], T]) -> T:
        """The same for what changes nothing."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""

    def put(self, arrivals: Sequence[Arrival]) -> Sequence[Verdict]:
        if not arrivals:
            return []
        return self._write(lambda session: stored_events.put(session, arrivals), Turn.PUT)

    def unrouted(self, limit: int) -> Sequence[Filed]:
        return self._read(lambda session: stored_events.unrouted(session, limit))

    def route(self, routed: Mapping[int, Sequence[Order]]) -> None:
        self._write(lambda session: stored_events.route(session, routed))

    def object_state(self, bucket: str, key: str) -> ObjectEvent | None:
        return self._read(lambda session: stored_events.object_state(session, (bucket, key)))

    def objects(self, bucket: str, prefix: str = "") -> Iterator[ObjectEvent]:
        after: str | None = None
        while found := self._read(partial(stored_events.page, bucket=bucket, prefix=prefix, after=after)):
            yield from found
            after = found[-1].key

    def order(self, orders: Sequence[Order]) -> int:
        return self._write(lambda session: stored_orders.make(session, orders))

    def take(
        self,
        now_s: float,
        lease_s: float,
        limit: int,
        per_day: Mapping[str, int | None],
        only: Collection[tuple[str, str]] | None = None,
    ) -> Sequence[Taken]:
        until_s = now_s + lease_s
        return self._write(lambda each: stored_taking.take(each, now_s, until_s, limit, per_day, only), Turn.TAKE)

    def renew(self, taken: Sequence[Taken], now_s: float, lease_s: float) -> Sequence[Taken]:
        return self._write(lambda session: stored_orders.renew(session, taken, now_s + lease_s))

    def finish(self, taken: Taken, ended: Ended, now_s: float, again_s: float | None = None) -> bool:
        return self._write(lambda session: stored_orders.finish(session, taken, ended, now_s, again_s))

    def hand_back(self, taken: Sequence[Taken]) -> None:
        self._write(lambda session: stored_orders.hand_back(session, taken), Turn.TAKE)

    def states(self, orders: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], State]:
        return self._read(lambda session: stored_orders.states(session, orders))

    def reopen(self, orders: Sequence[tuple[str, str]] | None = None) -> int:
        return self._write(lambda session: stored_orders.reopen(session, orders))

    def failed(self, limit: int) -> Sequence[tuple[Order, str]]:
        return self._read(lambda session: stored_orders.failed(session, limit))

    def counts(self) -> Mapping[str, int]:
        return self._read(lambda session: {**stored_events.counts(session), **stored_orders.counts(session)})

    def oldest_s(self) -> float | None:
        return self._read(stored_orders.oldest_s)

    def forget(self, before_s: float) -> int:
        gone = 0
        # By parts: meanwhile others store what arrives.
        for forget in (stored_events.forget, stored_orders.forget):
            while some := self._write(partial(forget, before_s=before_s)):
                gone += some
        return gone

    def check(self) -> None:
        self._write(stored_orders.touch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
