"""A small config over a demo world, run in this process without a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, Session, open_session
from pipeline.types import Job, Outcome

CONFIG = """\
name: small
output: {output}
area: {{bbox: [11.985, 44.872, 12.018, 44.890]}}
grid: {{kind: utm, tile_px: 256, resolution_m: 10}}
period: {{start: 2024-06-01, end: 2024-08-01, every: month}}
sources:
  s2: {{items: {world}/s2/collection.json}}
products:
  - {{product: sentinel2, source: s2, bands: [red, nir], indices: [ndvi]}}
run: {{missing_assets: {{max_fraction: 0.5}}}}
"""


@dataclass(frozen=True)
class SmallWorld:
    """A config file and where its output goes."""

    config: Path
    output: Path
    world: Path

    def session(self, *sets: str, overwrite: bool = False) -> Session:
        """A planned session, with some keys replaced."""
        return open_session(Options(self.config, sets=sets, overwrite=overwrite))

    def run(self, session: Session, job: Job) -> Outcome:
        """One job, here and now."""
        return run_job(job, session.assignments()[job.product], 1)


def small_world(world: Path, folder: Path) -> SmallWorld:
    """The config written beside its output-to-be."""
    config, output = folder / "small.yaml", folder / "output"
    config.write_text(CONFIG.format(output=output, world=world))
    return SmallWorld(config, output, world)
