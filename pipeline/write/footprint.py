"""Footprint of a tile in longitude and latitude, right also over the antimeridian and around a pole."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.types import Json

POINTS_PER_SIDE = 21
"""Straight lines of the grid bend in EPSG:4326; 20 pieces a side keep a 100 km UTM tile within half a metre."""

DECIMALS = 7
"""About a centimetre on the ground; also what makes the text the same on every machine."""

Floats = npt.NDArray[np.float64]


def tile_footprint(geobox: GeoBox) -> tuple[Json, list[float]]:
    """The GeoJSON geometry of a tile and its bbox [west, south, east, north], both in EPSG:4326 as RFC 7946 wants them.

    A tile over the antimeridian gives a MultiPolygon cut at 180 degrees and a bbox with west > east; one that holds a
    pole reaches it, with west -180 and east 180. A pole exactly on the outline may give a bbox wider than needed.
    """
    ring = _unwrapped_ring(geobox)
    west, east = float(ring[:, 0].min()), float(ring[:, 0].max())
    south, north = float(ring[:, 1].min()), float(ring[:, 1].max())
    polygon = shapely.Polygon(ring)
    pieces = []
    for turn in range(math.floor((west + 180) / 360), math.ceil((east - 180) / 360) + 1):
        window = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
        piece = shapely.affinity.translate(polygon.intersection(window), xoff=-360 * turn)
        pieces += [part for part in shapely.get_parts(piece) if part.geom_type == "Polygon" and part.area > 0]
    # Around a pole two pieces share an edge inside the map; over the antimeridian they stay two.
    shape = shapely.union_all([shapely.transform(piece, _rounded) for piece in pieces])
    if east - west >= 360:
        bbox = [-180.0, south, 180.0, north]
    elif len(pieces) > 1:
        bbox = [_wrapped(west), south, _wrapped(east), north]
    else:  # touching 180 degrees from one side is no crossing
        bbox = [float(value) for value in shape.bounds]
    geometry = shapely.geometry.mapping(shapely.orient_polygons(shape))
    return _listed(geometry), [round(value, DECIMALS) for value in bbox]


def join_bboxes(boxes: list[list[float]]) -> list[float]:
    """The smallest plain bbox around others; where one crosses the antimeridian the result may do so too."""
    crossing = any(west > east for west, _, east, _ in boxes)
    widths = [(east - west) % 360 if west > east else east - west for west, _, east, _ in boxes]
    starts = [box[0] + 360 if crossing and box[0] < 0 else box[0] for box in boxes]
    west, east = min(starts), max(start + width for start, width in zip(starts, widths, strict=True))
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    if east - west >= 360:
        return [-180.0, south, 180.0, north]
    return [round(value, DECIMALS) for value in (_wrapped(west), south, _wrapped(east), north)]


def _unwrapped_ring(geobox: GeoBox) -> Floats:
    """The tile's outline as (n, 2) longitude and latitude without jumps: longitudes may pass 180."""
    x, y = _outline(geobox)
    transformer = Transformer.from_crs(geobox.crs.to_wkt() if geobox.crs else None, "EPSG:4326", always_xy=True)
    longitude, latitude = transformer.transform(x, y)
    longitude = np.unwrap(np.asarray(longitude, dtype=np.float64), period=360.0)
    ring = np.column_stack([longitude, np.asarray(latitude, dtype=np.float64)])
    turn = longitude[-1] - longitude[0]
    if abs(turn) > 180:  # once around: a pole is inside, so the ring is closed through it
        pole = math.copysign(90.0, float(ring[:, 1].mean()))
        ring = np.vstack([ring, [longitude[-1], pole], [longitude[0], pole]])
    centre = math.floor((float(ring[:, 0].mean()) + 180) / 360) * 360
    centred: Floats = ring - np.array([centre, 0.0])
    return centred


def _outline(geobox: GeoBox) -> tuple[Floats, Floats]:
    rows, columns = geobox.shape
    t = np.linspace(0.0, 1.0, POINTS_PER_SIDE)[:-1]
    column = np.concatenate([t, np.ones_like(t), 1 - t, np.zeros_like(t), [0.0]]) * columns
    row = np.concatenate([np.zeros_like(t), t, np.ones_like(t), 1 - t, [0.0]]) * rows
    a, b, c, d, e, f = geobox.transform[:6]
    return a * column + b * row + c, d * column + e * row + f


def _wrapped(longitude: float) -> float:
    """Within -180..180; both ends stay what they are."""
    return longitude - 360.0 if longitude > 180.0 else longitude + 360.0 if longitude < -180.0 else longitude


def _rounded(points: Floats) -> Floats:
    return np.round(points, DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0


def _listed(value: Json) -> Json:
    """GeoJSON with lists for tuples, as it reads back from a file."""
    if isinstance(value, dict):
        return {key: _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, (list, tuple)) else value
