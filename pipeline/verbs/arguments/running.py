"""The command line of a run: of `python -m pipeline.run`, and of `groundswell run`."""

from __future__ import annotations

import argparse

from pipeline.verbs.arguments.common import Group, Verb, config_of


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--yes", action="store_true", help="do not ask before money is spent")
    parser.add_argument("--overwrite", action="store_true", help="make every job again and replace its item")
    parser.add_argument(
        "--replay", metavar="FILE", help="only the jobs that a run's replay.jsonl names: those that failed in it"
    )
    config_of(parser, "--dest", snapshot=True)
    keys = parser.add_argument_group("how it runs", "each stands for a key of the config")
    keys.add_argument("--mem", metavar="SIZE", help="clusters.<each>.worker_memory, such as 4GiB")
    keys.add_argument("--retries", type=int, metavar="N", help="run.retries: further attempts at a passing failure")
    keys.add_argument("--report-dir", metavar="FOLDER", help="run.report_dir: gets a copy of the report")
    keys.add_argument("--plot", action=argparse.BooleanOptionalAction, help="run.plot: the report's plots as PNG too")
    keys.add_argument("--progress", metavar="HOW", help="run.progress: auto, bars, lines, json or quiet")
    keys.add_argument(
        "--quiet", action="store_const", const="quiet", dest="progress", help="run.progress=quiet: failures only"
    )
    argo = parser.add_argument_group("Argo", "each stands for a key of every source with `gdac`")
    argo.add_argument(
        "--float-id",
        action="append",
        dest="floats",
        metavar="WMO",
        help="sources.<argo>.floats: only this float; may be repeated",
    )
    argo.add_argument(
        "--dac",
        action="append",
        metavar="NAME",
        help="sources.<argo>.dac: only floats of this centre; may be repeated",
    )
    argo.add_argument("--limit", type=int, metavar="N", help="sources.<argo>.limit: at most N cycles")
    argo.add_argument(
        "--skip-download",
        action="store_false",
        dest="download",
        default=None,
        help="sources.<argo>.download=false: read the mirror as it is",
    )


RUN = Verb(
    "run",
    "makes what a config asks for; `python -m pipeline.run` is the same",
    "Makes what a config asks for: searches, plans, works on Dask clusters beside the data, and commits tile by tile. "
    "Run it again to resume after anything: what is committed is skipped.",
    (
        "{prog} configs/demo.yaml --dry-run",
        "{prog} configs/demo.yaml",
        "{prog} configs/demo.yaml --set 'area.bbox=[11.95, 44.87, 11.97, 44.89]' --output ./out",
    ),
    _run,
    {
        0: "all done or skipped; what was lost within `missing_assets` is named",
        1: "some jobs failed or were blocked, each named with its cause; the others are committed",
        3: "refused before anything was started (catalogue, output, cluster, memory or budget), or stopped by budget, "
        "credentials or a full disk: the same command resumes",
        4: "all that is left is being made by another run on the same output",
        5: "nothing to do where input was required",
        130: "interrupted; jobs in flight were finished, the same command resumes (143: by SIGTERM)",
    },
)
RUNNING = Group("run", (RUN,))
