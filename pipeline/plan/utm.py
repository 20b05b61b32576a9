"""The UTM grid: square tiles anchored at each zone's origin, continued around the poles in UPS."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.config.area import GridConfig
from pipeline.plan.areas import BBox, Shapes, split
from pipeline.plan.cells import lattice_cells
from pipeline.plan.curves import transformer
from pipeline.types import Tile

SOUTH_LIMIT, NORTH_LIMIT = -80.0, 84.0
_INSIDE_M = 0.001

ZONES: dict[str, BBox] = {
    **{f"{zone:02d}N": (zone * 6 - 186.0, 0.0, zone * 6 - 180.0, NORTH_LIMIT) for zone in range(1, 61)},
    **{f"{zone:02d}S": (zone * 6 - 186.0, SOUTH_LIMIT, zone * 6 - 180.0, 0.0) for zone in range(1, 61)},
    "00N": (-180.0, NORTH_LIMIT, 180.0, 90.0),
    "00S": (-180.0, -90.0, 180.0, SOUTH_LIMIT),
}
"""Every place of the earth lies in one of these; zone 00 is the Universal Polar Stereographic projection."""

_NUMBER = r"0?[1-9]|[1-5][0-9]|60"
_ZONE_NAMES = re.compile(
    rf"(?P<number>{_NUMBER})|(?:EPSG:)?32(?P<hemisphere>[67])(?P<code>0[1-9]|[1-5][0-9]|60)"
    rf"|(?P<square>{_NUMBER})(?P<band>[C-HJ-NP-X])[A-HJ-NP-Z][A-HJ-NP-V](?:\s*,.*)?"
)


def zone_epsg(zone: str) -> int:
    """EPSG code of a zone such as `33N`; `00N` and `00S` are the poles.

    >>> zone_epsg("33N"), zone_epsg("21S"), zone_epsg("00N")
    (32633, 32721, 32661)
    """
    number, north = int(zone[:2]), zone[2] == "N"
    return ((32600 if north else 32700) + number) if number else (32661 if north else 32761)


def zone_at(lon: float, lat: float) -> str:
    """The zone that a place lies in, in degrees; of the exceptions for Norway and Svalbard it knows nothing.

    >>> zone_at(lon=11.9, lat=44.9), zone_at(lon=12.1, lat=-44.9), zone_at(lon=0.0, lat=87.0)
    ('32N', '33S', '00N')
    """
    if lat >= NORTH_LIMIT or lat < SOUTH_LIMIT:
        return "00N" if lat > 0 else "00S"
    return f"{min(60, int((lon + 180) // 6) + 1):02d}{'N' if lat >= 0 else 'S'}"


def zone_named(text: str, *, north: bool) -> str:
    """The zone that an attribute names: `23`, `EPSG:32623`, or Sentinel-2 tiles such as `22VFP,23VLJ`, the first's.

    north: on which side of the equator a bare number is meant. Raises ValueError saying what is allowed.
    """
    found = _ZONE_NAMES.fullmatch(text.strip().upper())
    if found is None:
        raise ValueError("allowed: a UTM zone such as 23 or EPSG:32623, or Sentinel-2 tiles such as 22VFP,23VLJ")
    side = found["hemisphere"] or found["band"]
    if side is not None:
        north = side == "6" or side >= "N"
    return f"{int(found['code'] or found['square'] or found['number']):02d}{'N' if north else 'S'}"


def utm_tiles(shapes: Shapes, grid: GridConfig) -> Iterator[Tile]:
    """Tiles that polygons in degrees touch; each belongs to the zone it was cut from.

    Tile (zone, column, row) covers [column*size, (column+1)*size) metres east and likewise north of the zone's origin,
    size = edge_px * resolution_m; its id is `33N-024-0246`.
    """
    size = grid.edge_px * grid.resolution_m
    names = list(ZONES)
    for number, parts in split(shapes, list(ZONES.values())):
        zone = names[number]
        for column, row in lattice_cells(parts, zone_epsg(zone), (0.0, 0.0), (size, size)).tolist():
            yield _tile(zone, column, row, grid)


def utm_tile(tile_id: str, grid: GridConfig) -> Tile:
    """The tile of an id. Raises ValueError saying what is allowed."""
    found = re.fullmatch(r"(\d\d[NS])-(\d{3,6})-(\d{4,7})", tile_id)
    if found is None or found[1] not in ZONES:
        raise ValueError("allowed: zone, column and row such as 33N-024-0246 (zones 01 to 60, 00 at the poles)")
    tile = _tile(found[1], int(found[2]), int(found[3]), grid)
    if tile.id != tile_id:
        raise ValueError(f"allowed: this tile's id is {tile.id}")
    if not meets_zone(tile.geobox, zone_epsg(found[1]), [ZONES[found[1]]]):
        raise ValueError(f"allowed: tiles within zone {found[1]}; this one is outside it")
    return tile


def meets_zone(geobox: GeoBox, epsg: int, boxes: list[BBox]) -> bool:
    """Whether a tile of a zone has a part in the zone, which is one of some boxes in degrees.

    Tried where that would be: beside the central meridian or the pole, at the tile's lower and upper edge.
    """
    centre = 2_000_000.0 if epsg in {32661, 32761} else 500_000.0
    side = geobox.boundingbox
    x = float(np.clip(centre, side.left + _INSIDE_M, side.right - _INSIDE_M))
    y = [side.bottom + _INSIDE_M, side.top - _INSIDE_M]
    if epsg in {32661, 32761}:
        y.append(float(np.clip(centre, y[0], y[1])))
    lon, lat = transformer(epsg, 4326).transform([x] * len(y), y)
    return any(
        west <= longitude <= east and south <= latitude <= north
        for longitude, latitude in zip(lon, lat, strict=True)
        for west, south, east, north in boxes
    )


def _tile(zone: str, column: int, row: int, grid: GridConfig) -> Tile:
    px, pixel = grid.edge_px, grid.resolution_m
    size = px * pixel
    corner = Affine(pixel, 0, column * size, 0, -pixel, (row + 1) * size)
    return Tile(f"{zone}-{column:03d}-{row:04d}", GeoBox((px, px), corner, f"EPSG:{zone_epsg(zone)}"))
