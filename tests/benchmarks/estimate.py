"""What runs were told to take, and what they took: each of other products and tiles than those before it.

    python -m tests.benchmarks.estimate        # make bench-estimate (REPEAT=3 ESTIMATE_PX=1024 ESTIMATE_DATA=folder)

The first run knows nothing but priors; every later one is told from the runs before it, and from nothing else.
With ESTIMATE_CLOCK=cpu the same tasks are made here, one by one, and told and learned in seconds of this processor: on
a machine that others use, hours say more about them than about an estimate.
Its estimate is the one that it put beside its plan before it began.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from pipeline.demo.world import build_world
from pipeline.estimating import job_features
from pipeline.execute.progress.meter import Meter
from pipeline.execute.records.journal import state_folder
from pipeline.execute.records.runs import new_run_id
from pipeline.execute.worker.task import Assignment, run_group
from pipeline.plan.groups import Group
from pipeline.session import Options, open_session
from pipeline.types import ClusterEvent, Outcome, Range, Status
from pipeline.work import assign, plan_work
from tests.benchmarks.contest import ROOT

WITHIN = 0.3
"""What a run's estimate may be off by, once any other run is known."""
TRIES = 3
"""Of each task by the processor's clock, the fastest counts: what others do to caches and memory is not the task's."""
USD_AN_HOUR = 0.25
"""Of a worker, so that there are dollars to compare."""
_SOURCES = ("s2", "s1", "dem", "landsat")
S2 = {"product": "sentinel2", "source": "s2", "bands": ["blue", "green", "red", "nir"], "indices": ["ndvi"]}
S1 = {"product": "sentinel1", "source": "s1", "orbits": "together"}
DEM = {"product": "dem", "source": "dem", "layers": ["elevation", "slope", "hillshade"]}
LANDSAT = {"product": "landsat", "source": "landsat", "bands": ["red", "nir08"]}


@dataclass(frozen=True)
class Asked:
    """One run."""

    name: str
    products: Sequence[Mapping[str, Any]]
    tile_px: int
    every: str
    share: float = 1.0
    """Of the area's width."""


RUNS = (
    Asked("Sentinel-2, months", (S2,), 256, "month"),
    Asked("Sentinel-1, both months", (S1,), 512, "span"),
    Asked("heights and Landsat", (DEM, LANDSAT), 256, "month", 0.7),
    Asked("Sentinel-2 and Sentinel-1", (S2, S1), 384, "span", 0.8),
)


@dataclass(frozen=True)
class Told:
    """One number, told before a run and found after it."""

    run: str
    jobs: int
    what: str
    low: float
    told: float
    high: float
    actual: float
    basis: str

    @property
    def ratio(self) -> float:
        """Actual / told."""
        return self.actual / self.told if self.told else float("nan")


