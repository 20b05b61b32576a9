"""The command lines of the verbs about floats: the copy of a GDAC, and the databases."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.verbs.arguments.common import Group, Verb, address_of, config_of, json_of


def _sync(parser: argparse.ArgumentParser) -> None:
    config_of(parser)
    parser.add_argument("--env-file", type=Path, metavar="FILE", default=Path(".env"), help="settings; default: .env")
    json_of(parser)


def _load(parser: argparse.ArgumentParser) -> None:
    config_of(parser)
    parser.add_argument("--rebuild-redis", action="store_true", help="only Redis, from PostgreSQL")
    parser.add_argument("--anew", action="store_true", help="empty the tables first: of an output that was made anew")
    json_of(parser)


def _serve(parser: argparse.ArgumentParser) -> None:
    config_of(parser)
    address_of(parser, 8000)


FLOATS = Group(
    "floats",
    (
        Verb(
            "sync",
            "brings the local copy of a GDAC up to date",
            "Copies the Argo files that a config asks for and that are new or changed, into the `mirror` of its "
            "source. A run does so at its beginning; this is the copy alone.",
            ("{prog} configs/argo.yaml", "{prog} configs/argo.yaml --set 'sources.argo.floats=[2902269]' --json"),
            _sync,
            {1: "a file could not be had, and is named", 3: "no mirror of the GDAC can be reached"},
        ),
        Verb(
            "load",
            "brings PostgreSQL and Redis up to what is committed",
            "Loads profiles that are committed and not yet in the databases of `stores:`; what is there already stays. "
            "It needs the extra `stores`: pip install 'groundswell[stores]'.",
            ("{prog} configs/argo.yaml", "{prog} configs/argo.yaml --rebuild-redis"),
            _load,
            {1: "something was not loaded, and is named", 3: "a database or the output cannot be reached"},
        ),
        Verb(
            "serve",
            "answers questions about the loaded profiles over HTTP",
            "Answers questions about the loaded profiles over HTTP; /docs on its address says which. It only reads, "
            "and needs the extra `stores`: pip install 'groundswell[stores]'.",
            ("{prog} configs/argo.yaml --port 8000",),
            _serve,
            {0: "ended by Ctrl-C", 3: "a database cannot be reached, or the address is in use"},
        ),
    ),
)
