"""Committed outputs of every product there is: the demo's, and small ones of what the demo does not make."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, Session, open_session
from pipeline.types import Status
from tests.products.regions import Regions
from tests.products.ttc_world import TreeWorld
from tests.results.made import finish

FURTHER = """\
name: further
output: {output}
area: {{bbox: [12.005, 44.870, 12.010, 44.875]}}
grid: {{kind: utm, tile_px: 256, resolution_m: 10}}
period: {{start: 2024-06-01, end: 2024-07-01, every: month}}
sources:
  s2: {{items: {world}/s2/collection.json}}
  dem: {{items: {world}/dem/collection.json}}
products:
  - {{product: sentinel2, source: s2, bands: [red, nir]}}
  - {{product: sentinel2, name: series, source: s2, bands: [red], composite: none}}
  - {{product: dem, source: dem, layers: [slope, aspect]}}
  - product: predict
    inputs: [sentinel2, dem]
    model: {model}
    channels: [{{layer: sentinel2_nir}}, {{layer: sentinel2_red}}]
    window_px: 256
    overlap_px: 64
    results: [{{name: index, dtype: int16, scale: 0.0001, description: "(nir - red) / (nir + red)"}}]
write: {{cog: {{}}, zarr: {{}}}}
"""
FLOATS = """\
name: floats
output: {output}
period: {{start: 2024-06-01, end: 2024-08-01, every: span}}
sources:
  argo: {{gdac: {world}/argo, kinds: [core, synthetic]}}
products:
  - {{product: argo, source: argo, parameters: [PRES, TEMP, PSAL]}}
  - product: argo_grid
    inputs: [argo]
    regions: {{lake: {{bbox: [11.5, 44.5, 12.5, 45.5]}}}}
    cell_deg: 0.5
    levels_dbar: [5, 10, 20]
"""
MODEL = Path(__file__).parents[2] / "configs" / "difference.onnx"


@dataclass(frozen=True)
class Asset:
    """One asset of a committed item."""

    product: str
    item: str
    key: str
    path: Path
    fields: dict[str, Any]

    @property
    def layer(self) -> str:
        """Its key without the day."""
        return re.sub(r"-\d{8}$", "", self.key)


@dataclass(frozen=True)
class Committed:
    """Outputs, and what their items say."""

    outputs: tuple[Path, ...]

    @cached_property
    def items(self) -> dict[Path, Any]:
        """Every item by its file."""
        files = [path for output in self.outputs for path in sorted((output / "items").glob("*/*.json"))]
        return {path: json.loads(path.read_text(encoding="utf-8")) for path in files}

    def assets(self, suffix: str) -> list[Asset]:
        """Those whose file's name ends so: the first of each output, product and band, and of days."""
        found: dict[tuple[Path, str, str], Asset] = {}
        for path, item in self.items.items():
            for key, fields in sorted(item["assets"].items()):
                if fields["href"].endswith(suffix):
                    place = (path.parent / fields["href"]).resolve()
                    asset = Asset(item["collection"], item["id"], key, place, fields)
                    found.setdefault((path.parent, asset.layer, suffix), asset)
        return list(found.values())

    def files(self) -> set[Path]:
        """All that lies in the outputs."""
        return {path for output in self.outputs for path in output.rglob("*") if path.is_file()}


def commit_further(world: Path, folder: Path) -> tuple[Path, ...]:
    """A time series, aspects, predictions, grids of floats, days of a glacier region, a tree-cover tile."""
    made = []
    for name, text in (("further", FURTHER), ("floats", FLOATS)):
        config = folder / f"{name}.yaml"
        config.write_text(text.format(output=folder / name, world=world, model=MODEL))
        made.append(_commit(open_session(Options(config))))
    worlds = (
        Regions(_new(folder / "regions")).month().world(),
        TreeWorld(_new(folder / "trees")).fill(every=21).on_hills().world(),
    )
    return (*made, *(_commit(small.session("write={cog: {}, zarr: {}}")) for small in worlds))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _commit(session: Session) -> Path:
    assignments = session.assignments()
    for job in sorted(session.plan.jobs, key=lambda one: bool(one.upstream)):
        outcome = run_job(job, assignments[job.product], 1)
        assert outcome.status is Status.DONE, outcome.cause
    finish(session.prepared.store, session.plan)
    return Path(session.config.output)
