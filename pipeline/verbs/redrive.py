"""`groundswell redrive`: what was given up is tried again: failed jobs of the inbox, and dead letters of the queue."""

from __future__ import annotations

import argparse
import json
from contextlib import closing

from pipeline.config import load_events
from pipeline.config.events import EventsConfig
from pipeline.errors import EXIT_NOTHING_TO_DO, ConfigError
from pipeline.events.consumer.deadletters import dead_letters_of
from pipeline.events.environ import settings
from pipeline.events.inbox.inbox import Inbox, open_inbox
from pipeline.verbs._answer import Answer

_PATIENCE_S = 600.0
_MOST = 1_000_000
"""Failed jobs of which the rules are looked at."""


def run(options: argparse.Namespace) -> Answer:
    """Let failed jobs wait anew, then move dead letters back; exit code 5 where there was neither.

    rule: only failed jobs of this rule, and no dead letters, of which nobody knows the rule. Raises ConfigError,
    PreflightError, and StoreError or QueueError where inbox or queue cannot be used.
    """
    config = load_events(*settings(options.config, options.sets))
    if options.rule is not None and options.rule not in config.rules:
        raise ConfigError(f"found --rule {options.rule}; expected one of {', '.join(config.rules)}")
    with open_inbox(config.inbox.get_secret_value()) as inbox:
        jobs = _failed(inbox, options.rule, dry_run=options.dry_run)
    letters = 0 if options.rule is not None else _letters(config, dry_run=options.dry_run)
    code = EXIT_NOTHING_TO_DO if not jobs and not letters else 0
    if options.json:
        return Answer(json.dumps({"jobs": jobs, "dead_letters": letters, "dry_run": options.dry_run}), code)
    verb = "would be" if options.dry_run else "were"
    return Answer(f"{jobs} failed jobs {verb} begun anew, {letters} dead letters {verb} moved back", code)


def _failed(inbox: Inbox, rule: str | None, *, dry_run: bool) -> int:
    if rule is None and not dry_run:
        return inbox.reopen()
    if rule is None:
        return inbox.counts()["failed"]
    orders = [(order.rule, order.target) for order, _ in inbox.failed(_MOST) if order.rule == rule]
    return len(orders) if dry_run else inbox.reopen(orders)


def _letters(config: EventsConfig, *, dry_run: bool) -> int:
    letters = dead_letters_of(config.queue) if config.queue is not None else None
    if letters is None:
        return 0
    with closing(letters):
        return letters.count() if dry_run else letters.move(_PATIENCE_S)
