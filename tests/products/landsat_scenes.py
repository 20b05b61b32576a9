"""A world of random Landsat scenes on one tile: three instruments, two catalogues' habits, gaps, clouds, saturation.

And what plain NumPy makes of their files: nothing here uses the project's own code but the class that runs a job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from tests.worlds import SmallWorld

Json = Any
CRS = "EPSG:32633"
TILE_PX, SCENE_PX = 64, 96
TILE = Affine(30, 0, 600_960, 0, -30, 4_999_680)
"""One whole tile of the UTM grid with tiles of 64 pixels of 30 m."""
NUMBERS = {
    "LT05": {"blue": 1, "green": 2, "red": 3, "nir08": 4, "swir16": 5, "swir22": 7, "lwir": 6},
    "LE07": {"blue": 1, "green": 2, "red": 3, "nir08": 4, "swir16": 5, "swir22": 7, "lwir": 6},
    "LC08": {"coastal": 1, "blue": 2, "green": 3, "red": 4, "nir08": 5, "swir16": 6, "swir22": 7, "lwir": 10},
}
PLATFORMS = {"LT05": "landsat-5", "LE07": "LANDSAT_7", "LC08": "landsat-8"}
FILL, CLEAR, WATER, CLOUD, SHADOW, SNOW, DILATED, CIRRUS = 1, 5440, 5504, 5896, 7440, 13600, 5442, 54596
"""Numbers of QA_PIXEL."""

CONFIG = """\
name: scenes
output: {folder}/output
area: {{bbox: [{west}, {south}, {east}, {north}]}}
grid: {{kind: utm, tile_px: {px}, resolution_m: {metres}}}
period: {{start: 2003-06-01, end: 2003-07-01, every: span}}
sources:
  ls: {{items: {folder}/items.json}}
products:
  - {{product: landsat, source: ls, bands: [red, nir08]}}
