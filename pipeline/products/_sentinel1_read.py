"""A scene as linear power on a part of a tile: the reader of terrain-corrected files, and what all readers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import nan
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.errors import PermanentAssetError
from pipeline.ops.radar import Border, InputScale, Power, Speckle, as_power, other_scale
from pipeline.products._base import asset_of
from pipeline.products._sentinel1_config import RadarMaskConfig, Sentinel1Config
from pipeline.read.access import Access
from pipeline.read.gather import gather
from pipeline.read.layer import SourceWindow, Target, as_uint16, check_integers, on_tile, read_window
from pipeline.read.raster import Raster, attempt
from pipeline.read.resample import pad_px
from pipeline.types import Asset, Grid, Item

ASSETS = {
    name: (name.upper(), f"{name}-rtc", f"gamma0_{name}", f"Gamma0_{name.upper()}") for name in ("vv", "vh", "hh", "hv")
}
"""Polarisation → further asset keys or band names that mean it."""
MASK, LS_MAP = "mask", "ls_map"
"""Keys of the assets that say where layover and shadow are: OPERA's, which others use as well, and HyP3's."""
_MIDDLE_PX = 64
"""Side of the sample that tells a scene's scale."""
_NO_CODE = np.uint16(65535)
_LAYOVER = {"opera": 2, "hyp3": 4}
_SHADOW = {"opera": 1, "hyp3": 16}
# OPERA RTC-S1 product specification, 4.3: 0 valid, 1 shadow, 2 layover, 3 both, 255 no data. HyP3 RTC product guide:
# the sum of 1 tested, 2 and 8 (steeper slopes), 4 layover and 16 shadow.


def _forget(_: str | None) -> None:
    pass


@dataclass(frozen=True)
class How:
    """What becomes of a scene's own pixels before they are resampled."""

    input_scale: InputScale = "power"
    resampling: str = "bilinear"
    border: Border = field(default_factory=Border)
    speckle: Speckle | None = None
    mask: RadarMaskConfig | None = None
    note: Callable[[str | None], None] = _forget
    """Takes what is remarkable about a file."""

    @classmethod
    def of(cls, config: Sentinel1Config, note: Callable[[str | None], None] = _forget) -> How:
        return cls(
            config.input_scale,
            config.resampling,
            config.border.as_border(),
            None if config.speckle is None else config.speckle.as_speckle(),
            config.mask,
            note,
        )

    @property
    def pad_px(self) -> int:
        """Pixels of the scene around each one that `clean` looks at."""
        return self.border.px + (0 if self.speckle is None else self.speckle.reach_px)

    def padding(self, target: GeoBox) -> Callable[[Grid], int]:
        """How far a window of a grid must reach beyond what the target needs of it."""
        return lambda grid: self.pad_px + pad_px(self.resampling, grid, target)

    def clean(self, power: Power) -> Power:
        """Border noise dropped, in place, then speckle filtered."""
        self.border.apply(power)
        return self.filtered(power)

    def filtered(self, power: Power) -> Power:
        """Speckle filtered, where that is asked for."""
        return power if self.speckle is None else self.speckle.apply(power)


def accept_numbers(item: Item, band: str) -> None:
    """Raises PermanentAssetError where the catalogue declares another scale: what it means nobody here can know."""
    asset = item.assets.get(band)
    if asset is not None and (asset.scale not in (None, 1) or asset.offset not in (None, 0)):
        raise PermanentAssetError(
            asset.href,
            f"the catalogue declares scale {asset.scale} and offset {asset.offset}; expected 1 and 0: the numbers "
            "themselves, as input_scale says",
            item=item.id,
            asset=asset.key,
        )


PowerReader = Callable[[Item, str, Access, Target, How], Power]
"""(item, polarisation, access, part of the tile, how) → linear power there, NaN where there is none."""


def read_rtc(item: Item, polarisation: str, access: Access, target: Target, how: How) -> Power:
    """A terrain-corrected scene: power first, then border, mask and filter on its own pixels, then the tile's grid.

    Border noise before the mask, since layover and shadow are no borders of the swath. float32 (y, x) of the target.
    Always of full resolution: nobody says how overviews were made, and of decibels they would be means of decibels.
    Raises AssetError.
    """
    asset = asset_of(item, polarisation)
    found = read_window(asset, access, item.id, target, how.padding(target.geobox))
    if found is None:
        return np.full(target.shape, np.nan, np.float32)
    how.note(found.note)
    _check_type(found, asset, item, how.input_scale)
    power, odd = as_power(found.data, how.input_scale, found.nodata)
    if odd and (cause := _other_scale(asset, access, item.id, how.input_scale)):
        raise PermanentAssetError(asset.href, cause, item=item.id, asset=asset.key)
    how.border.apply(power)
    drop_masked(power, item, access, found, how.mask)
    return on_tile(replace(found, data=how.filtered(power), nodata=nan), target, how.resampling)


