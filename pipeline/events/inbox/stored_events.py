"""The statements of an inbox about events, and about what is known of objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from pipeline.events.event import ObjectEvent, Order, Verdict
from pipeline.events.inbox.inbox import Arrival, Filed
from pipeline.events.inbox.records import Known, digest, from_text, judge, storable, to_text
from pipeline.events.inbox.session import Row, Session
from pipeline.events.inbox.stored_orders import ask

_KNOWN = "SELECT state, sequencer FROM objects WHERE bucket = ? AND name = ?"
_KNOW = """
    INSERT INTO objects (bucket, name, state, sequencer) VALUES (?, ?, ?, ?)
    ON CONFLICT (bucket, name) DO UPDATE SET state = excluded.state, sequencer = excluded.sequencer
"""
_PAGE = "SELECT state FROM objects WHERE bucket = ? AND name >= ? AND name < ? ORDER BY name LIMIT ?"
_LAST_PAGE = "SELECT state FROM objects WHERE bucket = ? AND name >= ? ORDER BY name LIMIT ?"
_PAGE_SIZE = 1000
_FORGET = """
    DELETE FROM events
    WHERE number IN (SELECT number FROM events WHERE routed = 1 AND received_s < ? ORDER BY received_s LIMIT ?)
    RETURNING 1
"""
_FORGET_SIZE = 1000
_COUNTS = {
    "events": "SELECT count(*) FROM events",
    "unrouted": "SELECT count(*) FROM events WHERE routed = 0",
}

Name = tuple[str, str]
"""Bucket and key."""


def put(session: Session, arrivals: Sequence[Arrival]) -> list[Verdict]:
    """See `Inbox.put`; called by one at a time."""
    digests = [digest(each.event) for each in arrivals]
    found = session.each("SELECT 1 FROM events WHERE digest = ?", [(each,) for each in digests])
    seen = {each for each, rows in zip(digests, found, strict=True) if rows}
    known = _known(session, (each.event for each in arrivals))
    before = dict(known)
    verdicts, new = [], []
    for arrival, proof in zip(arrivals, digests, strict=True):
        verdict = Verdict.DUPLICATE if proof in seen else Verdict.NEW
        event = arrival.event
        if verdict is Verdict.NEW and isinstance(event, ObjectEvent):
            name = event.bucket, event.key
            verdict, known[name] = judge(event, known.get(name))
        if verdict is Verdict.NEW:
            new.append((arrival.received_s, proof, _sender(arrival), to_text(event)))
            seen |= {proof} - {None}
        verdicts.append(verdict)
    session.run("INSERT INTO events (received_s, digest, sender, body) VALUES (?, ?, ?, ?)", new)
    changed = [(name, now) for name, now in known.items() if before.get(name) != now]
    session.run(_KNOW, [(*name, to_text(now.state), now.sequencer) for name, now in changed])
    return verdicts


def _known(session: Session, events: Iterable[object]) -> dict[Name, Known]:
    names = sorted({(each.bucket, each.key) for each in events if isinstance(each, ObjectEvent)})
    for name in names:
        storable(*name)
    found = zip(names, session.each(_KNOWN, names), strict=True)
    return {name: Known(_object(state), str(sequencer)) for name, rows in found for state, sequencer in rows}


def _sender(arrival: Arrival) -> str:
    return json.dumps([arrival.message, arrival.topic, arrival.via])


def unrouted(session: Session, limit: int) -> list[Filed]:
    """See `Inbox.unrouted`."""
    rows = session.rows(
        "SELECT number, body, sender, received_s FROM events WHERE routed = 0 ORDER BY number LIMIT ?", (limit,)
    )
    return [_filed(row) for row in rows]


def _filed(row: Row) -> Filed:
    number, body, sender, received_s = row
    message, topic, via = json.loads(str(sender))
    return Filed(int(str(number)), Arrival(from_text(str(body)), message, topic, via, float(str(received_s))))


def route(session: Session, routed: Mapping[int, Sequence[Order]]) -> None:
    """See `Inbox.route`."""
    numbers = sorted(routed)
    done = session.each(
        "UPDATE events SET routed = 1 WHERE number = ? AND routed = 0 RETURNING number", [(each,) for each in numbers]
    )
    first = [number for number, rows in zip(numbers, done, strict=True) if rows]
    ask(session, [order for number in first for order in routed[number]])


def object_state(session: Session, name: Name) -> ObjectEvent | None:
    """See `Inbox.object_state`."""
    rows = session.rows(_KNOWN, name)
    return _object(rows[0][0]) if rows else None


def page(session: Session, bucket: str, prefix: str, after: str | None) -> list[ObjectEvent]:
    """The next of what is known of the objects of a bucket, in the order of their keys; nothing at the end."""
    # The least text that comes after another one ends with the least letter that is stored.
    begin, end = prefix if after is None else after + "\x01", _end(prefix)
    statement, until = (_PAGE, [end]) if end else (_LAST_PAGE, [])
    rows = session.rows(statement, (bucket, begin, *until, _PAGE_SIZE))
    return [_object(state) for (state,) in rows]


def _end(prefix: str) -> str:
    """The first text after all that begin with the prefix; empty where there is none."""
    for size in range(len(prefix), 0, -1):
        letter = ord(prefix[size - 1])
        if letter < 0x10FFFF:
            return prefix[: size - 1] + chr(0xE000 if letter == 0xD7FF else letter + 1)
    return ""


def forget(session: Session, before_s: float) -> int:
    """Remove some events that are older; how many, 0 where none is left. See `Inbox.forget`."""
    return len(session.rows(_FORGET, (before_s, _FORGET_SIZE)))


def counts(session: Session) -> dict[str, int]:
    """See `Inbox.counts`, of events."""
    return {name: int(str(session.rows(statement)[0][0])) for name, statement in _COUNTS.items()}


def _object(text: object) -> ObjectEvent:
    return cast("ObjectEvent", from_text(str(text)))
