"""Laws that every reader keeps: how large a raster and a window may be, and whose word counts about its grid."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from pyproj import CRS
from pyproj.exceptions import ProjError

from pipeline.errors import PermanentAssetError
from pipeline.read.gcps import GcpGrid
from pipeline.types import Asset, Grid

_MAX_SIDE = 1_000_000
_MAX_BLOCK_BYTES = 512 * 2**20
_MAX_WINDOW_BYTES = 2**30


def check_size(asset: Asset, shape: tuple[int, int], bands: int) -> None:
    """Raises PermanentAssetError for an absurd size and for a band that the file does not have."""
    height, width = shape
    if not 0 < height <= _MAX_SIDE or not 0 < width <= _MAX_SIDE:
        raise PermanentAssetError(asset.href, f"absurd size {width} x {height} pixels; at most {_MAX_SIDE} a side")
    if not 1 <= asset.band <= bands:
        raise PermanentAssetError(asset.href, f"band {asset.band} asked for; the file has {bands}")


def check_block(asset: Asset, block: tuple[int, int], dtype: np.dtype[Any]) -> None:
    """Raises PermanentAssetError for a block that no worker should hold."""
    size_bytes = block[0] * block[1] * dtype.itemsize
    if size_bytes > _MAX_BLOCK_BYTES:
        raise PermanentAssetError(asset.href, f"one block decodes to {size_bytes} bytes; at most {_MAX_BLOCK_BYTES}")


def check_window(rows: slice, cols: slice, dtype: np.dtype[Any]) -> None:
    """Raises ValueError for a window that no worker should hold."""
    size_bytes = (rows.stop - rows.start) * (cols.stop - cols.start) * dtype.itemsize
    if size_bytes > _MAX_WINDOW_BYTES:
        raise ValueError(f"the tile needs {size_bytes:,} bytes of it at once; at most {_MAX_WINDOW_BYTES:,}")


def coarse_shape(shape: tuple[int, int], max_px: int) -> tuple[int, int]:
    """A raster's shape decimated to at most `max_px` a side."""
    factor = max(1.0, max(shape) / max_px)
    return max(1, int(shape[0] / factor)), max(1, int(shape[1] / factor))


def scaled(grid: Grid, shape: tuple[int, int]) -> Grid:
    """The grid of an overview: the same ground in other pixels."""
    if isinstance(grid, GcpGrid):
        return grid.scaled(shape)
    down, right = grid.shape[0] / shape[0], grid.shape[1] / shape[1]
    a, b, c, d, e, f = grid.transform
    return Grid(grid.crs, (a * right, b * down, c, d * right, e * down, f), shape)


def contradiction(asset: Asset, grid: Grid) -> str | None:
    """What the catalogue declares and the file's own grid says, where they differ."""
    declared = asset.grid
    if declared is None or _same_grid(grid, declared):
        return None
    return (
        f"{asset.href}: the catalogue declares {declared.crs[:40]} {declared.shape} at {declared.transform[0]:g}, "
        f"the file has {grid.crs[:40]} {grid.shape} at {grid.transform[0]:g}; the file's own grid was used"
    )


def _same_grid(one: Grid, other: Grid) -> bool:
    tolerance = 1e-6 * max(abs(one.transform[0]), abs(one.transform[4]), 1e-12)
    close = all(
        abs(a - b) <= max(tolerance, 1e-12 * abs(a)) for a, b in zip(one.transform, other.transform, strict=True)
    )
    return one.shape == other.shape and close and _same_crs(one.crs, other.crs)


@lru_cache(maxsize=256)
def _same_crs(one: str, other: str) -> bool:
    """Equal as reference systems, however they are written; what PROJ does not know equals nothing."""
    try:
        return one == other or CRS.from_user_input(one) == CRS.from_user_input(other)
    except ProjError:
        return False
