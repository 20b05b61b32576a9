"""`python -m pipeline.run config.yaml`: the command line of a run; `pipeline.session` joins the stages.

Only the standard library is imported before the arguments are understood, so `--help` and a mistyped option answer at
once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields

from pipeline.verbs._ending import end
from pipeline.verbs.arguments.common import Parser, describe
from pipeline.verbs.arguments.running import RUN


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a config; returns the exit code (see `pipeline.errors`)."""
    made = parser()
    options, unknown = made.parse_known_args(arguments)
    if unknown:
        made.refuse(unknown)
    return start(options)


def start(options: argparse.Namespace) -> int:
    """The run of a command line that is understood; returns the exit code."""

    def run() -> int:
        from pipeline.config.options import Options  # noqa: PLC0415 (heavy, as what follows)
        from pipeline.terminal import run_config  # noqa: PLC0415 (everything a run needs)

        return run_config(Options(**{field.name: getattr(options, field.name) for field in fields(Options)}))

    return end(run, "interrupted: what was in flight is lost; run again to resume")


def parser() -> Parser:
    """The command line of a run."""
    made = Parser(prog="python -m pipeline.run")
    describe(made, RUN)
    return made


if __name__ == "__main__":
    sys.exit(main())
