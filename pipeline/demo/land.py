"""The ground truth: reflectance as a function of place and day, the same whichever scene looks at it.

Places are metres east and north of `ORIGIN` in one projection, so two UTM zones that look at one spot see one value.
Every edge is a ramp of 5 to 20 m, so what two grids sample half a pixel apart differs little. Fields are float32 of any
one shape; reflectance has the band first, in the order of `BANDS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.noise import Field, Hash, clouded, floored, hashed, noise, ramp, share

BANDS = ("blue", "green", "red", "nir")
ORIGIN = (12.0, 44.88)
"""Longitude and latitude of x = y = 0: on the edge of UTM zones 32 and 33, in the plain of the Po delta."""
GROUND_CRS = f"+proj=tmerc +lon_0={ORIGIN[0]} +lat_0={ORIGIN[1]} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"

Colour = tuple[float, float, float, float]
_GRASS: Colour = (0.045, 0.078, 0.062, 0.300)
_TRACK: Colour = (0.080, 0.106, 0.118, 0.220)
_FOREST: Colour = (0.020, 0.040, 0.022, 0.330)
_SAND: Colour = (0.130, 0.165, 0.188, 0.245)
_ROAD: Colour = (0.105, 0.115, 0.120, 0.150)
_PAVED: Colour = (0.110, 0.122, 0.128, 0.180)
_TILES: Colour = (0.100, 0.128, 0.195, 0.260)
_HALL: Colour = (0.260, 0.275, 0.280, 0.310)
_RIVER: Colour = (0.046, 0.068, 0.054, 0.024)
_LAKE: Colour = (0.030, 0.044, 0.024, 0.011)
_SOIL: Colour = (0.078, 0.108, 0.142, 0.215)
_STRAW: Colour = (0.084, 0.124, 0.162, 0.285)
_LUSH: Colour = (0.026, 0.062, 0.030, 0.460)

_TURNS = ((1.0, 0.0), (0.96, 0.28), (0.8, 0.6), (0.6, 0.8), (0.28, 0.96), (0.96, -0.28))
"""Cosine and sine of the ways in which blocks of parcels lie: Pythagorean, so exact without libm."""
_TOWNS = ((-2600.0, 1150.0, 950.0), (1650.0, -1900.0, 420.0), (-5300.0, -3300.0, 520.0), (5200.0, 3000.0, 600.0))
"""Centre east, centre north and radius, metres."""
_LAKE_AT = (1350.0, 1250.0)
_MAIZE, _WHEAT, _LUCERNE, _SOYA = range(4)
_CROP_OF = np.array([_MAIZE, _MAIZE, _MAIZE, _WHEAT, _WHEAT, _LUCERNE, _SOYA, _SOYA], np.uint8)


@dataclass(frozen=True)
class Land:
    """What a survey of the ground found: all that does not change with the season."""

    still: Field
    """(band, …): reflectance of everything but crops, already times its share of the pixel."""
    crops: Field
    """Share of the pixel under crops, times their brightness."""
    water: Field
    """Share of the pixel under water."""
    crop: NDArray[np.uint8]
    """Which crop grows there."""
    late_days: Field
    """How many days this parcel is behind the earliest one of its kind."""


class _Canvas:
    """The survey while it is painted: every coat covers what lies below it by its weight."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.still = np.zeros((len(BANDS), *shape), np.float32)
        self.crops = np.ones(shape, np.float32)
        self.water = np.zeros(shape, np.float32)

    def paint(self, colour: Colour, weight: Field, light: Field, *, water: bool = False) -> None:
        rest = 1 - weight
        for band, value in enumerate(colour):
            self.still[band] = self.still[band] * rest + weight * light * np.float32(value)
        self.crops *= rest
        self.water = self.water * rest + (weight if water else 0)


def survey(x: Field, y: Field) -> Land:
    """What lies at each place; a pure function of it. x, y: metres east and north of `ORIGIN`, any one shape."""
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    canvas = _Canvas(x.shape)
    grain = 0.4 + 0.6 * (noise(x, y, 37, 1) + noise(y, x, 17, 2))
    soil = 0.62 + 0.62 * clouded(x, y, 900, 3, 4) + 0.07 * grain
    wide = clouded(x, y, 1500, 4, 4)
    crop, late, crops = _parcels(canvas, x, y, soil)
    _woods(canvas, x, y, wide, grain)
    _roads(canvas, x, y)
    _towns(canvas, x, y, wide, grain)
    _lake(canvas, x, y, grain)
    _river(canvas, x, y, grain)
    return Land(canvas.still, canvas.crops * crops * soil, canvas.water, crop, late)


