"""A world of random scenes on one tile: clouds at 20 m, swath edges, two scenes a day, two platforms, odd numbers.

And what plain NumPy makes of its files: nothing here uses the project's own code but the class that runs a job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from tests.products.plain import plain_clear
from tests.worlds import SmallWorld

Json = Any
CRS = "EPSG:32633"
TILE = Affine(10, 0, 600_320, 0, -10, 5_000_960)
TILE_PX = 128
"""One whole tile of the UTM grid with tiles of 128 pixels of 10 m."""
SCENE_PX = 160
BANDS = {"blue": 10, "red": 10, "nir": 10, "swir16": 20}
"""Band → metres."""
DEFAULT_MASK = ((0, 1, 3, 8, 9, 10), 1, 3)
CLEAR, CLOUD = 4, 9

CONFIG = """\
name: scenes
output: {folder}/output
area: {{bbox: [{west}, {south}, {east}, {north}]}}
grid: {{kind: utm, tile_px: 128, resolution_m: 10}}
period: {{start: 2024-06-01, end: 2024-07-01, every: span}}
sources:
  s2: {{items: {folder}/items.json}}
products:
  - {{product: sentinel2, source: s2, bands: [red, nir], mask: {{open_px: 1, dilate_px: 3}}}}
run: {{retries: 0, missing_assets: {{max_fraction: 0.9}}}}
"""


@dataclass
class Scenes:
    """A folder of scenes; every one is random but for what `add` is told."""

    folder: Path
    items: list[Json] = field(default_factory=list)

    def add(self, day: date, classes: NDArray[np.uint8] | None = None, **properties: Json) -> Json:
        """One more scene, shifted against the tile by whole 20 m pixels; returns its item.

        classes: (80, 80) at 20 m in place of random ones. properties: replace those of the item.
        """
        number = len(self.items)
        random = np.random.default_rng(number)
        shift = random.integers(-3, 4, 2) * 20
        transform = TILE @ Affine.translation(-16, -16) @ Affine.translation(*(shift / 10))
        name = f"scene-{(number * 7) % 100:02d}-{number}"
        assets = {}
        for band, metres in BANDS.items():
            side = SCENE_PX * 10 // metres
            data = random.integers(1, 6000, (side, side)).astype(np.uint16)
            data[random.uniform(size=data.shape) < 0.05] = 0
            odd = random.uniform(size=data.shape) < 0.05
            data[odd] = random.choice([1, 999, 1000, 1001, 65_534, 65_535], int(odd.sum()))
            assets[band] = self._write(f"{name}-{band}", data, transform, metres)
        assets["scl"] = self._write(
            f"{name}-scl", random_classes(random) if classes is None else classes, transform, 20
        )
        item = {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": name,
            "collection": "tests",
            "geometry": _footprint(transform, SCENE_PX),
            "properties": {
                "datetime": f"{day}T10:00:00Z",
                "updated": f"{day}T18:00:00Z",
                "platform": "sentinel-2a" if number % 2 else "sentinel-2b",
                "s2:processing_baseline": "05.10" if number % 3 == 0 else "02.14",
                **properties,
            },
            "assets": assets,
            "links": [],
        }
        self.items.append(item)
        return item

    def add_month(self, scenes: int) -> Scenes:
        """Random scenes over June 2024, every third one on the day of the one before."""
        for number in range(scenes):
            self.add(date(2024, 6, 1) + timedelta(days=(number - number // 3) % 30))
        return self

    def world(self) -> SmallWorld:
        """The config beside the saved items."""
        (self.folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": self.items}))
        to_degrees = Transformer.from_crs(CRS, 4326, always_xy=True)
        lon, lat = to_degrees.transform(*(TILE @ (TILE_PX / 2, TILE_PX / 2)))
        config = self.folder / "scenes.yaml"
        box = {"west": lon - 1e-4, "south": lat - 1e-4, "east": lon + 1e-4, "north": lat + 1e-4}
        config.write_text(CONFIG.format(folder=self.folder, **box))
        return SmallWorld(config, self.folder / "output", self.folder)

    def _write(self, name: str, data: NDArray[Any], transform: Affine, metres: int) -> Json:
        path = self.folder / f"{name}.tif"
        scaled = transform @ Affine.scale(metres / 10)
        profile = {"driver": "GTiff", "count": 1, "crs": CRS, "transform": scaled, "nodata": 0, "dtype": data.dtype}
        with rasterio.open(path, "w", height=data.shape[0], width=data.shape[1], **profile) as target:
            target.write(data, 1)
        return {"href": str(path), "type": "image/tiff; application=geotiff"}


def random_classes(random: np.random.Generator) -> NDArray[np.uint8]:
    """(80, 80) classes: ground, blobs of every masked class and of others, specks, dead pixels, and a swath's edge."""
    classes = random.choice([4, 5, 6], (80, 80)).astype(np.uint8)
    rows, cols = np.indices(classes.shape)
    for code in (3, 8, 9, 10, 2, 7, 11):
        for _ in range(random.integers(0, 4)):
            row, col, radius = random.integers(0, 80), random.integers(0, 80), random.integers(1, 9)
            classes[np.hypot(rows - row, cols - col) <= radius] = code
    classes[random.uniform(size=classes.shape) < 0.01] = 9
    classes[random.uniform(size=classes.shape) < 0.01] = 1
    if random.uniform() < 0.5:
        classes[rows + 2 * cols < random.integers(0, 120)] = 0
    return classes


