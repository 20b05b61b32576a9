"""Where each target pixel lies in a source raster: nearest neighbour, planned once per pair of grids.

Three cases, one result: grids of one CRS map by an index per row and per column (exact; a plain copy where they are
consecutive); other grids by coordinates on a coarse mesh, interpolated in between, refined until the error is
below `MAX_ERROR_PX`. Plans are shared by all dates and bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.read.gcps import GcpGrid
from pipeline.types import Affine6, Grid

MAX_ERROR_PX = 0.02
"""Bound on the coordinate error of an interpolated plan, in source pixels (checked halfway between all mesh nodes)."""
_OUTSIDE = -1.0e9
_NEAR_PX = 8
_COARSE_STEPS, _FINE_STEPS = (64, 32), (16, 8, 4, 2, 1)
"""Target pixels between nodes, to be tried in turn; powers of two, so that to divide by one is exact."""

Nodes = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Fractional source (rows, columns) at the nodes of a mesh."""


@dataclass(frozen=True, eq=False)
class PixelMap:
    """Source row and column of every target pixel: by index (`rows`, `cols`) or by a mesh; the other pair is empty."""

    shape: tuple[int, int]
    """Of the target, (y, x)."""
    source_shape: tuple[int, int]
    rows: NDArray[np.int64]
    """(y,) source row per target row; outside values are < 0 or >= the source's height."""
    cols: NDArray[np.int64]
    mesh_rows: NDArray[np.float64]
    """(ny, nx) fractional source rows at every `step`-th target pixel's centre."""
    mesh_cols: NDArray[np.float64]
    step: int

    def window(
        self, rows: tuple[int, int], cols: tuple[int, int] | None = None, pad: int = 0
    ) -> tuple[slice, slice] | None:
        """Source rows and columns that target rows and columns [first, last) need, grown by `pad`.

        cols: None for all. None where the target needs nothing of the source.
        """
        left, right = cols or (0, self.shape[1])
        found = []
        for index, mesh, (first, last), size in (
            (self.rows, self.mesh_rows, rows, self.source_shape[0]),
            (self.cols, self.mesh_cols, (left, right), self.source_shape[1]),
        ):
            needed = (
                _covered(mesh[self._nodes(*rows), self._nodes(left, right)], size) if mesh.size else index[first:last]
            )
            inside = needed[(needed >= 0) & (needed < size)]
            if not inside.size:
                return None
            found.append(slice(max(0, int(inside.min()) - pad), min(size, int(inside.max()) + 1 + pad)))
        return found[0], found[1]

    def _nodes(self, first: int, last: int) -> slice:
        """Mesh nodes between which target pixels [first, last) lie."""
        return slice(first // self.step, -(-(last - 1) // self.step) + 1)


def _covered(mesh: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Every pixel of 0..size-1 between the smallest and the largest mesh value inside the projection's domain."""
    inside = mesh[mesh > _OUTSIDE / 2]
    if not inside.size:
        return np.empty(0, np.int64)
    return np.arange(max(0, int(np.floor(inside.min()))), min(size, int(np.floor(inside.max())) + 1))


def pixel_map(source: Grid, target: GeoBox) -> PixelMap:
    """The plan from `source` to `target`; pure, cached per process. Raises ValueError for a singular transform."""
    # As a Grid: to look a GeoBox up takes twenty times as long, and tiles look plans up thousands of times.
    grid = grid_of(target)
    return _plan(source, grid) or _fine_plan(source, grid)


def grid_of(target: GeoBox) -> Grid:
    """A target grid in the words of a source."""
    a, b, c, d, e, f = target.transform[:6]
    return Grid(str(target.crs), (a, b, c, d, e, f), target.shape.yx)


@lru_cache(maxsize=1024)
def _plan(source: Grid, target: Grid) -> PixelMap | None:
    """By index or by a coarse mesh, in some ten kilobytes; None where a finer mesh is needed."""
    if same_axes(source, target):
        a, _, west, _, e, north = invert(source.transform)
        x, y = _centres(target)
        none = np.empty((0, 0))
        return PixelMap(target.shape, source.shape, _floor(e * (y - north)), _floor(a * (x - west)), none, none, 1)
    for step in _steps(source, target, _COARSE_STEPS):
        mesh = mesh_of(source, target, step)
        if _mesh_error(source, target, mesh, step) <= MAX_ERROR_PX:
            return _by_mesh(source, target, mesh, step)
    return None


@lru_cache(maxsize=8)
def _fine_plan(source: Grid, target: Grid) -> PixelMap:
    """By a mesh of up to one node a pixel, so of many megabytes; only strongly bent grids need it."""
    for step in _steps(source, target, _FINE_STEPS):
        mesh = mesh_of(source, target, step)
        if step == 1 or _mesh_error(source, target, mesh, step) <= MAX_ERROR_PX:
            break
    return _by_mesh(source, target, mesh, step)


def _by_mesh(source: Grid, target: Grid, mesh: Nodes, step: int) -> PixelMap:
    none = np.empty(0, np.int64)
    return PixelMap(target.shape, source.shape, none, none, *mesh, step)


@lru_cache(maxsize=1024)
def coarseness(source: Grid, target_crs: str, target: Affine6) -> tuple[float, float]:
    """How many source pixels one pixel of a target grid is long, along its (rows, columns).

    target: the grid's transform, of which only the sizes matter: it is measured at the source's centre, so it is the
    same for all tiles of a grid. Infinite where the target's projection does not reach the source's centre.
    """
    a, b, _, d, e, _ = target
    row, col = source.shape[0] / 2, source.shape[1] / 2
    sa, sb, sc, sd, se, sf = source.transform
    x, y = sa * col + sb * row + sc, sd * col + se * row + sf
    if isinstance(source, GcpGrid):
        x, y = source.lattice.place(row, col)
    if target_crs.upper() != source.crs.upper():
        x, y = _transformer(source.crs, target_crs).transform(x, y)
    if not np.isfinite([x, y]).all():
        return np.inf, np.inf
    here = Grid(target_crs, (a, b, float(x), d, e, float(y)), (1, 1))
    along = np.array([[-0.5, 0.5, 0.0, 0.0], [0.0, 0.0, -0.5, 0.5]])
    rows, cols = exact_coordinates(source, here, *along)
    steps = np.hypot(rows[1::2] - rows[::2], cols[1::2] - cols[::2])
    return float(steps[1]), float(steps[0])


def same_axes(source: Grid, target: Grid) -> bool:
    """Whether rows and columns of the two are parallel, so that each maps by itself."""
    straight = source.transform[1] == source.transform[3] == target.transform[1] == target.transform[3] == 0
    return straight and not isinstance(source, GcpGrid) and target.crs.upper() == source.crs.upper()


def exact_coordinates(
    source: Grid, target: Grid, cols: NDArray[Any], rows: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fractional source (rows, cols) of target pixel coordinates (0.5 is the first pixel's centre), by pyproj."""
    to_x, to_y = target.transform[:3], target.transform[3:]
    x, y = to_x[0] * cols + to_x[1] * rows + to_x[2], to_y[0] * cols + to_y[1] * rows + to_y[2]
    if target.crs.upper() != source.crs.upper():
        x, y = _transformer(target.crs, source.crs).transform(x, y)
    if isinstance(source, GcpGrid):
        return source.lattice.find(x, y)
    a, b, c, d, e, f = invert(source.transform)
    dx, dy = np.asarray(x) - c, np.asarray(y) - f
    return d * dx + e * dy, a * dx + b * dy


@lru_cache(maxsize=64)
def _transformer(target_crs: str, source_crs: str) -> Transformer:
    return Transformer.from_crs(target_crs, source_crs, always_xy=True)


def _centres(target: Grid) -> tuple[NDArray[Any], NDArray[Any]]:
    """X of every column's and y of every row's centre, for a target that is not rotated."""
    a, _, west, _, e, north = target.transform
    return west + a * (np.arange(target.shape[1]) + 0.5), north + e * (np.arange(target.shape[0]) + 0.5)


def _floor(coordinate: NDArray[np.float64]) -> NDArray[np.int64]:
    """Pixel of a coordinate; rounding noise of a billionth of a pixel does not move an exact edge."""
    return np.floor(coordinate + 1e-9).astype(np.int64)


def invert(transform: Affine6) -> Affine6:
    """(a', b', origin x, d', e', origin y): column = a'(x - ox) + b'(y - oy), row = d'(x - ox) + e'(y - oy)."""
    a, b, c, d, e, f = transform
    det = a * e - b * d
    if not np.isfinite(det) or det == 0:
        raise ValueError(f"the raster's transform {transform} cannot be inverted")
    return (e / det, -b / det, c, -d / det, a / det, f)


def mesh_of(source: Grid, target: Grid, step: int) -> Nodes:
    """Exact coordinates at the centre of every `step`-th target pixel, and one beyond the last."""
    height, width = target.shape
    nodes = [np.arange(-(-(side - 1) // step) + 1) * step + 0.5 for side in (width, height)]
    rows, cols = exact_coordinates(source, target, *np.meshgrid(*nodes))
    outside = ~(np.isfinite(rows) & np.isfinite(cols))
    rows[outside] = cols[outside] = _OUTSIDE
    return np.ascontiguousarray(rows), np.ascontiguousarray(cols)


def _steps(source: Grid, target: Grid, steps: Sequence[int]) -> Sequence[int]:
    """Those at which a lattice has an answer at every node around a cell that holds some of the raster; and one.

    It has none far beyond its own points: among cells as large as itself it would lie unseen.
    """
    if not isinstance(source, GcpGrid):
        return steps
    longest = sum(coarseness(source, target.crs, target.transform))
    return [step for step in steps if step == 1 or not step * longest > source.lattice.reach_px]


def _mesh_error(source: Grid, target: Grid, mesh: Nodes, step: int) -> float:
    """Largest distance, in source pixels, between interpolated and exact coordinates halfway between the nodes.

    On the cells' sides as well as in their middles: from one conformal projection to another (UTM, Mercator, polar
    stereographic) the bends along rows and columns cancel in the middle.
    """
    ny, nx = mesh[0].shape
    if ny < 2 or nx < 2:
        return np.inf
    col, row = np.meshgrid(*(np.arange(2 * count - 1) * step / 2 + 0.5 for count in (nx, ny)))
    error = 0.0
    halves, exacts = [_halfway(nodes) for nodes in mesh], exact_coordinates(source, target, col, row)
    # Far from its points a lattice says nothing, and nobody asks.
    lattice = isinstance(source, GcpGrid)
    far = _beyond(halves, source.shape) & _beyond(exacts, source.shape) if lattice else False
    for halfway, exact in zip(halves, exacts, strict=True):
        both_outside = far | (~np.isfinite(exact) & (halfway == _OUTSIDE))
        difference = np.where(both_outside, 0.0, np.abs(halfway - exact))
        error = max(error, float(np.max(np.nan_to_num(difference, nan=np.inf))))
    return error


def _beyond(coordinates: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Where (rows, columns) are nowhere near a raster, NaN included."""
    inside = [(each > -_NEAR_PX) & (each < size + _NEAR_PX) for each, size in zip(coordinates, shape, strict=True)]
    return ~(inside[0] & inside[1])


def _halfway(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mesh values at twice the density: (2 ny - 1, 2 nx - 1)."""
    ny, nx = nodes.shape
    out = np.empty((2 * ny - 1, 2 * nx - 1))
    out[::2, ::2] = nodes
    out[1::2, ::2] = (nodes[:-1] + nodes[1:]) / 2
    out[:, 1::2] = (out[:, :-2:2] + out[:, 2::2]) / 2
    return out
