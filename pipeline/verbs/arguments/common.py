"""What the command lines of all verbs are made of, so that they read alike; the standard library alone."""

from __future__ import annotations

import argparse
import difflib
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pipeline.errors import EXIT_BAD_CONFIG, EXIT_DONE, EXIT_INTERRUPTED

_UNITS_S = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_WIDTH = 96
USUAL_EXITS: Mapping[int, str] = {
    EXIT_DONE: "done",
    EXIT_BAD_CONFIG: "bad config or usage",
    EXIT_INTERRUPTED: "interrupted",
}


class Parser(argparse.ArgumentParser):
    """A command line whose refusals are two lines: what was found, and where more is said."""

    def __init__(self, **how: Any) -> None:
        # An option cut short would mean another one as soon as a longer one begins like it.
        super().__init__(allow_abbrev=False, **how)

    def error(self, message: str) -> NoReturn:
        """Print why on stderr, and exit with 2."""
        self.exit(EXIT_BAD_CONFIG, f"error: {message}\n`{self.prog} --help` says what can be given\n")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Exit with 2 over words that this command line has no place for; names the option that comes closest."""
        known = re.findall(r"--[\w-]+", self.format_help())
        told = []
        for word in unknown:
            near = difflib.get_close_matches(word.partition("=")[0], known, 1) if word.startswith("-") else []
            told.append(f"found {word}, which it does not take" + (f"; closest: {near[0]}" if near else ""))
        self.error("; ".join(told))


@dataclass(frozen=True)
class Verb:
    """One verb, as its help tells of it."""

    name: str
    does: str
    """In the list of verbs, as the end of: it ..."""
    says: str
    """Two sentences or so."""
    examples: Sequence[str]
    """Whole command lines, with `{prog}` for the program and the verb; what follows `#` is a remark."""
    declare: Callable[[argparse.ArgumentParser], object]
    """Adds its arguments."""
    exits: Mapping[int, str]
    """Exit codes beside the usual ones, or in their place."""


@dataclass(frozen=True)
class Group:
    """Verbs that a person uses for one purpose."""

    title: str
    verbs: Sequence[Verb]


def describe(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Make a parser that of a verb: its arguments, and a help of what it does, examples and exit codes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = textwrap.fill(verb.says, _WIDTH)
    examples = [f"  {example}".format(prog=parser.prog) for example in verb.examples]
    codes = {**USUAL_EXITS, **verb.exits}
    exits = [textwrap.fill(f"{code:>5}  {codes[code]}", _WIDTH, subsequent_indent=" " * 7) for code in sorted(codes)]
    parser.epilog = "\n".join(["examples:", *examples, "", "exit codes:", *exits])
    verb.declare(parser)


def add(verbs: argparse._SubParsersAction[Parser], verb: Verb) -> None:
    """A further verb."""
    parser = verbs.add_parser(verb.name, help=verb.does)
    describe(parser, verb)
    parser.set_defaults(parser=parser)


def config_of(parser: argparse.ArgumentParser, *further: str, snapshot: bool = False) -> None:
    """CONFIG, and what may be replaced in it. further: names of --output. snapshot: also the catalogues' answers."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the YAML file that describes the run")
    keys = parser.add_argument_group("in place of what the config says")
    sets_of(keys)
    keys.add_argument("--output", *further, metavar="URI", help="output: a folder or s3://bucket/prefix")
    if snapshot:
        keys.add_argument(
            "--snapshot", type=Path, metavar="FILE", help="replay a run's items.parquet instead of searching"
        )


def sets_of(parser: argparse._ActionsContainer) -> None:
    """--set."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="sets",
        metavar="KEY=VALUE",
        help="replace one key, such as products.sentinel2.mask.dilate_px=5; may be repeated",
    )


def output_of(parser: argparse.ArgumentParser) -> None:
    """OUTPUT, and how it is reached."""
    parser.add_argument(
        "output", metavar="OUTPUT", help="a run's output: folder, s3://bucket/prefix, or the config that writes there"
    )
    storage_of(parser, "OUTPUT")


def storage_of(parser: argparse.ArgumentParser, what: str) -> None:
    """How a place on S3 is reached."""
    reached = parser.add_argument_group(f"how {what} is reached, where it is on S3")
    reached.add_argument("--endpoint", metavar="URL", help="the server; default: what the config says, or else AWS")
    reached.add_argument("--profile", metavar="NAME", help="profile of the AWS configuration")
    reached.add_argument("--anonymous", action="store_true", help="send no credentials")


def run_of(parser: argparse.ArgumentParser) -> None:
    """--run."""
    parser.add_argument("--run", metavar="ID", help="a run by its id; default: the newest")


def json_of(parser: argparse.ArgumentParser, what: str = "print JSON for programs in place of text") -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help=what)


def address_of(parser: argparse.ArgumentParser, port: int) -> None:
    """--host, --port and --origin of what serves."""
    parser.add_argument("--host", metavar="HOST", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    parser.add_argument("--port", metavar="PORT", type=int, default=port, help=f"default: {port}")
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        dest="origins",
        metavar="URL",
        help="a web page that may ask from a browser; may be repeated",
    )


def duration_s(text: str) -> float:
    """Seconds of `90s`, `30min`, `24h` or `7d`; a bare number is seconds. Raises argparse's error for anything else."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)(s|min|h|d|)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: 0, 90s, 30min, 24h, 7d")
    return float(match[1]) * _UNITS_S[match[2]]