@dataclass(frozen=True)
class PlainScene:
    """One scene on the tile, in plain NumPy."""

    id: str
    day: date
    clear: NDArray[np.bool_]
    reasons: NDArray[np.uint16]
    distance_px: NDArray[np.float64]
    """Pixels of the mask to the nearest cloud; only asked of clear pixels."""
    shown: int
    """Pixels of the tile that are no no-data."""
    bands: Mapping[str, NDArray[np.float64]]
    """Stored numbers without the offset, NaN where there is none."""


def plain_scenes(
    items: Sequence[Json],
    bands: Sequence[str],
    mask: tuple[tuple[int, ...], int, int] | None = DEFAULT_MASK,
    harmonise: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    *,
    distances: bool = False,
) -> list[PlainScene]:
    """Every scene in the order of day and id; without a mask, clear is where the first band has a number.

    distances: whether they are worked out; else they are infinite.
    """
    scenes = []
    for item in items:
        facts = item["properties"]
        shift = -1000 if facts["s2:processing_baseline"] == "05.10" else 0
        values = {}
        for band in bands:
            stored = on_tile(item["assets"][band]["href"]).astype(np.float64)
            gain, offset = (harmonise or {}).get(facts["platform"], {}).get(band, (1.0, 0.0))
            changed = np.clip(np.rint(gain * (stored + shift) + offset * 1e4), 1, 65_534)
            values[band] = np.where(stored == 0, np.nan, changed)
        if mask is None:
            clear = ~np.isnan(values[bands[0]])
            reasons, distance = np.zeros(clear.shape, np.uint16), np.full(clear.shape, np.inf)
            shown = int(clear.sum())
        else:
            clear, reasons, distance, shown = _plain_mask(item["assets"]["scl"]["href"], mask, distances)
        day = date.fromisoformat(facts["datetime"][:10])
        scenes.append(PlainScene(item["id"], day, clear, reasons, distance, shown, values))
    return sorted(scenes, key=lambda scene: (scene.day, scene.id))


def plain_days(scenes: Sequence[PlainScene], band: str, *, masked: bool = True) -> NDArray[np.float64]:
    """(day, y, x): of each day the first clear scene; without a mask the first that has a number."""
    layers = []
    for day in sorted({scene.day for scene in scenes}):
        merged = np.full((TILE_PX, TILE_PX), np.nan)
        taken = np.zeros(merged.shape, bool)
        for scene in scenes:
            if scene.day == day:
                use = (scene.clear if masked else ~np.isnan(scene.bands[band])) & ~taken
                merged[use] = scene.bands[band][use]
                taken |= use
        layers.append(merged)
    return np.stack(layers)


def on_tile(path: str, outside: int = 0) -> NDArray[Any]:
    """A raster on the tile by integer division: all grids here share their CRS and their 10 m."""
    with rasterio.open(path) as source:
        data, transform = source.read(1), source.transform
    step = int(transform.a) // 10
    left, top = (int(value) for value in ~TILE @ (transform.c, transform.f))
    rows, cols = (np.arange(TILE_PX) - top) // step, (np.arange(TILE_PX) - left) // step
    out = np.full((TILE_PX, TILE_PX), outside, data.dtype)
    inside = np.ix_((rows >= 0) & (rows < data.shape[0]), (cols >= 0) & (cols < data.shape[1]))
    out[inside] = data[np.ix_(rows[(rows >= 0) & (rows < data.shape[0])], cols[(cols >= 0) & (cols < data.shape[1])])]
    return out


def _plain_mask(
    path: str, mask: tuple[tuple[int, ...], int, int], distances: bool
) -> tuple[NDArray[np.bool_], NDArray[np.uint16], NDArray[np.float64], int]:
    with rasterio.open(path) as source:
        scl, profile = source.read(1), source.profile
    soft = tuple(code for code in mask[0] if code > 1)
    cloud = plain_clear(path, soft, *mask[1:]) == 0
    clear = plain_clear(path, mask[0], *mask[1:]) == 1
    reasons = np.where(clear, 0, np.where(np.isin(scl, mask[0]), 1 << scl.astype(np.int64), 1 << 12)).astype(np.uint16)
    rows, cols = np.indices(scl.shape)
    distance = np.full(scl.shape, np.inf)
    for row, col in zip(*np.nonzero(cloud & distances), strict=True):
        np.minimum(distance, np.hypot(rows - row, cols - col), out=distance)
    layers = []
    for layer, outside in ((clear.astype(np.uint8), 0), (reasons, 0), (distance, 0), ((scl != 0).astype(np.uint8), 0)):
        kept = f"{path}.layer.tif"
        with rasterio.open(kept, "w", **{**profile, "dtype": layer.dtype, "nodata": None}) as target:
            target.write(layer, 1)
        layers.append(on_tile(kept, outside))
    return layers[0] == 1, layers[1], layers[2], int(layers[3].sum())


def _footprint(transform: Affine, side: int) -> Json:
    to_degrees = Transformer.from_crs(CRS, 4326, always_xy=True)
    corners = [transform @ corner for corner in ((0, 0), (0, side), (side, side), (side, 0), (0, 0))]
    return {"type": "Polygon", "coordinates": [[list(to_degrees.transform(*corner)) for corner in corners]]}
