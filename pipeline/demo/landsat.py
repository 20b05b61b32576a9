"""The demo world seen by an imitation of Landsat 8 and 9: Collection 2 Level 2 numbers and quality bits at 30 m.

Numbers are reflectance = DN * 0.0000275 - 0.2, 0 where there are none; pixel centres lie on multiples of 30 m, so that
the corners of pixels are 15 m off them.
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
from pipeline.demo.scenes import places
from pipeline.demo.sky import Sky, seen_alike, weather

PIXEL_M = 30
SCALE, OFFSET = 0.0000275, -0.2
BANDS = ("blue", "green", "red", "nir08")
FILL, CLEAR, WATER, DILATED, CLOUD, SHADOW = 1, 21824, 21952, 21762, 22280, 23888
"""Of QA_PIXEL, as USGS' files have them: the bits of the reason and the confidences."""


@dataclass(frozen=True)
class LandsatScene:
    """One pass over the area."""

    day: date
    platform: int
    sky: Sky
    shape: tuple[int, int]
    epsg: int = 32633

    @property
    def id(self) -> str:
        return f"LC{self.platform:02d}_L2SP_192029_{self.day:%Y%m%d}_02_T1"

    @property
    def corner(self) -> tuple[float, float]:
        """Upper left, 15 m beside a multiple of 30; the middle is about the demo world's."""
        down, across = (side * PIXEL_M / 2 for side in self.shape)
        west, north = (round((at + side) / 30) * 30 + 15 for at, side in ((262_260, -across), (4_974_080, down)))
        return float(west), float(north)


_SCHEDULE = (
    (date(2024, 6, 7), 9, Sky(2100, 0.62)),
    (date(2024, 6, 23), 9, Sky(2200, 0.56, 1200)),
    (date(2024, 7, 1), 8, Sky(2300, 0.60, 1600)),
    (date(2024, 7, 17), 8, Sky(2400, 0.66)),
)


def landsat_scenes(px: int) -> tuple[LandsatScene, ...]:
    """Every pass; px: pixels of 10 m a side of a scene of Sentinel-2."""
    return tuple(LandsatScene(day, platform, sky, (px * 11 // 48, px * 17 // 48)) for day, platform, sky in _SCHEDULE)


def landsat_layers(scene: LandsatScene) -> list[Layer]:
    """Bands, then `qa_pixel` and `qa_radsat`; the last two columns are fill."""
    x, y, land = _surveyed(scene.corner, scene.epsg, scene.shape)
    ground, over = reflectance(land, scene.day), weather(scene.sky, x, y)
    fill = np.zeros(x.shape, np.bool_)
    fill[:, -2:] = True
    lit = seen_alike(ground, over)
    # In double precision: the scale is no number that 32 bits hold well.
    numbers = np.rint((lit.astype(np.float64) - OFFSET) / SCALE).astype(np.int64) + _grain(scene)
    stored = np.clip(numbers, 1, 65535).astype(np.uint16)
    stored[:, fill] = 0
    qa = np.where(land.water > 0.5, np.uint16(WATER), np.uint16(CLEAR))
    for code, where in ((SHADOW, over.shadow > 0.04), (DILATED, over.opacity > 0.002), (CLOUD, over.opacity > 0.05)):
        qa[where] = code
    qa[fill] = FILL
    layers = dict(zip(BANDS, stored, strict=True)) | {"qa_pixel": qa, "qa_radsat": np.zeros_like(qa)}
    size = (PIXEL_M, PIXEL_M)
    nodata = {"qa_pixel": 1.0, "qa_radsat": None}
    return [Layer(key, values, scene.epsg, scene.corner, size, nodata.get(key, 0.0)) for key, values in layers.items()]


def _grain(scene: LandsatScene) -> NDArray[np.int32]:
    """The sensor's noise in stored units (band, y, x): mean about 0, standard deviation 5, so 0.00013."""
    height, width = scene.shape
    h = hashed(np.arange(width)[None, :], np.arange(len(BANDS) * height)[:, None], zlib.crc32(scene.id.encode()))
    total = h.view(np.uint8).reshape(*h.shape, 4).astype(np.int32).sum(axis=-1, dtype=np.int32)
    grain: NDArray[np.int32] = ((total - 510) >> 5).reshape(len(BANDS), height, width)
    return grain


@lru_cache(maxsize=1)
def _surveyed(corner: tuple[float, float], epsg: int, shape: tuple[int, int]) -> tuple[Field, Field, Land]:
    x, y = places(corner, epsg, shape, PIXEL_M)
    return x, y, survey(x, y)
