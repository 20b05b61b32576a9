"""A year over two neighbouring tree-cover tiles: images, radar and ground on the tiles' own pixels.

Nothing here uses the project's own code but the class that runs jobs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from pipeline.session import Session
from pipeline.types import Job, Outcome
from tests.products.dem_world import Ground30, hills
from tests.worlds import SmallWorld

Json = Any
PX = 60
"""Of a tile: pixels of 103 m at the equator, 1/1080 degree."""
PIXEL = 1 / (18 * PX)
WEST, NORTH = 118 / 18, 5 / 18
"""Corner of the left one of two tiles, on Sao Tome: columns 118 and 119, row 4."""
MARGIN = 10
"""Pixels that scenes reach beyond the tiles."""
BANDS = ("blue", "green", "red", "nir", "rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22")
WINDOWS = (
    ("2021-01-15", "2021-03-16"),
    ("2021-04-15", "2021-06-16"),
    ("2021-07-15", "2021-09-16"),
    ("2021-10-15", "2021-12-16"),
)
TABLE = {"1036X724Y": (6.5833, 0.25), "1037X724Y": (6.6389, 0.25)}
LEFT_ONLY = {"1036X724Y": TABLE["1036X724Y"]}
EMPTY_MONTHS = (6, 7)

CONFIG = """\
name: trees
output: {folder}/output
area: {{tiles: {folder}/tiles.csv}}
grid: {{kind: ttc, resolution_m: 103}}
period: {{start: 2021-01-01, end: 2023-01-01, every: year}}
sources:
  s2: {{items: {folder}/s2.json}}
  s1: {{items: {folder}/s1.json}}
  dem: {{items: {folder}/dem.json}}
products:
  - product: sentinel2
    source: s2
    bands: [{bands}]
    mask: {{open_px: 0, dilate_px: 0}}
    composite: none
    dates: {{max_cloud: 30, per_month: 2}}
    period: {{start: 2021-01-01, end: 2023-01-01, every: year, pad_days: [47, 46]}}
  - product: sentinel1
    source: s1
    polarisations: [vv, vh]
    composite: mean
    orbits: together
    period:
      start: 2021-01-01
      end: 2023-01-01
      every: year
      windows: [[01-15, 03-16], [04-15, 06-16], [07-15, 09-16], [10-15, 12-16]]
  - {{product: dem, source: dem, layers: [slope, slope_median]}}
  - {{product: ttc_ard, inputs: [sentinel2, sentinel1, dem]{entry}}}
