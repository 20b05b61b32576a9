"""Tiles of one degree as Copernicus has them, over ground that is a formula; and what plain NumPy makes of the formula.

Nothing here uses the project's own code but the class that runs a job.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.types import Outcome, Status
from tests.worlds import SmallWorld

Json = Any
Array = NDArray[Any]
Ground = Callable[[Array, Array], Array]
"""(longitude, latitude) → height."""
ROWS = 120
"""Of a tile: 30 arc seconds, so that a degree is a small file."""

CONFIG = """\
name: ground
output: {folder}/output
area: {area}
grid: {grid}
period: {{start: 2024-06-01, end: 2024-07-01, every: span}}
sources:
  dem: {{items: {folder}/items.json}}
products:
  - {{product: dem, source: dem, layers: [elevation, slope, aspect, hillshade]}}
run: {{retries: 0}}
"""


def plane(lon: Array, lat: Array) -> Array:
    heights: Array = 40.0 * lon + 90.0 * (lat - 45.0)
    return heights


def hills(lon: Array, lat: Array) -> Array:
    """Like a sphere's functions: the same at 180 as at -180, never level for long."""
    turn, height = np.radians(lon), np.radians(lat)
    heights: Array = 800.0 * np.cos(height) * np.sin(37 * turn) + 500.0 * np.sin(61 * height + 2 * np.cos(turn)) + 300
    return heights


def columns(south: int, rows: int = ROWS) -> int:
    """Of a tile: fewer towards the poles (Copernicus DEM product handbook)."""
    latitude = south if south >= 0 else -south - 1
    shares = ((50, 1.0), (60, 1.5), (70, 2.0), (80, 3.0), (85, 5.0), (90, 10.0))
    return round(rows / next(share for limit, share in shares if latitude < limit))


def name_of(south: int, west: int, arc: int = 10) -> str:
    north, east = "S" if south < 0 else "N", "W" if west < 0 else "E"
    return f"Copernicus_DSM_COG_{arc}_{north}{abs(south):02d}_00_{east}{abs(west):03d}_00_DEM"


@dataclass
class Ground30:
    """A folder of tiles of one degree, and the items that list them."""

    folder: Path
    ground: Ground
    rows: int = ROWS
    arc: int = 10
    items: list[Json] = field(default_factory=list)

    def add(self, *cells: tuple[int, int]) -> None:
        """A tile for each cell (south, west): its first pixel's centre is the cell's north-western corner."""
        for south, west in cells:
            wide = columns(south, self.rows)
            lon, lat = west + np.arange(wide) / wide, south + 1 - np.arange(self.rows) / self.rows
            transform = Affine(1 / wide, 0, west - 0.5 / wide, 0, -1 / self.rows, south + 1 + 0.5 / self.rows)
            self.write(south, west, self.ground(*np.meshgrid(lon, lat)).astype(np.float32), transform)

    def write(self, south: int, west: int, data: Array, transform: Affine, **profile: Any) -> Json:
        name = name_of(south, west, self.arc)
        path = self.folder / f"{name}.tif"
        known = {"driver": "GTiff", "crs": "EPSG:4326", "compress": "deflate", "predictor": 3, **profile}
        height, width = data.shape
        with rasterio.open(
            path, "w", width=width, height=height, count=1, dtype=data.dtype, transform=transform, **known
        ) as sink:
            sink.write(data, 1)
            left, bottom, right, top = sink.bounds
        ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "collection": f"cop-dem-glo-{30 if self.arc == 10 else 90}",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": [left, bottom, right, top],
            "properties": {
                "datetime": "2021-04-22T00:00:00Z",
                "updated": "2023-04-20T18:14:07Z",
                "platform": "tandem-x",
                "proj:epsg": 4326,
                "proj:transform": list(transform)[:6],
                "proj:shape": list(data.shape),
            },
            "links": [],
            "assets": {"data": {"href": str(path), "type": "image/tiff; application=geotiff", "roles": ["data"]}},
        }
        self.items.append(item)
        return item


