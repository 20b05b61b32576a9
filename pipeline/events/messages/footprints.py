"""Where a scene lies that is told of by a name alone: areas that hold it, by MGRS square or by WRS-2 path and row.

An area is GeoJSON in degrees within -180..180, in two parts where it crosses 180. It is never smaller than the scene;
what it is larger by costs a look at tiles that the scene does not touch.
Sources: UTM by the series of Krueger (n to the third power, a millimetre), as in
guidance note 7-2 of EPSG; MGRS squares by https://earth-info.nga.mil; the orbit of Landsat by
https://landsat.gsfc.nasa.gov/about/the-worldwide-reference-system/ (233 paths, 248 rows, row 60 at the equator).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

from pipeline.events.refusals import MessageError
from pipeline.types import Json

Position = tuple[float, float]

_AXIS_M, _FLATTENING = 6_378_137.0, 1 / 298.257223563
_THIRD = _FLATTENING / (2 - _FLATTENING)
_SCALE_M = 0.9996 * _AXIS_M / (1 + _THIRD) * (1 + _THIRD**2 / 4 + _THIRD**4 / 64)
_BETA = (
    _THIRD / 2 - 2 * _THIRD**2 / 3 + 37 * _THIRD**3 / 96,
    _THIRD**2 / 48 + _THIRD**3 / 15,
    17 * _THIRD**3 / 480,
)
_DELTA = (
    2 * _THIRD - 2 * _THIRD**2 / 3 - 2 * _THIRD**3,
    7 * _THIRD**2 / 3 - 8 * _THIRD**3 / 5,
    56 * _THIRD**3 / 15,
)
_FALSE_EAST_M, _FALSE_NORTH_M = 500_000.0, 10_000_000.0

_SQUARE = re.compile(r"(0?[1-9]|[1-5]\d|60)([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])")
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_SIDE_M = 100_000
_CYCLE_M = 2_000_000
"""After which the letters of rows begin anew; the band says which of them."""
_MARGIN_M = 2_000.0
_OVERLAP_M = 10_000.0
"""By which a tile of Sentinel-2 (109.8 km) is larger than its square, to the east and to the south."""
_STEPS = 6

_PATHS, _ROWS_A_TURN = 233, 248
_EQUATOR_ROW = 60
_FIRST_PATH_DEG = -64.6
"""Longitude at which path 1 crosses the equator going south."""
_INCLINATION = math.radians(98.2096)
_TURNS = 16
"""Days after which the orbit repeats; meanwhile the earth turns below it so often, and it goes round 233 times."""
_EARTH_M = 6_371_000.0
_SCENE_M = 190_000.0
"""From the middle of a scene of 185 by 180 km to its corners (129 km), and how far the orbit may stray."""
_SIDES = 24


@lru_cache(maxsize=4096)
def mgrs_area(square: str) -> Json:
    """Holds the Sentinel-2 tile of a square such as `33TWL`. Raises MessageError for what is no square."""
    found = _SQUARE.fullmatch(square)
    zone = int(found[1]) if found else 0
    column = _COLUMNS.index(found[3]) - (zone - 1) % 3 * 8 if found else -1
    if found is None or not 0 <= column < 8:
        raise MessageError(f"found the MGRS square {square[:20]!r}; expected one of 100 km such as 33TWL")
    south = found[2] < "N"
    east = (column + 1) * _SIDE_M
    first = (_ROWS.index(found[4]) - (5 if zone % 2 == 0 else 0)) % 20 * _SIDE_M
    middle = 78.0 if found[2] == "X" else -76.0 + 8 * _BANDS.index(found[2])

    def degrees(x: float, y: float) -> Position:
        return _from_utm(zone, x, y - _FALSE_NORTH_M if south else y)

    def away(north: int) -> float:
        return abs(degrees(east + _SIDE_M / 2, north + _SIDE_M / 2)[1] - middle)

    north = min(range(first, int(_FALSE_NORTH_M), _CYCLE_M), key=away)
    west, low = east - _MARGIN_M, north - _OVERLAP_M - _MARGIN_M
    right, high = east + _SIDE_M + _OVERLAP_M + _MARGIN_M, north + _SIDE_M + _MARGIN_M
    corners = [(west, low), (right, low), (right, high), (west, high)]
    ring = [
        degrees(x + (far_x - x) * step / _STEPS, y + (far_y - y) * step / _STEPS)
        for (x, y), (far_x, far_y) in zip(corners, corners[1:] + corners[:1], strict=True)
        for step in range(_STEPS)
    ]
    return _area(ring)


def _from_utm(zone: int, x: float, y: float) -> Position:
    """Longitude and latitude in degrees; y is negative south of the equator. Near 180 the longitude goes on beyond."""
    xi, eta = y / _SCALE_M, (x - _FALSE_EAST_M) / _SCALE_M
    turns = [2 * number for number in (1, 2, 3)]
    across = xi - sum(b * math.sin(k * xi) * math.cosh(k * eta) for b, k in zip(_BETA, turns, strict=True))
    along = eta - sum(b * math.cos(k * xi) * math.sinh(k * eta) for b, k in zip(_BETA, turns, strict=True))
    chi = math.asin(math.sin(across) / math.cosh(along))
    latitude = chi + sum(d * math.sin(k * chi) for d, k in zip(_DELTA, turns, strict=True))
    longitude = math.atan2(math.sinh(along), math.cos(across))
    return 6 * zone - 183 + math.degrees(longitude), math.degrees(latitude)


@lru_cache(maxsize=4096)
def wrs2_area(path: int, row: int) -> Json:
    """Holds the scene of Landsat 4 to 9 of a path and row, by day or night. Raises MessageError for what is neither."""
    if not (1 <= path <= _PATHS and 1 <= row <= _ROWS_A_TURN):
        raise MessageError(f"found path {path}, row {row}; expected 1 to {_PATHS} and 1 to {_ROWS_A_TURN}")
    longitude, latitude = _wrs2_middle(path, row)
    reach = _SCENE_M / _EARTH_M / math.cos(math.pi / _SIDES)  # a circle within the polygon, not around it
    sine, cosine = math.sin(math.radians(latitude)), math.cos(math.radians(latitude))
    ring = []
    for number in range(_SIDES):
        bearing = 2 * math.pi * number / _SIDES
        north = math.asin(sine * math.cos(reach) + cosine * math.sin(reach) * math.cos(bearing))
        east = math.atan2(math.sin(bearing) * math.sin(reach) * cosine, math.cos(reach) - sine * math.sin(north))
        ring.append((longitude + math.degrees(east), math.degrees(north)))
    return _area(ring)


def _wrs2_middle(path: int, row: int) -> Position:
    """Longitude (-180..180) and latitude of a scene's middle, in degrees."""
    angle = 2 * math.pi * (row - _EQUATOR_ROW) / _ROWS_A_TURN  # along the orbit, from where it crosses going south
    latitude = -math.asin(math.sin(_INCLINATION) * math.sin(angle))
    geodetic = math.atan(math.tan(latitude) / (1 - _FLATTENING) ** 2)
    turned = math.atan2(math.cos(_INCLINATION) * math.sin(angle), math.cos(angle)) - angle * _TURNS / _PATHS
    longitude = _FIRST_PATH_DEG - (path - 1) * 360 / _PATHS + math.degrees(turned)
    return (longitude + 180) % 360 - 180, math.degrees(geodetic)


def _area(ring: Sequence[Position]) -> Json:
    """A ring whose longitudes may go on beyond 180 as GeoJSON within -180..180."""
    edge = 180.0 if max(x for x, _ in ring) > 180 else -180.0
    parts = [_beside(ring, edge, east=False), _beside(ring, edge, east=True)]
    shift = [0.0, -360.0] if edge > 0 else [360.0, 0.0]
    rings = [
        [[[x + turn, y] for x, y in (*part, part[0])]] for part, turn in zip(parts, shift, strict=True) if len(part) > 2
    ]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}


def _beside(ring: Sequence[Position], edge: float, *, east: bool) -> list[Position]:
    """What of a convex ring lies east or west of a meridian."""
    kept: list[Position] = []
    for (x, y), (far_x, far_y) in zip(ring, [*ring[1:], ring[0]], strict=True):
        inside, far_inside = ((one >= edge) == east for one in (x, far_x))
        if inside:
            kept.append((x, y))
        if inside != far_inside:
            kept.append((edge, y + (far_y - y) * (edge - x) / (far_x - x)))
    return kept
