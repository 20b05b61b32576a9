"""The files of a DEM on their lattices: which rows and columns each holds, and which cells of one degree are absent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry import shape as to_geometry

from pipeline.errors import PermanentAssetError
from pipeline.plan.areas import unwrapped
from pipeline.plan.curves import metres_a_unit
from pipeline.read.access import Access
from pipeline.read.raster import Raster, attempt
from pipeline.types import Asset, Grid, Item

ELEVATION = "elevation"
KEYS = ("data", "dem", "DEM", "dsm", "height")
"""Asset keys that mean it: Earth Search and the Planetary Computer say `data`."""
Floats = NDArray[np.floating[Any]]
Cell = tuple[int, int]
"""South-western corner of a cell of one degree: (south, west)."""
_USUAL_VOID = -9999
"""What many files hold where they have no height, without saying so; as a depth it occurs in a few trenches only."""
_HIGHEST_M = 12_000.0
"""Beyond this, up or down, no number is a height on earth: voids such as -32767 in a file that does not say so."""


@dataclass(frozen=True)
class Lattice:
    """Where all pixel centres of files that fit each other lie along y: -(row + phase) / density, southward."""

    crs: str
    density: float
    phase: float

    @property
    def pixel_m(self) -> float:
        return metres_a_unit(self.crs) / self.density


@dataclass(frozen=True)
class Spacing:
    """Where they lie along x: (column + phase) / density. Copernicus' differs from one band of latitude to the next."""

    density: float
    phase: float
    around: int
    """Columns once around the earth; 0 where there is no such thing."""


@dataclass(frozen=True)
class Placed:
    """A file and the nodes that it holds."""

    item: Item
    lattice: Lattice
    spacing: Spacing
    corner: tuple[int, int]
    """Numbers of its first (row, column)."""
    shape: tuple[int, int]
    note: str | None
    """What its header and its catalogue entry disagree about."""

    @property
    def cell(self) -> Cell | None:
        """The cell of one degree that it is the tile of; None for a file of another size."""
        if not self.spacing.around:
            return None
        (row, col), (height, width) = self.corner, self.shape
        if abs(height / self.lattice.density - 1) > 0.01 or abs(width / self.spacing.density - 1) > 0.01:
            return None
        middle = row + self.lattice.phase + height / 2, col + self.spacing.phase + width / 2
        return math.floor(-middle[0] / self.lattice.density), turned(math.floor(middle[1] / self.spacing.density))

    def overlaps(self, rows: range, cols: range) -> Iterator[tuple[slice, slice, int, int]]:
        """(rows, columns) of the file and where they begin in a window of nodes, which may go around the earth."""
        (row, col), (height, width) = self.corner, self.shape
        top, bottom = max(row, rows.start), min(row + height, rows.stop)
        around = self.spacing.around
        for turn in (0,) if not around else range(-2 * around, 2 * around + 1, around):
            left, right = max(col + turn, cols.start), min(col + turn + width, cols.stop)
            if top < bottom and left < right:
                inside = slice(left - turn - col, right - turn - col)
                yield slice(top - row, bottom - row), inside, top - rows.start, left - cols.start


def turned(west: int) -> int:
    """A longitude within -180 to 179."""
    return (west + 180) % 360 - 180


def place(item: Item, asset: Asset, access: Access) -> Placed:
    """A file by its own header. Raises AssetError, also for one whose rows do not run along x from north to south."""

    def use(raster: Raster) -> Placed:
        return _placed(item, asset, raster.grid, raster.note)

    return attempt(asset, access, item.id, use)


def is_tile(item: Item) -> bool:
    """Whether the grid that is declared of an item's heights is that of a cell of one degree."""
    asset = item.assets.get(ELEVATION)
    if asset is None or asset.grid is None:
        return False
    try:
        return _placed(item, asset, asset.grid, None).cell is not None
    except PermanentAssetError:
        return False


