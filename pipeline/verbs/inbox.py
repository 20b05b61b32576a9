"""`groundswell inbox`: what waits, what failed and why, and since when."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

from pipeline.config.load import load_events
from pipeline.events.environ import settings
from pipeline.events.event import State
from pipeline.events.inbox.inbox import Inbox, open_inbox
from pipeline.execute.progress.words import span
from pipeline.types import Json
from pipeline.verbs._answer import Answer

FORMAT = 1


def run(options: argparse.Namespace) -> Answer:
    """Numbers of events and jobs, how long the oldest has been due, and the newest failures. Raises as an inbox."""
    config = load_events(*settings(options.config, options.sets))
    with open_inbox(config.inbox.get_secret_value()) as inbox:
        found = document(inbox, time.time(), options.failed)
    return Answer(json.dumps(found, indent=2) if options.json else "\n".join(render(found)))


def document(inbox: Inbox, now_s: float, failures: int) -> Json:
    """What is asked of an inbox, as JSON; times are spans in seconds."""
    counts, oldest_s = inbox.counts(), inbox.oldest_s()
    failed = inbox.failed(failures) if failures > 0 and counts[State.FAILED.value] else ()
    return {
        "format": FORMAT,
        **{name: counts[name] for name in ("events", "unrouted")},
        "jobs": {state.value: counts[state.value] for state in State},
        "overdue_s": None if oldest_s is None else round(max(0.0, now_s - oldest_s), 3),
        "next_s": None if oldest_s is None else round(max(0.0, oldest_s - now_s), 3),
        "failed": [{"rule": order.rule, "target": order.target, "cause": cause} for order, cause in failed],
    }


def render(found: Json) -> Iterator[str]:
    """The same for people."""
    jobs = found["jobs"]
    yield f"{found['events']} events, {found['unrouted']} of them not looked at yet"
    yield "jobs: " + ", ".join(f"{count} {state}" for state, count in jobs.items())
    if found["overdue_s"]:
        yield f"the longest overdue was due {span(found['overdue_s'])} ago: is a consumer at work?"
    elif found["next_s"]:
        yield f"the next is due in {span(found['next_s'])}"
    yield from (f"failed: rule {one['rule']}: {one['target']}: {one['cause']}" for one in found["failed"])
    if jobs["failed"] > len(found["failed"]):
        yield f"… and {jobs['failed'] - len(found['failed'])} failed jobs more: --failed N"
    if jobs["failed"]:
        yield "`groundswell redrive` lets them wait anew"
