"""Where a run works, whatever the config said it by: regions in degrees, or ids of tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from shapely.geometry import shape as to_geometry
from shapely.geometry.base import BaseGeometry

from pipeline.types import Json, Tile

BBox = tuple[float, float, float, float]
"""west, south, east, north in degrees; west > east crosses the antimeridian."""

Shapes = NDArray[Any]
"""(n,) of shapely geometries."""


@dataclass(frozen=True)
class Region:
    """One named piece of the area."""

    id: str
    """Unique in the area, safe in a path, and the same whatever else the area holds."""
    geometry: BaseGeometry
    """Valid polygon or multipolygon in degrees within -180..180 and -90..90: in parts where it crosses 180."""
    zone: str | None = None
    """The UTM zone that its file names for it, such as `22N`."""


@dataclass(frozen=True)
class Area:
    """What `area:` names. Neither regions nor tiles: everything there is, for grids that end somewhere."""

    regions: tuple[Region, ...] = ()
    tiles: tuple[str, ...] = ()
    """Ids of the grid in use; when there are any, they are the whole answer."""
    placed: tuple[Tile, ...] = ()
    """The same, where an id alone does not say where it lies."""
    years: Mapping[str, frozenset[int]] | None = None
    """Tile id → years in which the tile is asked for; None: in all of them."""


def box_region(bbox: BBox) -> Region:
    """A box as a region; in two parts where it crosses the antimeridian."""
    west, south, east, north = bbox
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    parts = [shapely.box(left, south, right, north) for left, right in spans if left < right]
    return Region("bbox", parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts))


def polygons(geometry: BaseGeometry) -> BaseGeometry:
    """The polygonal part of a geometry, valid: lines and points that clipping leaves have no area and go."""
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    parts = [
        part
        for some in shapely.get_parts(geometry)
        for part in shapely.get_parts(some)
        if part.geom_type == "Polygon" and part.area > 0
    ]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def cut_at_antimeridian(geometry: BaseGeometry) -> BaseGeometry:
    """A polygon of any longitudes, such as 170..190, within -180..180: in parts where it crosses 180."""
    geometry = polygons(geometry)
    west, _, east, _ = geometry.bounds
    if not west < -180 and not east > 180:  # nor of nothing at all, whose bounds are no numbers
        return geometry
    pieces = []
    for turn in range(math.floor((west + 180) / 360), math.ceil((east - 180) / 360) + 1):
        window = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
        pieces.append(shapely.affinity.translate(geometry.intersection(window), xoff=-360.0 * turn))
    return polygons(shapely.union_all([polygons(piece) for piece in pieces]))


def unwrapped(geometry: BaseGeometry) -> BaseGeometry:
    """A footprint whose longitudes jump at 180, as 170..190: one that spans more than half the globe is taken as such.

    Catalogues hold Sentinel-2 scenes at the antimeridian as polygons right around the other way.
    """
    west, _, east, _ = geometry.bounds
    if east - west <= 180:
        return geometry
    turned: BaseGeometry = shapely.transform(geometry, lambda xy: np.column_stack([xy[:, 0] % 360, xy[:, 1]]))
    return turned


def possible_footprint(geometry: Json) -> BaseGeometry:
    """All that the GeoJSON of a scene's footprint may mean, within -180..180 and as it stands: never too small.

    A polygon around the globe may be of a global file, or of a scene that crosses 180; no rule tells them apart.
    """
    shape = to_geometry(geometry)
    west, _, east, _ = shape.bounds
    if west >= -180 and east <= 180 and east - west <= 180:
        return shape
    return shapely.GeometryCollection([shape, cut_at_antimeridian(shape), cut_at_antimeridian(unwrapped(shape))])


def split(shapes: Shapes, boxes: Sequence[BBox]) -> Iterator[tuple[int, Shapes]]:
    """The shapes cut by each box that they meet: the box's number and the polygons inside it."""
    cells = shapely.box(*np.array(boxes, dtype=float).T)
    tree = shapely.STRtree(shapes)
    numbers, members = tree.query(cells, predicate="intersects")
    for number in np.unique(numbers):
        cut = shapely.intersection(shapes[members[numbers == number]], cells[number])
        parts = shapely.get_parts(shapely.get_parts(cut))
        parts = parts[(shapely.get_dimensions(parts) == 2) & (shapely.area(parts) > 0)]
        if parts.size:
            yield int(number), parts
