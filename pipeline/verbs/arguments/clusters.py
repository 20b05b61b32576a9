"""The command line of the verb about clusters, and its three actions."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from pipeline.verbs.arguments.common import Group, Parser, Verb, add, duration_s, json_of, sets_of

_UNSEEN = "a place cannot be looked at"


def _action(declare: Callable[[argparse.ArgumentParser], None]) -> Callable[[argparse.ArgumentParser], None]:
    """What every action takes, and its own."""

    def both(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("config", type=Path, metavar="CONFIG", help="the YAML file that describes the run")
        sets_of(parser)
        parser.add_argument(
            "--region",
            action="append",
            default=[],
            dest="regions",
            metavar="REGION",
            help="only this one's cluster; may be repeated",
        )
        declare(parser)

    return both


def _nothing(_parser: argparse.ArgumentParser) -> None:
    """No argument of its own."""


def _gc(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="ID", help="only this run's; also where nobody knows whether its driver lives")
    parser.add_argument(
        "--silent-for", type=duration_s, metavar="TIME", help="of its driver: 15min, 2h; default: the idle_timeout_s"
    )
    parser.add_argument("--everyone", action="store_true", help="also clusters of other users")
    parser.add_argument("--dry-run", action="store_true", help="print what would be ended, end nothing")


_ACTIONS = (
    Verb(
        "list",
        "says which clusters are there, and whose",
        "Looks at every place of a config, and says which clusters are there, of whose runs, and when their drivers "
        "were last heard of. Nothing is changed.",
        ("{prog} configs/demo.yaml",),
        _action(json_of),
        {3: _UNSEEN},
    ),
    Verb(
        "render",
        "prints what would be asked for, without asking for it",
        "Prints the exact arguments or manifests of every region's cluster, offline. A run sends the same.",
        ("{prog} configs/demo.yaml --region us-west-2",),
        _action(_nothing),
        {},
    ),
    Verb(
        "gc",
        "ends your clusters whose drivers are dead",
        "Ends the clusters that no driver uses any more, so that they cost nothing. Those whose driver was heard of "
        "lately stay.",
        ("{prog} configs/demo.yaml --dry-run",),
        _action(_gc),
        {1: "a cluster could not be ended", 3: _UNSEEN},
    ),
)


def _cluster(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(
        title="actions", required=True, metavar="ACTION", dest="action", help="what to do", parser_class=Parser
    )
    for action in _ACTIONS:
        add(actions, action)


CLUSTERS = Group(
    "clusters",
    (
        Verb(
            "cluster",
            "lists, prints or ends the clusters of a config",
            "Looks at the clusters of a config, prints what they would be, or ends those that nobody uses. A run "
            "starts and ends its own; this is for what a killed one left.",
            ("{prog} list configs/demo.yaml", "{prog} render configs/demo.yaml"),
            _cluster,
            {1: "a cluster could not be ended", 3: _UNSEEN},
        ),
    ),
)
