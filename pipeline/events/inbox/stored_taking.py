"""The statements of an inbox by which orders are handed out: of one rule, oldest first, as many as the day allows."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from pipeline.config.settle import DAY_S
from pipeline.events.event import Order, Taken
from pipeline.events.inbox.session import Row, Session, count, number

# Each by an index of its own: what counts for the day's budget, and what was begun before.
_FIRST = """
    SELECT ready_s, target, attempts FROM orders WHERE rule = ? AND attempts = 0 AND ready_s <= ?
    ORDER BY ready_s, target LIMIT ? FOR UPDATE SKIP LOCKED
"""
_AGAIN = """
    SELECT ready_s, target, attempts FROM orders WHERE rule = ? AND attempts > 0 AND ready_s <= ?
    ORDER BY ready_s, target LIMIT ? FOR UPDATE SKIP LOCKED
"""
_ONE = """
    SELECT ready_s, target, attempts FROM orders WHERE rule = ? AND target = ? AND ready_s <= ?
    FOR UPDATE SKIP LOCKED
"""
_TAKE = """
    UPDATE orders SET state = 'running', attempts = attempts + 1, running = revision, token = ?, lease_s = ?,
        ready_s = ?, begun_day = CASE WHEN attempts = 0 THEN ? ELSE begun_day END
    WHERE rule = ? AND target = ? RETURNING due_s, latest_s, revision, attempts
"""
COUNT = """
    INSERT INTO begun (rule, day, orders) VALUES (?, ?, ?)
    ON CONFLICT (rule, day) DO UPDATE SET orders = begun.orders + excluded.orders
"""
_KEEP_DAYS = 7
"""Of the budget's counts."""

_Ready = tuple[float, str, bool]
"""Since when an order may be taken, its target, and whether it counts for the day's budget."""
_Most = tuple[str, int, int]
"""A rule, how many orders of it at most that count, and how many of the others."""


def take(
    session: Session,
    now_s: float,
    until_s: float,
    limit: int,
    per_day: Mapping[str, int | None],
    only: Collection[tuple[str, str]] | None,
) -> list[Taken]:
    """See `Inbox.take`; called by one at a time."""
    day = int(now_s // DAY_S)
    left = _left(session, day, limit, per_day)
    ready = _ready if only is None else partial(_ready_of, only=only)
    heads = ready(session, now_s, [(rule, min(left[rule], 1), min(limit, 1)) for rule in left])
    oldest = [(found[0], rule) for rule, found in heads.items() if found]
    if not oldest:
        return []
    rule = min(oldest)[1]
    chosen = ready(session, now_s, [(rule, left[rule], limit)])[rule][:limit]
    if begun := sum(first for _, _, first in chosen):
        session.run(COUNT, [(rule, day, begun)])
        session.run("DELETE FROM begun WHERE day < ?", [(day - _KEEP_DAYS,)])
    token = uuid.uuid4().hex
    rows = session.each(_TAKE, [(token, until_s, until_s, day, rule, target) for _, target, _ in chosen])
    return [
        Taken(Order(rule, target, number(due_s), number(latest_s)), count(revision), count(attempts), token)
        for (_, target, _), ((due_s, latest_s, revision, attempts),) in zip(chosen, rows, strict=True)
    ]


def _left(session: Session, day: int, limit: int, per_day: Mapping[str, int | None]) -> dict[str, int]:
    """By rule: how many may be begun now."""
    rows = session.each("SELECT orders FROM begun WHERE rule = ? AND day = ?", [(rule, day) for rule in per_day])
    begun = [count(found[0][0]) if found else 0 for found in rows]
    return {
        rule: limit if most is None else max(0, min(limit, most - done))
        for (rule, most), done in zip(per_day.items(), begun, strict=True)
    }


def _ready(session: Session, now_s: float, most: Sequence[_Most]) -> dict[str, list[_Ready]]:
    """By rule, what may be taken, oldest first."""
    first = session.each(_FIRST, [(rule, now_s, many) for rule, many, _ in most])
    again = session.each(_AGAIN, [(rule, now_s, many) for rule, _, many in most])
    return {rule: _sorted([*one, *other]) for (rule, *_), one, other in zip(most, first, again, strict=True)}


def _ready_of(
    session: Session, now_s: float, most: Sequence[_Most], only: Collection[tuple[str, str]]
) -> dict[str, list[_Ready]]:
    """The same of some orders alone."""
    found = {}
    for rule, first, again in most:
        targets = sorted({target for each, target in only if each == rule})
        rows = session.each(_ONE, [(rule, target, now_s) for target in targets])
        ready = _sorted([row for one in rows for row in one])
        found[rule] = sorted(
            [each for each in ready if each[2]][:first] + [each for each in ready if not each[2]][:again]
        )
    return found


def _sorted(rows: Sequence[Row]) -> list[_Ready]:
    return sorted((number(ready_s), str(target), attempts == 0) for ready_s, target, attempts in rows)
