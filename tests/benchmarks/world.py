"""The data of the benchmark: overlapping scenes in two UTM zones, as Sentinel-2 delivers them, without the network.

The same seed gives the same numbers. Each scene has four 16-bit bands of 10 m and the classes of 20 m: deflate
(predictor 2 for the bands), blocks of 1024 and 512, overviews; clouds cover 5 to 60 %, every third has an edge of its
swath.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.io import MemoryFile

SIDE_PX = 4096
PIXEL_M = 10
DAYS = 16
FIRST_DAY = datetime(2026, 6, 1, 10, 10, 30)  # noqa: DTZ001 (written with a Z)
LEVELS: Mapping[str, tuple[str, float]] = {
    "blue": ("B02", 900),
    "green": ("B03", 1100),
    "red": ("B04", 1200),
    "nir": ("B08", 2800),
}
"""Band → its file and its mean, before the 1000 that every stored number is higher."""
CORNER = (699_960, 5_350_020)


@dataclass(frozen=True)
class Place:
    """Where one half of the passes lies."""

    name: str
    epsg: int
    left: int
    top: int
    skipped: int
    """Days of which number, modulo 4, it has no scene."""


def places(side_px: int) -> tuple[Place, Place]:
    """West in zone 32; east in zone 33, 3/10 of a side further east and 3/40 further south."""
    side = side_px * PIXEL_M
    x, y = Transformer.from_crs(32632, 32633, always_xy=True).transform(
        CORNER[0] + 0.3 * side, CORNER[1] - 0.075 * side
    )
    return Place("32UQU", 32632, *CORNER, 3), Place("33UUP", 32633, round(x / 60) * 60, round(y / 60) * 60, 1)


def make_world(folder: Path, side_px: int = SIDE_PX, days: int = DAYS, processes: int = 2) -> Path:
    """Item list of a whole world in `folder`; what is there already is kept. Minutes, and 2.3 GB, at full size."""
    items = folder / "items.json"
    if items.is_file():
        return items
    scenes = [(place, day) for day in range(days) for place in places(side_px) if day % 4 != place.skipped]
    tasks = [(folder / "scenes", side_px, *scene) for scene in scenes]
    if processes == 1:
        return _write_items(items, [_make_scene(task) for task in tasks])
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return _write_items(items, list(pool.map(_make_scene, tasks)))


def widen(items: Path, folder: Path) -> Path:
    """Item list of a world twice as wide and high: every scene four times, side by side, copied into `folder`."""
    wide = folder / "items.json"
    if wide.is_file():
        return wide
    features = json.loads(items.read_text())["features"]
    moved = [_moved(item, folder, right, down) for item in features for right in (0, 1) for down in (0, 1)]
    return _write_items(wide, moved)


def _write_items(path: Path, features: list[Any]) -> Path:
    """Last of all, so that a world with an item list is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_suffix(".new")
    waiting.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    waiting.rename(path)
    return path