run: {{retries: 0, missing_assets: {{max_fraction: 0.5}}}}
"""


@dataclass
class TreeWorld:
    """A folder of scenes, and their numbers as they were written."""

    folder: Path
    s2: list[Json] = field(default_factory=list)
    s1: list[Json] = field(default_factory=list)
    dem: list[Json] = field(default_factory=list)
    images: dict[date, dict[str, NDArray[Any]]] = field(default_factory=dict)
    """Stored numbers of every band and `scl`, of the two tiles together."""
    power: dict[date, dict[str, NDArray[Any]]] = field(default_factory=dict)

    def fill(self, every: int = 7) -> TreeWorld:
        """Images of fifteen months but for two, cloudy ones among them; two radar scenes in each window."""
        day = date(2020, 11, 3)
        while day < date(2022, 3, 10):
            if not (day.year == 2021 and day.month in EMPTY_MONTHS):
                self.add_image(day, cloud=45.0 if day.toordinal() % 5 == 0 else float(day.toordinal() % 29))
            day += timedelta(days=every)
        for start, _ in WINDOWS:
            for later in (3, 40):
                self.add_radar(date.fromisoformat(start) + timedelta(days=later))
        return self

    def add_image(self, day: date, cloud: float) -> None:
        random = np.random.default_rng(day.toordinal())
        shape = (PX + 2 * MARGIN, 2 * PX + 2 * MARGIN)
        classes = random.choice(np.array([4, 5, 6], np.uint8), shape)
        classes[random.uniform(size=shape) < cloud / 100] = 9
        # A pixel that is never seen, and one that is seen once.
        classes[MARGIN + 5, MARGIN + 7] = 9
        classes[MARGIN + 6, MARGIN + 7] = 4 if day == date(2021, 3, 3) else 9
        season = 1 + 0.4 * math.sin(day.toordinal() / 58)
        layers: dict[str, NDArray[Any]] = {"scl": classes}
        for number, band in enumerate(BANDS):
            values = random.integers(200, 1500, shape) * season * (1 + number / 4)
            values[random.uniform(size=shape) < 0.01] = 10_500
            layers[band] = values.astype(np.uint16)
        self.images[day] = layers
        said = {"eo:cloud_cover": cloud, "platform": "sentinel-2b", "s2:processing_baseline": "02.14"}
        self.s2.append(self._item(f"image-{day}", "tests", f"{day}T10:00:00Z", layers, 0, said))

    def add_radar(self, day: date) -> None:
        random = np.random.default_rng(day.toordinal())
        shape = (PX + 2 * MARGIN, 2 * PX + 2 * MARGIN)
        layers = {}
        for name, low in (("vv", 0.02), ("vh", 0.002)):
            values = (low * random.gamma(4.0, 1.0, shape)).astype(np.float32)
            values[MARGIN + 20 : MARGIN + 24, MARGIN + 20 : MARGIN + 24] = -32768 if day.month < 9 else low
            values[MARGIN + 30, MARGIN + 30] = -32768
            layers[name] = values
        self.power[day] = layers
        said = {"sat:orbit_state": "ascending", "sat:relative_orbit": 117, "platform": "sentinel-1a"}
        self.s1.append(self._item(f"radar-{day}", "tests-rtc", f"{day}T17:50:00Z", layers, -32768, said))

    def on_hills(self) -> TreeWorld:
        """With ground that is a formula."""
        ground = Ground30(self.folder, hills)
        ground.add((0, 6))
        return replace(self, dem=ground.items)

    def world(
        self, entry: str = "", table: Mapping[str, tuple[float, float]] = LEFT_ONLY, years: Sequence[int] = (2021,)
    ) -> SmallWorld:
        """The config beside items and list of tiles; entry: further keys of the ttc_ard entry."""
        for name, items in (("s2", self.s2), ("s1", self.s1), ("dem", self.dem)):
            (self.folder / f"{name}.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        rows = ["Year,X,Y,Y_tile,X_tile"]
        for tile, (lon, lat) in table.items():
            across, _, down = tile.removesuffix("Y").partition("X")
            rows += [f"{year},{lon},{lat},{down},{across}" for year in years]
        (self.folder / "tiles.csv").write_text("\n".join(rows) + "\n")
        config = self.folder / "trees.yaml"
        config.write_text(CONFIG.format(folder=self.folder, bands=", ".join(BANDS), entry=entry and f", {entry}"))
        return SmallWorld(config, self.folder / "output", self.folder)

    def _item(
        self, name: str, collection: str, time: str, layers: Mapping[str, NDArray[Any]], nodata: float, said: Json
    ) -> Json:
        corner = Affine(PIXEL, 0, WEST - MARGIN * PIXEL, 0, -PIXEL, NORTH + MARGIN * PIXEL)
        assets = {}
        for key, data in layers.items():
            path = self.folder / f"{name}-{key}.tif"
            height, width = data.shape
            profile = {"driver": "GTiff", "count": 1, "crs": "EPSG:4326", "dtype": data.dtype, "transform": corner}
            with rasterio.open(path, "w", height=height, width=width, nodata=nodata, **profile) as out:
                out.write(data, 1)
            assets[key] = {"href": str(path), "type": "image/tiff; application=geotiff"}
        left, top = corner @ (0, 0)
        right, bottom = corner @ (2 * PX + 2 * MARGIN, PX + 2 * MARGIN)
        ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
        return {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": name,
            "collection": collection,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"datetime": time, "updated": "2023-01-01T00:00:00Z", **said},
            "assets": assets,
            "links": [],
        }


def run_jobs(small: SmallWorld, session: Session) -> dict[str, Outcome]:
    """Every job, here and now, after those it is made from; by job id."""

    def rank(job: Job) -> int:
        return len(job.upstream) > 0

    return {job.id: small.run(session, job) for job in sorted(session.plan.jobs, key=rank)}


def layers_of(small: SmallWorld, outcome: Outcome) -> tuple[dict[str, NDArray[Any]], Json]:
    """What was committed, by asset key, as rasterio reads it; and the item."""
    path = small.output / str(outcome.item_key)
    item = json.loads(path.read_text())
    layers = {}
    for key, asset in item["assets"].items():
        if asset["type"].startswith("image/tiff"):
            with rasterio.open(path.parent / asset["href"]) as source:
                layers[key] = source.read(1)
    return layers, item


def dem_item(path: Path) -> Json:
    """An item for a real file, with what its header says."""
    with rasterio.open(path) as source:
        left, bottom, right, top = source.bounds
        ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
        said = {"proj:epsg": 4326, "proj:transform": list(source.transform)[:6], "proj:shape": list(source.shape)}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": path.stem,
        "collection": "cop-dem-glo-30",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2021-04-22T00:00:00Z", "updated": "2023-04-20T18:14:07Z", **said},
        "links": [],
        "assets": {"data": {"href": str(path), "type": "image/tiff; application=geotiff", "roles": ["data"]}},
    }
