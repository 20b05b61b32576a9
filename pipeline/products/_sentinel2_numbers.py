"""What a Sentinel-2 scene's numbers mean: their scale, and the offset that is still in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.ops.linear import Linear
from pipeline.ops.mask import NODATA, ClassMask, erode, mask_codes
from pipeline.ops.offset import OffsetDecision, check_offset, decide_offset
from pipeline.products._sentinel2_config import SCALE, Sentinel2Config
from pipeline.read.access import Access
from pipeline.read.layer import SourceWindow, Target, read_layer, read_window
from pipeline.read.raster import attempt
from pipeline.types import Asset, Item

_SCALES, _OFFSETS = (1e-4,), (0.0, -0.1)
HARMONISED_BY = ("platform", "constellation")
"""Item properties by which coefficients are found, before the name of the source."""


def accept_numbers(item: str, asset: Asset) -> None:
    """Only ten-thousandths of reflectance pass, shifted by -0.1 or not; undeclared ones are taken as such.

    Raises PermanentAssetError naming what the catalogue declares.
    """
    for name, value, usual in (("scale", asset.scale, _SCALES), ("offset", asset.offset, _OFFSETS)):
        if value is not None and not any(abs(value - one) < 1e-9 for one in usual):
            expected = " or ".join(f"{one:g}" for one in usual)
            cause = f"the catalogue declares {name} {value:g}; Sentinel-2 L2A has {expected}"
            raise PermanentAssetError(asset.href, cause, item=item, asset=asset.key)


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


def scene_linears(config: Sentinel2Config, shift: int, item: Item) -> dict[str, Linear]:
    """What is done to the stored numbers of a scene's bands: the offset removed, then harmonised if asked for.

    Coefficients are those of the scene's platform, else of its constellation, else of its source.
    """
    asked = {name.lower(): bands for name, bands in config.harmonise.items()}
    found = next((asked[name] for name in _names(item) if name in asked), {})
    linears: dict[str, Linear] = {}
    for band in config.bands:
        gain, offset = found.get(band, (1.0, 0.0))
        # In stored units, without the noise of a division: an offset of 0.0021 is 21.
        linears[band] = Linear(shift, gain, round(offset / SCALE, 6))
    return linears


def unused_coefficients(config: Sentinel2Config, items: Sequence[Item]) -> tuple[str, ...]:
    """Names under `harmonise` that mean none of the items: mistyped, or of a platform that is not among them."""
    known = {name for item in items for name in _names(item)}
    return tuple(sorted(name for name in config.harmonise if name.lower() not in known))


def _names(item: Item) -> tuple[str, ...]:
    """What coefficients of a scene may stand under, in small letters, the narrowest first."""
    names = (*map(item.properties.get, HARMONISED_BY), item.source)
    return tuple(str(name).lower() for name in names if name is not None)


def lazy_linears(config: Sentinel2Config, access: Access, item: Item) -> dict[str, Linear]:
    """The same; may read pixels to know the offset."""
    return scene_linears(config, scene_offset(config.bands, access, item).shift, item)


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


def read_numbers(
    asset: Asset, access: Access, item: str, target: Target, resampling: str = "nearest"
) -> NDArray[np.uint16]:
    """One layer of a band, as `read_layer`, of numbers that are what they are taken for."""
    accept_numbers(item, asset)
    return read_layer(asset, access, item, target, resampling)


@lru_cache(maxsize=4096)
def _ask_pixels(decision: OffsetDecision, asset: Asset, access: Access, item: str) -> OffsetDecision:
    """The decision after a look at the whole scene, coarse, so that all its tiles come to the same one."""
    nodata, says_nodata, sample = attempt(
        asset, access, item, lambda raster: (raster.nodata, raster.says_nodata, raster.read_coarse(512))
    )
    valid = (sample > 0) & (sample != nodata)
    # The overviews of a file that does not say what nodata is have zeros mixed into the swath's edge: dark numbers.
    return check_offset(decision, sample[valid if says_nodata else erode(valid, 2)])
