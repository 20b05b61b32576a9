"""What a Sentinel-2 scene's numbers mean: their scale, and the offset that is still in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.ops.offset import OffsetDecision, check_offset, decide_offset
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.read.raster import attempt
from pipeline.types import Asset, Item

_SCALES, _OFFSETS = (1e-4,), (0.0, -0.1)


def accept_numbers(item: str, asset: Asset) -> None:
    """Only ten-thousandths of reflectance pass, shifted by -0.1 or not; undeclared ones are taken as such.

    Raises PermanentAssetError naming what the catalogue declares.
    """
    for name, value, usual in (("scale", asset.scale, _SCALES), ("offset", asset.offset, _OFFSETS)):
        if value is not None and not any(abs(value - one) < 1e-9 for one in usual):
            expected = " or ".join(f"{one:g}" for one in usual)
            cause = f"the catalogue declares {name} {value:g}; Sentinel-2 L2A has {expected}"
            raise PermanentAssetError(asset.href, cause, item=item, asset=asset.key)


def scene_offset(bands: Sequence[str], access: Access, item: Item) -> OffsetDecision:
    """One scene's offset: by its metadata, and where those may be wrong by the pixels of its first readable band.

    Raises TransientAssetError when no band could be read but might be later: a doubtful offset is not guessed.
    """
    assets = [item.assets[band] for band in sorted(bands, key=lambda band: band != "red") if band in item.assets]
    decision = decide_offset(item.id, item.properties, assets[0].offset if assets else None)
    cause, passing = "no band to check it on", False
    for asset in assets if decision.doubtful else ():
        try:
            return _ask_pixels(decision, asset, access, item.id)
        except AssetError as error:
            cause, passing = f"not checked on pixels: {error.cause}", passing or isinstance(error, TransientAssetError)
    if passing:
        raise TransientAssetError(assets[0].href, f"offset {cause}", item=item.id, asset=assets[0].key)
    return replace(decision, reason=f"{decision.reason}; {cause}") if decision.doubtful else decision


def scene_shift(bands: Sequence[str], access: Access, item: Item) -> int:
    """What is added to the scene's stored numbers; may read pixels."""
    return scene_offset(bands, access, item).shift


def read_numbers(asset: Asset, access: Access, item: str, target: Target) -> NDArray[np.uint16]:
    """One layer of a band, as `read_layer`, of numbers that are what they are taken for."""
    accept_numbers(item, asset)
    return read_layer(asset, access, item, target)


@lru_cache(maxsize=4096)
def _ask_pixels(decision: OffsetDecision, asset: Asset, access: Access, item: str) -> OffsetDecision:
    """The decision after a look at the whole scene, coarse, so that all its tiles come to the same one."""
    nodata, sample = attempt(asset, access, item, lambda raster: (raster.nodata, raster.read_coarse(512)))
    return check_offset(decision, sample[(sample > 0) & (sample != nodata)])
