"""A user's own grid, and one tile for each region."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from pipeline.config.area import GridConfig
from pipeline.errors import PlanRefusedError
from pipeline.plan.areas import Region, Shapes
from pipeline.plan.cells import THIN_M, lattice_cells
from pipeline.plan.curves import to_crs
from pipeline.plan.utm import zone_at, zone_epsg
from pipeline.types import Tile

_POLE = 90 - 1e-9
_WITHIN_M = 0.01
"""How far an outline may stray from the true one."""


def geobox_tiles(shapes: Shapes | None, grid: GridConfig) -> Iterator[Tile]:
    """Tiles of a grid anchored at its own origin that polygons in degrees touch; None: all of a grid with a shape.

    Tile (column, row) covers columns [column*edge_px, (column+1)*edge_px) of the grid and likewise rows; with a shape,
    no pixel lies outside of it, so that the last tiles may be smaller. Its id is `c0003-r-012`.
    """
    across, down = _ends(grid)
    if shapes is None:
        cells = [(column, row) for column in range(int(across)) for row in range(int(down))]
    else:
        crs, transform = str(grid.crs), _transform(grid)
        if CRS.from_user_input(crs).is_geographic and grid.shape is not None:
            shapes = np.concatenate([_turned(shapes, turn) for turn in (-360.0, 0.0, 360.0)])
        origin, step = (transform.c, transform.f), (transform.a * grid.edge_px, transform.e * grid.edge_px)
        cells = [tuple(cell) for cell in lattice_cells(shapes, crs, origin, step).tolist()]
    for column, row in cells:
        if grid.shape is None or (0 <= column < across and 0 <= row < down):
            yield _tile(column, row, grid)


def geobox_tile(tile_id: str, grid: GridConfig) -> Tile:
    """The tile of an id. Raises ValueError saying what is allowed."""
    found = re.fullmatch(r"c(-?\d{3,7})-r(-?\d{3,7})", tile_id)
    if found is None:
        raise ValueError("allowed: column and row such as c0003-r-012")
    column, row = int(found[1]), int(found[2])
    across, down = _ends(grid)
    if grid.shape is not None and not (0 <= column < across and 0 <= row < down):
        raise ValueError(f"allowed: columns 0 to {int(across) - 1} and rows 0 to {int(down) - 1}, as far as grid.shape")
    tile = _tile(column, row, grid)
    if tile.id != tile_id:
        raise ValueError(f"allowed: this tile's id is {tile.id}")
    return tile


def region_tiles(regions: Sequence[Region], grid: GridConfig) -> Iterator[Tile]:
    """One tile a region, with its id and outline: its bounds, grown to whole pixels counted from the CRS's origin.

    Their edges are multiples of a pixel or, as the grid asks, their centres. The CRS is the grid's, or else that of the
    zone that the region's file names, or that its middle lies in (UTM, or UPS beyond 84 N and 80 S).
    """
    pixel = grid.resolution_m
    slack = THIN_M / pixel
    half = 0.5 if grid.anchor == "centre" else 0.0
    for region in regions:
        crs = grid.crs or f"EPSG:{zone_epsg(region.zone or _zone_of(region.geometry))}"
        try:
            (polygon,) = to_crs(np.array([region.geometry], dtype=object), crs)
        except PlanRefusedError as error:
            raise PlanRefusedError(f"region {region.id}: {error}") from None
        bounds = np.array(polygon.bounds) / pixel - half
        left, bottom = (math.floor(side + slack) for side in bounds[:2])
        right, top = (math.ceil(side - slack) for side in bounds[2:])
        shape = (max(1, top - bottom), max(1, right - left))
        corner = Affine(pixel, 0, (left + half) * pixel, 0, -pixel, (top + half) * pixel)
        yield Tile(region.id, GeoBox(shape, corner, crs), _outline(polygon))


def _outline(polygon: BaseGeometry) -> str:
    """A polygon in metres as text: no points but those it takes to follow its sides to a centimetre.

    Millimetres are what two versions of PROJ agree on. Parts that meet, as at the antimeridian, become one.
    """
    parts = shapely.get_parts(polygon)
    simple = shapely.simplify(shapely.union_all(parts, grid_size=0.001) if len(parts) > 1 else polygon, _WITHIN_M)
    if simple.is_empty:
        simple = polygon
    text: str = shapely.to_wkt(shapely.transform(simple, lambda xy: np.round(xy, 3) + 0.0), rounding_precision=3)
    return text


def _zone_of(geometry: BaseGeometry) -> str:
    """The zone of a region's middle on the sphere; the polar one for what holds or touches a pole."""
    _, south, _, north = geometry.bounds
    if north >= _POLE or south <= -_POLE:
        return "00N" if north >= _POLE else "00S"
    parts = shapely.get_parts(geometry)
    lon, lat = np.radians(shapely.get_coordinates(shapely.centroid(parts))).T
    weight = shapely.area(parts) * np.cos(lat)
    x, y, z = (
        float((weight * side).sum()) for side in (np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat))
    )
    return zone_at(math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y))))


def _transform(grid: GridConfig) -> Affine:
    if grid.transform is not None:
        return Affine(*grid.transform)
    x, y = grid.origin or (0.0, 0.0)
    return Affine(grid.resolution_m, 0, x, 0, -grid.resolution_m, y)


def _ends(grid: GridConfig) -> tuple[float, float]:
    """Columns and rows of tiles."""
    if grid.shape is None:
        return math.inf, math.inf
    return math.ceil(grid.shape[1] / grid.edge_px), math.ceil(grid.shape[0] / grid.edge_px)


def _turned(shapes: Shapes, turn: float) -> Shapes:
    """A grid in degrees may count from 0 to 360."""
    turned: Shapes = shapely.transform(shapes, lambda xy: xy + np.array([turn, 0.0]))
    return turned


def _tile(column: int, row: int, grid: GridConfig) -> Tile:
    px = grid.edge_px
    rows, columns = grid.shape or (math.inf, math.inf)
    shape = (int(min(px, rows - row * px)), int(min(px, columns - column * px)))
    corner = _transform(grid) @ Affine.translation(column * px, row * px)
    return Tile(f"c{column:04d}-r{row:04d}", GeoBox(shape, corner, str(grid.crs)))
