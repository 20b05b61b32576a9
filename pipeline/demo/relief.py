"""The heights of the demo world's ground, and the tiles of one degree that hold them, laid out like Copernicus GLO-90.

Hills of some hundred metres stand back from river and lake; ten kilometres from the middle they have sunk into a plain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.land import beside_river, on_lake
from pipeline.demo.noise import Field, clouded, ramp
from pipeline.demo.rasters import Layer
from pipeline.demo.scenes import transformer

CELLS = ((44, 11), (44, 12))
"""South-western corners of the tiles: the area lies across 12 E."""
ROWS = 1200
"""Of a tile, 3 arc seconds each; south of 50 N as many columns."""
_PLAIN_M = 2.0
_NEAR_M, _FAR_M = 9000.0, 12_000.0


def heights(x: Field, y: Field) -> Field:
    """Metres above the geoid at places (metres east and north of the ground's origin); any one shape."""
    hills = ramp(clouded(x, y, 2600, 40, 4), 0.30, 0.80)
    dry = ramp(np.abs(beside_river(x, y)), 250, 1300) * ramp(on_lake(x, y), -0.15, -1.2)
    away = np.sqrt(x * x + y * y)
    return np.float32(_PLAIN_M) + np.float32(420) * hills * dry * ramp(away, _FAR_M, _NEAR_M)


def demo_heights(x: NDArray[np.float64], y: NDArray[np.float64], crs: str) -> Field:
    """True heights (m) at places in any CRS; any one shape."""
    east, north = transformer(crs).transform(x, y)
    return heights(np.asarray(east, np.float32), np.asarray(north, np.float32))


def tile_id(cell: tuple[int, int]) -> str:
    """As Copernicus names the files of GLO-90."""
    return f"Copernicus_DSM_COG_30_N{cell[0]:02d}_00_E{cell[1]:03d}_00_DEM"


def tile(cell: tuple[int, int]) -> Layer:
    """One tile of a degree: the first pixel's centre is the cell's north-western corner, the last ones are left out.

    Like the real files it does not say what nodata is, and its corner is half a pixel off the degree.
    """
    south, west = cell
    lon, lat = np.meshgrid(west + np.arange(ROWS) / ROWS, south + 1 - np.arange(ROWS) / ROWS)
    values = np.full(lon.shape, _PLAIN_M, np.float32)
    middle = transformer(4326)
    # A degree of latitude is 111 km, of longitude here 79: what lies further is plain.
    near = (np.abs(lon - 12.0) < 0.17) & (np.abs(lat - 44.88) < 0.12)
    rows, cols = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    part = np.ix_(rows, cols)
    east, north = (
        (np.rint(np.asarray(axis) * 1000) / 1000).astype(np.float32) for axis in middle.transform(lon[part], lat[part])
    )
    values[part] = heights(east, north)
    step = 1 / ROWS
    return Layer("data", values, 4326, (west - step / 2, south + 1 + step / 2), (step, step), None)