def world(folder: Path, items: Iterable[Json], area: str, grid: str) -> SmallWorld:
    """A config over some items."""
    (folder / "items.json").write_text(json.dumps(list(items)))
    (folder / "ground.yaml").write_text(CONFIG.format(folder=folder, area=area, grid=grid))
    return SmallWorld(folder / "ground.yaml", folder / "output", folder)


@dataclass(frozen=True)
class Tiles:
    """What a run made: layers by tile id, and where each tile lies."""

    layers: Mapping[str, Mapping[str, Array]]
    transforms: Mapping[str, Affine]
    items: Mapping[str, Json]
    crs: Mapping[str, str]

    def places(self, tile: str) -> tuple[Array, Array]:
        """Longitude and latitude of every pixel's centre, by pyproj."""
        shape = self.layers[tile]["elevation"].shape
        cols, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
        x, y = self.transforms[tile] @ (cols, rows)
        lon, lat = Transformer.from_crs(self.crs[tile], "EPSG:4326", always_xy=True).transform(x, y)
        return np.asarray(lon), np.asarray(lat)


def run_all(small: SmallWorld, *sets: str) -> tuple[Tiles, list[Outcome]]:
    """Every job of a config, here and now."""
    session = small.session(*sets)
    outcomes = [small.run(session, job) for job in session.plan.jobs]
    layers: dict[str, dict[str, Array]] = {}
    transforms, items = {}, {}
    for job, outcome in zip(session.plan.jobs, outcomes, strict=True):
        if outcome.status is Status.DONE:
            path = small.output / str(outcome.item_key)
            items[job.tile.id] = json.loads(path.read_text())
            layers[job.tile.id] = {}
            for key, asset in items[job.tile.id]["assets"].items():
                if asset["type"].startswith("image/tiff"):
                    with rasterio.open(path.parent / asset["href"]) as source:
                        layers[job.tile.id][key] = source.read(1)
                        transforms[job.tile.id] = source.transform
    crs = {job.tile.id: str(job.tile.geobox.crs) for job in session.plan.jobs}
    return Tiles(layers, transforms, items, crs), outcomes


def bilinear(ground: Ground, lon: Array, lat: Array, rows: int = ROWS) -> Array:
    """What the formula's tiles give between their pixels: along each row, then between the rows; all in 64 bits.

    The row of a parallel belongs to the cell south of it, and so has that cell's columns.
    """
    up = lat * rows
    low = np.floor(up).astype(int)

    def along(row: Array) -> Array:
        wide = np.array([columns(int(south), rows) for south in range(-90, 90)])[(row - 1) // rows + 90]
        left = np.floor(lon * wide)
        part = lon * wide - left
        at = [ground((left + step) / wide, row / rows).astype(np.float32).astype(float) for step in (0, 1)]
        mixed: Array = at[0] * (1 - part) + at[1] * part
        return mixed

    result: Array = along(low) * (1 - (up - low)) + along(low + 1) * (up - low)
    return result


def horn(heights: Array, across: Any, down: Any) -> tuple[Array, Array]:
    """How much the ground rises a metre to the east and to the north, of all but the outermost pixels.

    across, down: metres from pixel to pixel. B. K. P. Horn, 1981.
    """
    z = heights.astype(float)
    north, middle, south = z[:-2], z[1:-1], z[2:]
    east = (north[:, 2:] + 2 * middle[:, 2:] + south[:, 2:]) - (north[:, :-2] + 2 * middle[:, :-2] + south[:, :-2])
    up = (north[:, :-2] + 2 * north[:, 1:-1] + north[:, 2:]) - (south[:, :-2] + 2 * south[:, 1:-1] + south[:, 2:])
    return east / (8 * across), up / (8 * down)


def steepness(east: Array, north: Array) -> Array:
    degrees: Array = np.degrees(np.arctan(np.hypot(east, north)))
    return degrees