def _placed(item: Item, asset: Asset, grid: Grid, note: str | None) -> Placed:
    a, b, c, d, e, f = grid.transform
    if b or d or a <= 0 or e >= 0:
        raise PermanentAssetError(
            asset.href, f"its transform is {grid.transform}; expected rows from west to east, columns southward"
        )
    across, down = _density(a), _density(-e)
    col, phase_x = _counted((c + a / 2) * across)
    row, phase_y = _counted(-(f + e / 2) * down)
    around = round(360 * across) if CRS.from_user_input(grid.crs).is_geographic else 0
    return Placed(
        item, Lattice(grid.crs, down, phase_y), Spacing(across, phase_x, around), (row, col), grid.shape, note
    )


def _density(pixel: float) -> float:
    """Pixels a unit: whole where it is meant to be, as 3600 a degree."""
    whole = round(1 / pixel)
    return float(whole) if whole and abs(pixel * whole - 1) < 1e-7 else 1 / pixel


def _counted(number: float) -> tuple[int, float]:
    """Whole nodes and the rest, to a ten-thousandth: headers are rounded."""
    whole = math.floor(number + 5e-5)
    return whole, max(0.0, round(number - whole, 4))


def read_heights(asset: Asset, access: Access, item: str, part: tuple[slice, slice]) -> NDArray[np.float32]:
    """A window of a file in metres, float32, NaN where it has no height. Raises AssetError."""

    def use(raster: Raster) -> NDArray[np.float32]:
        data = raster.read(*part)
        scale, offset = float(asset.scale or 1.0), float(asset.offset or 0.0)
        plain = (scale, offset) == (1.0, 0.0)
        heights = data.astype(np.float32) if plain else (data * scale + offset).astype(np.float32)
        heights[data == (_USUAL_VOID if raster.nodata is None else raster.nodata)] = np.nan
        del data
        heights[heights > _HIGHEST_M] = np.nan
        heights[heights < -_HIGHEST_M] = np.nan
        return heights

    return attempt(asset, access, item, use)


def cell_around(item: Item) -> Cell:
    """The cell that the middle of an item's footprint lies in: of a file that cannot be opened, its own."""
    middle = shapely.centroid(unwrapped(to_geometry(item.geometry)))
    return math.floor(middle.y), turned(math.floor(middle.x))


def cells_of(lon: Floats, lat: Floats, lattice: Lattice, across: Floats) -> NDArray[np.int64]:
    """Number of the cell that the node nearest to each place belongs to, as `cell_number`; -1 where there is no place.

    A node on a cell's southern edge belongs to the cell below, one on its western edge to the cell itself: so
    Copernicus' files have it. across: (180,) columns a degree, by latitude + 90.
    """
    with np.errstate(invalid="ignore"):
        row = np.floor(-lat * lattice.density - lattice.phase + 0.5) + lattice.phase
        south = np.clip(np.ceil(-row / lattice.density) - 1, -90, 89)
        here = across[np.where(np.isfinite(south), south + 90, 0).astype(np.intp)]
        west = np.floor(np.floor(lon * here + 0.5) / here)
        numbers = (south + 90) * 360 + (west + 180) % 360
    return np.where(np.isfinite(numbers), numbers, -1.0).astype(np.int64)


def cell_number(cell: Cell) -> int:
    return (cell[0] + 90) * 360 + turned(cell[1]) + 180


def numbered_cell(number: int) -> Cell:
    south, west = divmod(number, 360)
    return south - 90, west - 180


def in_lattices(placed: Sequence[Placed]) -> list[tuple[Lattice, list[Placed]]]:
    """Files that fit each other together, the finest lattice first; within one, in the order of the items."""
    found: dict[Lattice, list[Placed]] = {}
    for one in placed:
        found.setdefault(one.lattice, []).append(one)
    return sorted(found.items(), key=lambda pair: (pair[0].pixel_m, pair[0].crs, pair[0].phase))
