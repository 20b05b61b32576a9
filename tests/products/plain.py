"""The Sentinel-2 composite once more, in plain NumPy and from the files alone: slow, obvious, without the ops."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

Layer = Callable[[str], NDArray[Any]]
"""Path of a raster → its layer on the tile's grid."""


def plain_clear(scl_path: str, classes: tuple[int, ...], open_px: int, dilate_px: int) -> NDArray[np.uint8]:
    """1 = keep, on the whole scene's classification, by looking at every pixel's neighbourhood."""
    with rasterio.open(scl_path) as source:
        scl = source.read(1)
    cloud = np.isin(scl, [code for code in classes if code > 1])

    def reached(mask: NDArray[np.bool_], radius: int, *, outside: bool) -> NDArray[np.bool_]:
        padded = np.pad(mask, radius, constant_values=outside)
        out = np.zeros_like(mask)
        for dy in range(2 * radius + 1):
            for dx in range(2 * radius + 1):
                if (dy - radius) ** 2 + (dx - radius) ** 2 <= radius**2:
                    out |= padded[dy : dy + mask.shape[0], dx : dx + mask.shape[1]]
        return out

    eroded = ~reached(~cloud, open_px, outside=False)
    cloud = reached(reached(eroded, open_px, outside=False), dilate_px, outside=False)
    return (~(cloud | np.isin(scl, [code for code in classes if code <= 1]))).astype(np.uint8)


def plain_shift(properties: dict[str, Any]) -> int:
    """The demo world's conventions, told by its items: shifted only where baseline 05.10 says 'not applied'."""
    new = properties["s2:processing_baseline"] == "05.10"
    return -1000 if new and not properties["earthsearch:boa_offset_applied"] else 0


Mask = tuple[tuple[int, ...], int, int]
"""Classes, and the radii of opening and growing in pixels."""


def plain_composite(
    item_paths: list[Path], band: str, layer: Layer, scratch: Path, mask: Mask | None
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Median and count of one band over items of one period, given a way to put a raster on the tile."""
    stack = plain_days(item_paths, band, layer, scratch, mask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        median = np.rint(np.nanmedian(stack, axis=0))
    return np.nan_to_num(median, nan=0).astype(np.uint16), (~np.isnan(stack)).sum(axis=0).astype(np.uint16)


def plain_days(
    item_paths: list[Path], band: str, layer: Layer, scratch: Path, mask: Mask | None
) -> NDArray[np.float64]:
    """One band's observations of every day, (day, y, x): stored numbers without offset, NaN where there is none."""
    scenes = []
    for path in item_paths:
        item = json.loads(path.read_text())
        folder = path.parent
        values = layer(str(folder / item["assets"][band]["href"])).astype(np.float64)
        clear = np.ones(values.shape, bool)
        if mask is not None:
            scl = str(folder / item["assets"]["scl"]["href"])
            with rasterio.open(scl) as source:
                profile = source.profile
            target = scratch / f"{item['id']}_clear.tif"
            with rasterio.open(target, "w", **{**profile, "driver": "GTiff", "nodata": None}) as sink:
                sink.write(plain_clear(scl, *mask), 1)
            clear = layer(str(target)) == 1
        shifted = np.where(values == 0, np.nan, np.clip(values + plain_shift(item["properties"]), 1, 65534))
        scenes.append((item["properties"]["datetime"][:10], item["id"], clear, shifted))
    days = []
    for _, same_day in groupby(sorted(scenes, key=lambda scene: scene[:2]), key=lambda scene: scene[0]):
        merged, taken = np.full(scenes[0][3].shape, np.nan), np.zeros(scenes[0][3].shape, bool)
        for _, _, clear, values in same_day:
            use = clear & ~taken if mask is not None else np.isnan(merged)
            merged[use] = values[use]
            taken |= clear
        days.append(merged)
    return np.stack(days)
