"""The Sentinel-2 tiling grid: tiles of 109.8 km, each named after the 100 km square of the MGRS in it.

Laws: every place between 80 S and 84 N lies in the square of exactly one tile; a tile is the same from every area.
Tiles overlap: their corners lie on a grid of 60 m, and each reaches up to 9.8 km beyond its square. A square that the
border of a latitude band crosses has one name, of the band its centre lies in. Zones follow the exceptions around
Norway and Svalbard. Source: files of Level-2A scenes; upper left corner = (floor(E / 60) * 60, ceil(N / 60) * 60) of
the square's, with N counted from the equator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from pipeline.config.area import MGRS_TILE_M, GridConfig
from pipeline.errors import PlanRefusedError
from pipeline.plan.areas import BBox, Shapes, polygons, split
from pipeline.plan.cells import THIN_M, lattice_cells, touched
from pipeline.plan.curves import to_crs, transformer
from pipeline.plan.utm import NORTH_LIMIT, SOUTH_LIMIT, ZONES, meets_zone, zone_epsg
from pipeline.types import Tile

_SQUARE_M = 100_000
_SNAP_M = 60
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_FALSE_NORTHING_M = 10_000_000

_WIDTHS: dict[int, dict[int, tuple[float, float]]] = {
    # zone: {southern latitude: (west, east)} from there up to the next
    31: {0: (0, 6), 56: (0, 3), 64: (0, 6), 72: (0, 9)},
    32: {0: (6, 12), 56: (3, 12), 64: (6, 12), 72: (9, 9)},
    33: {0: (12, 18), 72: (9, 21)},
    34: {0: (18, 24), 72: (21, 21)},
    35: {0: (24, 30), 72: (21, 33)},
    36: {0: (30, 36), 72: (33, 33)},
    37: {0: (36, 42), 72: (33, 42)},
}
"""Norway's south-west and Svalbard belong to wider zones."""


def _parts() -> Iterator[tuple[str, BBox]]:
    for zone, (west, south, east, north) in ZONES.items():
        number = int(zone[:2])
        if zone[2] == "N" and number in _WIDTHS:
            steps = list(_WIDTHS[number].items())
            tops = [*(low for low, _ in steps[1:]), north]
            for (low, (left, right)), top in zip(steps, tops, strict=True):
                if left < right:
                    yield zone, (left, low, right, top)
        elif number:
            yield zone, (west, south, east, north)


_PARTS = list(_parts())


def mgrs_tiles(shapes: Shapes, grid: GridConfig) -> Iterator[Tile]:
    """Tiles whose squares polygons in degrees touch; of a divided tile, the parts that they touch.

    Raises PlanRefusedError beyond 80 S and 84 N.
    """
    _, south, _, north = shapely.total_bounds(shapes)
    if south < SOUTH_LIMIT or north > NORTH_LIMIT:
        raise PlanRefusedError(
            f"area: its latitudes {south:g}..{north:g} leave the mgrs grid, which ends at 80 S and 84 N; "
            "choose an area within it, or grid.kind utm"
        )
    tiles: dict[str, tuple[str, int, int]] = {}
    for number, parts in split(shapes, [box for _, box in _PARTS]):
        zone = _PARTS[number][0]
        epsg = zone_epsg(zone)
        cells = lattice_cells(parts, epsg, (0.0, 0.0), (_SQUARE_M, _SQUARE_M)).tolist()
        shape = shapely.union_all(to_crs(parts, epsg)) if grid.tile_px else None
        for (column, row), band in zip(cells, _bands(zone, cells), strict=True):
            name = _name(zone, column, row, band)
            endings = [""] if shape is None else _divided(shape, column, row, zone, grid)
            tiles |= {f"{name}{ending}": (zone, column, row) for ending in endings}
    for tile_id, square in tiles.items():
        yield _tile(tile_id, *square, grid)


def mgrs_tile(tile_id: str, grid: GridConfig) -> Tile:
    """The tile of an id such as `33TUL`, or `33TUL-2-3` (column, row from the upper left) of a divided one.

    Raises ValueError saying what is allowed.
    """
    parts = _count(grid)
    found = re.fullmatch(r"(\d\d[C-X][A-Z][A-V])(?:-(\d{1,3})-(\d{1,3}))?", tile_id)
    if found is None or (found[2] is not None) != (grid.tile_px is not None):
        example = "33TUL" if grid.tile_px is None else "33TUL-0-1, with column and row of the part"
        raise ValueError(f"allowed: a Sentinel-2 tile such as {example}")
    zone, column, row = _square(found[1])
    if found[2] is not None and (
        max(int(found[2]), int(found[3])) >= parts or tile_id != f"{found[1]}-{int(found[2])}-{int(found[3])}"
    ):
        raise ValueError(f"allowed: columns and rows 0 to {parts - 1} of the tile, as in {found[1]}-0-{parts - 1}")
    return _tile(tile_id, zone, column, row, grid)


