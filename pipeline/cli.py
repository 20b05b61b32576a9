"""`groundswell`: the verbs beside a run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import EXIT_DONE, EXIT_PREFLIGHT, GroundswellError, StoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """One verb; returns the exit code (see `pipeline.errors`)."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.verb(options)
    except StoreError as error:
        code, message = EXIT_PREFLIGHT, f"output: {error}"
    except GroundswellError as error:
        code, message = error.exit_code, str(error)
    else:
        return code
    print(f"error: {message}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    """The command line of every verb."""
    made = argparse.ArgumentParser(prog="groundswell", description="Verbs beside `python -m pipeline.run CONFIG`.")
    verbs = made.add_subparsers(required=True, metavar="VERB")
    schema = verbs.add_parser("schema", help="print the JSON Schema of the config, for editors")
    schema.set_defaults(verb=_schema)
    explain = verbs.add_parser("explain", help="say why a tile's jobs would be made again, or not")
    explain.add_argument("config", type=Path, metavar="CONFIG")
    explain.add_argument("tile", metavar="TILE", help="tile id such as 33N-024-0246, or a job id product/tile/period")
    explain.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE")
    explain.add_argument("--output", metavar="URI")
    explain.add_argument("--snapshot", type=Path, metavar="FILE")
    explain.set_defaults(verb=_explain)
    return made


def _schema(_options: argparse.Namespace) -> int:
    from pipeline.config import config_schema  # noqa: PLC0415 (heavy)
    from pipeline.products import product_models  # noqa: PLC0415

    print(json.dumps(config_schema(product_models()), indent=2))
    return EXIT_DONE


def _explain(options: argparse.Namespace) -> int:
    from pipeline.explain import explain_tile  # noqa: PLC0415 (heavy)

    print(explain_tile(options.config, options.tile, options.sets, options.output, options.snapshot))
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
