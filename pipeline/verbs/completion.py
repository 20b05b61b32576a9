"""`groundswell completion`: a script by which a shell completes verbs, options and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pipeline.verbs._answer import Answer
from pipeline.verbs.arguments.parser import parser

_FILES = {"CONFIG", "FILE", "OUTPUT", "REQUEST", "RULES"}
"""Placeholders for which files and folders are offered."""
_FOLDERS = {"FOLDER", "SAFE", "URI"}
"""Placeholders for which only folders are."""


def run(options: argparse.Namespace) -> Answer:
    """The script for `options.shell`, which needs this program no more."""
    import shtab  # noqa: PLC0415 (only for this)

    made = parser()
    for action in actions_of(made):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return Answer(shtab.complete(made, shell=options.shell).rstrip("\n"))


def actions_of(made: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a command line, and of its verbs."""
    for action in made._actions:  # noqa: SLF001 (argparse tells them nowhere else)
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 (the same)
            for verb in action.choices.values():
                yield from actions_of(verb)