def mgrs_ids(squares: Sequence[str], grid: GridConfig) -> tuple[str, ...]:
    """Ids of all tiles that whole Sentinel-2 tiles consist of. Raises ValueError naming the one that is none."""
    ids = []
    for square in squares:
        name = square.zfill(5)
        try:
            _square(name)
        except ValueError as error:
            raise ValueError(f"found {square}; {error}") from None
        across = range(_count(grid))
        ids += [f"{name}-{column}-{row}" for column in across for row in across] if grid.tile_px else [name]
    return tuple(dict.fromkeys(ids))


def _count(grid: GridConfig) -> int:
    """Parts along a tile's edge."""
    return round(MGRS_TILE_M / (grid.edge_px * grid.resolution_m))


def _corner(zone: str, column: int, row: int) -> tuple[int, int]:
    """Upper left corner of a square's tile, in metres of its zone."""
    false = 0 if zone[2] == "N" else _FALSE_NORTHING_M
    top = (row + 1) * _SQUARE_M - false
    return column * _SQUARE_M // _SNAP_M * _SNAP_M, -(-top // _SNAP_M) * _SNAP_M + false


def _tile(tile_id: str, zone: str, column: int, row: int, grid: GridConfig) -> Tile:
    x, y = _corner(zone, column, row)
    px, pixel = grid.edge_px, grid.resolution_m
    across, down = (int(part) for part in tile_id.split("-")[1:]) if "-" in tile_id else (0, 0)
    corner = Affine(pixel, 0, x + across * px * pixel, 0, -pixel, y - down * px * pixel)
    return Tile(tile_id, GeoBox((px, px), corner, f"EPSG:{zone_epsg(zone)}"))


def _divided(shape: BaseGeometry, column: int, row: int, zone: str, grid: GridConfig) -> Iterator[str]:
    """`-column-row` of every part of a tile that holds some of a shape of its zone, within its square."""
    square = shapely.box(*(np.array([column, row, column + 1, row + 1]) * _SQUARE_M))
    edge_m = grid.edge_px * grid.resolution_m
    corner, step = np.array(_corner(zone, column, row)), np.array([edge_m, -edge_m])
    within = shapely.transform(polygons(shape.intersection(square)), lambda xy: (xy - corner) / step)
    for at, down in touched(np.array([within], dtype=object), THIN_M / edge_m).tolist():
        yield f"-{at}-{down}"


def _square(name: str) -> tuple[str, int, int]:
    """Zone, column and row of a square such as `33TUL`. Raises ValueError where there is none of that name."""
    number, band = int(name[:2]), name[2]
    zone = f"{name[:2]}{'N' if band >= 'N' else 'S'}"
    column = _COLUMNS[number % 3].find(name[3]) + 1
    rows = range((_ROWS.find(name[4]) - _row_shift(number)) % 20, 100, 20)
    boxes = [box for part, box in _PARTS if part == zone]
    here = [
        (column, row)
        for row in rows
        if column and boxes and meets_zone(_outline(zone, column, row), zone_epsg(zone), boxes)
    ]
    names = [_name(zone, *cell, band) for cell, band in zip(here, _bands(zone, here), strict=True)]
    if name in names:
        return zone, *here[names.index(name)]
    nearest = [other for other in names if abs(_BANDS.find(other[2]) - _BANDS.find(band)) == 1]
    hint = f"; across the border of band {band} there is {nearest[0]}" if nearest else ""
    raise ValueError(f"allowed: a tile of the Sentinel-2 grid such as 33TUL{hint}")


def _outline(zone: str, column: int, row: int) -> GeoBox:
    corner = Affine(_SQUARE_M, 0, column * _SQUARE_M, 0, -_SQUARE_M, (row + 1) * _SQUARE_M)
    return GeoBox((1, 1), corner, f"EPSG:{zone_epsg(zone)}")


def _bands(zone: str, cells: list[tuple[int, int]]) -> list[str]:
    """Latitude band of each square's centre."""
    centres = (np.array(cells, dtype=float).reshape(-1, 2) + 0.5) * _SQUARE_M
    lat = transformer(zone_epsg(zone), 4326).transform(centres[:, 0], centres[:, 1])[1]
    return [_BANDS[number] for number in np.clip((np.asarray(lat) + 80) // 8, 0, 19).astype(int)]


def _name(zone: str, column: int, row: int, band: str) -> str:
    number = int(zone[:2])
    return f"{zone[:2]}{band}{_COLUMNS[number % 3][column - 1]}{_ROWS[(row + _row_shift(number)) % 20]}"


def _row_shift(number: int) -> int:
    """Letters by which rows of even zones begin later."""
    return 0 if number % 2 else 5
