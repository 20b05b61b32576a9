"""What a Landsat scene's numbers and bits mean: Collection 2 Level 2, and nothing that only looks like it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PermanentAssetError
from pipeline.ops.linear import Linear
from pipeline.ops.mask import DEFECTIVE, NODATA, OUTSIDE, mask_codes
from pipeline.products._base import asset_of
from pipeline.products._landsat_config import (
    BANDS,
    FLAGS,
    KELVIN,
    KEPT,
    LWIR,
    PLATFORMS,
    QA,
    RADSAT,
    SCALE,
    LandsatConfig,
    LandsatMaskConfig,
)
from pipeline.products._optical_config import plain_name
from pipeline.products._optical_sensor import Reading, check_declared, coefficients
from pipeline.read.access import Access
from pipeline.read.layer import SourceWindow, Target, as_uint16, check_integers, read_window
from pipeline.types import Asset, Item

FACTS = ("platform", "landsat:correction", "landsat:collection_number")
"""Item properties that decide what the numbers mean, and what a band's number means."""
_REFLECTANCE, _TEMPERATURE = (2.75e-5, -0.2), (0.00341802, 149.0)
"""Scale and offset of SR and ST in Collection 2."""
_LEVEL = re.compile(r"(?:^|_)(L[0-9][A-Z]{1,2})_")
_COLLECTION = re.compile(r"_(\d{2})_(?:T1|T2|RT|A1|A2)(?:_|$)")
_LEVELS = {"L2SP", "L2SR"}
_RADSAT_BITS: Mapping[str, Mapping[str, int]] = {
    kind: {name: 1 << band.numbers[kind] - 1 for name, band in BANDS.items() if kind in band.numbers}
    for kind in ("tm", "etm", "oli")
}
"""Kind of instrument → band → its bit."""
_THERMAL_BITS: Mapping[str, int] = {"tm": 1 << 5, "etm": 1 << 5 | 1 << 8, "oli": 0}
_UNSEEN_BITS: Mapping[str, int] = {"tm": 1 << 9, "etm": 1 << 9, "oli": 1 << 11}
"""The pixel was dropped on its way, or lay behind a mountain."""
_ALL_BITS = 0xFFFF


def platform_of(item: Item) -> str:
    """`landsat-8`, however the catalogue writes it; `unknown` where it does not."""
    return plain_name(str(item.properties.get("platform", "unknown")))


def accept_numbers(item: Item, band: str) -> None:
    """Only Collection 2 Level 2 passes, its bands in their own units; undeclared ones are taken as such.

    Raises PermanentAssetError naming what it is, or what the catalogue declares.
    """
    asset = asset_of(item, band)
    fault = _other_product(item, asset)
    if fault is not None:
        expected = "expected Landsat Collection 2 Level 2 (L2SP or L2SR), whose numbers are surface reflectance"
        raise PermanentAssetError(asset.href, f"{fault}; {expected}", item=item.id, asset=asset.key)
    if band in {QA, RADSAT}:
        return
    scale, offset = _TEMPERATURE if band == LWIR else _REFLECTANCE
    check_declared(item, band, {"scale": (scale,), "offset": (offset,)}, "Landsat Collection 2 Level 2")


def _other_product(item: Item, asset: Asset) -> str | None:
    """What the product is by its properties, its id or its file's name, where that is not Collection 2 Level 2."""
    names = (item.id, asset.href.partition("?")[0].rpartition("/")[2])
    levels = [str(item.properties.get("landsat:correction") or ""), *_found(_LEVEL, names)]
    collections = [str(item.properties.get("landsat:collection_number") or ""), *_found(_COLLECTION, names)]
    level = next((one for one in levels if one and one not in _LEVELS), None)
    if level is not None:
        return f"this is level {level}"
    collection = next((one for one in collections if one and one.lstrip("0") != "2"), None)
    return None if collection is None else f"this is Collection {collection.lstrip('0') or collection}"