run: {{retries: 0, missing_assets: {{max_fraction: 0.9}}}}
"""


@dataclass
class LandsatScenes:
    """A folder of scenes on one plane; every one is random but for what `add` is told."""

    folder: Path
    crs: str = CRS
    tile: Affine = TILE
    """The tile they lie around, or what comes near to it."""
    items: list[Json] = field(default_factory=list)

    def add(
        self,
        day: date,
        sensor: str = "LC08",
        qa: NDArray[np.uint16] | None = None,
        *,
        keys: str = "common",
        **properties: Json,
    ) -> Json:
        """One more scene, its pixels' edges 15 m off the tile's; returns its item.

        keys: how its assets are named: `common` names, or those of the `files`, which are other bands on each sensor.
        """
        random = np.random.default_rng(len(self.items))
        corner = self.tile @ Affine.translation(*(random.integers(-20, -8, 2) - 0.5))
        name = f"{sensor}_L2SP_{190 + len(self.items):03d}028_{day:%Y%m%d}_02_T1"
        assets = {}
        for band, number in NUMBERS[sensor].items():
            data = random.integers(1, 65_455, (SCENE_PX, SCENE_PX)).astype(np.uint16)
            data[random.uniform(size=data.shape) < 0.03] = 0
            file = f"{'ST' if band == 'lwir' else 'SR'}_B{number}"
            key = file if keys == "files" else "lwir11" if file == "ST_B10" else band
            assets[key] = self._write(f"{name}_{file}", data, corner, 0)
        qa = random_qa(random, sensor) if qa is None else qa
        radsat = np.where(random.uniform(size=qa.shape) < 0.05, 1 << random.integers(0, 10, qa.shape), 0)
        for key, data in (("qa_pixel", qa), ("qa_radsat", radsat.astype(np.uint16))):
            named = key.upper() if keys == "files" else key
            assets[named] = self._write(f"{name}_{key.upper()}", data, corner, None)
        to_degrees = Transformer.from_crs(self.crs, 4326, always_xy=True)
        corners = [corner @ at for at in ((0, 0), (0, SCENE_PX), (SCENE_PX, SCENE_PX), (SCENE_PX, 0), (0, 0))]
        ring = [list(to_degrees.transform(*one)) for one in corners]
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "collection": "landsat-c2-l2",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {
                "datetime": f"{day}T10:00:00Z",
                "platform": PLATFORMS[sensor],
                "landsat:correction": "L2SP",
                "landsat:collection_number": "02",
                **properties,
            },
            "assets": assets,
            "links": [],
        }
        self.items.append(item)
        return item

    def mixed(self) -> LandsatScenes:
        """TM, ETM+ and OLI over June 2003, two of them on one day, ETM+ with its stripes."""
        self.add(date(2003, 6, 2), "LT05", keys="files")
        self.add(date(2003, 6, 9), "LC08", keys="files")
        self.add(date(2003, 6, 9), "LT05")
        self.add(date(2003, 6, 10), "LE07", striped(np.random.default_rng(7), "LE07"))
        self.add(date(2003, 6, 17), "LC08")
        self.add(date(2003, 6, 18), "LE07", striped(np.random.default_rng(8), "LE07"), keys="files")
        return self

    def world(self, at: tuple[float, float] | None = None, metres: int = 30) -> SmallWorld:
        """The config beside the saved items. at: lon and lat of the tile in place of the scenes' own."""
        (self.folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": self.items}))
        to_degrees = Transformer.from_crs(self.crs, 4326, always_xy=True)
        lon, lat = at or to_degrees.transform(*(self.tile @ (TILE_PX / 2, TILE_PX / 2)))
        config = self.folder / "scenes.yaml"
        box = {"west": lon - 1e-4, "south": lat - 1e-4, "east": lon + 1e-4, "north": lat + 1e-4}
        config.write_text(CONFIG.format(folder=self.folder, px=TILE_PX, metres=metres, **box))
        return SmallWorld(config, self.folder / "output", self.folder)

    def _write(self, name: str, data: NDArray[np.uint16], transform: Affine, nodata: int | None) -> Json:
        path = self.folder / f"{name}.TIF"
        profile = {"driver": "GTiff", "count": 1, "crs": self.crs, "transform": transform, "dtype": "uint16"}
        with rasterio.open(
            path, "w", height=data.shape[0], width=data.shape[1], nodata=nodata, tiled=True, blockxsize=32,
            blockysize=32, compress="deflate", **profile
        ) as target:  # fmt: skip
            target.update_tags(AREA_OR_POINT="Point")
            target.write(data, 1)
        return {"href": str(path), "type": "image/vnd.stac.geotiff; cloud-optimized=true"}


def random_qa(random: np.random.Generator, sensor: str) -> NDArray[np.uint16]:
    """Ground and water, blobs of every flag that the sensor has, confidences, and a swath's edge."""
    qa = random.choice([CLEAR, WATER], (SCENE_PX, SCENE_PX)).astype(np.uint16)
    rows, cols = np.indices(qa.shape)
    flags = [CLOUD, SHADOW, SNOW, DILATED, *((CIRRUS,) if sensor == "LC08" else ())]
    for flag in flags:
        for _ in range(random.integers(1, 4)):
            row, col, radius = random.integers(0, SCENE_PX), random.integers(0, SCENE_PX), random.integers(2, 12)
            qa[np.hypot(rows - row, cols - col) <= radius] = flag
    qa[random.uniform(size=qa.shape) < 0.02] |= 2 << 8
    if random.uniform() < 0.5:
        qa[rows + 2 * cols < random.integers(0, 100)] = FILL
    return qa


def striped(random: np.random.Generator, sensor: str) -> NDArray[np.uint16]:
    """The same with the wedges that Landsat 7 has lacked since its scan line corrector failed."""
    qa = random_qa(random, sensor)
    rows, cols = np.indices(qa.shape)
    qa[(rows + cols // 6) % 14 < 4] = FILL
    return qa


@dataclass(frozen=True)
class PlainScene:
    """One scene on a grid, in plain NumPy."""

    id: str
    day: date
    clear: NDArray[np.bool_]
    bands: dict[str, NDArray[np.float64]]
    """Stored numbers, NaN where there is none."""


def plain_scene(
    item: Json, bands: Sequence[str], grid: tuple[str, Affine, tuple[int, int]], drop: int, radsat: int = 0xFFFF
) -> PlainScene:
    """drop: bits of QA_PIXEL; radsat: of QA_RADSAT. grid: CRS, transform, shape."""
    sensor = item["id"][:4]
    href = {re.split(r"_T[12]_", Path(asset["href"]).stem)[-1]: asset["href"] for asset in item["assets"].values()}
    qa = on_grid(href["QA_PIXEL"], grid, FILL)
    saturated = on_grid(href["QA_RADSAT"], grid, 0) if radsat else np.zeros(grid[2], np.uint16)
    values = {}
    for band in bands:
        thermal = band == "lwir"
        number = on_grid(href[f"{'ST' if thermal else 'SR'}_B{NUMBERS[sensor][band]}"], grid, 0).astype(np.float64)
        stored = number * 0.341802 + 14_900 if thermal else number * 0.275 - 2_000
        values[band] = np.where(number == 0, np.nan, np.clip(np.rint(stored), 1, 65_534))
    clear = (qa & (drop | 1) == 0) & (saturated & radsat == 0)
    return PlainScene(item["id"], date.fromisoformat(item["properties"]["datetime"][:10]), clear, values)


def on_grid(path: str, grid: tuple[str, Affine, tuple[int, int]], outside: int) -> NDArray[Any]:
    """A raster's pixels under the centres of a grid's, by pyproj and the file's own corner."""
    with rasterio.open(path) as source:
        data = source.read(1)
    row, col = (np.floor(value).astype(int) for value in _coordinates(path, grid))
    shape = grid[2]
    inside = (col >= 0) & (col < data.shape[1]) & (row >= 0) & (row < data.shape[0])
    found = np.full(shape, outside, data.dtype)
    found[inside] = data[row[inside], col[inside]]
    return found


def near_edge(path: str, grid: tuple[str, Affine, tuple[int, int]]) -> NDArray[np.bool_]:
    """Where a centre is so near to an edge of the raster's pixels that a warped one may fall on its other side.

    Coordinates are interpolated to a fiftieth of a pixel.
    """
    row, col = _coordinates(path, grid)
    near: NDArray[np.bool_] = np.minimum(np.abs(row - np.rint(row)), np.abs(col - np.rint(col))) < 0.03
    return near


def _coordinates(path: str, grid: tuple[str, Affine, tuple[int, int]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows and columns of a raster, with fractions, under the centres of a grid's pixels."""
    crs, transform, shape = grid
    with rasterio.open(path) as source:
        there, source_crs = source.transform, source.crs
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    x, y = transform @ (cols, rows)
    if source_crs != rasterio.crs.CRS.from_user_input(crs):
        x, y = Transformer.from_crs(crs, source_crs, always_xy=True).transform(x, y)
    col, row = ~there @ (x, y)
    return row, col


def plain_days(scenes: Sequence[PlainScene], band: str) -> NDArray[np.float64]:
    """(day, y, x): of each day the first clear scene."""
    layers = []
    ordered = sorted(scenes, key=lambda scene: (scene.day, scene.id))
    for day in sorted({scene.day for scene in scenes}):
        merged = np.full(ordered[0].clear.shape, np.nan)
        taken = np.zeros(merged.shape, bool)
        for scene in ordered:
            if scene.day == day:
                use = scene.clear & ~taken
                merged[use] = scene.bands[band][use]
                taken |= use
        layers.append(merged)
    return np.stack(layers)
