"""Where a tile lies for those who think in degrees or in another CRS; right across the antimeridian and at a pole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from pipeline.plan.areas import BBox
from pipeline.plan.curves import poles, to_lonlat, transformer
from pipeline.types import Tile

_WITHIN_M = 0.1
_MESH = 17
_NEAR_POLE = 89.0
_NOISE_DEG = 1e-9
_FEW = 48
"""Boxes that are compared in pairs."""


def lonlat_outline(geobox: GeoBox) -> BaseGeometry:
    """A tile's footprint in degrees within -180..180, to ten centimetres; in two parts where it crosses 180.

    Around a pole it reaches to the pole and from -180 to 180.
    """
    return _lonlat_outline(_place(geobox))


def lonlat_outlines(geoboxes: Sequence[GeoBox]) -> list[BaseGeometry]:
    """The same of many tiles, those of one CRS at once."""
    found: dict[int, BaseGeometry] = {}
    systems: dict[str, list[int]] = {}
    for number, geobox in enumerate(geoboxes):
        systems.setdefault(str(geobox.crs), []).append(number)
    for crs, numbers in systems.items():
        extents = np.array([_extent(_place(geoboxes[number])) for number in numbers], dtype=object)
        found |= zip(numbers, to_lonlat(extents, crs, _WITHIN_M), strict=True)
    return [found[number] for number in range(len(geoboxes))]


_Place = tuple[str, tuple[float, ...], tuple[int, int]]
"""CRS, transform and shape of a grid: a GeoBox itself is slow as a key, since it hashes the text of its CRS."""


def _place(geobox: GeoBox) -> _Place:
    return str(geobox.crs), geobox.transform[:6], geobox.shape.yx


@lru_cache(maxsize=4096)
def _lonlat_outline(place: _Place) -> BaseGeometry:
    return to_lonlat(np.array([_extent(place)], dtype=object), place[0], _WITHIN_M)[0]


def lonlat_bounds(geobox: GeoBox) -> BBox:
    """West, south, east, north of a tile in degrees; west > east where it crosses the antimeridian."""
    return covering(part.bounds for part in shapely.get_parts(lonlat_outline(geobox)))


def covering(boxes: Iterable[BBox]) -> BBox:
    """The smallest box around some boxes, each of which may cross the antimeridian, as the result may."""
    west, south, east, north = np.array(list(boxes), dtype=float).T
    east = np.where(west > east, east + 360, east)
    order = np.argsort(west)
    west, east = west[order], east[order]
    reach = np.maximum(np.maximum.accumulate(east), east.max() - 360)
    gaps = np.append(west[1:], west[0] + 360) - reach  # after each box, before the next one
    widest = len(gaps) - 1 if gaps[-1] >= gaps.max() - _NOISE_DEG else int(np.argmax(gaps))
    low, high = float(south.min()), float(north.max())
    if gaps[widest] <= _NOISE_DEG:
        return -180.0, low, 180.0, high
    left, right = float(west[(widest + 1) % len(west)]), float(reach[widest])
    return left, low, right - 360 if right > 180 else right, high


def covering_boxes(tiles: Sequence[Tile], most: int = 16) -> tuple[BBox, ...]:
    """A few boxes that hold whole tiles, one where they lie together: what a search asks for, never too small.

    Two are joined while the box around both is at most twice as large, or there are more than `most`, those first
    that grow least. Each is west, south, east, north; west > east where it crosses the antimeridian.
    """
    boxes: list[BBox] = []
    grids: dict[str, list[GeoBox]] = {}
    for tile in tiles:
        grids.setdefault(str(tile.geobox.crs), []).append(tile.geobox)
    for crs, geoboxes in grids.items():
        boxes += lonlat_boxes(geoboxes, crs)
    groups = _neighbours(boxes)
    while len(groups) > 1:
        wasteful, _, one, other, both = min(_joined(one, other) for one, other in combinations(groups, 2))
        if wasteful and len(groups) <= most:
            break
        groups = [box for box in groups if box not in {one, other}] + [both]
    return tuple(sorted(groups))


def _neighbours(boxes: list[BBox]) -> list[BBox]:
    """Boxes around those that begin in one cell of the globe, with cells so large that there are few."""
    side = 1
    while True:
        cells: dict[tuple[float, float], list[BBox]] = {}
        for box in boxes:
            cells.setdefault((box[0] // side, box[1] // side), []).append(box)
        boxes = list(dict.fromkeys(covering(members) for members in cells.values()))
        if len(cells) <= _FEW:
            return boxes
        side *= 2


@lru_cache(maxsize=2**15)
def _joined(one: BBox, other: BBox) -> tuple[bool, float, BBox, BBox, BBox]:
    """Whether the box around both is more than twice as large, by how much it is larger, and the three."""
    both = covering((one, other))
    parts, whole = _sphere_area(one) + _sphere_area(other), _sphere_area(both)
    return whole > 2 * parts, whole - parts, one, other, both


def _sphere_area(box: BBox) -> float:
    west, south, east, north = box
    width = east - west if west <= east else east - west + 360
    return float(width * (np.sin(np.radians(north)) - np.sin(np.radians(south))))


def outline_in(geobox: GeoBox, crs: str) -> BBox:
    """Bounding box of a tile in another CRS: left, bottom, right, top; exact in its own, never too small in others.

    In degrees it is -180..180 wide across the antimeridian; infinite where the CRS is not defined all over the tile.
    """
    if crs.upper() == "EPSG:4326":
        west, south, east, north = lonlat_bounds(geobox)
        return (west, south, east, north) if west <= east else (-180.0, south, 180.0, north)
    return _outline_in(_place(geobox), crs)


@lru_cache(maxsize=4096)
def _outline_in(place: _Place, crs: str) -> BBox:
    own, extent = place[0], _extent(place)
    left, bottom, right, top = extent.bounds
    if own == crs:
        return left, bottom, right, top
    x, y = np.meshgrid(np.linspace(left, right, _MESH), np.linspace(bottom, top, _MESH))
    # The pole is where another projection may end; between two samples nothing would tell.
    sides = [*transformer(own, crs).transform(x, y)]
    inside = [sign for sign, pole in poles(own) if extent.intersects(pole)]
    ends = transformer(4326, crs).transform([0.0, 90.0, 180.0, -90.0] * len(inside), np.repeat(inside, 4))
    box = [_reach(*values) for values in zip(sides, ends, strict=True)]
    return box[0][0], box[1][0], box[0][1], box[1][1]


def _reach(mesh: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, float]:
    """Least and greatest of a curved surface that a mesh of it, and some single places, were sampled of."""
    values = np.concatenate([np.ravel(mesh), others])
    if not np.isfinite(values).all():
        return -np.inf, np.inf
    # A curve leaves the straight line between two samples by an eighth of their second difference.
    bend = max(float(np.abs(np.diff(mesh, n=2, axis=axis)).max()) for axis in (0, 1)) / 4
    return float(values.min()) - bend, float(values.max()) + bend


def _extent(place: _Place) -> shapely.Polygon:
    _, (a, b, c, d, e, f), (rows, columns) = place
    corners = ((0, 0), (0, rows), (columns, rows), (columns, 0))
    return shapely.Polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in corners])


def lonlat_boxes(geoboxes: Sequence[GeoBox], crs: str) -> list[BBox]:
    """Boxes around tiles of one CRS, all at once; one by one only where a pole is near."""
    t = np.linspace(0.0, 1.0, 9)
    zero, one = np.zeros_like(t), np.ones_like(t)
    column, row = np.concatenate([t, one, t[::-1], zero]), np.concatenate([zero, t, one, t[::-1]])
    a, b, c, d, e, f = np.array([geobox.transform[:6] for geobox in geoboxes]).T[:, :, None]
    rows, columns = np.array([geobox.shape.yx for geobox in geoboxes]).T[:, :, None]
    x, y = a * columns * column + b * rows * row + c, d * columns * column + e * rows * row + f
    lon, lat = (np.asarray(values) for values in transformer(crs, 4326).transform(x, y))
    hard = ~(np.isfinite(lon).all(axis=1) & (np.abs(lat).max(axis=1) < _NEAR_POLE)) | (np.ptp(y, axis=1) > 1e6)
    lon = np.unwrap(np.where(hard[:, None], 0.0, lon), axis=1, period=360.0)
    west, east = _bounds(lon)
    south, north = _bounds(lat)
    shift = 360 * np.floor((west + 180) / 360)
    west, east = west - shift, east - shift
    east = np.where(east > 180, east - 360, east)
    found: list[BBox] = list(zip(*(side.tolist() for side in (west, south, east, north)), strict=True))
    for number in np.flatnonzero(hard).tolist():
        found[number] = lonlat_bounds(geoboxes[number])
    return found


def _bounds(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest of each row of samples of a curve, with room for how it bends between them."""
    bend = np.abs(np.diff(values.reshape(len(values), 4, 9), n=2, axis=2)).max(axis=(1, 2)) / 4 + _NOISE_DEG
    return values.min(axis=1) - bend, values.max(axis=1) + bend
