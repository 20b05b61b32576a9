"""Which pixels of a tile its region holds, and in which order a day's scenes are laid on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask

from pipeline.errors import OutputError
from pipeline.types import Item, Job, Tile


def inside_region(tile: Tile, *, all_touched: bool) -> NDArray[np.bool_]:
    """(y, x) True where a pixel's centre lies in the tile's region, or where the region touches the pixel.

    The rule is GDAL's, so rioxarray's `clip` with the same outline keeps the same pixels. Raises OutputError for a tile
    that is of no region, and where not one pixel is left, as of a region narrower than its pixels.
    """
    if tile.outline is None:
        raise OutputError(f"tile {tile.id}: found no outline; expected a tile of grid.kind region")
    outline = shapely.from_wkt(tile.outline)
    inside: NDArray[np.bool_] = geometry_mask(
        [outline], tile.geobox.shape.yx, tile.geobox.transform, all_touched=all_touched, invert=True
    )
    if not inside.any():
        raise OutputError(
            f"tile {tile.id}: found no pixel of {tile.geobox.resolution.x:g} m whose centre lies in the region; "
            "expected one at least: `all_touched: true` takes every pixel that it touches"
        )
    return inside


def is_native(item: Item, tile: Tile) -> bool:
    """Whether an item's files, as far as they are declared, lie in the tile's CRS, so that its pixels need no warp.

    It follows from the CRSs that the fingerprint holds (see `ProductPlan.clips`) and from nothing else.
    """
    return {asset.grid.crs for asset in item.assets.values() if asset.grid is not None} == {str(tile.geobox.crs)}


def native_first(job: Job) -> Job:
    """The job with each day's scenes in the tile's own CRS before those that have to be warped to it."""
    ordered = sorted(
        job.items, key=lambda item: (item.solar_day, not is_native(item, job.tile), item.id, item.collection)
    )
    return replace(job, items=tuple(ordered))
