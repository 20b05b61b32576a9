"""The statements of an inbox about orders: who waits, who runs, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.events.event import Ended, Order, State, Taken
from pipeline.events.inbox.records import storable
from pipeline.events.inbox.session import Session, count, number
from pipeline.events.inbox.stored_taking import COUNT

# Of an order that was asked for: waiting, or running and to be done again after it.
_OPEN = "(orders.state = 'waiting' OR orders.state = 'running' AND orders.revision > orders.running)"
_DUE = f"CASE WHEN {_OPEN} THEN greatest(orders.due_s, least(excluded.due_s, orders.latest_s)) ELSE excluded.due_s END"
_ASK = f"""
    INSERT INTO orders (rule, target, due_s, latest_s, ready_s) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (rule, target) DO UPDATE SET
        due_s = {_DUE},
        latest_s = CASE WHEN {_OPEN} THEN orders.latest_s ELSE excluded.latest_s END,
        ready_s = CASE WHEN orders.state = 'running' THEN greatest(orders.lease_s, {_DUE}) ELSE {_DUE} END,
        attempts = CASE WHEN orders.state = 'running' THEN orders.attempts ELSE 0 END,
        state = CASE WHEN orders.state = 'running' THEN 'running' ELSE 'waiting' END,
        revision = orders.revision + 1
"""  # noqa: S608 (of the constants above)
_MAKE = """
    INSERT INTO orders (rule, target, due_s, latest_s, ready_s) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (rule, target) DO UPDATE SET state = 'waiting', due_s = excluded.due_s, latest_s = excluded.latest_s,
        ready_s = excluded.ready_s, attempts = 0, revision = orders.revision + 1
    WHERE orders.state IN ('done', 'failed') OR orders.state = 'waiting' AND orders.due_s > excluded.due_s RETURNING 1
"""
_RENEW = """
    UPDATE orders SET lease_s = ?, ready_s = greatest(?, due_s)
    WHERE rule = ? AND target = ? AND token = ? AND state = 'running' RETURNING 1
"""
_HELD = """
    SELECT revision > running, due_s, latest_s, attempts, begun_day FROM orders
    WHERE rule = ? AND target = ? AND token = ? AND state = 'running' FOR UPDATE
"""
_END = """
    UPDATE orders SET state = ?, due_s = ?, latest_s = ?, ready_s = ?, attempts = ?, running = 0, token = '',
        ended_s = ?, cause = ?, note = ?
    WHERE rule = ? AND target = ?
"""
_HAND_BACK = """
    UPDATE orders SET state = 'waiting', ready_s = due_s, attempts = ?, running = 0, token = ''
    WHERE rule = ? AND target = ?
"""
_REOPEN_ALL = """
    UPDATE orders SET state = 'waiting', attempts = 0, due_s = ended_s, latest_s = ended_s, ready_s = ended_s
    WHERE state = 'failed' RETURNING 1
"""
_REOPEN = """
    UPDATE orders SET state = 'waiting', attempts = 0, due_s = ended_s, latest_s = ended_s, ready_s = ended_s
    WHERE state = 'failed' AND rule = ? AND target = ? RETURNING 1
"""
_FORGET = """
    DELETE FROM orders
    WHERE (rule, target) IN (SELECT rule, target FROM orders WHERE state = 'done' AND ended_s < ? LIMIT ?)
    AND state = 'done' RETURNING 1
