"""From an area to tiles: ids and pixels that do not depend on the area they were found by."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipeline.config.area import GridConfig
from pipeline.errors import PlanRefusedError
from pipeline.plan.areas import Area
from pipeline.plan.geoboxes import geobox_tile, geobox_tiles, region_tiles
from pipeline.plan.mgrs import mgrs_tile, mgrs_tiles
from pipeline.plan.utm import utm_tile, utm_tiles
from pipeline.types import Tile


def plan_tiles(area: Area, grid: GridConfig) -> tuple[Tile, ...]:
    """Tiles of the grid that hold some of the area, sorted by id; all of the grid where the area names nothing.

    Tiles of utm, geobox and region hold every place of the area exactly once (regions may overlap one another); those
    of mgrs overlap, and hold it once in their 100 km squares. What only touches a tile's edge is not in it. Raises
    PlanRefusedError where the grid does not reach, or for an area of no tile.
    """
    if area.tiles:
        tiles: Iterable[Tile] = (tile_of(tile_id, grid) for tile_id in area.tiles)
    elif area.regions:
        tiles = _touched(area, grid)
    elif not grid.needs_area:
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
        raise ValueError("allowed: tile ids with a grid of kind utm, mgrs or geobox; of kind region, regions are named")
    return {"utm": utm_tile, "mgrs": mgrs_tile, "geobox": geobox_tile}[grid.kind](tile_id, grid)


def _touched(area: Area, grid: GridConfig) -> Iterable[Tile]:
    if grid.kind == "region":
        return region_tiles(area.regions, grid)
    shapes = np.array([region.geometry for region in area.regions], dtype=object)
    return {"utm": utm_tiles, "mgrs": mgrs_tiles, "geobox": geobox_tiles}[grid.kind](shapes, grid)
