"""`python -m pipeline.run config.yaml`: the command line of a run; `pipeline.session` joins the stages.

Only the standard library is imported before the arguments are understood, so `--help` and a mistyped option answer at
once.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import EXIT_INTERRUPTED, EXIT_PREFLIGHT, GroundswellError, StoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a config; returns the exit code (see `pipeline.errors`)."""
    options = parser().parse_args(arguments)
    try:
        from pipeline.session import Options, run_config  # noqa: PLC0415 (heavy: everything a run needs)

        return run_config(Options(**vars(options)))
    except StoreError as error:  # outside a job: the output itself cannot be used
        code, message = EXIT_PREFLIGHT, f"output: {error}"
    except GroundswellError as error:
        code, message = error.exit_code, str(error)
    except OSError as error:  # of this machine's own disk: what a store refuses is a StoreError
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        code, message = EXIT_PREFLIGHT, f"{error}: free some of this machine's disk, or set TMPDIR to a larger one"
    except KeyboardInterrupt as error:  # while nothing ran yet, or the second signal of a run
        code, message = (
            (*error.args, EXIT_INTERRUPTED)[0],
            "interrupted: what was in flight is lost; run again to resume",
        )
    print(f"error: {message}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    """The command line of a run."""
    made = argparse.ArgumentParser(
        prog="python -m pipeline.run",
        description="Make what a config asks for: search, plan, run on Dask, commit. "
        "Run it again to resume: what is committed is skipped.",
        epilog="exit codes: 0 all done or skipped; 1 some jobs failed; 2 bad config or usage; 3 preflight refused; "
        "or stopped by budget, credentials or disk, resumable; 4 all that is left is being made by another run; "
        "5 nothing to do; 130, 143 interrupted, resumable",
    )
    made.add_argument("config", type=Path, metavar="CONFIG", help="the YAML file that describes the run")
    made.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    made.add_argument("--yes", action="store_true", help="do not ask before money is spent")
    made.add_argument("--overwrite", action="store_true", help="make every job again and replace its item")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        dest="sets",
        metavar="KEY=VALUE",
        help="replace one key of the config, e.g. products.sentinel2.mask.dilate_px=5; may be repeated",
    )
    argo = made.add_argument_group("Argo", "each stands for a key of every source with `gdac`")
    argo.add_argument(
        "--float-id",
        action="append",
        dest="floats",
        metavar="WMO",
        help="sources.<argo>.floats: only this float; may be repeated",
    )
    argo.add_argument("--dac", action="append", metavar="NAME", help="sources.<argo>.dac: only floats of this centre")
    argo.add_argument("--limit", type=int, metavar="N", help="sources.<argo>.limit: at most N cycles")
    argo.add_argument(
        "--skip-download",
        action="store_false",
        dest="download",
        default=None,
        help="sources.<argo>.download=false: read the mirror as it is",
    )
    made.add_argument(
        "--output", "--dest", metavar="URI", help="output: a folder or s3://bucket/prefix, in place of the config's"
    )
    made.add_argument("--snapshot", type=Path, metavar="FILE", help="replay a run's items.parquet instead of searching")
    made.add_argument(
        "--replay", metavar="FILE", help="only the jobs that a run's replay.jsonl names: those that failed in it"
    )
    _campaign(made)
    return made


def _campaign(made: argparse.ArgumentParser) -> None:
    """Options that stand for a key each."""
    keys = made.add_argument_group("how it runs", "each stands for a key of the config")
    keys.add_argument("--mem", metavar="SIZE", help="clusters.<each>.worker_memory, such as 4GiB")
    keys.add_argument("--retries", type=int, metavar="N", help="run.retries: further attempts at a passing failure")
    keys.add_argument("--report-dir", metavar="FOLDER", help="run.report_dir: gets a copy of the report")
    keys.add_argument("--plot", action=argparse.BooleanOptionalAction, help="run.plot: the report's plots as PNG too")
    keys.add_argument("--progress", metavar="HOW", help="run.progress: auto, bars, lines, json or quiet")
    keys.add_argument(
        "--quiet", action="store_const", const="quiet", dest="progress", help="run.progress=quiet: failures only"
    )


if __name__ == "__main__":
    sys.exit(main())
