"""Footprint of a tile for its STAC item: GeoJSON in longitude and latitude, as RFC 7946 wants it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox

from pipeline.plan.areas import polygons
from pipeline.plan.outlines import covering, lonlat_bounds, lonlat_outline
from pipeline.types import Json

DECIMALS = 7
"""About a centimetre on the ground; also what makes the text the same on every machine."""


def tile_footprint(geobox: GeoBox) -> tuple[Json, list[float]]:
    """The GeoJSON geometry of a tile and its bbox [west, south, east, north], both in EPSG:4326.

    A tile over the antimeridian gives a MultiPolygon cut at 180 degrees and a bbox with west > east; one that holds a
    pole reaches it, with west -180 and east 180.
    """
    shape = polygons(shapely.transform(lonlat_outline(geobox), _rounded))
    geometry = shapely.geometry.mapping(shapely.orient_polygons(shape))
    return _listed(geometry), [float(side) for side in _rounded(np.array(lonlat_bounds(geobox)))]


def join_bboxes(boxes: list[list[float]]) -> list[float]:
    """The smallest bbox around others; it crosses the antimeridian (west > east) where that is the shorter way."""
    joined = covering((west, south, east, north) for west, south, east, north in boxes)
    return [float(side) for side in _rounded(np.array(joined))]


def _rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.round(values, DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0


def _listed(value: Json) -> Json:
    """GeoJSON with lists for tuples, as it reads back from a file."""
    if isinstance(value, dict):
        return {key: _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, (list, tuple)) else value
