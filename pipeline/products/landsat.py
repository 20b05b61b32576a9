"""Landsat 4-9 Collection 2 Level 2: surface reflectance and temperature, masked by the pixel quality bits, composited.

Bands are uint16 with nodata 0: reflectance in units of 1e-4 as Sentinel-2's, so that both fit into one cube, `lwir` in
units of 0.01 K. Where a scan line is missing (Landsat 7 since 2003-05-31) there is no observation; none is invented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pipeline.products._base import stated_rights
from pipeline.products._landsat_config import (
    BANDS,
    CLOUDS,
    LWIR,
    PLATFORMS,
    QA,
    RADSAT,
    SCALE,
    THERMAL_NAMES,
    WORDS,
    LandsatConfig,
    LandsatMaskConfig,
    landsat_band,
)
from pipeline.products._landsat_numbers import (
    FACTS,
    accept_numbers,
    platform_of,
    qa_window,
    radsat_window,
    read_scene,
    saturation_bits,
)
from pipeline.products._optical_product import OpticalProduct
from pipeline.products._optical_sensor import Sensor
from pipeline.products._rights import landsat_rights
from pipeline.products._sources import Masking
from pipeline.types import Item, Json, Rights

__all__ = ["PRODUCT", "SENSOR", "VERSION", "LandsatConfig"]

VERSION = 1
"""Raise it when the same inputs and parameters give other pixels; a golden test watches."""
_MASK_BYTES = 7
"""Of a pixel of QA_PIXEL, as fine as the bands: its bits, class and code, and the outlines of cloud (measured)."""
_INSTRUMENTS = {"tm": ("tm",), "etm": ("etm+",), "oli": ("oli", "tirs")}


def _aliases(config: LandsatConfig) -> Mapping[str, Sequence[str]]:
    named: dict[str, Sequence[str]] = {
        band: THERMAL_NAMES if band == LWIR else BANDS[band].keys() for band in config.bands
    }
    if config.mask is None:
        return named
    masks = (QA,) if config.mask.saturated == "keep" else (QA, RADSAT)
    return {**named, **{name: (name.upper(), f"{name.upper()}.TIF") for name in masks}}


def _masking(config: LandsatConfig, items: Sequence[Item], distance_px: int) -> Masking:
    mask = config.mask or LandsatMaskConfig()
    saturated = None
    if mask.saturated != "keep":
        bits = saturation_bits(config, items) if mask.saturated == "made" else {}
        saturated = Masking(RADSAT, partial(radsat_window, bits), 1 + len(config.bands))
    assets = 1 + len(config.bands) + (saturated is not None)
    return Masking(QA, partial(qa_window, mask, distance_px), assets, window_bytes=_MASK_BYTES, further=saturated)


def _describe(items: Sequence[Item]) -> Mapping[str, Json]:
    platforms = sorted({platform_of(item) for item in items})
    kinds = sorted({PLATFORMS[one] for one in platforms if one in PLATFORMS})
    return {
        "constellation": "landsat",
        **({"platform": platforms[0]} if len(platforms) == 1 and kinds else {}),
        **({"instruments": [name for kind in kinds for name in _INSTRUMENTS[kind]]} if kinds else {}),
    }


def _rights(items: Sequence[Item]) -> Rights:
    return stated_rights(items, landsat_rights(item.time.year for item in items))


SENSOR = Sensor(
    model=LandsatConfig,
    version=VERSION,
    facts=FACTS,
    scale=SCALE,
    band=landsat_band,
    aliases=_aliases,
    accept=accept_numbers,
    read=read_scene,
    masking=_masking,
    words=WORDS,
    clouds=CLOUDS,
    labels="groundswell:platforms",
    describe=_describe,
    rights=_rights,
    scaled=True,
)
PRODUCT = OpticalProduct(SENSOR)
