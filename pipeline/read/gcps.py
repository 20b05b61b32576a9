"""Where the pixels of a raster lie that says so by ground control points only, as Sentinel-1 GRD files do.

The points stand on a lattice of rows and columns. Between them a place is a cubic through its neighbours on the
lattice, in space and not in degrees, so that neither the antimeridian nor a pole is special; at a point it is the point
itself, whatever the others are. The way back, from a place to its pixel, is Newton's.

Law: it is exact at every point and smooth between them; a pixel's place depends on nothing but the points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.compiled import compiled
from pipeline.types import Affine6, Grid

Point = tuple[float, float, float, float]
"""(row, column, x, y): pixel coordinates as GDAL has them (0 is the outer edge of the first pixel), and the place."""

_LONLAT = "EPSG:4326"
_SAME = 1e-6
"""Rows, or columns, of points that are nearer than this are one; in pixels."""
_REACH = 1.0
"""How far beyond the lattice a place is still looked for, in sizes of the lattice."""
_CLOSE_PX = 1e-7
_MOST_STEPS = 25


@dataclass(frozen=True)
class Lattice:
    """Ground control points, row by row. Frozen and comparable, so that plans made of it can be kept."""

    rows: tuple[float, ...]
    """Pixel coordinates, increasing: 0.5 is the middle of the first pixel."""
    cols: tuple[float, ...]
    places: bytes
    """float64 (rows, columns, 3): unit vectors, as from the earth's centre to longitude and latitude taken for a
    sphere's."""
    pixel: tuple[float, float] | None
    """(rows, columns) that a pixel of the original image is long in this raster: less than one where it was decimated.
    None where the points do not tell, as in a cut-out."""

    def scaled(self, down: float, right: float) -> Lattice:
        """The same points in pixels that are `down` times as high and `right` times as wide."""
        rows, cols = tuple(row / down for row in self.rows), tuple(col / right for col in self.cols)
        pixel = None if self.pixel is None else (self.pixel[0] / down, self.pixel[1] / right)
        return replace(self, rows=rows, cols=cols, pixel=pixel)

    def original(self, rows: NDArray[Any], cols: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(lines, samples) of the original image, 0 the middle of the first, of this raster's pixels by number.

        Raises ValueError where the points do not tell.
        """
        if self.pixel is None:
            raise ValueError("its ground control points do not reach from the first pixel to the last: a cut-out")
        return (rows + 0.5) / self.pixel[0] - 0.5, (cols + 0.5) / self.pixel[1] - 0.5

    @property
    def reach_px(self) -> float:
        """How many pixels beyond the points `find` has answers at least."""
        return _REACH * min(self.rows[-1] - self.rows[0], self.cols[-1] - self.cols[0])

    def place(self, row: float, col: float) -> tuple[float, float]:
        """Longitude and latitude of a pixel coordinate."""
        value = np.empty((3, 3))
        _at(row, col, self._tables, np.empty((2, 4)), np.empty((2, 4)), value)
        x, y, z = value[0]
        return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))

    def find(self, lon: NDArray[Any], lat: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fractional (rows, columns) of places; NaN far outside of the lattice and where there is no answer.

        Beyond the outermost points it goes on straight.
        """
        there = _vectors(np.asarray(lon), np.asarray(lat))
        out = np.empty((2, there.shape[0]))
        _find(there, self._guess, self._tables, out)
        shape = np.shape(lon)
        return out[0].reshape(shape), out[1].reshape(shape)

    @cached_property
    def _tables(self) -> Any:
        rows, cols = np.array(self.rows), np.array(self.cols)
        nodes = np.frombuffer(self.places).reshape(rows.size, cols.size, 3).copy()
        return rows, cols, _weights(rows), _weights(cols), nodes

    @cached_property
    def _guess(self) -> NDArray[np.float64]:
        """(5, 3): the lattice's middle, two directions along the ground there, and what (row, column) are of them.

        On the plane that touches the earth in the middle, pixels are nearly straight.
        """
        rows, cols, _, _, nodes = self._tables
        middle = nodes.mean((0, 1))
        middle /= np.linalg.norm(middle)
        east = np.cross(middle, np.eye(3)[np.argmin(np.abs(middle))])
        east /= np.linalg.norm(east)
        axes = np.stack([east, np.cross(middle, east)])
        flat = (nodes @ axes.T / (nodes @ middle)[..., None]).reshape(-1, 2)
        base = np.column_stack([np.ones(len(flat)), flat])
        wanted = np.stack([each.ravel() for each in np.meshgrid(rows, cols, indexing="ij")], -1)
        return np.concatenate([middle[None], axes, np.linalg.lstsq(base, wanted, rcond=None)[0].T])


@dataclass(frozen=True)
class GcpGrid(Grid):
    """The grid of a raster that has ground control points only. `transform` is a straight estimate of theirs."""

    lattice: Lattice

    def scaled(self, shape: tuple[int, int]) -> GcpGrid:
        """The same ground in other pixels."""
        down, right = self.shape[0] / shape[0], self.shape[1] / shape[1]
        a, b, c, d, e, f = self.transform
        transform = (a * right, b * down, c, d * right, e * down, f)
        return GcpGrid(self.crs, transform, shape, self.lattice.scaled(down, right))


def gcp_grid(points: Sequence[Point], crs: str, shape: tuple[int, int]) -> GcpGrid:
    """The grid that ground control points in `crs` give a raster of (rows, columns).

    Where they reach from the first pixel's number to the last one's (up to one pixel of the original image, where the
    file was decimated), they name pixels, so middles of pixels, as Sentinel-1's do: line and pixel of its geolocation
    grid are those of the image, whose times are of the samples' middles (of a real product's points, found again by its
    orbit: 0.03 samples and -0.01 lines from their numbers in the median). Otherwise they are taken as they are.
    Heights are not used: the place of a point is where it stands.
    Raises ValueError where the points are no lattice of at least two rows and columns, or no surface of the earth's.
    """
    down, right, *places = np.array(points, np.float64).T
    (rows, row_of), (cols, col_of) = _levels(down), _levels(right)
    if min(rows.size, cols.size) < 2 or len(set(zip(row_of, col_of, strict=True))) != rows.size * cols.size:
        raise ValueError(f"{len(points)} ground control points on {rows.size} rows and {cols.size} columns: no lattice")
    if len(points) != rows.size * cols.size or not np.isfinite(np.array(points)).all():
        raise ValueError(f"{len(points)} ground control points, some of them twice or without a place: no lattice")
    lon, lat = Transformer.from_crs(crs, _LONLAT, always_xy=True).transform(*places)
    if not (np.isfinite(lon) & (np.abs(lat) <= 90)).all():
        raise ValueError(f"ground control points at latitudes {np.min(lat):g}..{np.max(lat):g}: not on the earth")
    nodes = np.empty((rows.size, cols.size, 3))
    nodes[row_of, col_of] = _vectors(lon, lat)
    high, wide = _pixel(rows, shape[0]), _pixel(cols, shape[1])
    pixel = (high, wide) if high and wide else None
    if pixel:
        rows, cols = rows + high / 2, cols + wide / 2
    lattice = Lattice(tuple(rows.tolist()), tuple(cols.tolist()), nodes.tobytes(), pixel)
    if not np.isfinite(lattice.find(*map(np.asarray, lattice.place(lattice.rows[0], lattice.cols[0])))).all():
        raise ValueError(f"{len(points)} ground control points that span no area")
    return GcpGrid(_LONLAT, _straight(lattice), shape, lattice)


def _levels(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The different values in order, and which of them each is."""
    order = np.sort(values)
    levels = order[np.concatenate([[True], np.diff(order) > _SAME])]
    return levels, np.searchsorted(levels, values + _SAME, side="right") - 1


def _pixel(levels: NDArray[np.float64], size: int) -> float:
    """How long an original pixel is, where the points reach from the first one to the last; else 0."""
    left = size - levels[-1]
    return float(left) if abs(float(levels[0])) < _SAME < left <= 1 + _SAME else 0.0


def _straight(lattice: Lattice) -> Affine6:
    """Longitude and latitude around the middle as if pixels were straight there."""
    row, col = (lattice.rows[0] + lattice.rows[-1]) / 2, (lattice.cols[0] + lattice.cols[-1]) / 2
    here, right, down = (np.array(lattice.place(*at)) for at in ((row, col), (row, col + 1), (row + 1, col)))
    (a, d), (b, e) = (((each - here + 180) % 360 - 180).tolist() for each in (right, down))
    return a, b, float(here[0] - a * col - b * row), d, e, float(here[1] - d * col - e * row)


def _vectors(lon: NDArray[Any], lat: NDArray[Any]) -> NDArray[np.float64]:
    """(n, 3) unit vectors; NaN where a coordinate is not finite."""
    lam, phi = np.radians(np.where(np.isfinite(lon), lon, np.nan)), np.radians(np.where(np.isfinite(lat), lat, np.nan))
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], -1).reshape(-1, 3)


def _weights(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the four nodes from one before each interval on count in its cubic, by power of the share of it.

    (intervals, 4, 4). Slopes at a node are those of the parabola through it and its two neighbours (Bessel), at the
    ends of that through the three last: a parabola is followed exactly, however far apart the nodes are.
    """
    count, width = levels.size, min(4, levels.size)
    found = np.zeros((count - 1, 4, 4))
    for k in range(count - 1):
        at = min(max(k - 1, 0), count - width)
        found[k, :, :width] = _cubic(levels[at : at + width], k - at)
    return found


def _cubic(levels: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """(4, nodes): the same of one interval among its own nodes."""
    count = levels.size
    slope = np.zeros((2, count))
    for node in (k, k + 1):
        near = np.arange(3) + min(max(node - 1, 0), max(count - 3, 0)) if count > 2 else np.arange(2)
        for j in near:
            others = [i for i in near if i != j]
            below = np.prod([levels[j] - levels[i] for i in others])
            rest = [np.prod([levels[node] - levels[m] for m in others if m != i]) for i in others]
            slope[node - k, j] = sum(rest) / below
    (first, last), (begins, ends) = np.eye(count)[k : k + 2], slope * (levels[k + 1] - levels[k])
    return np.array([first, begins, 3 * (last - first) - 2 * begins - ends, 2 * (first - last) + begins + ends])


@compiled()
def _shares(value: float, levels: NDArray[np.float64], weights: Any, out: Any, slopes: Any) -> int:
    """What each of four nodes counts at a coordinate, and how that grows; the first of them. Straight on outside."""
    count = levels.size
    k = 0
    while k < count - 2 and value >= levels[k + 1]:
        k += 1
    length = levels[k + 1] - levels[k]
    share = (value - levels[k]) / length
    inside = min(max(share, 0.0), 1.0)
    for j in range(4):
        a, b, c, d = weights[k, 0, j], weights[k, 1, j], weights[k, 2, j], weights[k, 3, j]
        slope = b + inside * (2 * c + inside * 3 * d)
        out[j] = a + inside * (b + inside * (c + inside * d)) + slope * (share - inside)
        slopes[j] = slope / length
    return min(max(k - 1, 0), max(count - 4, 0))


@compiled("f8, f8, Tuple((f8[::1], f8[::1], f8[:,:,::1], f8[:,:,::1], f8[:,:,::1])), f8[:,::1], f8[:,::1], f8[:,::1]")
def _at(row: float, col: float, tables: Any, shares: Any, slopes: Any, value: Any) -> None:
    """value: (3, 3): the place, and how it changes along rows and along columns."""
    rows, cols, of_rows, of_cols, nodes = tables
    top = _shares(row, rows, of_rows, shares[0], slopes[0])
    left = _shares(col, cols, of_cols, shares[1], slopes[1])
    value[:] = 0.0
    for i in range(min(4, rows.size)):
        for j in range(min(4, cols.size)):
            here, down, right = shares[0, i] * shares[1, j], slopes[0, i] * shares[1, j], shares[0, i] * slopes[1, j]
            for axis in range(3):
                node = nodes[top + i, left + j, axis]
                value[0, axis] += here * node
                value[1, axis] += down * node
                value[2, axis] += right * node


@compiled("f8[:,::1], f8[:,::1], Tuple((f8[::1], f8[::1], f8[:,:,::1], f8[:,:,::1], f8[:,:,::1])), f8[:,::1]")
def _find(there: NDArray[np.float64], guess: NDArray[np.float64], tables: Any, out: NDArray[np.float64]) -> None:
    """Newton's method on the plane that touches the earth where the place is: there the place is (0, 0)."""
    rows, cols = tables[0], tables[1]
    tall, wide = rows[-1] - rows[0], cols[-1] - cols[0]
    shares, slopes, value, axes = np.empty((2, 4)), np.empty((2, 4)), np.empty((3, 3)), np.empty((2, 3))
    for k in range(there.shape[0]):
        out[0, k] = out[1, k] = np.nan
        one = there[k]
        height = _dot(one, guess[0])
        if not height > 0.1:  # NaN too: nothing there, or more than 84 degrees away
            continue
        x, y = _dot(one, guess[1]) / height, _dot(one, guess[2]) / height
        row = guess[3, 0] + guess[3, 1] * x + guess[3, 2] * y
        col = guess[4, 0] + guess[4, 1] * x + guess[4, 2] * y
        above, before = abs(row - rows[0] - tall / 2), abs(col - cols[0] - wide / 2)
        if above > (_REACH + 0.5) * tall or before > (_REACH + 0.5) * wide:
            continue
        _touching(one, axes)
        for _ in range(_MOST_STEPS):
            _at(row, col, tables, shares, slopes, value)
            x, y = _dot(value[0], axes[0]), _dot(value[0], axes[1])
            a, b = _dot(value[1], axes[0]), _dot(value[2], axes[0])
            d, e = _dot(value[1], axes[1]), _dot(value[2], axes[1])
            det = a * e - b * d
            if det == 0:
                break
            down, right = (b * y - e * x) / det, (d * x - a * y) / det
            row, col = row + down, col + right
            if abs(down) + abs(right) < _CLOSE_PX:
                out[0, k], out[1, k] = row, col
                break


@compiled()
def _dot(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    product: float = one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
    return product


@compiled()
def _touching(one: NDArray[np.float64], axes: NDArray[np.float64]) -> None:
    """Two directions along the ground, at right angles to each other."""
    x, y, z = one[0], one[1], one[2]
    if abs(z) < 0.9:
        length = np.sqrt(x * x + y * y)
        axes[0, 0], axes[0, 1], axes[0, 2] = -y / length, x / length, 0.0
    else:
        length = np.sqrt(y * y + z * z)
        axes[0, 0], axes[0, 1], axes[0, 2] = 0.0, -z / length, y / length
    axes[1, 0] = y * axes[0, 2] - z * axes[0, 1]
    axes[1, 1] = z * axes[0, 0] - x * axes[0, 2]
    axes[1, 2] = x * axes[0, 1] - y * axes[0, 0]
