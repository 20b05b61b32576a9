"""The command lines of the verbs that watch runs, read outputs and mend them."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.verbs.arguments.common import (
    Group,
    Verb,
    address_of,
    duration_s,
    json_of,
    output_of,
    run_of,
)

_UNREAD = "the output cannot be read, or is none"


def _status(parser: argparse.ArgumentParser) -> None:
    output_of(parser)
    run_of(parser)
    json_of(parser)
    parser.add_argument("--follow", action="store_true", help="go on until it has ended")
    parser.add_argument(
        "--every", type=duration_s, default=10.0, metavar="TIME", help="with --follow: between looks; default: 10s"
    )


def _report(parser: argparse.ArgumentParser) -> None:
    output_of(parser)
    run_of(parser)
    parser.add_argument("--to", metavar="FOLDER", help="a folder or s3:// address; default: runs/<id>/report/")
    parser.add_argument("--no-plots", action="store_false", dest="plots", help="make no PNG")
    json_of(parser, "print the account as JSON, write nothing")


def _browse(parser: argparse.ArgumentParser) -> None:
    output_of(parser)
    address_of(parser, 8080)


def _verify(parser: argparse.ArgumentParser) -> None:
    output_of(parser)
    parser.add_argument("--product", metavar="NAME", help="only the items of one product")
    parser.add_argument("--all", action="store_true", help="also items that are not current")
    parser.add_argument("--quick", action="store_true", help="names and sizes only, no data is read")
    parser.add_argument(
        "--repair", action="store_true", help="withdraw what is wrong: the next run makes exactly that again"
    )


def _reproduce(parser: argparse.ArgumentParser) -> None:
    output_of(parser)
    parser.add_argument("item", metavar="ITEM", help="an item's id, key, or product/tile/period")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="keep the files in this empty folder")


def _vacuum(parser: argparse.ArgumentParser) -> None:
    output_of(parser)
    parser.add_argument(
        "--older-than",
        type=duration_s,
        default=86_400.0,
        metavar="TIME",
        help="leave what is younger: 0, 30min, 7d; default: 24h",
    )
    parser.add_argument("--superseded", action="store_true", help="also items that are not current, and their files")
    parser.add_argument("--dry-run", action="store_true", help="print what would go, remove nothing")


WATCHING = Group(
    "watch",
    (
        Verb(
            "status",
            "says how far a run is, from any machine",
            "Tells what is done, failed and left of a run, its rate, cost and time left, and whether its driver lives. "
            "It reads the output alone, so it works from any machine that can.",
            ("{prog} demo-output", "{prog} demo-output --follow --every 30s"),
            _status,
            {1: "with --follow: the run did not end well", 3: _UNREAD},
        ),
        Verb(
            "report",
            "writes a run's report anew: a page, tables, plots",
            "Makes the report of a run from its records: one HTML page, CSV and JSON, and plots. A run writes it at "
            "its end by itself; this is for another place, another version, or a run that was killed.",
            ("{prog} demo-output --to ./report", "{prog} demo-output --json"),
            _report,
            {3: _UNREAD},
        ),
    ),
)
READING = Group(
    "look at results",
    (
        Verb(
            "browse",
            "serves a page with a map of the results, on this machine",
            "Serves the output's STAC catalogue and a map page, where you pick a product and a date and click for "
            "values and quality. It only reads, and needs the extra `browse`: pip install 'groundswell[browse]'.",
            ("{prog} demo-output", "{prog} configs/demo.yaml --port 8081"),
            _browse,
            {
                0: "ended by Ctrl-C",
                3: "the output cannot be read, or the address is in use",
                5: "nothing in it is current",
            },
        ),
    ),
)
MENDING = Group(
    "check and mend",
    (
        Verb(
            "verify",
            "checks that everything committed is there, to the byte",
            "Reads everything that is current again and compares sizes, digests and links with what was committed. "
            "Each fault is named with what to do; --repair withdraws what is wrong, and the next run makes that again.",
            ("{prog} demo-output --quick", "{prog} demo-output --repair"),
            _verify,
            {1: "faults were found, and are not repaired", 3: _UNREAD, 4: "with --repair: a run is at work on it"},
        ),
        Verb(
            "reproduce",
            "makes an item's files again and compares them",
            "Makes the files of an item again, from the item alone, and compares them byte by byte. Its sources are "
            "read again, so they must still be there.",
            (
                "{prog} demo-output sentinel2/33N-051-0971/2024-06",
                "{prog} demo-output dem/33N-051-0971/static --to ./again",
            ),
            _reproduce,
            {1: "a file differs", 2: "bad usage, or no such item", 3: _UNREAD},
        ),
        Verb(
            "vacuum",
            "removes what belongs to no item and no run at work",
            "Removes data that no item names, records of dead runs, and temporary files. Nothing younger than a day "
            "goes, and nothing that a run at work counts on.",
            ("{prog} demo-output --dry-run", "{prog} demo-output --superseded --older-than 7d"),
            _vacuum,
            {3: _UNREAD},
        ),
        Verb(
            "catalog",
            "writes catalogue pages and items.parquet anew",
            "Derives the STAC catalogue pages and the table of items from what is committed. A run does so at its end; "
            "this is for an output whose run was killed before.",
            ("{prog} demo-output",),
            output_of,
            {3: _UNREAD},
        ),
    ),
)
