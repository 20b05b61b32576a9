"""`groundswell sweep`: what no event told of, found and put into the inbox."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

from pipeline.config.load import load_events
from pipeline.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_PREFLIGHT
from pipeline.events.environ import settings
from pipeline.events.inbox.inbox import open_inbox
from pipeline.events.sweep.missing import Cause, Swept
from pipeline.events.sweep.objects import Window
from pipeline.events.sweep.sweep import sweep
from pipeline.types import Json
from pipeline.verbs._answer import Answer

FORMAT = 1
_SHOWN = 20


def run(options: argparse.Namespace) -> Answer:
    """List, plan and compare; exit code 3 where something could not be looked at, and the rest was.

    Raises ConfigError, and as an inbox.
    """
    config = load_events(*settings(options.config, options.sets))
    window = Window(time.time(), options.since, options.grace, options.dry_run)
    with open_inbox(config.inbox.get_secret_value()) as inbox:
        try:
            found = sweep(config, inbox, window, options.rules)
        except KeyboardInterrupt:
            stored = "nothing was stored" if options.dry_run else "what was found is stored; run the same command again"
            return Answer(f"interrupted: {stored}", EXIT_INTERRUPTED)
    lines = [json.dumps(document(found), indent=2)] if options.json else render(found, dry=options.dry_run)
    return Answer("\n".join(lines), EXIT_PREFLIGHT if found.faults else EXIT_DONE)


def document(found: Swept) -> Json:
    """What was found as JSON; of each cause the first by name."""
    return {
        "format": FORMAT,
        "objects": found.objects,
        "jobs": found.jobs,
        "missed": {cause.name.lower(): found.counts[cause] for cause in Cause},
        "named": [{"cause": one.cause.name.lower(), "what": one.what, "rules": one.rules} for one in found.named],
        "notes": found.notes,
        "faults": found.faults,
    }


def render(found: Swept, *, dry: bool) -> Iterator[str]:
    """What was found for people."""
    for cause in Cause:
        named = [one for one in found.named if one.cause is cause][:_SHOWN]
        for one in named:
            yield f"{one.what} (rule {', '.join(one.rules)}): {cause.value}"
        if found.counts[cause] > len(named):
            yield f"… and {found.counts[cause] - len(named)} more: {cause.value}"
    yield from (f"note: {note}" for note in found.notes[:_SHOWN])
    if found.noted > _SHOWN:
        yield f"… and {found.noted - _SHOWN} notes more"
    yield from (f"warning: {fault}" for fault in found.faults)
    total = found.counts.total()
    then = "nothing was stored" if dry else "a consumer does them" if total else "nothing to do"
    some = ", not all" if found.faults else ""
    yield f"{found.objects} objects and {found.jobs} jobs of runs looked at{some}, {total} missed; {then}"
