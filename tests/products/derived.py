"""A run of products that are made from others, job after job in this process; and what it committed, by rasterio."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, Session, open_session
from pipeline.types import Job, Outcome, Status
from tests.products.dem_world import Ground30, hills

Array = NDArray[Any]
CONFIG = """\
name: derived
output: {folder}/output
area: {{bbox: [12.001, 44.865, 12.004, 44.870]}}
grid: {{kind: utm, tile_px: 256, resolution_m: 10}}
period: {{start: 2024-06-01, end: 2024-08-01, every: month}}
sources:
  s2: {{items: {world}/s2/collection.json, region: eu-central-1}}
  c1: {{items: {world}/s2_c1/collection.json, region: us-west-2}}
  dem: {{items: {folder}/items.json, region: eu-central-1}}
products:
{products}
clusters: {{default: {{backend: local, workers: 1, threads: 2, worker_memory: 3GiB}}}}
run: {{retries: 0, missing_assets: {{max_fraction: 0.5}}}}
"""
OPTICAL = "{product: sentinel2, source: s2, bands: [red, nir], indices: [ndvi]}"
OTHER = "{product: sentinel2, name: other, source: c1, bands: [red, green]}"
DEM = "{product: dem, source: dem, layers: [elevation, slope]}"


@dataclass
class Run:
    """One config, and what became of its jobs."""

    folder: Path
    session: Session
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        return self.folder / "output"

    def job(self, product: str, period: str | None = None) -> Job:
        (job,) = [one for one in self.session.plan.jobs if one.product == product and period in {None, one.period.id}]
        return job

    def make(self, *jobs: Job) -> Outcome:
        """Jobs in order, by default all; the last one's outcome."""
        assignments = self.session.assignments()
        for job in jobs or self.session.plan.jobs:
            self.outcomes[job.id] = run_job(job, assignments[job.product], 1)
        return self.outcomes[job.id]

    def made(self) -> Run:
        """All of them, without a fault."""
        self.make()
        assert [one.cause for one in self.outcomes.values() if one.status is not Status.DONE] == []
        return self

    def item(self, job: Job) -> Any:
        return json.loads((self.output / str(self.outcomes[job.id].item_key)).read_text())

    def files(self, job: Job) -> dict[str, Path]:
        """Files of a committed item by asset key."""
        assets = self.item(job)["assets"]
        return {key: self.output / "items" / job.product / asset["href"] for key, asset in assets.items()}

    def layers(self, job: Job) -> dict[str, Array]:
        found = {}
        for key, path in self.files(job).items():
            if path.suffix == ".tif":
                with rasterio.open(path) as source:
                    found[key] = source.read(1)
        return found

    def physical(self, job: Job, key: str) -> Array:
        """Values of a layer by what its file says of them, NaN where there is none."""
        with rasterio.open(self.files(job)[key]) as source:
            stored = source.read(1)
            values = stored * source.scales[0] + source.offsets[0]
            return np.where(stored == source.nodata, np.nan, values)


def plan(world: Path, folder: Path, products: Sequence[str], *sets: str) -> Run:
    """A planned run of some products over the demo world and invented heights."""
    text = "\n".join(f"  - {product}" for product in products)
    config = CONFIG.format(folder=folder, world=world, products=text)
    for source in ("s2", "c1", "dem"):
        if f"source: {source}," not in text:
            config = "\n".join(line for line in config.splitlines() if not line.startswith(f"  {source}: "))
    if not (folder / "items.json").is_file():
        ground = Ground30(folder, hills)
        ground.add((44, 11), (44, 12), (45, 11), (45, 12))
        (folder / "items.json").write_text(json.dumps(ground.items))
    (folder / "run.yaml").write_text(config)
    return Run(folder, open_session(Options(folder / "run.yaml", sets=sets)))
