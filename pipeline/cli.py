"""`groundswell`: all verbs as one program; the standard library alone before the arguments are understood."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from pipeline.errors import EXIT_BAD_CONFIG
from pipeline.run import start
from pipeline.verbs._ending import end
from pipeline.verbs.arguments.parser import parser, unknown_verb

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """One verb; returns the exit code (see `pipeline.errors`)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    made = parser()
    if not words:
        made.print_help()
        return EXIT_BAD_CONFIG
    if (fault := unknown_verb(words[0])) is not None:
        made.error(fault)
    options, unknown = made.parse_known_args(words)
    if unknown:
        options.parser.refuse(unknown)
    if options.verb == "run":
        return start(options)

    def answer() -> int:
        told = importlib.import_module(f"pipeline.verbs.{options.verb}").run(options)
        print(told.text, flush=True)
        return int(told.code)

    return end(answer)


if __name__ == "__main__":
    sys.exit(main())