def _found(pattern: re.Pattern[str], names: Sequence[str]) -> list[str]:
    return [found[1] for name in names if (found := pattern.search(name))]


def read_scene(config: LandsatConfig, _: Access, item: Item, used: bool) -> Reading:  # noqa: ARG001, FBT001 (a seam)
    """Level 2 numbers to the product's own units, and harmonised if asked for, in one step."""
    found = coefficients(config, item)
    linears: dict[str, Linear] = {}
    for band in config.bands:
        unit = KELVIN if band == LWIR else SCALE
        scale, offset = _TEMPERATURE if band == LWIR else _REFLECTANCE
        gain, shift = found.get(band, (1.0, 0.0))
        # Rounded only to take away the noise of binary fractions: 0.0000275 / 0.0001 is 0.275.
        linears[band] = Linear(0, round(gain * scale / unit, 12), round((gain * offset + shift) / unit, 6))
    return Reading(linears, platform_of(item))


def qa_window(
    mask: LandsatMaskConfig, distance_px: int, asset: Asset, access: Access, item: str, target: Target
) -> SourceWindow | None:
    """Mask codes on the pixels of QA_PIXEL, read far enough around the target that its edge is right.

    None where it does not reach the target. Raises AssetError.
    """
    outlines = mask.as_class_mask()
    found = read_window(asset, access, item, target, pad=outlines.reach_px + (distance_px if distance_px > 1 else 0))
    if found is None:
        return None
    check_integers(found, asset, item)
    return replace(found, data=mask_codes(_classes_of(as_uint16(found), mask.drop), outlines, distance_px))


def radsat_window(
    bits: Mapping[str, int], asset: Asset, access: Access, item: str, target: Target
) -> SourceWindow | None:
    """Mask codes on the pixels of QA_RADSAT: defective where one of the bits is set. bits: by item id, else all."""
    found = read_window(asset, access, item, target)
    if found is None:
        return None
    check_integers(found, asset, item)
    flagged = (found.data.astype(np.uint16, copy=False) & np.uint16(bits.get(item, _ALL_BITS))) != 0
    return replace(found, data=np.where(flagged, np.uint8(DEFECTIVE), np.uint8(OUTSIDE - 1)))


def saturation_bits(config: LandsatConfig, items: Sequence[Item]) -> dict[str, int]:
    """Item id → bits of QA_RADSAT that drop a pixel: those of the bands that are made; all on an unknown platform."""
    return {
        item.id: _made_bits(config.bands, PLATFORMS[platform_of(item)])
        for item in items
        if platform_of(item) in PLATFORMS
    }


def _made_bits(bands: Sequence[str], kind: str) -> int:
    bits = _UNSEEN_BITS[kind]
    for band in bands:
        bits |= _THERMAL_BITS[kind] if band == LWIR else _RADSAT_BITS[kind].get(band, 0)
    return bits


def _classes_of(qa: NDArray[np.uint16], drop: tuple[str, ...]) -> NDArray[np.uint8]:
    """Row by row: numpy looks up by numbers of 8 bytes each, of which it makes a copy."""
    table, classes = qa_classes(drop), np.empty(qa.shape, np.uint8)
    for row, numbers in zip(classes, qa, strict=True):
        row[:] = table[numbers]
    return classes


@lru_cache(maxsize=16)
def qa_classes(drop: tuple[str, ...]) -> NDArray[np.uint8]:
    """(65536,) the class of every number of QA_PIXEL: the first reason to drop it, else `KEPT`.

    Fill is bit 0; no bit at all says nothing of the pixel, so it is fill too.
    """
    qa = np.arange(65536)
    table = np.full(65536, KEPT, np.uint8)
    for flag in (FLAGS[name] for name in reversed([*FLAGS]) if name in drop):
        table[(qa >> flag.shift) & ((1 << flag.bits) - 1) >= flag.least] = flag.code
    table[(qa & 1 == 1) | (qa == 0)] = NODATA
    table.flags.writeable = False
    return table