def _make_scene(task: tuple[Path, int, Place, int]) -> dict[str, Any]:
    folder, side, place, day = task
    path = folder / place.name / f"{day:02d}"
    path.mkdir(parents=True, exist_ok=True)
    seed = int(place.name[:2])
    rng = np.random.default_rng((seed, day))
    land = _land(np.random.default_rng(seed), side)
    classes, cloud, shadow = _sky(rng, land[::2, ::2])
    edge = _edge(side, east=place.epsg == 32633) if day % 3 == 0 else None
    if edge is not None:
        classes[edge[::2, ::2]] = 0
    for file, mean in LEVELS.values():
        values = mean * (1 + 0.18 * land) + 1000 + rng.standard_normal(land.shape, np.float32) * 45
        values = np.where(cloud, values * np.float32(0.3) + 5500, np.where(shadow, values * np.float32(0.6), values))
        stored = np.clip(values, 1, 15000).astype(np.uint16)
        if edge is not None:
            stored[edge] = 0
        _write_cog(path / f"{file}.tif", stored, (place, PIXEL_M), min(1024, side // 4))
    _write_cog(path / "SCL.tif", classes, (place, 2 * PIXEL_M), min(512, side // 8))
    return _item(path, place, day, side)


def _land(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Hills of four sizes and fields of 32 pixels, about 0 +- 1."""
    land = np.zeros((side, side), np.float32)
    for cells, height in ((16, 1.0), (64, 0.6), (256, 0.4), (side // 4, 0.3)):
        land += height * _hills(rng, side, cells)
    fields = rng.standard_normal((side // 32, side // 32), np.float32)
    land += np.float32(0.7) * fields.repeat(32, 0).repeat(32, 1)
    return land


def _hills(rng: np.random.Generator, side: int, cells: int) -> NDArray[np.float32]:
    """Random heights at `cells` + 1 nodes a side, bilinear in between."""
    nodes = rng.standard_normal((cells + 1, cells + 1), np.float32)
    weights = np.maximum(0, 1 - np.abs(np.linspace(0, cells, side)[:, None] - np.arange(cells + 1))).astype(np.float32)
    hills: NDArray[np.float32] = weights @ nodes @ weights.T
    return hills


def _sky(
    rng: np.random.Generator, land: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Classes at 20 m, and where clouds and their shadows lie at 10 m."""
    side = land.shape[0]
    depth = _hills(rng, side, 16) + np.float32(0.5) * _hills(rng, side, 64)
    least = np.quantile(depth[::8, ::8], 1 - rng.uniform(0.05, 0.6))
    cloud = depth > least
    shadow = np.roll(cloud, (25, 30), (0, 1)) & ~cloud
    classes = np.full((side, side), 4, np.uint8)
    for number, where in ((5, land > 0.9), (6, land < -1.6), (8, cloud), (9, depth > least + 0.4), (3, shadow)):
        classes[where] = number
    return classes, cloud.repeat(2, 0).repeat(2, 1), shadow.repeat(2, 0).repeat(2, 1)


def _edge(side: int, *, east: bool) -> NDArray[np.bool_]:
    """What lies beyond the swath."""
    rows, cols = np.ogrid[:side, :side]
    beyond: NDArray[np.bool_] = (cols - 0.25 * rows) < side * 0.15 if east else (cols + 0.25 * rows) > side * 0.8
    return beyond


def _write_cog(path: Path, data: NDArray[Any], where: tuple[Place, int], block: int) -> None:
    place, pixel = where
    band = data.dtype == np.uint16
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            count=1,
            height=data.shape[0],
            width=data.shape[1],
            dtype=data.dtype,
            crs=f"EPSG:{place.epsg}",
            transform=Affine(pixel, 0, place.left, 0, -pixel, place.top),
            nodata=0,
        ) as plain:
            plain.write(data, 1)
        with memory.open() as plain:
            rasterio.shutil.copy(
                plain,
                path,
                driver="COG",
                compress="deflate",
                level=6,
                predictor="yes" if band else "no",
                blocksize=block,
                overview_resampling="average" if band else "nearest",
                num_threads=1,
            )


def _item(path: Path, place: Place, day: int, side: int) -> dict[str, Any]:
    time = FIRST_DAY + timedelta(days=5 * day, seconds=14 * (place.epsg == 32633))
    assets = {}
    for name, file in (*((name, file) for name, (file, _) in LEVELS.items()), ("scl", "SCL")):
        pixel = 2 * PIXEL_M if name == "scl" else PIXEL_M
        number = {"data_type": "uint8"} if name == "scl" else {"data_type": "uint16", "scale": 0.0001, "offset": -0.1}
        assets[name] = {
            "href": str(path / f"{file}.tif"),
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "eo:bands": [{"name": file}],
            "gsd": pixel,
            "proj:shape": [side * PIXEL_M // pixel] * 2,
            "proj:transform": [pixel, 0, place.left, 0, -pixel, place.top],
            "raster:bands": [{"nodata": 0, "spatial_resolution": pixel, **number}],
        }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/v1.1.0/schema.json" for name in ("projection", "raster", "eo")
        ],
        "id": f"S2X_{place.name}_{time:%Y%m%d}_0_L2A",
        "collection": "sentinel-2-l2a",
        **_outline(place.epsg, place.left, place.top, side * PIXEL_M),
        "properties": {
            "datetime": f"{time:%Y-%m-%dT%H:%M:%SZ}",
            "proj:epsg": place.epsg,
            "mgrs:utm_zone": place.epsg % 100,
            "platform": "sentinel-2x",
        },
        "links": [],
        "assets": assets,
    }


def _outline(epsg: int, left: float, top: float, side: float) -> dict[str, Any]:
    """Geometry and box in degrees of a square in metres."""
    x, y = [left, left + side, left + side, left, left], [top, top, top - side, top - side, top]
    lon, lat = Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
    ring = [[float(x), float(y)] for x, y in zip(lon, lat, strict=True)]
    return {
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(lon), min(lat), max(lon), max(lat)],
    }


def _moved(item: Mapping[str, Any], folder: Path, right: int, down: int) -> dict[str, Any]:
    """A copy of an item and its files so many scenes to the right and down."""
    name = f"{item['id']}_{right}{down}"
    assets = {}
    for key, asset in item["assets"].items():
        a, _, left, _, e, top = asset["proj:transform"]
        rows, cols = asset["proj:shape"]
        corner = left + right * cols * a, top + down * rows * e
        path = folder / name / Path(asset["href"]).name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(asset["href"], path)
        _move_file(path, corner)
        assets[key] = {**asset, "href": str(path), "proj:transform": [a, 0, corner[0], 0, e, corner[1]]}
    red = assets["red"]
    a, _, left, _, _, top = red["proj:transform"]
    place = _outline(item["properties"]["proj:epsg"], left, top, a * red["proj:shape"][0])
    return {**item, **place, "id": name, "assets": assets}


def _move_file(path: Path, corner: tuple[float, float]) -> None:
    """Give a little-endian classic TIFF another upper left corner: x and y of its one tie point (tag 33922)."""
    with path.open("r+b") as file:
        at = struct.unpack("<4xI", os.pread(file.fileno(), 8, 0))[0]
        for place in _entries(file.fileno(), at):
            tag, _, count, where = struct.unpack("<HHII", os.pread(file.fileno(), 12, place))
            if tag == 33922 and count == 6:
                os.pwrite(file.fileno(), struct.pack("<2d", *corner), where + 24)
                return
    raise ValueError(f"{path}: found no single tie point, which a scene of this world has")


def _entries(file: int, at: int) -> Iterator[int]:
    """Where the entries of the directory at `at` lie."""
    count = struct.unpack("<H", os.pread(file, 2, at))[0]
    return (at + 2 + 12 * n for n in range(count))
