"""Polygons from one CRS to another with as many points as it takes that a straight side may become a curve."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from pipeline.errors import PlanRefusedError
from pipeline.plan.areas import Shapes, cut_at_antimeridian, polygons

EXACT_M = 0.001
"""How far an area's outline may stray from the true curve."""
DEGREE_M = 111_195.0
EARTH_M = 6_371_000.0
_ROUNDS, _POLAR_ROUNDS = 18, 48
"""How often a side is halved at most: to a metre; beside a pole, where any direction may come next, to nothing."""
_FIRST_M = 1000.0
_POLE = 90 - 1e-9
_FIRST_DEG = 1.0

Floats = NDArray[np.float64]
Forward = Callable[[Floats], Floats]
Bend = Callable[[Floats, Floats, Floats], Floats]
"""Distance in metres of a side's true middle from the middle of its two ends, all (n, 2) in the target."""

Poles = tuple[tuple[float, shapely.Point], ...]
"""Latitude and place of each pole that is a point of a CRS."""


@lru_cache(maxsize=512)
def transformer(source: str | int, target: str | int) -> Transformer:
    """Between two CRS, x before y."""
    return Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=512)
def metres_a_unit(crs: str | int) -> float:
    """Length of a CRS's unit; of a degree at the equator where it is one."""
    known = CRS.from_user_input(crs)
    return DEGREE_M if known.is_geographic else float(known.axis_info[0].unit_conversion_factor)


@lru_cache(maxsize=512)
def _geographic(crs: str | int) -> bool:
    return bool(CRS.from_user_input(crs).is_geographic)


def turned(x: Floats, crs: str | int, middle: float) -> Floats:
    """Coordinates in a CRS, its longitudes in the turn nearest to a grid's middle: grids may go on beyond 180 degrees.

    >>> turned(np.array([-30.0, 20.0]), 4326, 180.0).tolist()
    [330.0, 20.0]
    """
    return x + 360 * np.round((middle - x) / 360) if _geographic(crs) else x


def to_crs(shapes: Shapes, crs: str | int) -> Shapes:
    """Polygons in degrees to another CRS, to a millimetre; valid polygons.

    Raises PlanRefusedError where the CRS is not defined, or is torn apart, within a shape.
    """
    if CRS.from_user_input(crs).is_geographic:
        return _transformed(shapes, _plain(4326, crs))
    unit = metres_a_unit(crs)

    def bend(first: Floats, middle: Floats, last: Floats) -> Floats:
        return _length(middle - (first + last) / 2) * unit

    dense = shapely.segmentize(shapes, _FIRST_DEG)
    found = _followed(dense, _plain(4326, crs), bend, EXACT_M, f"{crs}", _ROUNDS)
    return np.array([polygons(shape) for shape in found], dtype=object)


def to_lonlat(shapes: Shapes, crs: str | int, within_m: float = EXACT_M) -> list[BaseGeometry]:
    """Polygons of any CRS to degrees within -180..180: cut at the antimeridian, closed around a pole.

    within_m: greatest distance from the true outline. Raises PlanRefusedError where the CRS is not defined.
    """
    if CRS.from_user_input(crs).is_geographic:
        back = _plain(crs, 4326)

        def unwrapped(xy: Floats) -> Floats:
            lonlat = back(xy)  # longitudes beyond 180 are meant, as 190 beside 170
            lonlat[:, 0] += 360 * np.round((xy[:, 0] - lonlat[:, 0]) / 360)
            return lonlat

        return [cut_at_antimeridian(shape) for shape in _transformed(shapes, unwrapped)]
    found_poles = poles(crs)
    step_m = max(0.8 * float(np.sqrt(8 * EARTH_M * within_m)), _FIRST_M)
    dense = shapely.segmentize(shapes, step_m / metres_a_unit(crs))
    for _, pole in found_poles:
        near = shapely.dwithin(dense, pole, EXACT_M / 10)
        dense[near] = [_through(shape, pole) for shape in dense[near]]
    found = _followed(dense, _back(crs), _lonlat_bend, within_m, f"{crs}", _POLAR_ROUNDS)
    return [_on_the_map(shape, source, found_poles) for shape, source in zip(found, shapes, strict=True)]