def reflectance(land: Land, day: date) -> Field:
    """Surface reflectance (band, …) of surveyed land on a day: crops sprout, ripen and are cut; the rest stays."""
    now = np.float32(day.timetuple().tm_yday) - land.late_days
    green = np.full_like(land.crops, 0.85)
    green = np.where(land.crop == _MAIZE, 0.08 + 0.9 * ramp(now, 138, 185), green)
    green = np.where(land.crop == _WHEAT, 0.72 * ramp(now, 168, 148), green)
    green = np.where(land.crop == _SOYA, 0.05 + 0.9 * ramp(now, 160, 215), green).astype(np.float32)
    wheat = land.crop == _WHEAT
    out = land.still.copy()
    for band, (soil, straw, lush) in enumerate(zip(_SOIL, _STRAW, _LUSH, strict=True)):
        bare = np.where(wheat, np.float32(straw), np.float32(soil))
        out[band] += land.crops * (bare + (np.float32(lush) - bare) * green)
    return out


def _parcels(canvas: _Canvas, x: Field, y: Field, soil: Field) -> tuple[NDArray[np.uint8], Field, Field]:
    """Blocks of parcels that lie one way, tracks between parcels; returns crop, days late and brightness of rows."""
    block, x0, y0, edge = _blocks(x, y, 1250.0)
    way = block % np.uint32(len(_TURNS))
    cos, sin = (np.array([turn[k] for turn in _TURNS], np.float32)[way] for k in (0, 1))
    u, v = cos * (x - x0) + sin * (y - y0), cos * (y - y0) - sin * (x - x0)
    width = np.array([90, 120, 160, 220], np.float32)[(block >> np.uint32(8)) % np.uint32(4)]
    length = np.array([280, 380, 480, 620], np.float32)[(block >> np.uint32(12)) % np.uint32(4)]
    column, across = floored(u / width)
    row, along = floored(v / length + share(hashed(column, block, 5)))
    parcel = hashed(column, row, 6) ^ block
    parcel = hashed(parcel, block, 7)
    gap = np.minimum(np.minimum(across, 1 - across) * width, np.minimum(along, 1 - along) * length)
    canvas.paint(_TRACK, 0.75 * ramp(gap, 7, 2), soil)
    canvas.paint(_GRASS, ramp(edge, 18, 6), 0.8 + 0.4 * soil)
    rows = 0.94 + 0.12 * noise(u * np.float32(0.08), v * np.float32(0.6), 8, 8)
    rows = rows * (0.84 + 0.32 * share(parcel, 20)) * (0.95 + 0.1 * along)
    return _CROP_OF[parcel % np.uint32(len(_CROP_OF))], 18 * share(parcel, 10), rows


def _blocks(x: Field, y: Field, cell_m: float) -> tuple[Hash, Field, Field, Field]:
    """Nearest of one jittered site a cell: its hash, its place, and how much nearer it is than the next one (m)."""
    i, j = floored(x / np.float32(cell_m))[0], floored(y / np.float32(cell_m))[0]
    first = np.full(x.shape, 1e9, np.float32)
    second, x0, y0, block = first.copy(), np.zeros_like(x), np.zeros_like(x), np.zeros(x.shape, np.uint32)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            h = hashed(i + di, j + dj, 9)
            sx = ((i + di) + 0.15 + 0.7 * share(h)).astype(np.float32) * np.float32(cell_m)
            sy = ((j + dj) + 0.15 + 0.7 * share(h, 10)).astype(np.float32) * np.float32(cell_m)
            away = np.sqrt((x - sx) * (x - sx) + (y - sy) * (y - sy))
            nearer = away < first
            second = np.where(nearer, first, np.minimum(second, away))
            first = np.where(nearer, away, first)
            x0, y0, block = np.where(nearer, sx, x0), np.where(nearer, sy, y0), np.where(nearer, h, block)
    return block, x0, y0, second - first


def _woods(canvas: _Canvas, x: Field, y: Field, wide: Field, grain: Field) -> None:
    weight = ramp(wide + 0.02 * grain, 0.635, 0.650)
    canvas.paint(_FOREST, weight, 0.6 + 0.35 * grain + 0.1 * noise(x, y, 60, 10))


def _roads(canvas: _Canvas, x: Field, y: Field) -> None:
    light = np.float32(1) + np.zeros_like(x)
    canvas.paint(_ROAD, ramp(np.abs(_bend(y, 4200, 1500, 11) - 900 - 0.35 * y - x), 16, 6), light)
    canvas.paint(_ROAD, 0.8 * ramp(np.abs(_bend(x, 5000, 1300, 12) + 500 + 0.2 * x - y), 12, 4), light)


