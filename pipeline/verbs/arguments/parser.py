"""The command line of `groundswell`: every verb, in the order in which a person comes to need them."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path

from pipeline.verbs.arguments.across import ACROSS
from pipeline.verbs.arguments.clusters import CLUSTERS
from pipeline.verbs.arguments.common import Group, Parser, Verb, add
from pipeline.verbs.arguments.events import EVENTS
from pipeline.verbs.arguments.floats import FLOATS
from pipeline.verbs.arguments.planning import PLANNING
from pipeline.verbs.arguments.results import MENDING, READING, WATCHING
from pipeline.verbs.arguments.running import RUNNING
from pipeline.version import __version__

PROGRAM = "groundswell"
SHELLS = ("bash", "zsh", "tcsh")


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


SHELL = Group(
    "your shell",
    (
        Verb(
            "completion",
            "prints a script by which your shell completes verbs, options and files",
            "Prints a script by which a shell completes verbs, options and files. It is made once and asks nothing of "
            "this program later; make it anew after an update.",
            (
                "{prog} bash > ~/.local/share/bash-completion/completions/groundswell",
                "{prog} zsh > ~/.zfunc/_groundswell  # with fpath+=~/.zfunc before compinit in ~/.zshrc",
                "{prog} tcsh > ~/.groundswell.tcsh  # and `source` it in ~/.tcshrc",
            ),
            _completion,
            {},
        ),
    ),
)
GROUPS = (PLANNING, RUNNING, WATCHING, READING, MENDING, ACROSS, CLUSTERS, FLOATS, EVENTS, SHELL)
VERBS = {verb.name: verb for group in GROUPS for verb in group.verbs}
_INTRODUCTION = """\
Turns STAC items and Argo profiles into analysis-ready, committed files, as one YAML file describes.

  groundswell plan my.yaml      what it would do
  groundswell run my.yaml       do it; run it again to resume
"""
_END = """\
CONFIG is such a file; OUTPUT is a folder, s3://bucket/prefix, or the config that writes there.
`groundswell VERB --help` says what a verb takes, with examples and exit codes.
"""


class Overview(Parser):
    """The whole program, whose help lists its verbs by purpose."""

    def format_help(self) -> str:
        """The introduction, and a line for each verb."""
        width = max(map(len, VERBS)) + 2
        parts = [
            "\n".join([f"{group.title}:", *(f"  {verb.name:<{width}}{verb.does}" for verb in group.verbs), ""])
            for group in GROUPS
        ]
        return "\n".join([f"usage: {self.prog} VERB …\n", _INTRODUCTION, *parts, _END])


def parser() -> Overview:
    """The command line of every verb."""
    made = Overview(prog=PROGRAM)
    made.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}", help="print the version")
    verbs = made.add_subparsers(required=True, metavar="VERB", dest="verb", help="what to do", parser_class=Parser)
    for verb in VERBS.values():
        add(verbs, verb)
    return made


def unknown_verb(word: str) -> str | None:
    """What to say of a first word that is no verb; None for a verb, or an option."""
    if word in VERBS or word.startswith("-"):
        return None
    if Path(word).suffix in {".yaml", ".yml"}:
        return (
            f"found {word} where a verb belongs; to run it: {PROGRAM} run {word}; to look first: {PROGRAM} plan {word}"
        )
    near = difflib.get_close_matches(word, VERBS, 3, 0.5)
    return f"found no verb {word}; " + (f"closest: {', '.join(near)}" if near else f"`{PROGRAM} --help` lists them")