def _plain(source: str | int, target: str | int) -> Forward:
    def forward(xy: Floats) -> Floats:
        return np.column_stack(transformer(source, target).transform(xy[:, 0], xy[:, 1]))

    return forward


def _transformed(shapes: Shapes, forward: Forward) -> Shapes:
    return np.array([polygons(shapely.transform(shape, forward)) for shape in shapes], dtype=object)


def _length(vectors: Floats) -> Floats:
    return np.hypot(vectors[:, 0], vectors[:, 1])


def _turned(degrees: Floats) -> Floats:
    """Within -180..180."""
    return (degrees + 180) % 360 - 180


def _lonlat_bend(first: Floats, middle: Floats, last: Floats) -> Floats:
    """Also infinite where two neighbours are too far apart in longitude to say which way round they go."""
    turn = _turned(last[:, 0] - first[:, 0])
    at_pole = (np.abs(first[:, 1]) > _POLE) | (np.abs(last[:, 1]) > _POLE)  # a meridian: its end has no longitude
    lat = (first[:, 1] + last[:, 1]) / 2
    off = np.column_stack(
        [_turned(middle[:, 0] - first[:, 0] - turn / 2) * np.cos(np.radians(lat)), middle[:, 1] - lat]
    )
    bend = np.where(np.abs(turn) > 60, np.inf, _length(off) * DEGREE_M)
    return np.where(at_pole, 0.0, bend)


def _followed(shapes: Shapes, forward: Forward, bend: Bend, within_m: float, crs: str, rounds: int) -> Shapes:
    """The shapes in the target, each side halved until its middle lies where it should."""
    offsets: Any
    kind, source, offsets = shapely.to_ragged_array(shapes)
    rings = offsets[0]
    ring = np.repeat(np.arange(len(rings) - 1), np.diff(rings))
    target = _defined(source, forward(source), crs)
    curved = ring[:-1] == ring[1:]
    for _ in range(rounds):
        sides = np.flatnonzero(curved)
        if not sides.size:
            break
        middle = (source[sides] + source[sides + 1]) / 2
        there = _defined(middle, forward(middle), crs)
        off = bend(target[sides], there, target[sides + 1]) > within_m
        sides, middle, there = sides[off], middle[off], there[off]
        at = sides + 1
        source, target, ring = (
            np.insert(source, at, middle, 0),
            np.insert(target, at, there, 0),
            np.insert(ring, at, ring[sides]),
        )
        curved = np.zeros(len(ring) - 1, bool)
        new = at + np.arange(len(at))
        curved[new - 1] = curved[new] = True
    else:
        raise _refusal(source[np.flatnonzero(curved)[0]], crs, "is torn apart")
    starts = np.searchsorted(ring, np.arange(len(rings)))
    found: Shapes = np.asarray(shapely.from_ragged_array(kind, target, (starts, *offsets[1:])))
    return found


def _defined(source: Floats, target: Floats, crs: str) -> Floats:
    lost = ~np.isfinite(target).all(axis=1)
    if lost.any():
        raise _refusal(source[np.flatnonzero(lost)[0]], crs, "is not defined")
    return target


def _refusal(place: Floats, crs: str, what: str) -> PlanRefusedError:
    return PlanRefusedError(
        f"{crs} {what} at {place[0]:.4f}, {place[1]:.4f}, which is within the area; "
        "choose a grid or file whose CRS is made for this place"
    )


