"""What a Sentinel-2 scene's numbers mean: their scale, and the offset that is still in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.ops.offset import OffsetDecision, check_offset, decide_offset
from pipeline.read.access import Access
from pipeline.read.raster import attempt
from pipeline.types import Asset, Item

_SCALES, _OFFSETS = (1e-4,), (0.0, -0.1)


def accept_numbers(item: Item, asset: Asset) -> None:
    """Only ten-thousandths of reflectance pass, shifted by -0.1 or not; undeclared ones are taken as such.

    Raises PermanentAssetError naming what the catalogue declares.
    """
    for name, value, usual in (("scale", asset.scale, _SCALES), ("offset", asset.offset, _OFFSETS)):
        if value is not None and not any(abs(value - one) < 1e-9 for one in usual):
            expected = " or ".join(f"{one:g}" for one in usual)
            cause = f"the catalogue declares {name} {value:g}; Sentinel-2 L2A has {expected}"
            raise PermanentAssetError(asset.href, cause, item=item.id, asset=asset.key)


def scene_offset(bands: Sequence[str], access: Access, item: Item) -> OffsetDecision:
    """One scene's offset: by its metadata, and where those may be wrong by the pixels of its first readable band."""
    assets = [item.assets[band] for band in sorted(bands, key=lambda band: band != "red") if band in item.assets]
    decision = decide_offset(item.id, item.properties, assets[0].offset if assets else None)
    cause = "no band to check it on"
    for asset in assets if decision.doubtful else ():
        try:
            return _ask_pixels(decision, asset, access, item.id)
        except AssetError as error:
            cause = f"not checked on pixels: {error.cause}"
    return replace(decision, reason=f"{decision.reason}; {cause}") if decision.doubtful else decision


def scene_shift(bands: Sequence[str], access: Access, item: Item) -> int:
    """What is added to the scene's stored numbers; may read pixels."""
    return scene_offset(bands, access, item).shift


@lru_cache(maxsize=4096)
def _ask_pixels(decision: OffsetDecision, asset: Asset, access: Access, item: str) -> OffsetDecision:
    """The decision after a look at the whole scene, coarse, so that all its tiles come to the same one."""
    nodata, sample = attempt(asset, access, item, lambda raster: (raster.nodata, raster.read_coarse(512)))
    return check_offset(decision, sample[sample != (nodata or 0)])
