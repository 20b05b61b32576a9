"""The command lines of the verbs about events."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

from pipeline.verbs.arguments.common import Group, Verb, duration_s, json_of, sets_of

_SCENE = "S2A_33TTK_20240616_0_L2A"
"""Of the demo world."""
_UNREACHED = "the inbox or the queue cannot be reached"


def _rules(parser: argparse.ArgumentParser) -> None:
    """A file of rules, of which single keys may be replaced."""
    parser.add_argument(
        "config", type=Path, metavar="RULES", nargs="?", help="file of rules for events; default: GROUNDSWELL_EVENTS"
    )
    sets_of(parser)


def _listen(parser: argparse.ArgumentParser) -> None:
    _rules(parser)
    parser.add_argument("--host", metavar="HOST", help="default: listen.host")
    parser.add_argument("--port", metavar="PORT", type=int, help="0: a free one; default: listen.port")
    parser.add_argument(
        "--work",
        action=argparse.BooleanOptionalAction,
        help="do what events start beside it; default: listen.work, or where the inbox is a file",
    )


def _consume(parser: argparse.ArgumentParser) -> None:
    _rules(parser)
    parser.add_argument("--once", action="store_true", help="end when nothing is due and the queue is empty")


def _event(parser: argparse.ArgumentParser) -> None:
    _rules(parser)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--event-json", metavar="TEXT", help="one event as SNS, SQS, S3 or a catalogue sends it; -: stdin"
    )
    given.add_argument(
        "--events-file", type=Path, metavar="FILE", help="one event, a JSON array of them, or one in each line"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be started, store nothing")
    parser.add_argument("--apart", action="store_true", help="with an inbox of its own, which is thrown away")
    parser.add_argument("--settled", action="store_true", help="wait as the rules say; default: at once, and all of it")
    json_of(parser)


def _sweep(parser: argparse.ArgumentParser) -> None:
    _rules(parser)
    parser.add_argument(
        "--rule", action="append", default=[], dest="rules", metavar="NAME", help="only this rule; may be repeated"
    )
    parser.add_argument(
        "--since", type=_moment, metavar="TIME", help="only objects put since 2024-06-01, or 7d ago; default: all"
    )
    parser.add_argument(
        "--grace",
        type=duration_s,
        default=300.0,
        metavar="TIME",
        help="leave newer objects alone: their events are on their way; default: 5min",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what was missed, store nothing")
    json_of(parser)


def _moment(text: str) -> float:
    """Unix time of a date or time in UTC, or of so long ago."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return time.time() - duration_s(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _inbox(parser: argparse.ArgumentParser) -> None:
    _rules(parser)
    parser.add_argument("--failed", type=int, default=20, metavar="N", help="failed jobs that are named; default: 20")
    json_of(parser)


def _redrive(parser: argparse.ArgumentParser) -> None:
    _rules(parser)
    parser.add_argument("--rule", metavar="NAME", help="only failed jobs of this rule, and no dead letters")
    parser.add_argument("--dry-run", action="store_true", help="say what would be begun anew, begin nothing")
    json_of(parser)


EVENTS = Group(
    "when files arrive",
    (
        Verb(
            "listen",
            "takes what SNS posts over HTTP, proves and stores it",
            "Takes what SNS posts, proves its signature, and stores it before it is acknowledged. Where the inbox is a "
            "file it also does what events start, until Ctrl-C.",
            ("{prog} configs/events.yaml --port 8080", "{prog} configs/events.yaml --no-work"),
            _listen,
            {3: "the address is in use, or the inbox cannot be reached", 130: "a second signal"},
        ),
        Verb(
            "consume",
            "takes events from SQS, and does what stored events start",
            "Takes events from the queue of the rules, and does what is due of all that are stored. With --once it "
            "ends when nothing is left, so a timer may start it.",
            ("{prog} configs/events.yaml --once",),
            _consume,
            {1: "with --once: jobs failed for good", 3: _UNREACHED, 130: "a second signal"},
        ),
        Verb(
            "event",
            "does what an event starts, here and now",
            "Does what one or more events start, as if they had arrived. With `export LOCAL_S3_ROOT=.` folders here "
            "stand in for buckets.",
            (f"{{prog}} configs/events.yaml --events-file demo-world/s2/{_SCENE}/{_SCENE}.json",),
            _event,
            {
                0: "done, or nothing left to do",
                1: "something failed",
                2: "bad rules, or no event",
                3: _UNREACHED,
                5: "no rule is for these events",
            },
        ),
        Verb(
            "sweep",
            "lists the buckets for what no event told of",
            "Lists the buckets, plans the runs, and leaves what was missed to a consumer. It does none of the work "
            "itself, and a second sweep finds nothing.",
            ("{prog} configs/events.yaml --dry-run", "{prog} configs/events.yaml --rule rasters --since 7d"),
            _sweep,
            {3: "a bucket, a catalogue, the output or the inbox cannot be read"},
        ),
        Verb(
            "inbox",
            "says what waits, what failed and why, and since when",
            "Counts the events and jobs of the inbox by what became of them. Failed jobs are named with their cause.",
            ("{prog} configs/events.yaml",),
            _inbox,
            {3: _UNREACHED},
        ),
        Verb(
            "redrive",
            "lets failed jobs begin anew, and moves dead letters back",
            "Lets jobs that failed for good begin anew, and moves the dead letters of a queue back to it. Do it when "
            "their cause is mended.",
            ("{prog} configs/events.yaml --dry-run", "{prog} configs/events.yaml --rule rasters"),
            _redrive,
            {0: "something was begun anew or moved", 3: _UNREACHED, 5: "there was nothing"},
        ),
    ),
)
