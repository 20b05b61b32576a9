"""From an area to tiles: ids and pixels that do not depend on the area they were found by."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely

from pipeline.config.area import GridConfig
from pipeline.errors import PlanRefusedError
from pipeline.plan.areas import Area, Shapes
from pipeline.plan.curves import EARTH_M, metres_a_unit
from pipeline.plan.geoboxes import geobox_tile, geobox_tiles, region_tiles
from pipeline.plan.mgrs import mgrs_tile, mgrs_tiles
from pipeline.plan.ttc import ttc_tile, ttc_tiles
from pipeline.plan.utm import utm_tile, utm_tiles
from pipeline.types import Tile

_MOST_TILES = 1_000_000
"""What a plan holds in a few gigabytes; all land on earth in tiles of 20 km are half of it."""


def plan_tiles(area: Area, grid: GridConfig) -> tuple[Tile, ...]:
    """Tiles of the grid that hold some of the area, sorted by id; all of the grid where the area names nothing.

    Tiles of utm, geobox and region hold every place of the area exactly once (regions may overlap one another); those
    of mgrs overlap, and hold it once in their 100 km squares; what those of ttc do at 51.1 E, `plan/ttc.py` says. What
    only touches a tile's edge is not in it. Raises PlanRefusedError where the grid does not reach, or for an area of no
    tile, or of millions.
    """
    if area.placed:
        tiles: Iterable[Tile] = area.placed
    elif area.tiles:
        tiles = (tile_of(tile_id, grid) for tile_id in area.tiles)
    elif area.regions:
        tiles = _touched(area, grid)
    elif not grid.needs_area:
        rows, columns = grid.shape or (0, 0)
        _check_count(rows * columns / grid.edge_px**2, grid)
        tiles = geobox_tiles(None, grid)
    else:
        raise PlanRefusedError(f"area: nothing is in it; a grid of kind {grid.kind} needs one")
    found = {tile.id: tile for tile in tiles}
    if not found:
        raise PlanRefusedError(f"area: no tile of the {grid.kind} grid holds any of it; compare area and grid")
    return tuple(found[tile_id] for tile_id in sorted(found))


def tile_of(tile_id: str, grid: GridConfig) -> Tile:
    """The tile that an id stands for: `plan_tiles` backwards. Raises ValueError saying what is allowed."""
    if grid.kind == "region":
        raise ValueError(
            "allowed: tile ids with a grid of kind utm, mgrs, geobox or ttc; of kind region, regions are named"
        )
    return {"utm": utm_tile, "mgrs": mgrs_tile, "geobox": geobox_tile, "ttc": ttc_tile}[grid.kind](tile_id, grid)


def _touched(area: Area, grid: GridConfig) -> Iterable[Tile]:
    if grid.kind == "region":
        return region_tiles(area.regions, grid)
    shapes = np.array([region.geometry for region in area.regions], dtype=object)
    _check_count(_area_m2(shapes) / _tile_m2(grid), grid)
    return {"utm": utm_tiles, "mgrs": mgrs_tiles, "geobox": geobox_tiles, "ttc": ttc_tiles}[grid.kind](shapes, grid)


def _check_count(about: float, grid: GridConfig) -> None:
    """Before memory is full of tiles: a resolution in the wrong unit makes billions."""
    if about > _MOST_TILES:
        raise PlanRefusedError(
            f"area: about {about:,.0f} tiles of {grid.edge_px} x {grid.edge_px} pixels, at most {_MOST_TILES:,} in a "
            "run; compare grid.resolution_m (metres) and grid.tile_px, or split the area"
        )


def _area_m2(shapes: Shapes) -> float:
    """On the sphere: longitude times the sine of latitude is an equal-area map."""
    flat = shapely.transform(shapes, lambda xy: np.column_stack([np.radians(xy[:, 0]), np.sin(np.radians(xy[:, 1]))]))
    return float(shapely.area(flat).sum()) * EARTH_M**2


def _tile_m2(grid: GridConfig) -> float:
    if grid.transform is None:
        return (grid.edge_px * grid.resolution_m) ** 2
    pixel_m2 = abs(grid.transform[0] * grid.transform[4]) * metres_a_unit(str(grid.crs)) ** 2
    return pixel_m2 * grid.edge_px**2
