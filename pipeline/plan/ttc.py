"""The tree-cover tiles: squares of 20/360 degrees, 618 pixels of about 10 m at the equator, in EPSG:4326.

Laws: a tile is the same from every area and every table; every place lies on a tile. Rows are steps of 1/18 degree from
the equator. Columns are steps of 1/18 degree from Greenwich up to 51.1 E, and from there to 180 E 2320 equal steps,
wider by 5e-6 degrees; so tiles, centre +/- 10/360 degrees, are half a metre apart there. The column that ends beyond
51.1 E overlaps its neighbour. Spacing does not change with latitude: away from the equator pixels are narrower than
they are high.

Source: the centres of the 2,943,795 tiles in use, which are these to four decimals. Their numbers follow no rule
(columns and rows without land were left out, on each continent by itself), so they come from a table, by `area.tiles`.
Tiles that no table names have numbers of our own, 10000 + column from 180 W and 10000 + row from the south pole, which
that table does not reach.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.config.area import GridConfig
from pipeline.plan.areas import Shapes, split
from pipeline.plan.cells import Cells, lattice_cells
from pipeline.types import Tile

STEPS = 18
"""Tiles a degree."""
HALF = 10 / 360
"""From a tile's centre to its edge, in degrees."""
OWN = 10_000
"""Where our own numbers begin."""
TOLERANCE = 1e-4
"""Of a centre in degrees: tables round it to four decimals."""
OUR_NUMBERS = "numbered by the rule of this project: 10000 + column from 180 W, 10000 + row from the south pole"

_EAST, _EAST_COLUMNS = 51.1, 2320
_EAST_STEP = (180 - _EAST) / _EAST_COLUMNS
_WEST_COLUMNS = 231 * STEPS + 2
"""From 180 W to the one that holds 51.1 E."""
COLUMNS, ROWS = _WEST_COLUMNS + _EAST_COLUMNS, 180 * STEPS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def cells_at(lon: Floats, lat: Floats) -> tuple[Ints, Ints]:
    """(n,) column and row, from 180 W and the south pole, of the tiles that places in degrees lie on."""
    west = np.floor(lon * STEPS).astype(np.int64) + 180 * STEPS
    east = np.floor((lon - _EAST) / _EAST_STEP).astype(np.int64) + _WEST_COLUMNS
    column = np.clip(np.where(lon < _EAST, west, east), 0, COLUMNS - 1)
    row = np.clip(np.floor(lat * STEPS).astype(np.int64) + 90 * STEPS, 0, ROWS - 1)
    return column, row


def centres_of(column: Ints, row: Ints) -> tuple[Floats, Floats]:
    """(n,) longitude and latitude of the middle of tiles, in degrees."""
    west = (column - 180 * STEPS + 0.5) / STEPS
    east = _EAST + (column - _WEST_COLUMNS + 0.5) * _EAST_STEP
    return np.where(column < _WEST_COLUMNS, west, east), (row - 90 * STEPS + 0.5) / STEPS


def ttc_cells(shapes: Shapes) -> Cells:
    """(n, 2) column and row of every tile that polygons in degrees touch, sorted."""
    found: list[Cells] = [np.empty((0, 2), np.int64)]
    boxes = [(-180.0, -90.0, _EAST, 90.0), (_EAST, -90.0, 180.0, 90.0)]
    lattices = [((-180.0, -90.0), 1 / STEPS, 0), ((_EAST, -90.0), _EAST_STEP, _WEST_COLUMNS)]
    for number, parts in split(shapes, boxes):
        origin, step, first = lattices[number]
        found.append(lattice_cells(parts, 4326, origin, (step, 1 / STEPS)) + np.array([first, 0]))
    return np.concatenate(found)  # columns of the one lattice come before those of the other


def ttc_tiles(shapes: Shapes, grid: GridConfig) -> Iterator[Tile]:
    """Tiles that polygons in degrees touch, with our own numbers."""
    for column, row in ttc_cells(shapes).tolist():
        yield _tile(ttc_id(OWN + column, OWN + row), column, row, grid)


def ttc_tile(tile_id: str, grid: GridConfig) -> Tile:
    """The tile of an id with our own numbers. Raises ValueError saying what is allowed."""
    across, down = ttc_numbers(tile_id)
    column, row = across - OWN, down - OWN
    if not (0 <= column < COLUMNS and 0 <= row < ROWS):
        raise ValueError(
            f"allowed: {OWN} to {OWN + COLUMNS - 1} before X and {OWN} to {OWN + ROWS - 1} before Y, which are our "
            "own numbers; tiles of a table come with their centres, in the columns Year,X,Y,Y_tile,X_tile that "
            "`groundswell request --tiles` writes"
        )
    return _tile(tile_id, column, row, grid)


def place_tile(tile_id: str, lon: float, lat: float, grid: GridConfig) -> Tile:
    """The tile around a centre in degrees, with a table's id. Raises ValueError where no tile has its centre there."""
    ttc_numbers(tile_id)
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise ValueError("allowed: a centre in degrees, longitude and latitude")
    column, row = cells_at(np.array([lon]), np.array([lat]))
    x, y = (float(side[0]) for side in centres_of(column, row))
    if not (abs(x - lon) <= TOLERANCE and abs(y - lat) <= TOLERANCE):
        raise ValueError(f"allowed: the centre of a tree-cover tile; the nearest one is {x:.4f}, {y:.4f}")
    return _tile(tile_id, int(column[0]), int(row[0]), grid)


def ttc_numbers(tile_id: str) -> tuple[int, int]:
    """X and Y number of an id such as `1035X727Y`, either of which may be below 0.

    Raises ValueError saying what is allowed.

    >>> ttc_numbers("1035X727Y")
    (1035, 727)
    """
    found = re.fullmatch(r"(-?\d{1,6})X(-?\d{1,6})Y", tile_id)
    if found is None or tile_id != ttc_id(int(found[1]), int(found[2])):
        raise ValueError("allowed: a tree-cover tile such as 1035X727Y, without leading zeros")
    return int(found[1]), int(found[2])


def ttc_id(across: int, down: int) -> str:
    """The id of X and Y number."""
    return f"{across}X{down}Y"


def _tile(tile_id: str, column: int, row: int, grid: GridConfig) -> Tile:
    """Pixels have one size everywhere; rows, and columns west of 51.1 E, share one lattice of them."""
    pixel = 1 / (STEPS * grid.edge_px)
    top = (row + 1 - 90 * STEPS) / STEPS
    if column < _WEST_COLUMNS:
        left = (column - 180 * STEPS) / STEPS
    else:
        left = _EAST + (column - _WEST_COLUMNS + 0.5) * _EAST_STEP - HALF
    px = grid.edge_px
    return Tile(tile_id, GeoBox((px, px), Affine(pixel, 0, left, 0, -pixel, top), "EPSG:4326"))
