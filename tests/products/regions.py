"""Scenes of two UTM zones over glacier regions at 71 N: random pixels, swath edges, two tiles and two zones a day.

And what plain rasterio and NumPy make of their files: nothing here uses the project's own code but the class that runs
a job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from tests.worlds import SmallWorld

Json = Any
WEST, EAST = "EPSG:32623", "EPSG:32624"
"""The two zones; they meet at 42 W."""
EDGE = -42.0
SCENE_PX = 200
CORNERS = {
    "T24WVD": (EAST, 385_960, 7_880_520),
    "T24WVC": (EAST, 385_960, 7_879_020),
    "T23WPU": (WEST, 603_980, 7_880_300),
}
"""Tile → CRS and upper left corner of its 10 m grid: two overlap in one zone, the third lies in the other one."""
OUTLINE = ((386_300, 7_879_900), (387_050, 7_880_420), (387_700, 7_879_700), (387_203, 7_878_655), (386_405, 7_878_902))
HOLE = ((386_900, 7_879_600), (387_100, 7_879_600), (387_100, 7_879_400), (386_900, 7_879_400))
REGION = shapely.Polygon(OUTLINE, [HOLE])
"""In the eastern zone, over both of its tiles, with a nunatak."""

CONFIG = """\
name: regions
output: {folder}/output
area: {{vector: {folder}/regions.geojson, zone: tiles}}
grid: {{kind: region, resolution_m: {metres}}}
period: {{start: 2024-07-01, end: 2024-08-01, every: month}}
sources:
  own: {{items: {folder}/items.json}}
products:
  - {{product: glaciers, source: own, bands: [red, nir], min_valid: 0}}
run: {{retries: 0, missing_assets: {{max_fraction: 0.9}}}}
"""


@dataclass
class Regions:
    """A folder of scenes and regions."""

    folder: Path
    metres: int = 10
    items: list[Json] = field(default_factory=list)

    def add(self, day: int, tile: str = "T24WVD", *, west: float = 1.0, **properties: Json) -> Json:
        """One scene of July 2024; west: the share of it, from its left, that the swath reaches. Returns its item."""
        random = np.random.default_rng(len(self.items))
        crs, left, top = CORNERS[tile]
        transform = Affine(10, 0, left, 0, -10, top)
        name = f"S2A_{tile[1:]}_202407{day:02d}_{len(self.items)}_L2A"
        seen = np.arange(SCENE_PX)[None, :] < west * SCENE_PX
        assets = {}
        for band in ("red", "nir"):
            data = np.where(seen, random.integers(1, 9000, (SCENE_PX, SCENE_PX)), 0)
            data[random.uniform(size=data.shape) < 0.01] = 0
            assets[band] = self._write(f"{name}-{band}", data.astype(np.uint16), crs, transform)
        classes = np.where(random.uniform(size=(SCENE_PX // 2, SCENE_PX // 2)) < 0.02, 9, 11).astype(np.uint8)
        classes[~np.broadcast_to(seen[:, ::2], classes.shape)] = 0
        assets["scl"] = self._write(f"{name}-scl", classes, crs, transform @ Affine.scale(2))
        item = {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": name,
            "collection": "tests",
            "geometry": footprint(crs, transform),
            "properties": {
                "datetime": f"2024-07-{day:02d}T15:{len(self.items):02d}:00Z",
                "updated": "2024-08-01T00:00:00Z",
                "platform": "sentinel-2a",
                "s2:processing_baseline": "02.14",
                "s2:product_uri": f"S2A_MSIL2A_202407{day:02d}T150911_N0214_R025_{tile}_20240801T000000.SAFE",
                **properties,
            },
            "assets": assets,
            "links": [],
        }
        self.items.append(item)
        return item

    def month(self) -> Regions:
        """A day of one tile, one of two, one of two zones, a narrow swath, and a day beside the region."""
        self.add(3)
        self.add(8)
        self.add(8, "T24WVC")
        self.add(13, "T23WPU")
        self.add(13, west=0.5)
        self.add(13, "T24WVC", west=0.6)
        self.add(18, west=0.3)
        return self

    def world(self, regions: Mapping[str, BaseGeometry] | None = None, crs: str = EAST) -> SmallWorld:
        """The config beside items and regions (in `crs`; by default the one with the nunatak)."""
        to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
        features = []
        for name, shape in (regions or {"134_Nunatak": REGION}).items():
            dense = shapely.segmentize(shape, 100)
            degrees = shapely.transform(dense, lambda xy: np.column_stack(to_degrees.transform(*xy.T)))
            features.append(
                {
                    "type": "Feature",
                    "properties": {"name": name, "tiles": "24WVD,24WVC"},
                    "geometry": shapely.geometry.mapping(degrees),
                }
            )
        for path, found in (("regions.geojson", features), ("items.json", self.items)):
            (self.folder / path).write_text(json.dumps({"type": "FeatureCollection", "features": found}))
        config = self.folder / "regions.yaml"
        config.write_text(CONFIG.format(folder=self.folder, metres=self.metres))
        return SmallWorld(config, self.folder / "output", self.folder)

    def _write(self, name: str, data: NDArray[Any], crs: str, transform: Affine) -> Json:
        path = self.folder / f"{name}.tif"
        profile = {"driver": "GTiff", "count": 1, "crs": crs, "transform": transform, "nodata": 0, "dtype": data.dtype}
        with rasterio.open(path, "w", height=data.shape[0], width=data.shape[1], **profile) as target:
            target.write(data, 1)
        return {
            "href": str(path),
            "type": "image/tiff; application=geotiff",
            "proj:code": crs,
            "proj:transform": list(transform[:6]),
            "proj:shape": list(data.shape),
        }


def footprint(crs: str, transform: Affine, side: int = SCENE_PX) -> Json:
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    corners = [transform @ corner for corner in ((0, 0), (0, side), (side, side), (side, 0), (0, 0))]
    return {"type": "Polygon", "coordinates": [[list(to_degrees.transform(*corner)) for corner in corners]]}


def nearest(path: str, crs: str, transform: Affine, shape: tuple[int, int]) -> NDArray[Any]:
    """A raster on a grid: of each pixel's centre, transformed exactly, the source pixel that holds it; 0 outside."""
    with rasterio.open(path) as source:
        data, back, own = source.read(1), ~source.transform, source.crs.to_string()
    cols, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = transform.a * cols + transform.c, transform.e * rows + transform.f
    if own != crs:
        x, y = Transformer.from_crs(crs, own, always_xy=True).transform(x, y)
    col, row = np.floor(back.a * x + back.c).astype(int), np.floor(back.e * y + back.f).astype(int)
    inside = (row >= 0) & (row < data.shape[0]) & (col >= 0) & (col < data.shape[1])
    out = np.zeros(shape, data.dtype)
    out[inside] = data[row[inside], col[inside]]
    return out


def merged(layers: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Of each pixel the first layer that has a number."""
    out = np.zeros_like(layers[0])
    for layer in layers:
        out = np.where(out == 0, layer, out)
    return out
