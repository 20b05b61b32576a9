"""Tiles from an area: the UTM grid, anchored at each zone's origin, so that a tile is the same from every area."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from pipeline.errors import PlanRefusedError
from pipeline.types import Tile

BBox = tuple[float, float, float, float]
"""west, south, east, north in degrees; west > east crosses the antimeridian."""
_SOUTH_LIMIT, _NORTH_LIMIT = -80.0, 84.0
_POINTS_A_SIDE = 33
_STEP_DEG = 0.05
"""A parallel bends by less than half a metre between points this close, so no sliver of an area is lost."""


def utm_tiles(bbox: BBox, tile_px: int, resolution_m: float) -> tuple[Tile, ...]:
    """Tiles of the UTM grid that the box touches, sorted by id; each belongs to the zone it was cut from.

    Tile (zone, column, row) covers [column*size, (column+1)*size) metres east and likewise north of the zone's origin,
    size = tile_px * resolution_m; its id is `33N-024-0246`. Raises PlanRefusedError beyond 80 S and 84 N.
    """
    if bbox[1] < _SOUTH_LIMIT or bbox[3] > _NORTH_LIMIT:
        raise PlanRefusedError(
            f"area.bbox: latitudes {bbox[1]:g}..{bbox[3]:g} leave the UTM grid, which ends at 80 S and 84 N; "
            "choose an area within it"
        )
    size = tile_px * resolution_m
    tiles: dict[str, Tile] = {}
    for zone, north, part in _zone_parts(bbox):
        epsg = (32600 if north else 32700) + zone
        outline = _project(shapely.segmentize(shapely.box(*part), _STEP_DEG), 4326, epsg)
        shapely.prepare(outline)
        west, south, east, top = outline.bounds
        for column in range(math.floor(west / size), math.ceil(east / size)):
            for row in range(math.floor(south / size), math.ceil(top / size)):
                cell = shapely.box(column * size, row * size, (column + 1) * size, (row + 1) * size)
                if outline.intersects(cell) and outline.intersection(cell).area > 0:
                    tile = Tile(
                        f"{zone:02d}{'N' if north else 'S'}-{column:03d}-{row:04d}", _geobox(cell, tile_px, epsg)
                    )
                    tiles[tile.id] = tile
    return tuple(tiles[key] for key in sorted(tiles))


def _geobox(cell: shapely.Polygon, tile_px: int, epsg: int) -> GeoBox:
    west, _, east, north = cell.bounds
    pixel = (east - west) / tile_px
    return GeoBox((tile_px, tile_px), Affine(pixel, 0, west, 0, -pixel, north), f"EPSG:{epsg}")


def _zone_parts(bbox: BBox) -> Iterator[tuple[int, bool, BBox]]:
    """The box cut at zone borders, the equator and the antimeridian: (zone, northern, part)."""
    west, south, east, north = bbox
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    for left, right in spans:
        first, last = (min(59, max(0, math.floor((side + 180) / 6))) for side in (left, np.nextafter(right, -math.inf)))
        for zone in range(first, last + 1):
            sides = max(left, zone * 6 - 180.0), min(right, zone * 6 - 174.0)
            for low, high, is_north in ((max(south, 0.0), north, True), (south, min(north, 0.0), False)):
                if low < high and sides[0] < sides[1]:
                    yield zone + 1, is_north, (sides[0], low, sides[1], high)


@lru_cache(maxsize=256)
def _transformer(source: str | int, target: str | int) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _project(polygon: shapely.Polygon, source: str | int, target: str | int) -> shapely.Polygon:
    """The polygon's outline in another CRS, with enough points that a curved side stays a curve."""
    longest = max(polygon.bounds[2] - polygon.bounds[0], polygon.bounds[3] - polygon.bounds[1])
    dense = shapely.segmentize(polygon, longest / _POINTS_A_SIDE)
    x, y = _transformer(source, target).transform(*shapely.get_coordinates(dense.exterior).T)
    inside = np.isfinite(x) & np.isfinite(y)
    return shapely.Polygon(np.column_stack([np.asarray(x)[inside], np.asarray(y)[inside]]))


@lru_cache(maxsize=4096)
def outline_in(geobox: GeoBox, crs: str) -> BBox:
    """Bounding box of a tile in another CRS: left, bottom, right, top."""
    polygon = shapely.Polygon(geobox.extent.exterior.coords)
    outline = polygon if str(geobox.crs) == crs else _project(polygon, str(geobox.crs), crs)
    left, bottom, right, top = outline.bounds
    return left, bottom, right, top


def covering_box(tiles: Sequence[Tile], bbox: BBox) -> BBox:
    """West, south, east, north around every tile of an area: tiles reach beyond the box they were chosen by."""
    west, south, east, north = bbox
    width = east - west if west <= east else east - west + 360
    middle, left, right = west + width / 2, -width / 2, width / 2
    for tile in tiles:
        lon, lat = shapely.get_coordinates(lonlat_outline(tile.geobox)).T
        turned = (lon - middle + 180) % 360 - 180
        left, right = min(left, float(turned.min())), max(right, float(turned.max()))
        south, north = min(south, float(lat.min())), max(north, float(lat.max()))
    if right - left >= 360:
        return -180.0, south, 180.0, north
    west, east = middle + left, middle + right
    return (west if west >= -180 else west + 360), south, (east if east <= 180 else east - 360), north


def lonlat_outline(geobox: GeoBox) -> BaseGeometry:
    """A tile's footprint in degrees within -180..180; in two parts where it crosses the antimeridian."""
    polygon = _project(shapely.Polygon(geobox.extent.exterior.coords), str(geobox.crs), 4326)
    west, _, east, _ = polygon.bounds
    if east - west <= 180:
        return polygon
    lon, lat = shapely.get_coordinates(polygon).T
    turned = shapely.Polygon(np.column_stack([np.where(lon < 0, lon + 360, lon), lat]))
    eastern = turned.intersection(shapely.box(0, -90, 180, 90))
    western = shapely.transform(turned.intersection(shapely.box(180, -90, 360, 90)), lambda xy: xy - [360, 0])
    return shapely.union_all([eastern, western])