def _towns(canvas: _Canvas, x: Field, y: Field, wide: Field, grain: Field) -> None:
    u: Field = np.float32(0.96) * x + np.float32(0.28) * y
    v: Field = np.float32(0.96) * y - np.float32(0.28) * x
    inside = np.full_like(x, -1.0)
    for at_x, at_y, radius in _TOWNS:
        east, north = x - np.float32(at_x), y - np.float32(at_y)
        inside = np.maximum(inside, 1 - np.sqrt(east * east + north * north) / np.float32(radius))
    inside = inside + 2.2 * (clouded(x, y, 700, 13, 4) - 0.56) - 0.5 * ramp(wide, 0.6, 0.7)
    town = ramp(inside, 0.0, 0.06)
    (i, a), (j, b) = floored(u / np.float32(34)), floored(v / np.float32(27))
    house = hashed(i, j, 14)
    wall = np.minimum(np.minimum(a, 1 - a) * 34, np.minimum(b, 1 - b) * 27)
    roof = ramp(wall, 3, 7) * (share(house) < 0.35 + 0.5 * inside)
    between = floored(u / np.float32(136))[1], floored(v / np.float32(108))[1]
    street = np.minimum(np.abs(between[0] - 0.5) * 136, np.abs(between[1] - 0.5) * 108)
    tone = 0.75 + 0.5 * share(house, 10)
    canvas.paint(_GRASS, town, 0.75 + 0.25 * grain)
    canvas.paint(_PAVED, town * ramp(inside, 0.0, 0.5) * 0.7, 0.8 + 0.2 * grain)
    canvas.paint(_TILES, town * roof, tone)
    canvas.paint(_HALL, town * roof * (share(house, 20) < 0.06), tone)
    canvas.paint(_ROAD, town * ramp(street, 11, 4), 0.9 + 0.1 * grain)


def on_lake(x: Field, y: Field) -> Field:
    """Above 0 on the lake, 1 in its middle; below 0 the further from its shore."""
    east, north = x - np.float32(_LAKE_AT[0]), y - np.float32(_LAKE_AT[1])
    along, across = (0.8 * east + 0.6 * north) / np.float32(780), (0.8 * north - 0.6 * east) / np.float32(430)
    found: Field = 1 - np.sqrt(along * along + across * across) + 0.75 * (clouded(x, y, 620, 15, 3) - 0.5)
    return found


def _lake(canvas: _Canvas, x: Field, y: Field, grain: Field) -> None:
    shore = on_lake(x, y)
    canvas.paint(_FOREST, ramp(shore, -0.16, -0.12) * ramp(noise(x, y, 150, 16), 0.35, 0.5), 0.6 + 0.4 * grain)
    canvas.paint(_LAKE, ramp(shore, 0.0, 0.03), 0.94 + 0.06 * grain, water=True)


def _course(east: Field) -> Field:
    """How far north the river flows at each place along it."""
    return _bend(east, 2300, 2300, 17) + _bend(east, 800, 330, 18) - 750 - np.float32(0.12) * east


def beside_river(x: Field, y: Field) -> Field:
    """Metres from the river's middle, negative on its right bank."""
    slope = (_course(x + 8) - _course(x - 8)) / np.float32(16)
    side: Field = (y - _course(x)) / np.sqrt(1 + slope * slope)
    return side


def _river(canvas: _Canvas, x: Field, y: Field, grain: Field) -> None:
    bend = (_course(x + 250) + _course(x - 250) - 2 * _course(x)) / np.float32(90)
    side = beside_river(x, y)
    away = np.abs(side)
    half = 75 + 70 * noise(x, y, 900, 19)
    light = 0.6 + 0.4 * grain
    canvas.paint(_GRASS, ramp(away - half, 330, 316), 0.7 + 0.3 * grain)
    canvas.paint(_FOREST, ramp(away - half, 270, 250) * ramp(noise(x, y, 260, 20), 0.40, 0.48), light)
    canvas.paint(_TRACK, 0.8 * ramp(np.abs(away - half - 322), 9, 3), 0.9 + 0.1 * grain)
    inner = ramp(side, -30, 30) * ramp(bend, 0.0, 0.5) + ramp(side, 30, -30) * ramp(bend, 0.0, -0.5)
    bars = inner * ramp(clouded(x, y, 300, 21, 3), 0.40, 0.60)
    canvas.paint(_SAND, ramp(away - half, 34, 18) * ramp(bars, 0.0, 0.3), 0.65 + 0.35 * grain)
    canvas.paint(_RIVER, ramp(away - half + 95 * bars, 8, -8), 0.97 + 0.03 * grain, water=True)


def _bend(along: Field, cell_m: float, swing_m: float, seed: int) -> Field:
    """Sideways swing (m, mean about 0) of a line at each place along it."""
    return np.float32(swing_m) * (noise(along, np.zeros_like(along), cell_m, seed) - np.float32(0.5))
