"""Numbers at the nodes of a lattice, sampled at the pixel centres of any grid: the mosaic of a DEM's tiles.

Law: a sample depends on the pixel's place alone. Pixels are counted from the origin of their CRS, coordinates come from
a mesh whose nodes are fixed in that count, and sums are taken from north to south, then from west to east. So windows
that overlap agree to the last bit, wherever they begin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import CRS

from pipeline.compiled import compiled
from pipeline.plan.curves import DEGREE_M, metres_a_unit, transformer

Floats = NDArray[np.floating[Any]]
_MESH_M = 640.0
"""Greatest distance between nodes. In between, bilinear coordinates err by its square over eight times the distance to
the projection's pole or the earth's centre: centimetres up to 80, half a metre at 89 degrees of latitude."""
_POLAR = 89.0
"""Beyond this latitude every pixel's coordinates are exact: longitudes turn too fast for a mesh."""
_PHASE_DIGITS = 6


@dataclass(frozen=True)
class PixelGrid:
    """A window of a target grid whose pixels are counted from the origin of its CRS."""

    crs: str
    pixel: tuple[float, float]
    """Signed size along (x, y)."""
    phase: tuple[float, float]
    """Of the lattice, in pixels along (x, y), 0 <= phase < 1."""
    first: tuple[int, int]
    """Number of the first (row, column)."""
    shape: tuple[int, int]

    @classmethod
    def of(cls, geobox: GeoBox, pad: int = 0) -> PixelGrid:
        """A tile's grid, grown by `pad` pixels. Raises ValueError for a grid that is turned."""
        a, b, c, d, e, f = geobox.transform[:6]
        if b or d:
            raise ValueError(f"the grid's transform {geobox.transform[:6]} is turned; expected rows along x")
        (column, px), (row, py) = _counted(c / a), _counted(f / e)
        height, width = geobox.shape.yx
        shape = height + 2 * pad, width + 2 * pad
        return cls(str(geobox.crs), (a, e), (px, py), (row - pad, column - pad), shape)

    def rows(self, first: int, last: int) -> PixelGrid:
        """Its rows [first, last)."""
        top, left = self.first
        return PixelGrid(self.crs, self.pixel, self.phase, (top + first, left), (last - first, self.shape[1]))

    @property
    def centres(self) -> tuple[Floats, Floats]:
        """X of every column's and y of every row's centre."""
        (top, left), (height, width) = self.first, self.shape
        x: Floats = (np.arange(left, left + width) + (0.5 + self.phase[0])) * self.pixel[0]
        y: Floats = (np.arange(top, top + height) + (0.5 + self.phase[1])) * self.pixel[1]
        return x, y

    @property
    def is_geographic(self) -> bool:
        return CRS.from_user_input(self.crs).is_geographic

    @property
    def pixel_m(self) -> tuple[float, float]:
        """Size of a pixel along (x, y); at the equator where the grid is in degrees."""
        across, down = (abs(side) * metres_a_unit(self.crs) for side in self.pixel)
        return across, down


def _counted(place: float) -> tuple[int, float]:
    """Whole pixels and the rest, which neighbouring tiles may not find different by a rounding error."""
    whole = math.floor(place + 10.0**-_PHASE_DIGITS)
    return whole, max(0.0, round(place - whole, _PHASE_DIGITS))


