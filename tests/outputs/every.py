"""The demo's own config on its small world, one tile and month of every product: an output that many look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, Session, open_session
from pipeline.types import Job, Outcome, Status
from tests.demo_runs import CONFIG
from tests.results.made import finish, plan_of

SAYS = "Invented by Groundswell's demo world; contains no {}"
SENTINEL, LANDSAT, DEM = map(SAYS.format, ("Copernicus data", "Landsat data", "data of the Copernicus DEM"))
SOURCES = {
    "dem": DEM,
    "landsat": LANDSAT,
    "sentinel1": SENTINEL,
    "sentinel2": SENTINEL,
    "sentinel2-c1": SENTINEL,
    "stack": f"{SENTINEL} | {LANDSAT} | {DEM}",
}
"""By product of layers, its attribution."""
FLOATS = "Profiles of the project INVENTED, which are not Argo's"
TABLES = {"argo": FLOATS, "matchups": f"{SENTINEL} | {FLOATS}"}
"""By product of tables."""


@dataclass(frozen=True)
class Run:
    """What was run, and what became of it."""

    session: Session
    outcomes: dict[str, Outcome]
    """By product, of the last one of its jobs."""

    @property
    def output(self) -> Path:
        return Path(self.session.config.output)

    def path(self, product: str) -> Path:
        """Of that job's item."""
        return self.output / str(self.outcomes[product].item_key)

    def item(self, product: str) -> Any:
        return json.loads(self.path(product).read_text(encoding="utf-8"))


@cache
def make_every(demo_world: Path) -> Run:
    """Made once in a process, beside the world: COG and Zarr, records of a run and the pages. Never written to."""
    sets = [
        f"output={mkdtemp(dir=demo_world.parent)}",
        "grid.tile_px=256",
        "period.end=2024-07-01",
        "write={cog: {}, zarr: {}}",
        *(
            f"sources.{name}.items={demo_world}/{name}/collection.json"
            for name in ("s2", "s1", "dem", "landsat", "s2_c1")
        ),
        f"sources.argo.gdac={demo_world}/argo",
    ]
    outcomes: dict[str, Outcome] = {}
    jobs: list[Job] = []
    # The small scenes do not reach the lake, where the floats are.
    for area, wanted in (("[12.011, 44.885, 12.0145, 44.892]", TABLES), ("[12.005, 44.870, 12.010, 44.875]", SOURCES)):
        session = open_session(Options(CONFIG, sets=[*sets, f"area.bbox={area}"]))
        assignments = session.assignments()
        jobs += (chosen := [job for job in session.plan.jobs if job.product in wanted])
        outcomes |= {job.product: run_job(job, assignments[job.product], 1) for job in chosen}
    assert [one.cause for one in outcomes.values() if one.status is not Status.DONE] == []
    finish(session.prepared.store, plan_of(jobs))
    return Run(session, outcomes)