def _check_type(found: SourceWindow, asset: Asset, item: Item, input_scale: InputScale) -> None:
    """Raises PermanentAssetError for complex numbers, and for whole numbers as power, which is mostly below 1."""
    kind = found.data.dtype.kind
    if kind == "f" or (kind in "iu" and input_scale != "power"):
        return
    expected = "floating point" if kind in "iu" else "backscatter without its phase"
    cause = f"pixels are {found.data.dtype}; expected {expected} with input_scale: {input_scale}"
    if kind in "iu":
        cause += ". Whole numbers may be amplitudes or decibels: say input_scale, or of ground range scenes kind: grd"
    raise PermanentAssetError(asset.href, cause, item=item.id, asset=asset.key)


@lru_cache(maxsize=4096)
def _other_scale(asset: Asset, access: Access, item: str, input_scale: InputScale) -> str | None:
    """What `other_scale` says of a scene's middle: the same for all its strips and tiles. Raises TransientAssetError.

    None where the middle is damaged: who does not need it may have the rest.
    """

    def middle(raster: Raster) -> tuple[NDArray[Any], float | None]:
        # From a block's corner, so that mostly one block is read.
        first = [side // 2 // block * block for side, block in zip(raster.grid.shape, raster.block, strict=True)]
        rows, cols = (
            slice(start, min(start + _MIDDLE_PX, side)) for start, side in zip(first, raster.grid.shape, strict=True)
        )
        return raster.read(rows, cols), raster.nodata

    try:
        sample, nodata = attempt(asset, access, item, middle)
    except PermanentAssetError:
        return None
    return other_scale(sample, input_scale, nodata)


def mask_of(item: Item, mask: RadarMaskConfig | None) -> tuple[str, NDArray[np.bool_]] | None:
    """The asset that says where a scene's layover and shadow are, and by number whether a pixel is dropped.

    None where it has none whose numbers are known.
    """
    if mask is None:
        return None
    if mask.asset is not None:
        return (mask.asset, _dropped(mask.values, mask)) if mask.asset in item.assets else None
    if MASK in item.assets and _is_opera(item):
        return MASK, _dropped("opera", mask)
    return (LS_MAP, _dropped("hyp3", mask)) if LS_MAP in item.assets else None


def _is_opera(item: Item) -> bool:
    return item.id.upper().startswith("OPERA") or item.collection.upper().startswith("OPERA")


def _dropped(values: str, mask: RadarMaskConfig) -> NDArray[np.bool_]:
    numbers = np.arange(256)
    if mask.codes is not None:
        listed: NDArray[np.bool_] = np.isin(numbers, mask.codes)
        return listed
    bits = _LAYOVER[values] * ("layover" in mask.of) | _SHADOW[values] * ("shadow" in mask.of)
    dropped: NDArray[np.bool_] = ((numbers & bits) != 0) | ((numbers == 255) & (values == "opera"))
    return dropped


def drop_masked(power: Power, item: Item, access: Access, window: SourceWindow, mask: RadarMaskConfig | None) -> None:
    """Set layover and shadow to NaN in a window's power: on the scene's own pixels, so nothing of them is mixed in.

    Where the mask ends the scene goes on. Raises AssetError with the mask's address.
    """
    found = mask_of(item, mask)
    if found is None:
        return
    name, dropped = found
    a, b, c, d, e, f = window.grid.transform
    corner = Affine(a, b, c, d, e, f) @ Affine.translation(window.corner[1], window.corner[0])
    place = Target.rows_of(GeoBox(power.shape, corner, window.grid.crs))
    asset = item.assets[name]
    codes = read_window(asset, access, item.id, place)
    if codes is None:
        return
    check_integers(codes, asset, item.id)
    # Nodata as it stands: it is a code like others, and `as_uint16` would make it 0.
    numbers = np.full(power.shape, _NO_CODE, np.uint16)
    gather(as_uint16(replace(codes, nodata=None)), codes.corner, codes.pixels, (0, 0), numbers)
    power[dropped[np.minimum(numbers, 255)] & (numbers != _NO_CODE)] = np.nan


def alternatives(config: Sentinel1Config) -> dict[str, tuple[str, ...]]:
    """Logical bands of an entry's scenes → asset keys that mean them."""
    named: dict[str, tuple[str, ...]] = {name: ASSETS[name] for name in config.polarisations}
    mask = config.mask
    if mask is None or config.kind != "rtc":
        return named
    keys = (MASK, LS_MAP) if mask.asset is None else (mask.asset,)
    return {**named, **{key: (key,) for key in keys}}
