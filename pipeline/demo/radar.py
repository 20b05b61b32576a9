"""The demo world seen by an imitation of Sentinel-1: terrain-corrected backscatter of both directions of flight.

gamma0 as linear power in float32, nodata -32768, on grids that fit nothing else; speckle of a dozen looks.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.land import Land, reflectance, survey
from pipeline.demo.noise import Field, hashed
from pipeline.demo.rasters import Layer
from pipeline.demo.scenes import places, swath_edge, transformer

NODATA = -32768.0
PIXEL_M = 10
POLARISATIONS = ("vv", "vh")
_DIRECTIONS = {"ascending": 1.0, "descending": 0.85}
"""How bright crops are from each side: rows and stubble have one."""


@dataclass(frozen=True)
class RadarScene:
    """One pass over the area."""

    day: date
    direction: str
    shape: tuple[int, int]
    cut: bool = False
    """The swath's west edge lies in the area: no data beyond it."""

    @property
    def epsg(self) -> int:
        return 32632 if self.direction == "ascending" else 32633

    @property
    def relative_orbit(self) -> int:
        return 117 if self.direction == "ascending" else 95

    @property
    def time(self) -> str:
        return f"{self.day}T{'17:06:24' if self.direction == 'ascending' else '05:11:52'}.436706Z"

    @property
    def id(self) -> str:
        start = self.time.replace("-", "").replace(":", "")[:15]
        return f"S1A_IW_GRDH_1SDV_{start}_{start[:-2]}49_054{self.day:%j}_06A{self.day:%j}_rtc"

    @property
    def corner(self) -> tuple[float, float]:
        """Upper left, on no whole pixel of any grid; the middle is that of what the optical scenes show together."""
        middle = 736_140 if self.epsg == 32632 else 262_260
        rows, columns = self.shape
        return middle - columns * PIXEL_M / 2 + 3.7, 4_974_080 + rows * PIXEL_M / 2 - 1.3


_SCHEDULE = (
    (date(2024, 6, 3), "ascending", False),
    (date(2024, 6, 8), "descending", False),
    (date(2024, 6, 15), "ascending", True),
    (date(2024, 6, 20), "descending", False),
    (date(2024, 7, 9), "ascending", False),
    (date(2024, 7, 14), "descending", False),
)


def radar_scenes(px: int) -> tuple[RadarScene, ...]:
    """Every pass; px: pixels a side of an optical scene."""
    return tuple(RadarScene(day, direction, (px * 11 // 16, px * 17 // 16), cut) for day, direction, cut in _SCHEDULE)


def demo_backscatter(x: NDArray[np.float64], y: NDArray[np.float64], crs: str, day: date, direction: str) -> Field:
    """True gamma0 (polarisation, …) in linear power at places in any CRS, without speckle."""
    east, north = transformer(crs).transform(x, y)
    return _power(survey(np.asarray(east, np.float32), np.asarray(north, np.float32)), day, direction)


def radar_layers(scene: RadarScene) -> list[Layer]:
    """What the pass saw, a file a polarisation."""
    x, y, land = _surveyed(scene.corner, scene.epsg, scene.shape)
    power = _power(land, scene.day, scene.direction) * _speckle(scene)
    # Ten bits after the first are enough for a thousandth, and the rest would only be noise to keep.
    power = (power.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    if scene.cut:
        power[:, x < swath_edge(y)] = NODATA
    return [
        Layer(key, values, scene.epsg, scene.corner, (PIXEL_M, PIXEL_M), NODATA)
        for key, values in zip(POLARISATIONS, power, strict=True)
    ]


def _power(land: Land, day: date, direction: str) -> Field:
    """Water mirrors the pulse away, leaves scatter it into both polarisations, walls send it back."""
    blue, _, red, nir = reflectance(land, day)
    leaves = np.clip(nir - red, np.float32(0), np.float32(1))
    gain = 1 + (np.float32(_DIRECTIONS[direction]) - 1) * np.clip(land.crops, np.float32(0), np.float32(1))
    dry = 1 - land.water
    vv = dry * gain * (np.float32(0.04) + np.float32(0.25) * leaves + np.float32(1.2) * blue * blue)
    vh = dry * gain * (np.float32(0.006) + np.float32(0.09) * leaves + np.float32(0.1) * blue * blue)
    return np.stack([vv + np.float32(0.006) * land.water, vh + np.float32(0.0008) * land.water]).astype(np.float32)


def _speckle(scene: RadarScene) -> Field:
    """Factors (polarisation, y, x) of mean 1 and standard deviation 0.29, own to each pass: sums of hashed bytes."""
    seed = zlib.crc32(scene.id.encode())
    height, width = scene.shape
    h = hashed(np.arange(width)[None, :], np.arange(len(POLARISATIONS) * height)[:, None], seed)
    total = h.view(np.uint8).reshape(*h.shape, 4).astype(np.int32).sum(axis=-1, dtype=np.int32)
    factors: Field = np.maximum(total, 8).astype(np.float32) / np.float32(510)
    return factors.reshape(len(POLARISATIONS), height, width)


@lru_cache(maxsize=2)
def _surveyed(corner: tuple[float, float], epsg: int, shape: tuple[int, int]) -> tuple[Field, Field, Land]:
    x, y = places(corner, epsg, shape)
    return x, y, survey(x, y)
