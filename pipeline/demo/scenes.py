"""Which scenes the demo world holds, and their pixels: ground truth under a day's sky, as Sentinel-2 L2A numbers.

Two reduced MGRS tiles look at one area from both sides of a zone edge. Sources and conventions differ, the ground does
not.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.demo.land import GROUND_CRS, Land, reflectance, survey
from pipeline.demo.noise import Field, hashed
from pipeline.demo.sky import Sky, classify, seen, weather

PIXEL_M = 10
SCENE_PX = 768
_LATTICE_PX = 64
_EDGE_AT_M, _EDGE_LEAN = -300.0, 0.23
"""West edge of a cut swath: x = at + lean * y; the satellite flies 13 degrees west of south."""


class Offset(Enum):
    """How a scene keeps the shift of 1000 that processing baselines from 04.00 on add to every number."""

    NONE = "none"
    """Old baseline: there is no shift."""
    IN_PIXELS = "in pixels"
    """New baseline, numbers as ESA made them; the catalogue says that the shift is not removed."""
    REMOVED = "removed"
    """New baseline, the archive has removed the shift; the catalogue says so, and yet declares the band offset -0.1."""

    @property
    def baseline(self) -> str:
        return "02.14" if self is Offset.NONE else "05.10"


@dataclass(frozen=True)
class Place:
    """A reduced MGRS tile: where the common edge of the zones crosses it, in its own zone."""

    tile: str
    epsg: int
    edge: tuple[int, int]
    """Easting and northing of the middle of the zone edge."""
    west_share: float
    """How much of the scene's width lies west of the edge."""


@dataclass(frozen=True)
class Overpass:
    """One day's pass over the area: all its scenes share swath and sky."""

    day: date
    satellite: str
    orbit: int
    sky: Sky
    cut: bool = False
    """The swath's west edge lies in the area: no data beyond it."""


@dataclass(frozen=True)
class Scene:
    """One item to be made."""

    source: str
    place: Place
    seen_by: Overpass
    offset: Offset
    px: int
    broken: str | None = None
    """Asset whose file is cut short on purpose."""

    @property
    def id(self) -> str:
        day, satellite = self.seen_by.day, self.seen_by.satellite
        if self.source == "s2":
            return f"{satellite}_{self.place.tile}_{day:%Y%m%d}_0_L2A"
        return f"{satellite}_T{self.place.tile}_{day:%Y%m%d}T101659_L2A"

    @property
    def corner(self) -> tuple[int, int]:
        """Easting and northing of the upper left corner, a multiple of 20 m."""
        size = self.px * PIXEL_M
        east, north = self.place.edge
        return round((east - self.place.west_share * size) / 20) * 20, round((north + size / 2) / 20) * 20


_WEST = Place("32TQQ", 32632, (736940, 4974080), 0.65)
_EAST = Place("33TTK", 32633, (263060, 4974080), 0.35)
_WHOLE = Place("33TTK", 32633, (263060, 4974080), 0.6)
_JUN_01 = Overpass(date(2024, 6, 1), "S2B", 22, Sky(1100, 0.585))
_JUN_13 = Overpass(date(2024, 6, 13), "S2A", 122, Sky(1200, 0.62, 1100), cut=True)
_JUN_16 = Overpass(date(2024, 6, 16), "S2A", 22, Sky(1300, 0.40, 2000, 0.45))
_JUN_21 = Overpass(date(2024, 6, 21), "S2B", 22, Sky(1418, 0.69))
_JUN_26 = Overpass(date(2024, 6, 26), "S2A", 22, Sky(1500, 0.60, 1500, 0.60))
_JUL_06 = Overpass(date(2024, 7, 6), "S2A", 22, Sky(1600, 0.56, 1600))
_JUL_08 = Overpass(date(2024, 7, 8), "S2B", 122, Sky(1700, 0.58, 1200), cut=True)
_JUL_11 = Overpass(date(2024, 7, 11), "S2B", 22, Sky(1815, 0.64, 1300))
_SCHEDULE: tuple[tuple[str, Overpass, Place, Offset], ...] = (
    ("s2", _JUN_01, _WEST, Offset.NONE),
    ("s2", _JUN_01, _EAST, Offset.IN_PIXELS),
    ("s2", _JUN_13, _WEST, Offset.REMOVED),
    ("s2", _JUN_13, _EAST, Offset.REMOVED),
    ("s2", _JUN_16, _WEST, Offset.IN_PIXELS),
    ("s2", _JUN_16, _EAST, Offset.NONE),
    ("s2", _JUN_21, _WEST, Offset.REMOVED),
    ("s2", _JUN_21, _EAST, Offset.IN_PIXELS),
    ("s2", _JUL_06, _WEST, Offset.IN_PIXELS),
    ("s2", _JUL_06, _EAST, Offset.REMOVED),
    ("s2", _JUL_08, _EAST, Offset.IN_PIXELS),
    ("s2", _JUL_11, _WEST, Offset.NONE),
    ("s2", _JUL_11, _EAST, Offset.REMOVED),
    ("s2_c1", _JUN_21, _WHOLE, Offset.IN_PIXELS),
    ("s2_c1", _JUN_26, _WHOLE, Offset.IN_PIXELS),
    ("s2_c1", _JUL_11, _WHOLE, Offset.IN_PIXELS),
)
_BROKEN = {("s2", _JUL_06.day, "33TTK"): "red"}