def coordinates(target: PixelGrid, crs: str) -> tuple[Floats, Floats]:
    """(x, y) of every pixel centre in another CRS, each (rows, columns); NaN where that is not defined.

    Longitudes are within a mesh cell of -180..180: they may be 180.001, and mean a place once around.
    """
    x, y = target.centres
    if crs.upper() == target.crs.upper():
        return np.repeat(x[None], y.size, 0), np.repeat(y[:, None], x.size, 1)
    step = 64
    while step > 1 and step * max(target.pixel_m) > _MESH_M:
        step //= 2
    (top, left), (height, width) = target.first, target.shape
    rows, cols = (
        np.arange(start // step, (start + size - 1) // step + 2) for start, size in ((top, height), (left, width))
    )
    at_x, at_y = (
        (each * step + phase) * size for each, phase, size in zip((cols, rows), target.phase, target.pixel, strict=True)
    )
    nodes = _transformed(target.crs, crs, *np.meshgrid(at_x, at_y))
    turn = 360.0 if CRS.from_user_input(crs).is_geographic else 0.0
    found = np.empty(target.shape), np.empty(target.shape)
    between(*nodes, (top - int(rows[0]) * step, left - int(cols[0]) * step, step), turn, *found)
    if turn:
        for rows_in, cols_in in _polar_cells(nodes[1], target, (int(rows[0]), int(cols[0]), step)):
            exact = _transformed(target.crs, crs, *np.meshgrid(x[cols_in], y[rows_in]))
            for whole, part in zip(found, exact, strict=True):
                whole[rows_in, cols_in] = part
    return found


def _transformed(source: str, crs: str, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    to_x, to_y = transformer(source, crs).transform(x, y)
    defined = np.isfinite(to_x) & np.isfinite(to_y)
    return np.where(defined, to_x, np.nan), np.where(defined, to_y, np.nan)


def _polar_cells(lat: Floats, target: PixelGrid, mesh: tuple[int, int, int]) -> list[tuple[slice, slice]]:
    """Rows and columns of the window that lie in mesh cells which reach beyond the polar latitude."""
    beyond = np.abs(lat) > _POLAR
    cells = beyond[:-1, :-1] | beyond[1:, :-1] | beyond[:-1, 1:] | beyond[1:, 1:]
    first_row, first_col, step = mesh
    found = []
    for row, col in np.argwhere(cells).tolist():
        corner = ((first_row + row) * step - target.first[0], (first_col + col) * step - target.first[1])
        rows, cols = (slice(max(0, at), min(size, at + step)) for at, size in zip(corner, target.shape, strict=True))
        found.append((rows, cols))
    return found


@compiled("f8[:,::1], f8[:,::1], UniTuple(i8, 3), f8, f8[:,::1], f8[:,::1]")
def between(node_x: Floats, node_y: Floats, mesh: Any, turn: float, x: Floats, y: Floats) -> None:
    """Coordinates between a mesh's nodes, which lie at the corners of pixels, `step` pixels apart.

    mesh: (rows, columns) from the first node to the first pixel, and the step. turn: 360 for longitudes, which are
    counted on from the north-western node of each cell.
    """
    top, left, step = mesh
    for r in range(x.shape[0]):
        node_row = (r + top) // step
        down = (r + top - node_row * step + 0.5) / step
        for c in range(x.shape[1]):
            node = (c + left) // step
            along = (c + left - node * step + 0.5) / step
            first = node_x[node_row, node]
            east, south, both = (
                node_x[node_row, node + 1] - first,
                node_x[node_row + 1, node] - first,
                node_x[node_row + 1, node + 1] - first,
            )
            if turn > 0:
                east -= turn * np.floor(east / turn + 0.5)
                south -= turn * np.floor(south / turn + 0.5)
                both -= turn * np.floor(both / turn + 0.5)
            upper, lower = east * along, south + (both - south) * along
            x[r, c] = first + (upper + (lower - upper) * down)
            a, b = node_y[node_row, node], node_y[node_row + 1, node]
            upper = a + (node_y[node_row, node + 1] - a) * along
            lower = b + (node_y[node_row + 1, node + 1] - b) * along
            y[r, c] = upper + (lower - upper) * down


@dataclass(frozen=True, eq=False)
class Band:
    """Rows of a lattice that have one spacing along x, and a window of their numbers."""

    density: float
    """Nodes per unit of x."""
    phase: float
    """x = (column + phase) / density."""
    around: int
    """Columns once around the earth; 0 where there is no such thing."""
    corner: tuple[int, int]
    """Numbers of the window's first row and column; rows count southward."""
    values: NDArray[np.float32]
    """NaN where there is none."""
    reach: Floats
    """(rows,) how many columns from its centre a pixel looks in each row, at least 1."""


@dataclass(frozen=True)
class Rows:
    """How the rows of a lattice lie: y = -(row + phase) / density."""

    density: float
    phase: float
    reach: float
    """How many rows from its centre a pixel looks, at least 1."""


def sample(x: Floats, y: Floats, rows: Rows, bands: list[Band]) -> NDArray[np.float32]:
    """The mean of the nodes around each place, weighted by a triangle along y and along x; NaN where none is nearest.

    x, y: coordinates of the places. Each row of nodes is interpolated along x with its own spacing, and the rows then
    along y, so that two bands of other spacing meet without a step. Missing nodes give their weight to the others; a
    place has a number exactly where the node that is nearest along both axes has one.
    """
    total, weight = np.zeros(x.shape), np.zeros(x.shape)
    near = np.zeros(x.shape, np.bool_)
    for band in sorted(bands, key=lambda one: one.corner):
        along_x = band.density, band.phase
        along_y = rows.density, rows.phase, rows.reach
        add_band(x, y, (along_x, along_y, band.corner, band.around), band.values, band.reach, (total, weight, near))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(near, total / weight, np.nan).astype(np.float32)


@compiled(
    "f8[:,::1], f8[:,::1], Tuple((UniTuple(f8, 2), UniTuple(f8, 3), UniTuple(i8, 2), i8)), f4[:,::1], f8[::1], "
    "Tuple((f8[:,::1], f8[:,::1], b1[:,::1]))"
)
def add_band(x: Floats, y: Floats, place: Any, values: Any, reach: Floats, out: Any) -> None:
    """Add what one band gives to each pixel: weighted sum, weight, and whether the nearest node is one of it."""
    (density_x, phase_x), (density_y, phase_y, reach_y), (top, left), around = place
    total, weight, near = out
    height = values.shape[0]
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            v = -y[r, c] * density_y - phase_y
            if not (v > top - 1 - reach_y and v < top + height + reach_y):  # also NaN
                continue
            u = x[r, c] * density_x - phase_x
            first, last = max(top, math.ceil(v - reach_y)), min(top + height - 1, math.floor(v + reach_y))
            nearest_row = math.floor(v + 0.5)
            for row in range(first, last + 1):
                wide = reach[row - top]
                mean, some, held = row_mean(values[row - top], u, wide, (left, around))
                down = 1.0 - abs(row - v) / reach_y
                total[r, c] += down * mean
                weight[r, c] += down * some
                if row == nearest_row and held:
                    near[r, c] = True


@compiled()
def row_mean(values: Any, u: float, wide: float, columns: tuple[int, int]) -> tuple[float, float, bool]:
    """(weighted mean of a row around column u times the share of the weight that is there, that share, nearest there).

    columns: the number of the first one, and how many there are around the earth. Whole numbers are subtracted, never
    u itself: that would round as the window begins.
    """
    left, around = columns
    whole, some, mean, held = 0.0, 0.0, 0.0, False
    nearest = math.floor(u + 0.5)
    for col in range(math.ceil(u - wide), math.floor(u + wide) + 1):
        along = 1.0 - abs(col - u) / wide
        whole += along
        place = col - left
        if around > 0:
            place -= around * (place // around)
        if 0 <= place < values.size:
            value = values[place]
            if not np.isnan(value):
                some += along
                mean += along * value
                held = held or col == nearest
    if whole <= 0.0:
        return 0.0, 0.0, False
    return mean / whole, some / whole, held


def reach_along(axis: int, target: PixelGrid, density: float, crs: str, lat: Floats | None = None) -> Floats:
    """How many nodes of a lattice a pixel's triangle reaches: one, or the pixel's own size where that is more.

    axis: 0 along x, 1 along y. density: nodes per unit of the lattice's CRS. lat: of the lattice's rows where it is in
    degrees and this is along x; a degree of longitude is shorter there. The same for all tiles of a grid.
    """
    geographic = CRS.from_user_input(crs).is_geographic
    if geographic and target.is_geographic:
        size = abs(target.pixel[axis]) * density
        return np.full(1 if lat is None else lat.size, max(1.0, size))
    degree_m = DEGREE_M * (1.0 if lat is None else np.maximum(np.cos(np.radians(lat)), 0.01))
    unit_m = degree_m if geographic else metres_a_unit(crs)
    reach: Floats = np.atleast_1d(np.maximum(1.0, target.pixel_m[axis] * density / unit_m))
    return reach
