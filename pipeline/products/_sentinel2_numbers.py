"""What a Sentinel-2 scene's numbers mean: their scale, and the offset that is still in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.ops.linear import Linear
from pipeline.ops.mask import NODATA, ClassMask, erode, mask_codes
from pipeline.ops.offset import OffsetDecision, check_offset, decide_offset
from pipeline.products._optical_sensor import Reading, check_declared, coefficients
from pipeline.products._sentinel2_config import MASK, SCALE, Sentinel2Config
from pipeline.read.access import Access
from pipeline.read.layer import SourceWindow, Target, read_window
from pipeline.read.raster import attempt
from pipeline.types import Asset, Item

_USUAL = {"scale": (SCALE,), "offset": (0.0, -0.1)}


def accept_numbers(item: Item, band: str) -> None:
    """Only ten-thousandths of reflectance pass, shifted by -0.1 or not, and classes; undeclared ones are taken as such.

    Raises PermanentAssetError naming what the catalogue declares.
    """
    if band != MASK:
        check_declared(item, band, _USUAL, "Sentinel-2 L2A")


def read_scene(config: Sentinel2Config, access: Access, item: Item, used: bool) -> Reading:  # noqa: FBT001 (a seam)
    """What is done to the stored numbers of a scene's bands: the offset removed, then harmonised if asked for."""
    error = None
    try:
        decision = scene_offset(config.bands, access, item, used=used)
    except TransientAssetError as failure:
        decision, error = OffsetDecision(0, failure.cause, doubtful=True), failure
    found = coefficients(config, item)
    linears: dict[str, Linear] = {}
    for band in config.bands:
        gain, offset = found.get(band, (1.0, 0.0))
        # In stored units, without the noise of a division: an offset of 0.0021 is 21.
        linears[band] = Linear(decision.shift, gain, round(offset / SCALE, 6))
    doubt = f"offset {decision.shift} in doubt: {decision.reason}" if decision.doubtful else None
    return Reading(linears, str(decision.shift), doubt, error)


def scene_offset(bands: Sequence[str], access: Access, item: Item, *, used: bool = True) -> OffsetDecision:
    """One scene's offset: by its metadata, and where those may be wrong by the pixels of its first readable band.

    used: False for a scene that provides no pixel: its metadata will do. Raises TransientAssetError when no band could
    be read but might be later: a doubtful offset is not guessed.
    """
    assets = [item.assets[band] for band in sorted(bands, key=lambda band: band != "red") if band in item.assets]
    decision = decide_offset(item.id, item.properties, assets[0].offset if assets else None)
    if not used:
        return replace(decision, doubtful=False)
    cause, passing = "no band to check it on", False
    for asset in assets if decision.doubtful else ():
        try:
            return _ask_pixels(decision, asset, access, item.id)
        except AssetError as error:
            cause, passing = f"not checked on pixels: {error.cause}", passing or isinstance(error, TransientAssetError)
    if passing:
        raise TransientAssetError(assets[0].href, f"offset {cause}", item=item.id, asset=assets[0].key)
    return replace(decision, reason=f"{decision.reason}; {cause}") if decision.doubtful else decision


def mask_window(
    mask: ClassMask, distance_px: int, asset: Asset, access: Access, item: str, target: Target
) -> SourceWindow | None:
    """Mask codes on the classification's own pixels, read far enough around the target that its edge is right.

    None where the classification does not reach it. Raises AssetError.
    """
    found = read_window(asset, access, item, target, pad=mask.reach_px + (distance_px if distance_px > 1 else 0))
    if found is None:
        return None
    if found.data.dtype.kind not in "iu" or (found.data.size and int(found.data.max()) > 255):
        raise PermanentAssetError(
            asset.href, f"classes are {found.data.dtype}; expected codes 0..11", item=item, asset=asset.key
        )
    data = found.data
    if data.dtype != np.uint8:
        data = np.where(data < 0, NODATA, data).astype(np.uint8)
    return replace(found, data=mask_codes(data, mask, distance_px, found.nodata))


@lru_cache(maxsize=4096)
def _ask_pixels(decision: OffsetDecision, asset: Asset, access: Access, item: str) -> OffsetDecision:
    """The decision after a look at the whole scene, coarse, so that all its tiles come to the same one."""
    nodata, says_nodata, sample = attempt(
        asset, access, item, lambda raster: (raster.nodata, raster.says_nodata, raster.read_coarse(512))
    )
    valid = (sample > 0) & (sample != nodata)
    # The overviews of a file that does not say what nodata is have zeros mixed into the swath's edge: dark numbers.
    return check_offset(decision, sample[valid if says_nodata else erode(valid, 2)])