"""
_FORGET_SIZE = 1000
_COUNTS = "SELECT state, count(*) FROM orders GROUP BY state"


def ask(session: Session, orders: Sequence[Order]) -> None:
    """Make these orders, or ask again for those that were made; see `Inbox.route`."""
    session.run(_ASK, _asked(orders))


def make(session: Session, orders: Sequence[Order]) -> int:
    """See `Inbox.order`."""
    return sum(map(len, session.each(_MAKE, _asked(orders))))


def _asked(orders: Sequence[Order]) -> list[tuple[str, str, float, float, float]]:
    for each in orders:
        storable(each.rule, each.target)
    # Always in one order, so that two which ask for the same do not wait for each other.
    ordered = sorted(orders, key=lambda each: (each.rule, each.target))
    return [(each.rule, each.target, each.due_s, each.latest_s, each.due_s) for each in ordered]


def renew(session: Session, taken: Sequence[Taken], until_s: float) -> list[Taken]:
    """See `Inbox.renew`."""
    held = sorted(taken, key=_key)
    rows = session.each(_RENEW, [(until_s, until_s, *_held(each)) for each in held])
    still = {_held(each) for each, found in zip(held, rows, strict=True) if found}
    return [each for each in taken if _held(each) in still]


def finish(session: Session, taken: Taken, ended: Ended, now_s: float, again_s: float | None) -> bool:
    """See `Inbox.finish`."""
    rows = session.rows(_HELD, _held(taken))
    if not rows:
        return False
    [(newer, due, latest, attempts, _)] = rows
    due_s, latest_s = number(due), number(latest)
    if ended.failed and again_s is not None:
        due_s = max(due_s, again_s) if newer else again_s
    waits = bool(newer) or (ended.failed and again_s is not None)
    state = State.WAITING if waits else State.FAILED if ended.failed else State.DONE
    begin = due_s, max(due_s, latest_s), due_s if waits else None, 0 if newer else attempts
    told = now_s, _plain(ended.cause), _plain(ended.note)
    session.run(_END, [(state.value, *begin, *told, *_key(taken))])
    return True


def hand_back(session: Session, taken: Sequence[Taken]) -> None:
    """See `Inbox.hand_back`; called by one at a time."""
    held = sorted(taken, key=_key)
    found = session.each(_HELD, [_held(each) for each in held])
    mine = [
        (each, bool(newer), count(attempts), day)
        for each, rows in zip(held, found, strict=True)
        for newer, _, _, attempts, day in rows
    ]
    session.run(_HAND_BACK, [(0 if newer else attempts - 1, *_key(each)) for each, newer, attempts, _ in mine])
    session.run(COUNT, [(each.order.rule, day, -1) for each, _, attempts, day in mine if attempts == 1])


def states(session: Session, orders: Sequence[tuple[str, str]]) -> dict[tuple[str, str], State]:
    """See `Inbox.states`."""
    rows = session.each("SELECT state FROM orders WHERE rule = ? AND target = ?", orders)
    return {order: State(found[0][0]) for order, found in zip(orders, rows, strict=True) if found}


def reopen(session: Session, orders: Sequence[tuple[str, str]] | None) -> int:
    """See `Inbox.reopen`. They became due when they failed."""
    if orders is None:
        return len(session.rows(_REOPEN_ALL))
    rows = session.each(_REOPEN, sorted(set(orders)))
    return sum(map(len, rows))


def failed(session: Session, limit: int) -> list[tuple[Order, str]]:
    """See `Inbox.failed`."""
    rows = session.rows(
        "SELECT rule, target, due_s, latest_s, cause FROM orders WHERE state = 'failed' "
        "ORDER BY ended_s DESC, rule, target LIMIT ?",
        (limit,),
    )
    return [
        (Order(str(rule), str(target), number(due_s), number(latest_s)), str(cause))
        for rule, target, due_s, latest_s, cause in rows
    ]


def forget(session: Session, before_s: float) -> int:
    """Remove some done orders that are older; how many, 0 where none is left. See `Inbox.forget`."""
    return len(session.rows(_FORGET, (before_s, _FORGET_SIZE)))


def counts(session: Session) -> dict[str, int]:
    """See `Inbox.counts`, of orders."""
    found = {str(state): count(many) for state, many in session.rows(_COUNTS)}
    return {state.value: found.get(state.value, 0) for state in State}


def oldest_s(session: Session) -> float | None:
    """See `Inbox.oldest_s`."""
    [(oldest,)] = session.rows("SELECT min(due_s) FROM orders WHERE state = 'waiting'")
    return None if oldest is None else number(oldest)


def touch(session: Session) -> None:
    """Return where something could be written, which is known by doing so; nothing is changed."""
    session.run("DELETE FROM begun WHERE day < ?", [(0,)])


def _key(taken: Taken) -> tuple[str, str]:
    return taken.order.rule, taken.order.target


def _held(taken: Taken) -> tuple[str, str, str]:
    return *_key(taken), taken.token


def _plain(text: str) -> str:
    """What of a message any database holds."""
    return text.replace("\0", " ").encode(errors="backslashreplace").decode()
