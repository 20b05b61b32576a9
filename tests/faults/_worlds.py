"""Small worlds for fault tests: a few good scenes on one grid, and whatever bad item a test adds to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry import mapping

from pipeline.execute.worker.task import Assignment, run_job
from pipeline.plan.jobs import plan_jobs
from pipeline.plan.outlines import lonlat_outline
from pipeline.session import Options, open_session
from pipeline.types import Job, Json, Outcome, Tile

CHECKOUT = Path(__file__).resolve().parents[2]
GRID = GeoBox((128, 128), Affine(10, 0, 600_320, 0, -10, 5_000_960), "EPSG:32633")
"""One whole tile of the UTM grid with tiles of 128 pixels of 10 m."""
CLEAR, CLOUD = 4, 9
"""SCL classes: vegetation, high-probability cloud."""


@dataclass
class World:
    """A folder with rasters and one item list; scenes are added one day at a time."""

    folder: Path
    grid: GeoBox = GRID
    base: str = ""
    """Put before every generated href: an address that serves `folder`; empty for plain paths."""
    items: list[Json] = field(default_factory=list)

    def add(self, day: str, hrefs: Mapping[str, str | Path | None] | None = None, **changes: Json) -> Json:
        """One scene of `day` (2024-06-07); good generated files except where `hrefs` says another or None (no asset).

        changes: replace fields of the item. Returns the item, already in the list.
        """
        hrefs = dict(hrefs or {})
        number = len(self.items)
        assets = {}
        for key, data in (("red", self.pixels(number)), ("scl", np.full(self.grid.shape, CLEAR, np.uint8))):
            href = hrefs.get(key, "")
            if href is None:
                continue
            if href == "":
                name = f"{day}-{number}-{key}.tif"
                write_tif(self.folder / name, data, self.grid)
                href = f"{self.base}{name}"
            assets[key] = {
                "href": str(href),
                "type": "image/tiff; application=geotiff",
                "proj:shape": list(self.grid.shape),
                "proj:transform": list(self.grid.transform[:6]),
            }
        item = {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": f"scene-{number}-{day}",
            "collection": "tests",
            "geometry": mapping(lonlat_outline(self.grid)),
            "properties": {
                "datetime": f"{day}T10:00:00Z",
                "updated": f"{day}T18:00:00Z",
                "s2:processing_baseline": "02.14",
                "proj:code": f"EPSG:{self.grid.crs.to_epsg() if self.grid.crs else None}",
            },
            "assets": assets,
            "links": [],
        } | changes
        self.items.append(item)
        return item

    def pixels(self, number: int) -> NDArray[np.uint16]:
        """Red of the scene with that number: textured, nowhere 0, (y, x)."""
        y, x = np.mgrid[: self.grid.shape[0], : self.grid.shape[1]]
        return np.asarray(300 + (7 * x + 13 * y + 101 * number) % 1000, np.uint16)

    def median(self, *numbers: int) -> NDArray[np.uint16]:
        """The composite of those scenes by plain NumPy: half to even, as the product promises."""
        return np.asarray(np.rint(np.median([self.pixels(number) for number in numbers], axis=0)), np.uint16)

    def save(self) -> Path:
        """Write the item list and return its path."""
        path = self.folder / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": self.items}), encoding="utf-8")
        return path

    def config(self, product: Mapping[str, Json] | None = None, **changes: Json) -> Path:
        """Write a config over the world's whole June and July 2024; returns its path.

        product: replaces keys of the one product. changes: replace top-level keys.
        """
        inside = lonlat_outline(self.grid).representative_point()
        entry = {"product": "sentinel2", "source": "s2", "bands": ["red"], "mask": None, **(product or {})}
        document = {
            "name": "faults",
            "output": str(self.folder / "output"),
            "area": {"bbox": [inside.x - 1e-4, inside.y - 1e-4, inside.x + 1e-4, inside.y + 1e-4]},
            "grid": {"tile_px": 128, "resolution_m": 10},
            "period": {"start": "2024-06-01", "end": "2024-08-01", "every": "month"},
            "sources": {"s2": {"items": self.base + "items.json" if self.base else str(self.folder / "items.json")}},
            "products": [entry],
            "run": {"retries": 0, "missing_assets": {"policy": "skip", "max_fraction": 0.5}},
            **changes,
        }
        self.save()
        path = self.folder / "run.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    @property
    def output(self) -> Path:
        return self.folder / "output"


def write_tif(path: Path, data: NDArray[Any], grid: GeoBox, **options: Any) -> Path:
    """A tiled deflate GeoTIFF of (y, x) data; options replace creation options."""
    height, width = data.shape
    profile = {
        "driver": "GTiff",
        "dtype": data.dtype.name,
        "count": 1,
        "height": height,
        "width": width,
        "crs": str(grid.crs),
        "transform": grid.transform,
        "nodata": 0,
        "compress": "deflate",
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
    } | options
    with rasterio.open(path, "w", **profile) as target:
        target.write(data, 1)
    return path


def prepare_world(config: Path, grid: GeoBox = GRID) -> tuple[dict[str, Job], Assignment]:
    """Search and plan as a run does, but for the one tile `grid` and not the UTM grid's: (job by period, the rest)."""
    session = open_session(Options(config))
    prepared = session.prepared
    tiles = (Tile("00X-000-0000", grid),)
    targets = {name: replace(target, tiles=tiles) for name, target in prepared.targets.items()}
    plan = plan_jobs(prepared.products, targets, prepared.items, {}, {"default": 2**31})
    return {job.period.id: job for job in plan.jobs}, session.assignments()["sentinel2"]


def run_world(config: Path, grid: GeoBox = GRID, period: str = "2024-06") -> Outcome:
    """One job of a world, run in this process without a cluster."""
    jobs, assignment = prepare_world(config, grid)
    return run_job(jobs[period], assignment, 1)


def read_item(world: World, outcome: Outcome) -> Json:
    """The committed item of an outcome."""
    assert outcome.item_key is not None, outcome
    return json.loads((world.output / outcome.item_key).read_text(encoding="utf-8"))


def read_band(world: World, outcome: Outcome, key: str) -> NDArray[Any]:
    """The pixels of one committed band, (y, x)."""
    item = world.output / str(outcome.item_key)
    href = read_item(world, outcome)["assets"][key]["href"]
    with rasterio.open(item.parent / href) as dataset:
        return np.asarray(dataset.read(1))


def run_command(config: Path, state: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m pipeline.run` as a user starts it; journals go under `state`."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.run", str(config), *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "XDG_STATE_HOME": str(state), **environment},
    )
