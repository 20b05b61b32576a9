"""`groundswell event`: what an event starts, from a terminal, also with a folder for the bucket (LOCAL_S3_ROOT)."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from pipeline.config.load import load_events
from pipeline.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_JOBS_FAILED, EXIT_NOTHING_TO_DO
from pipeline.events.byhand import Key, Result, check_messages, do, foresee, read_messages, read_text
from pipeline.events.consumer.batches import Where
from pipeline.events.environ import settings
from pipeline.events.event import Event, ObjectEvent, State, Verdict
from pipeline.events.inbox.inbox import open_inbox
from pipeline.types import Json
from pipeline.verbs._answer import Answer

FORMAT = 1
_SHOWN = 50
"""Events and jobs that are told one by one; --json has all."""


def run(options: argparse.Namespace) -> Answer:
    """Read the events, store them in the inbox, route them, and do at once what they ask for.

    Raises ConfigError for events that are none, or that nothing is taken of, before anything is stored; and what an
    inbox raises.
    """
    path, sets = settings(options.config, options.sets)
    config = load_events(path, sets)
    stdin = sys.stdin.buffer.read() if options.event_json == "-" else None
    messages = read_messages(*read_text(options.event_json, options.events_file, stdin))
    check_messages(messages, config)
    with ExitStack() as stack:
        place = config.inbox.get_secret_value()
        if options.apart or options.dry_run:
            place = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "inbox.sqlite")
        inbox = stack.enter_context(open_inbox(place))
        if options.dry_run:
            result = foresee(messages, config, inbox)
        else:
            try:
                result = do(messages, config, Where(path.absolute(), sets), inbox, settled=options.settled)
            except KeyboardInterrupt:
                left = "is forgotten with its inbox" if options.apart else "waits in the inbox for a consumer"
                return Answer(f"interrupted: what was not done {left}", EXIT_INTERRUPTED)
    lines = [json.dumps(document(result), indent=2)] if options.json else render(result, dry=options.dry_run)
    return Answer("\n".join(lines), _code(result))


def document(result: Result) -> Json:
    """The result as JSON."""
    return {
        "format": FORMAT,
        "events": [{"event": json.loads(event.identity), "verdict": verdict.value} for event, verdict in result.events],
        "notes": list(result.notes),
        "jobs": [_job(result, key) for key in result.orders],
    }


def render(result: Result, *, dry: bool) -> Iterator[str]:
    """The result for people; dry: of what nothing was stored or begun."""
    yield from result.notes
    for event, verdict in result.events[:_SHOWN]:
        yield f"{_named(event)}" if dry else f"{_named(event)}: {_VERDICTS[verdict]}"
    if len(result.events) > _SHOWN:
        yield f"… and {len(result.events) - _SHOWN} events more: --json"
    for key in list(result.orders)[:_SHOWN]:
        job = _job(result, key)
        state = f"begins {job['due']}" if dry else job["state"]
        state += f" until {job['due']}" if state == State.WAITING.value else ""
        told = " ".join(text for text in (job["note"], job["cause"]) if text)
        yield f"rule {job['rule']}: {job['target']}: {state}{': ' if told else ''}{told}"
    if len(result.orders) > _SHOWN:
        yield f"… and {len(result.orders) - _SHOWN} jobs more: --json"
    if not result.orders:
        new = any(verdict is Verdict.NEW for _, verdict in result.events)
        yield "no rule is for them: nothing to do" if new else "nothing new: nothing to do"
    elif dry:
        yield f"{_jobs(result)}; nothing was stored or begun"
    else:
        states = Counter(_job(result, key)["state"] for key in result.orders)
        yield f"{_jobs(result)}: {', '.join(f'{count} {state}' for state, count in states.items())}"


_VERDICTS = {
    Verdict.NEW: "new",
    Verdict.DUPLICATE: "known already",
    Verdict.STALE: "a later event of the same object is known",
}


def _jobs(result: Result) -> str:
    return f"{len(result.orders)} job{'s' * (len(result.orders) != 1)}"


def _job(result: Result, key: Key) -> dict[str, Json]:
    order, ended = result.orders[key], result.ended.get(key)
    state = result.states.get(key, State.WAITING)
    again = state is State.WAITING and ended is not None and ended.failed
    return {
        "rule": order.rule,
        "target": order.target,
        "state": "failed, to be tried again" if again else state.value,
        "due": f"{datetime.fromtimestamp(order.due_s, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "note": ended.note if ended else "",
        "cause": ended.cause if ended else "",
    }


def _named(event: Event) -> str:
    if isinstance(event, ObjectEvent):
        return f"s3://{event.bucket}/{event.key} {'put' if event.created else 'removed'}"
    return f"scene {event.id} of {event.collection}{' withdrawn' if event.removed else ''}"


def _code(result: Result) -> int:
    if result.failed:
        return EXIT_JOBS_FAILED
    new = any(verdict is Verdict.NEW for _, verdict in result.events)
    return EXIT_NOTHING_TO_DO if new and not result.orders else EXIT_DONE