def scenes(px: int = SCENE_PX) -> tuple[Scene, ...]:
    """Every scene of the world; px: pixels a side, a multiple of 64 (fewer show less of the same ground)."""
    if px <= 0 or px % _LATTICE_PX:
        raise ValueError(f"px={px}; expected a positive multiple of {_LATTICE_PX}")
    return tuple(
        Scene(source, place, seen_by, offset, px, _BROKEN.get((source, seen_by.day, place.tile)))
        for source, seen_by, place, offset in _SCHEDULE
    )


def pixels(scene: Scene) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Stored numbers (band, y, x) at 10 m and scene classification (y, x) at 20 m; 0 where the swath ends."""
    x, y, land = _surveyed(scene.corner, scene.place.epsg, scene.px)
    x20, y20 = ((axis[0::2, 0::2] + axis[1::2, 1::2]) * np.float32(0.5) for axis in (x, y))
    ground = reflectance(land, scene.seen_by.day)
    over = weather(scene.seen_by.sky, x20, y20)
    gone = x20 < swath_edge(y20) if scene.seen_by.cut else np.zeros(x20.shape, bool)
    numbers = np.rint(seen(ground, over) * np.float32(10000)).astype(np.int32) + _grain(scene)
    shift = 1000 if scene.offset is Offset.IN_PIXELS else 0
    stored = np.clip(numbers + shift, 1, 65535).astype(np.uint16)
    stored[:, np.repeat(np.repeat(gone, 2, axis=0), 2, axis=1)] = 0
    return stored, classify(land, ground, over, gone)


def swath_edge(y: Field) -> Field:
    """Where the data of a cut swath begin: x (m) at each y (m)."""
    return np.float32(_EDGE_AT_M) + np.float32(_EDGE_LEAN) * y


def outline(scene: Scene) -> list[tuple[float, float]]:
    """Corners of the valid part in the scene's CRS, counter-clockwise, open: its square, cut where the swath ends."""
    west, north = scene.corner
    size = scene.px * PIXEL_M
    ring = [(west, north), (west, north - size), (west + size, north - size), (west + size, north)]
    if not scene.seen_by.cut:
        return [(float(x), float(y)) for x, y in ring]
    to_ground = transformer(scene.place.epsg)
    kept: list[tuple[float, float]] = []
    sides = []
    for east, up in ring:
        x, y = to_ground.transform(east, up)
        sides.append(x - (_EDGE_AT_M + _EDGE_LEAN * y))
    for k, (here, side) in enumerate(zip(ring, sides, strict=True)):
        before, side_before = ring[k - 1], sides[k - 1]
        if (side < 0) != (side_before < 0):
            t = side_before / (side_before - side)
            kept.append((before[0] + t * (here[0] - before[0]), before[1] + t * (here[1] - before[1])))
        if side >= 0:
            kept.append((float(here[0]), float(here[1])))
    return kept


def demo_truth(x: NDArray[np.float64], y: NDArray[np.float64], crs: str, day: date) -> Field:
    """True surface reflectance (band, …) at places in any CRS on a day, without sky, noise or offset.

    x, y: pixel centres, any one shape; bands are blue, green, red, nir. A scene's clear pixels differ from it by its
    noise (standard deviation 0.0002) and by a millimetre of place.
    """
    east, north = transformer(crs).transform(x, y)
    return reflectance(survey(np.asarray(east, np.float32), np.asarray(north, np.float32)), day)


def _grain(scene: Scene) -> NDArray[np.int32]:
    """The sensor's noise in stored units (band, y, x): mean about 0, standard deviation 2.3, own to each scene."""
    seed = zlib.crc32(f"{scene.source}/{scene.id}".encode())
    rows, columns = np.arange(4 * scene.px)[:, None], np.arange(scene.px)[None, :]
    h = hashed(columns, rows, seed)
    total = h.view(np.uint8).reshape(*h.shape, 4).astype(np.int32).sum(axis=-1, dtype=np.int32)
    grain: NDArray[np.int32] = ((total - 510) >> 6).reshape(4, scene.px, scene.px)
    return grain


@lru_cache(maxsize=3)
def _surveyed(corner: tuple[int, int], epsg: int, px: int) -> tuple[Field, Field, Land]:
    """Ground places of a scene's pixel centres and what lies there: the same for all its days."""
    x, y = places(corner, epsg, (px, px))
    return x, y, survey(x, y)


def places(
    corner: tuple[float, float], epsg: int, shape: tuple[int, int], pixel_m: float = PIXEL_M
) -> tuple[Field, Field]:
    """Ground x and y (m) of a scene's pixel centres: projected exactly every 64 pixels, linear between (off by 1 cm).

    shape: (rows, columns). The exact ones are rounded to a millimetre, so that a libm that differs in its last bit
    changes nothing.
    """
    down_m, along_m = (np.arange(0, side + _LATTICE_PX, _LATTICE_PX) * pixel_m for side in shape)
    grid = np.meshgrid(corner[0] + along_m, corner[1] - down_m)
    knots = [np.rint(np.asarray(axis) * 1000) / 1000 for axis in transformer(epsg).transform(*grid)]
    below, after = ((np.arange(side) % _LATTICE_PX + 0.5) / _LATTICE_PX for side in shape)
    row, col = (np.arange(side) // _LATTICE_PX for side in shape)
    out = []
    for knot in knots:
        down = knot[row] + (knot[row + 1] - knot[row]) * below[:, None]
        out.append((down[:, col] + (down[:, col + 1] - down[:, col]) * after).astype(np.float32))
    return out[0], out[1]


@lru_cache(maxsize=8)
def transformer(crs: str | int) -> Transformer:
    """From a CRS to ground metres."""
    return Transformer.from_crs(crs, GROUND_CRS, always_xy=True)
