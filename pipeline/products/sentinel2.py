"""Sentinel-2 L2A surface reflectance: masked by the scene classification, merged per day, composited over a period.

Bands are uint16 with scale 1e-4, offset 0, nodata 0 (the radiometric offset is already removed); `count` says how many
observations every band of a pixel rests on, `qa` where there were none or where an input was lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pipeline.ops.offset import FACTS
from pipeline.products._base import stated_rights
from pipeline.products._layers import QA_EMPTY, QA_LOST
from pipeline.products._optical_product import OpticalProduct
from pipeline.products._optical_sensor import Sensor
from pipeline.products._rights import copernicus_rights
from pipeline.products._sentinel2_config import (
    BANDS,
    CLOUDS,
    MASK,
    MASK_KEYS,
    MASK_WORDS,
    SCALE,
    MaskConfig,
    Sentinel2Config,
    reflectance_band,
)
from pipeline.products._sentinel2_numbers import accept_numbers, mask_window, read_scene
from pipeline.products._sources import Masking
from pipeline.types import Item, Rights

__all__ = ["PRODUCT", "QA_EMPTY", "QA_LOST", "SENSOR", "VERSION", "Sentinel2Config"]

VERSION = 2
"""Raise it when the same inputs and parameters give other pixels; a golden test watches."""


def _aliases(config: Sentinel2Config) -> Mapping[str, Sequence[str]]:
    named: dict[str, Sequence[str]] = {band: BANDS[band].keys for band in config.bands}
    return named if config.mask is None else {**named, MASK: MASK_KEYS}


def _masking(config: Sentinel2Config, _: Sequence[Item], distance_px: int) -> Masking:
    mask = config.mask or MaskConfig()
    return Masking(MASK, partial(mask_window, mask.as_class_mask(), distance_px), 1 + len(config.bands))


def _rights(items: Sequence[Item]) -> Rights:
    return stated_rights(items, copernicus_rights(item.time.year for item in items))


SENSOR = Sensor(
    model=Sentinel2Config,
    version=VERSION,
    facts=FACTS,
    scale=SCALE,
    band=reflectance_band,
    aliases=_aliases,
    accept=accept_numbers,
    read=read_scene,
    masking=_masking,
    words=MASK_WORDS,
    clouds=CLOUDS,
    labels="groundswell:offsets",
    describe=lambda _: {"constellation": "sentinel-2", "instruments": ["msi"]},
    rights=_rights,
)
PRODUCT = OpticalProduct(SENSOR)
