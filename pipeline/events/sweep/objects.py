"""A bucket against what the inbox knows of it, and against the results that are committed of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from pipeline.checks.place import FOLDER, result_key
from pipeline.config.events import EventsConfig
from pipeline.events.buckets.buckets import Buckets, Entry
from pipeline.events.event import ObjectEvent, Order, State, Verdict
from pipeline.events.inbox.inbox import Arrival, Inbox
from pipeline.events.messages.keys import checked_key
from pipeline.events.refusals import MessageError
from pipeline.events.rules.route import Templates, is_for, route_event
from pipeline.events.sweep.missing import Cause, Names, Swept
from pipeline.write.store import Store

_PAGE = 500
"""Objects that are judged, and stored, together."""
Key = tuple[str, str]
"""Rule and target of an order."""


@dataclass(frozen=True)
class Window:
    """Which objects are looked at, by when they were put, and whether anything is stored."""

    now_s: float
    since_s: float | None = None
    grace_s: float = 300.0
    """Events of younger ones are on their way."""
    dry: bool = False

    def holds(self, entry: Entry) -> bool:
        """Whether an object's event should have come."""
        return (self.since_s is None or entry.modified_s >= self.since_s) and self.is_old(entry.modified_s)

    def is_old(self, modified_s: float) -> bool:
        """Whether it was put so long ago that its event is not on its way any more."""
        return modified_s <= self.now_s - self.grace_s


class ObjectSweep:
    """The objects of all rules of a config that match buckets; results of their checks lie in `store`."""

    def __init__(
        self, config: EventsConfig, buckets: Buckets, inbox: Inbox, templates: Templates, store: Store | None
    ) -> None:
        self._config, self._buckets, self._inbox, self._templates = config, buckets, inbox, templates
        self._store = store

    def sweep(self, bucket: str, window: Window, found: Swept) -> None:
        """Store the events that never came, and make the jobs of known objects that have neither job nor result.

        Of objects that are gone only where all are looked at, not some by their time. Raises StoreError and as an
        inbox.
        """
        committed = self._committed(bucket)
        for prefix in prefixes(self._config, bucket):
            listed = Names()
            for page in _pages(self._entries(bucket, prefix, window, listed, found)):
                self._judge(page, window, committed, found)
            if window.since_s is None:
                for some in _pages(self._gone(bucket, prefix, listed)):
                    self._note_gone(some, window, found)

    def _entries(self, bucket: str, prefix: str, window: Window, listed: Names, found: Swept) -> Iterator[ObjectEvent]:
        """An event for each object that some rule is for, as if it came now."""
        for entry in self._buckets.entries(bucket, prefix):
            found.objects += 1
            listed.add(entry.key)
            event = ObjectEvent(bucket, entry.key, size_bytes=entry.size_bytes, etag=entry.etag)
            if not window.holds(entry) or not self._rules(event):
                continue
            try:
                checked_key(entry.key)
            except MessageError as error:
                found.note(f"s3://{bucket}: left alone: {error}")
                continue
            yield event

    def _judge(self, events: list[ObjectEvent], window: Window, committed: Mapping[str, Names], found: Swept) -> None:
        new = self._unknown(events, window)
        for event in new:
            found.miss(Cause.EVENT, self._buckets.uri(event.bucket, event.key), self._rules(event))
        fresh = set(new)
        known = [event for event in events if event not in fresh]
        if window.dry and self._inbox.counts()["unrouted"]:
            known = []  # some have no job because no rule was asked yet
        orders = self._checks(known, window)
        states = self._inbox.states(list(orders))
        missed = [key for key in orders if self._is_missed(key, states.get(key), committed)]
        for key in missed:
            found.miss(Cause.JOB if key not in states else Cause.RESULT, key[1], [key[0]])
        if missed and not window.dry:
            self._inbox.order([orders[key] for key in missed])

    def _unknown(self, events: list[ObjectEvent], window: Window) -> list[ObjectEvent]:
        """Those whose state the inbox does not know; it does afterwards."""
        if window.dry:
            return [event for event in events if not self._knows(event)]
        arrivals = [Arrival(event, via="sweep", received_s=window.now_s) for event in events]
        verdicts = self._inbox.put(arrivals)
        return [event for event, verdict in zip(events, verdicts, strict=True) if verdict is Verdict.NEW]

    def _knows(self, event: ObjectEvent) -> bool:
        state = self._inbox.object_state(event.bucket, event.key)
        return state is not None and state.created and state.etag == event.etag

    def _checks(self, events: Iterable[ObjectEvent], window: Window) -> dict[Key, Order]:
        """The checks of objects that are known; what runs make of them is known by their plans."""
        return {
            (order.rule, order.target): order
            for event in events
            for order in route_event(event, self._config, self._templates, window.now_s)
            if self._config.rules[order.rule].check is not None
        }

    def _is_missed(self, key: Key, state: State | None, committed: Mapping[str, Names]) -> bool:
        rule, target = key
        _, bucket, name = target.split("/", 2)
        return state in (None, State.DONE) and result_key(rule, bucket, name) not in committed[rule]

    def _committed(self, bucket: str) -> dict[str, Names]:
        """By rule, the keys of the results of a bucket's objects."""
        found = {}
        for name, rule in self._config.rules.items():
            if rule.check is not None and rule.match.bucket == bucket and self._store is not None:
                names = found[name] = Names()
                for key in self._store.list_keys(f"{FOLDER}/{name}/{bucket}/"):
                    names.add(key)
        return found

    def _gone(self, bucket: str, prefix: str, listed: Names) -> Iterator[ObjectEvent]:
        """The events of objects that were removed: not listed, and not there when asked for either."""
        for known in self._inbox.objects(bucket, prefix):
            if not known.created or known.key in listed or not self._rules(known):
                continue
            if self._buckets.state(bucket, known.key) is None:
                yield ObjectEvent(bucket, known.key, created=False)

    def _note_gone(self, events: list[ObjectEvent], window: Window, found: Swept) -> None:
        if not window.dry:
            self._inbox.put([Arrival(event, via="sweep", received_s=window.now_s) for event in events])
        for event in events:
            found.miss(Cause.REMOVAL, self._buckets.uri(event.bucket, event.key), self._rules(event))

    def _rules(self, event: ObjectEvent) -> list[str]:
        return [name for name, rule in self._config.rules.items() if is_for(rule.match, event)]


def prefixes(config: EventsConfig, bucket: str) -> list[str]:
    """What has to be listed of a bucket so that each object that some rule is for is listed once."""
    found: list[str] = []
    for prefix in sorted(rule.match.prefix for rule in config.rules.values() if rule.match.bucket == bucket):
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return found


def _pages(events: Iterable[ObjectEvent]) -> Iterator[list[ObjectEvent]]:
    rest = iter(events)
    while page := list(islice(rest, _PAGE)):
        yield page
