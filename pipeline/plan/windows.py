"""Where a tile meets the declared grids of source rasters: windows, their pixels, and the margin around a tile."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.plan.curves import metres_a_unit
from pipeline.plan.memory import Finest
from pipeline.plan.outlines import outline_in
from pipeline.types import Grid, Item, Tile

_MARGIN_M, _MARGIN_DEG = 1000.0, 0.01
"""Catalogue footprints are simplified; a scene that misses a tile by less than about a kilometre is still asked."""
BEYOND_PX = 6
"""What a product may look at beyond its tile's edge: a neighbour, and what that is interpolated from."""
_HALF = 0.01
"""Of a pixel: so far from a half a centre is in one pixel as far as anybody can tell."""


def window_px(grid: Grid | None, tile: Tile) -> float:
    """Pixels of a raster that lie on the tile; as many as the tile's own where its grid is not declared."""
    if grid is None:
        return float(tile.geobox.shape[0] * tile.geobox.shape[1])
    left, bottom, right, top = overlap(grid.transform, grid.shape, outline_in(tile.geobox, grid.crs))
    a, b, _, d, e, _ = grid.transform
    return max(0.0, right - left) * max(0.0, top - bottom) / abs(a * e - b * d)


def finest_of(items: Sequence[Item], tile: Tile) -> Finest:
    """What the declared grids of all bands mean for the tile; one that is finer than all of them counts as 1:1."""
    return finest_of_grids({asset.grid for item in items for asset in item.assets.values() if asset.grid}, tile)


def finest_of_grids(grids: Collection[Grid], tile: Tile) -> Finest:
    """The same of distinct grids."""
    smallest = min((pixel_m2(grid.crs, grid.transform) for grid in grids), default=math.inf)
    density = pixel_m2(str(tile.geobox.crs), tile.geobox.transform[:6]) / smallest
    whole = tile.geobox.shape[0] * tile.geobox.shape[1]
    return Finest(max(1.0, density), int(max([whole, *(window_px(grid, tile) for grid in grids)])))


@lru_cache(maxsize=4096)
def pixel_m2(crs: str, transform: tuple[float, ...]) -> float:
    """About the area of a pixel, in its own projection; in degrees that of one at the equator."""
    a, b, _, d, e, _ = transform
    return abs(a * e - b * d) * metres_a_unit(crs) ** 2


def overlap(
    transform: Sequence[float], shape: tuple[int, int], box: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """A grid's bounding box cut with another box; empty (left > right) where they do not meet."""
    a, b, c, d, e, f = transform
    rows, cols = shape
    x = [c, c + a * cols, c + b * rows, c + a * cols + b * rows]
    y = [f, f + d * cols, f + e * rows, f + d * cols + e * rows]
    return max(min(x), box[0]), max(min(y), box[1]), min(max(x), box[2]), min(max(y), box[3])


def padded(geobox: GeoBox, least_px: int = 0) -> GeoBox:
    """The grid and a margin around it, measured on its own plane: a degree is short near a pole, and ends at 180."""
    margin = _MARGIN_DEG if geobox.crs is not None and geobox.crs.geographic else _MARGIN_M
    across, down = (max(least_px, math.ceil(margin / abs(side))) for side in (geobox.transform.a, geobox.transform.e))
    height, width = geobox.shape.yx
    corner = geobox.transform @ Affine.translation(-across, -down)
    return GeoBox((height + 2 * down, width + 2 * across), corner, geobox.crs)


def half_beside(tiles: Iterable[Tile], grids: Iterable[Grid]) -> str | None:
    """A CRS in which tiles and scenes have pixels of one size, and the centres of one's are the corners of the other's.

    The nearest pixel is one of four there, all equally far, and always the one in the same direction.
    """
    places: dict[str, set[tuple[float, ...]]] = {}
    for tile in tiles:
        places.setdefault(str(tile.geobox.crs), set()).add(_phase(tile.geobox.transform[:6]))
    for grid in grids:
        a, b, across, d, e, down = _phase(grid.transform)
        for of_tile in places.get(grid.crs, ()):
            beside = (of_tile[2] - across) % 1, (of_tile[5] - down) % 1
            same = of_tile[:2] == (a, b) and of_tile[3:5] == (d, e) and b == d == 0
            if same and max(abs(one - 0.5) for one in beside) < _HALF:
                return grid.crs
    return None


def _phase(transform: Sequence[float]) -> tuple[float, ...]:
    """A grid's pixel, and in place of its corner what part of a pixel it is beside a whole number of them."""
    a, b, c, d, e, f = transform
    return (a, b, round(c / a % 1, 3), d, e, round(f / e % 1, 3)) if a and e else (a, b, c, d, e, f)