@lru_cache(maxsize=512)
def poles(crs: str | int) -> Poles:
    """The poles that are points of a CRS: latitude and place; on a cylinder they are lines, or nowhere."""
    found = []
    for sign in (90.0, -90.0):
        x, y = transformer(4326, crs).transform([0.0, 77.0, 180.0, -101.0], [sign] * 4)
        spread = np.ptp(x) + np.ptp(y) if np.isfinite([x, y]).all() else np.inf
        back = transformer(crs, 4326).transform(x[0], y[0])[1] if np.isfinite(spread) else np.nan
        if spread * metres_a_unit(crs) < EXACT_M and abs(back - sign) < 1e-6:
            found.append((sign, shapely.Point(x[0], y[0])))
    return tuple(found)


def _through(shape: BaseGeometry, pole: shapely.Point) -> BaseGeometry:
    """The shape with the pole as a corner of every ring that runs through it."""

    def ring(line: Any) -> Floats:
        points = shapely.get_coordinates(line)
        if line.distance(pole) > EXACT_M / 10:
            return points
        place = np.array([pole.x, pole.y])
        close = _length(points - place) <= EXACT_M / 5
        if close.any():
            points[close] = place
            return points
        at = int(np.argmin(shapely.distance(shapely.linestrings(np.stack([points[:-1], points[1:]], 1)), pole)))
        return np.insert(points, at + 1, place, 0)

    return shapely.MultiPolygon(
        [
            shapely.Polygon(ring(part.exterior), [ring(hole) for hole in part.interiors])
            for part in shapely.get_parts(shape)
        ]
    )


def _back(crs: str | int) -> Forward:
    """To degrees; what lies on a pole is on it to the last digit."""

    def forward(xy: Floats) -> Floats:
        lonlat = _plain(crs, 4326)(xy)
        for sign, pole in poles(crs):
            lonlat[_length(xy - [pole.x, pole.y]) * metres_a_unit(crs) < EXACT_M / 5, 1] = sign
        return lonlat

    return forward


def _on_the_map(shape: BaseGeometry, source: BaseGeometry, ends: Poles) -> BaseGeometry:
    """A shape of degrees whose longitudes jump at 180, made whole: cut there, and closed where it holds a pole."""
    points = shapely.get_coordinates(shape)
    if (np.abs(points[:, 1]) <= _POLE).all() and np.ptp(points[:, 0]) < 180 and not _holds(source, ends):
        return polygons(shape)
    whole = []
    for part, origin in zip(shapely.get_parts(shape), shapely.get_parts(source), strict=True):
        outer = _inside(part.exterior, shapely.Polygon(origin.exterior), ends)
        holes = [
            _inside(hole, shapely.Polygon(own), ends)
            for hole, own in zip(part.interiors, origin.interiors, strict=True)
        ]
        whole.append(outer.difference(shapely.union_all(holes)) if holes else outer)
    return polygons(shapely.union_all(whole))


def _holds(source: BaseGeometry, ends: Poles) -> bool:
    return any(shapely.intersects(source, pole) for _, pole in ends)


def _inside(ring: Any, origin: shapely.Polygon, ends: Poles) -> BaseGeometry:
    """What a ring of jumping longitudes encloses, within -180..180."""
    points = shapely.get_coordinates(ring)[:-1]
    on_pole = np.abs(points[:, 1]) > _POLE
    if on_pole.any():  # it begins and ends there, with the longitudes of its neighbours
        last = int(np.flatnonzero(on_pole)[0])
        latitude = float(points[last, 1])
        points = np.roll(points, -last, axis=0)[1:]
        points = points[np.abs(points[:, 1]) <= _POLE]
    else:
        points = np.vstack([points, points[:1]])
        latitude = next((sign for sign, pole in ends if origin.contains(pole)), float("nan"))
    points[:, 0] = np.unwrap(points[:, 0], period=360.0)
    if on_pole.any() or abs(points[-1, 0] - points[0, 0]) > 180:
        points = np.vstack([points, [points[-1, 0], latitude], [points[0, 0], latitude]])
    return cut_at_antimeridian(polygons(shapely.Polygon(points)))
