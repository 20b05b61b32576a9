"""The command lines of the verbs that look before a run."""

from __future__ import annotations

import argparse

from pipeline.verbs.arguments.common import Group, Verb, config_of, json_of

_REFUSED = "a catalogue or the output cannot be read, or the plan is refused"


def _plan(parser: argparse.ArgumentParser) -> None:
    config_of(parser, snapshot=True)
    json_of(parser, "print JSON: every job with its scenes, bytes and memory")


def _explain(parser: argparse.ArgumentParser) -> None:
    config_of(parser, snapshot=True)
    parser.add_argument(
        "tile", metavar="TILE", help="a tile's id such as 33N-051-0971, or a job's: product/tile/period"
    )


def _schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", action="store_true", help="of a file of rules for events")
    parser.add_argument(
        "--markdown", action="store_true", help="print the reference of every key, for people (configs/REFERENCE.md)"
    )


PLANNING = Group(
    "look before you run",
    (
        Verb(
            "plan",
            "prints what a run would do, and starts nothing",
            "Searches the catalogues of a config and prints the jobs of its run by region, with bytes, requests, "
            "memory, hours and dollars. Nothing is started or written, and what is committed already is left out.",
            ("{prog} configs/demo.yaml", "{prog} configs/demo.yaml --set 'products.sentinel2.composite=mean' --json"),
            _plan,
            {3: _REFUSED, 5: "there is nothing to do"},
        ),
        Verb(
            "explain",
            "says why a tile would be made again, or not",
            "Compares each job of a tile with what is committed of it, and names the parameter or scene that changed. "
            "Give a job's id to hear of that job alone.",
            (
                "{prog} configs/demo.yaml 33N-051-0971",
                "{prog} configs/demo.yaml sentinel2/33N-051-0971/2024-06 --set products.sentinel2.mask.dilate_px=5",
            ),
            _explain,
            {2: "bad config or usage, or no such tile", 3: _REFUSED},
        ),
        Verb(
            "schema",
            "prints every key that a config may have, for your editor",
            "Prints the JSON Schema of a config, by which editors complete keys and mark mistakes. With --markdown it "
            "is a reference for people.",
            ("{prog} > groundswell.schema.json", "{prog} --markdown", "{prog} --events"),
            _schema,
            {},
        ),
    ),
)
