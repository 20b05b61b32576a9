"""Where events wait: stored before anybody is told that they were taken, each told from its duplicates.

Two kinds hold the same tables: a SQLite file for the processes of one machine, and PostgreSQL for several machines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from pipeline.events.event import Ended, Event, ObjectEvent, Order, State, Taken, Verdict


@dataclass(frozen=True)
class Arrival:
    """An event on its way into an inbox."""

    event: Event
    message: str = ""
    """Id of the message that brought it; one message may bring several events."""
    topic: str = ""
    via: str = ""
    """`sns`, `sqs`, `hand` or `sweep`."""
    received_s: float = 0.0
    """Unix time of its receipt, by the receiver's clock."""


@dataclass(frozen=True)
class Filed:
    """An event that an inbox holds and that no rule was asked about yet."""

    number: int
    arrival: Arrival


class Inbox(Protocol):
    """Events, what is known of objects, and orders. Every method is one transaction: when it returns, it is durable.

    Methods may be called from several threads, and by several processes at once. Each raises TransientStoreError where
    the database cannot be reached or is locked for too long, and StoreError for what will not pass.
    """

    def put(self, arrivals: Sequence[Arrival]) -> Sequence[Verdict]:
        """Store events; what is a duplicate or stale is not stored again. In the order given, one verdict each.

        An object's event is stale where one with a greater sequencer is known of its key. One without a sequencer (of a
        sweep) is a duplicate where the newest state known of its key has its version, or else its ETag.
        """

    def unrouted(self, limit: int) -> Sequence[Filed]:
        """The oldest events that no rule was asked about yet."""

    def route(self, routed: Mapping[int, Sequence[Order]]) -> None:
        """Note that rules were asked about these events (by `Filed.number`), and what each of them orders.

        An order that waits already is put off to the later `due_s`, never beyond its own `latest_s`; one that runs is
        to be done again after it, at the new `due_s`; one that is done or failed waits anew. A number that was routed
        before (by another consumer) changes nothing.
        """

    def order(self, orders: Sequence[Order]) -> int:
        """Make orders that no event asked for, as where a sweep finds that a result is missing.

        Those that nobody made, that are done or failed wait (anew); one that waits is due earlier where it is asked for
        earlier; those that run are left as they are. How many were made or are due earlier.
        """

    def object_state(self, bucket: str, key: str) -> ObjectEvent | None:
        """The newest that is known of an object; None where nothing is."""

    def objects(self, bucket: str, prefix: str = "") -> Iterable[ObjectEvent]:
        """The newest that is known of each object of a bucket; also of those that were removed."""

    def take(
        self,
        now_s: float,
        lease_s: float,
        limit: int,
        per_day: Mapping[str, int | None],
        only: Collection[tuple[str, str]] | None = None,
    ) -> Sequence[Taken]:
        """Up to `limit` orders of one rule that are due, for this caller alone until `now_s + lease_s`; oldest first.

        Those that another caller took and let lapse count as due. per_day: by rule, how many may be begun in one day
        (UTC) of `now_s`; None: all; a rule that is not named is left alone. Attempts after the first are not counted.
        only: of these alone, by (rule, target).
        """

    def renew(self, taken: Sequence[Taken], now_s: float, lease_s: float) -> Sequence[Taken]:
        """Hold orders for longer; returns those that are still the caller's."""

    def finish(self, taken: Taken, ended: Ended, now_s: float, again_s: float | None = None) -> bool:
        """Write down what became of an order; False, and nothing, where the lease was lost and another has it.

        again_s: after a failure, Unix time of the next attempt; None: it is failed for good. A success of a revision
        that is no longer the newest leaves the order waiting for the newer one.
        """

    def hand_back(self, taken: Sequence[Taken]) -> None:
        """Let others have these at once, as if they had not been taken: no attempt is counted."""

    def states(self, orders: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], State]:
        """Where orders stand, by (rule, target); those that nobody made are not in it."""

    def reopen(self, orders: Sequence[tuple[str, str]] | None = None) -> int:
        """Let failed orders (None: all of them) wait anew, due at once; how many there were."""

    def failed(self, limit: int) -> Sequence[tuple[Order, str]]:
        """Failed orders with their causes, newest first."""

    def counts(self) -> Mapping[str, int]:
        """For people and metrics: `events`, `unrouted`, and the orders of each state by its name."""

    def oldest_s(self) -> float | None:
        """Unix time at which the longest overdue order that waits became due; None where none waits."""

    def forget(self, before_s: float) -> int:
        """Remove events, and done orders, that are older; what is known of objects stays. How many went."""

    def check(self) -> None:
        """Return where a put would succeed now; raises as all methods do."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def open_inbox(place: str) -> Inbox:
    """The inbox at a path (SQLite; made where there is none) or a connection string (`postgresql://…`).

    Raises PreflightError where it cannot be opened; no message holds the connection string.
    """
    if place.startswith(("postgresql://", "postgres://")):
        from pipeline.events.inbox.postgres import PostgresInbox  # noqa: PLC0415 (an extra)

        return PostgresInbox(place)
    from pipeline.events.inbox.sqlite import SqliteInbox  # noqa: PLC0415 (only where it is one)

    return SqliteInbox(place)