def compare(world: Path, folder: Path, runs: Sequence[Asked] = RUNS) -> Iterator[Told]:
    """Run them one after the other in new processes, each with an output of its own and the records of those before."""
    for number, asked in enumerate(runs):
        output = folder / f"output-{number}"
        config = folder / f"run-{number}.json"
        config.write_text(json.dumps(_config(world, output, asked)))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
        command = [sys.executable, "-m", "pipeline.run", str(config), "--yes"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        (run,) = (path.parent for path in output.glob("runs/*/finished.json"))
        told, finished = (json.loads((run / name).read_text()) for name in ("estimate.json", "finished.json"))
        jobs = sum(row["jobs"] for row in told["rows"])
        for what in ("job_s", "hours", "usd"):
            actual = finished["actual"][what]
            ends = told[what]
            yield Told(asked.name, jobs, what, ends["low"], ends["mid"], ends["high"], actual, told["basis"])


def compare_here(world: Path, folder: Path, runs: Sequence[Asked] = RUNS) -> Iterator[Told]:
    """The same tasks in this process, one by one, by the clock of its processor; records as a run leaves them."""
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    journals = state_folder() / "runs"
    journals.mkdir(parents=True)
    for number, asked in enumerate(runs):
        output = folder / f"output-{number}"
        config = folder / f"run-{number}.json"
        config.write_text(json.dumps(_config(world, output, asked)))
        session = open_session(Options(config))
        told, jobs = session.estimate, session.plan.jobs
        assignments = assign(session.config, session.prepared, session.specs)
        meter = Meter(told, job_features(jobs), halt=lambda _: None)
        (region,) = {place.region for place in told.places}
        meter.cluster(ClusterEvent(region, 0, "up", workers=1))
        work = plan_work(jobs, session.config, session.prepared, session.specs)
        # Libraries are imported by then: what that takes is told apart, once for each thread of a cluster.
        warm: dict[str, Group] = {}
        for group in work:
            if warm.setdefault(group.jobs[0].product, group) is group:
                run_group(group, assignments[group.jobs[0].product], 1)
            begun_s = time.process_time()
            tries = [_timed(group, assignments[group.jobs[0].product]) for _ in range(TRIES)]
            share_s, outcomes = min(tries, key=itemgetter(0))
            for outcome in outcomes:
                meter.ended(replace(outcome, seconds=share_s, begun_s=begun_s))
        actual = meter.actual()
        record = json.dumps({"event": "actual", **actual.document()})
        (journals / f"{new_run_id(datetime.now(UTC))}.jsonl").write_text(record + "\n")
        (place,) = told.places
        ends = told.job_s + Range.exact(-place.first_s * min(place.workers * place.threads, len(work)))
        yield Told(asked.name, len(jobs), "cpu s", ends.low, ends.mid, ends.high, actual.job_s, told.basis)


def _timed(group: Group, assignment: Assignment) -> tuple[float, list[Outcome]]:
    """Make a task: seconds of this processor for each of its jobs. Raises RuntimeError for one that is not made."""
    begun_s = time.process_time()
    outcomes = run_group(group, assignment, 1)
    share_s = (time.process_time() - begun_s) / len(outcomes)
    for outcome in outcomes:
        if outcome.status is not Status.DONE:
            raise RuntimeError(f"{outcome.job_id}: {outcome.cause}")
    return share_s, outcomes


def _config(world: Path, output: Path, asked: Asked) -> dict[str, Any]:
    used = {product["source"] for product in asked.products}
    west, east = 11.93, 11.93 + 0.14 * asked.share
    return {
        "name": "estimate",
        "output": str(output),
        "area": {"bbox": [west, 44.82, east, 44.90]},
        "grid": {"kind": "utm", "tile_px": asked.tile_px, "resolution_m": 10},
        "period": {"start": "2024-06-01", "end": "2024-08-01", "every": asked.every},
        "sources": {name: {"items": f"{world}/{name}/collection.json"} for name in _SOURCES if name in used},
        "products": list(asked.products),
        "clusters": {"default": {"backend": "local", "usd_per_worker_hour": USD_AN_HOUR}},
        "run": {"missing_assets": {"max_fraction": 0.9}, "plot": False},
    }


def main() -> int:
    """Print a table of each round's ratios; 1 where the middle one of a later run is further off than WITHIN."""
    px, rounds = int(os.environ.get("ESTIMATE_PX", "1024")), int(os.environ.get("REPEAT", "3"))
    found: dict[tuple[str, int, str], list[Told]] = {}
    with tempfile.TemporaryDirectory(prefix="groundswell-estimate-") as scratch:
        world = Path(os.environ.get("ESTIMATE_DATA") or Path(scratch, "world"))
        build_world(world, px)
        for number in range(rounds):
            folder = Path(scratch, f"round-{number}")
            folder.mkdir()
            for one in (compare_here if os.environ.get("ESTIMATE_CLOCK") == "cpu" else compare)(world, folder):
                found.setdefault((one.run, one.jobs, one.what), []).append(one)
            sys.stderr.write(f"round {number + 1} of {rounds}: load {os.getloadavg()[0]:.1f}\n")
    sys.stdout.write(
        f"{'run':<28} {'jobs':>5} {'what':<6} {'told last (low to high)':>32} actual / told of each round\n"
    )
    middles = {key: statistics.median(one.ratio for one in each) for key, each in found.items()}
    for (run, jobs, what), each in found.items():
        ends = f"{each[-1].told:.4g} ({each[-1].low:.4g} to {each[-1].high:.4g})"
        ratios = ", ".join(f"{one.ratio:.2f}" for one in each)
        sys.stdout.write(f"{run:<28} {jobs:>5} {what:<6} {ends:>32} {ratios}: {middles[run, jobs, what]:.2f}\n")
    later = [ratio for (run, *_), ratio in middles.items() if run != RUNS[0].name]
    return 1 if any(abs(ratio - 1) > WITHIN for ratio in later) else 0


if __name__ == "__main__":
    sys.exit(main())
