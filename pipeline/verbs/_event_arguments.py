"""The command lines of the verbs about events; the standard library alone."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

from pipeline.verbs._arguments import add, duration_s


def add_event_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Verbs about a file of rules: what comes, what waits, and what is done about it."""
    _listen(
        _rules(add(verbs, "listen", "take what SNS posts over HTTP, prove it, and store it before it is acknowledged"))
    )
    consume = _rules(add(verbs, "consume", "take events from SQS, and do what all stored events start"))
    consume.add_argument("--once", action="store_true", help="end when nothing is due and the queue is empty")
    _event(_rules(add(verbs, "event", "do what an event starts, here and now, as if it had arrived")))
    _sweep(_rules(add(verbs, "sweep", "list the buckets, plan the runs, and leave what was missed to a consumer")))
    redrive = _rules(add(verbs, "redrive", "send dead letters back to their queue, and let failed jobs wait anew"))
    redrive.add_argument("--rule", metavar="NAME", help="only failed jobs of this rule, and no dead letters")
    redrive.add_argument("--dry-run", action="store_true", help="say what would be begun anew")
    redrive.add_argument("--json", action="store_true")
    inbox = _rules(add(verbs, "inbox", "say what waits, what failed and why, and since when"))
    inbox.add_argument("--failed", type=int, default=20, metavar="N", help="failed jobs that are named; default: 20")
    inbox.add_argument("--json", action="store_true")


def _rules(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """A verb about a file of rules, of which single keys may be replaced."""
    verb.add_argument(
        "config", type=Path, metavar="RULES", nargs="?", help="file of rules for events; default: GROUNDSWELL_EVENTS"
    )
    verb.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE")
    return verb


def _listen(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--host", help="default: listen.host")
    verb.add_argument("--port", type=int, help="0: a free one; default: listen.port")
    verb.add_argument(
        "--work",
        action=argparse.BooleanOptionalAction,
        help="do what events start beside it; default: listen.work, or where the inbox is a file",
    )


def _event(verb: argparse.ArgumentParser) -> None:
    verb.epilog = (
        "exit codes: 0 done, or nothing left to do; 1 something failed; 2 bad rules, or no event; 3 the inbox cannot "
        "be reached; 5 no rule is for these events"
    )
    given = verb.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--event-json", metavar="TEXT", help="one event as SNS, SQS, S3 or a catalogue sends it; -: stdin"
    )
    given.add_argument(
        "--events-file", type=Path, metavar="FILE", help="one event, a JSON array of them, or one in each line"
    )
    verb.add_argument("--dry-run", action="store_true", help="print what would be started, store nothing")
    verb.add_argument("--apart", action="store_true", help="with an inbox of its own, which is thrown away")
    verb.add_argument("--settled", action="store_true", help="wait as the rules say; default: at once, and all of it")
    verb.add_argument("--json", action="store_true")


def _sweep(verb: argparse.ArgumentParser) -> None:
    verb.epilog = "exit codes: 0 done; 2 bad rules; 3 a bucket, a catalogue, the output or the inbox cannot be read"
    verb.add_argument(
        "--rule", action="append", default=[], dest="rules", metavar="NAME", help="only this; maybe several"
    )
    verb.add_argument(
        "--since", type=_moment, metavar="TIME", help="only objects put since 2024-06-01, or 7d ago; default: all"
    )
    verb.add_argument(
        "--grace",
        type=duration_s,
        default=300.0,
        metavar="AGE",
        help="leave newer objects alone: their events are on their way; default: 5min",
    )
    verb.add_argument("--dry-run", action="store_true", help="print what was missed, store nothing")
    verb.add_argument("--json", action="store_true")


def _moment(text: str) -> float:
    """Unix time of a date or time in UTC, or of so long ago."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return time.time() - duration_s(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
