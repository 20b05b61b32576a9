"""Cloud masks from a scene classification, made at its native resolution before any resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.ops.distance import distance_to, within
from pipeline.ops.memory import as_source

NODATA, DEFECTIVE = 0, 1
"""SCL classes that state a fact about one pixel: masked exactly, never opened or dilated."""
_CLASSES = 12
"""SCL's codes are 0..11."""
MARGIN = 12
"""Code of a pixel that is masked for lying in the grown margin of others; SCL's own classes end at 11."""
CLEAR = 16
"""Smallest code of a clear pixel, one pixel from the nearest masked class; every further pixel of distance adds 1."""
OUTSIDE = 255
"""Code of a pixel that a scene does not reach."""
_CLEAR = np.uint8(CLEAR)
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class ClassMask:
    """Which classes are masked and how their outlines are treated, in pixels of the classification itself."""

    classes: tuple[int, ...]
    open_px: int = 0
    dilate_px: int = 0

    @property
    def reach_px(self) -> int:
        """How far a pixel can influence the mask: read this much more around a window and the edge is right."""
        return 2 * self.open_px + self.dilate_px


def dilate(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """True within `radius` pixels of any True pixel; outside the array counts as False. (y, x) bool in and out."""
    return mask if radius == 0 or not mask.any() else within(mask, radius)


def erode(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """True where every pixel within `radius` is True; outside the array counts as True. (y, x) bool in and out."""
    return mask if radius == 0 else ~dilate(~mask, radius)


@compiled("Array(u1, 1, 'C', readonly=True), u1[::1], u1[::1]")
def _look_up(classes: Bytes, table: Bytes, out: Bytes) -> None:
    for k in range(classes.size):
        out[k] = table[classes[k]]


@compiled("Array(u1, 1, 'C', readonly=True), u1[::1], u1[::1], u1[:,::1], u1[::1]")
def _explain(classes: Bytes, cloud: Bytes, distance: Bytes, tables: Bytes, out: Bytes) -> None:
    """Codes by class, from the second table within cloud; a clear pixel's grows with the distance from cloud."""
    for k in range(classes.size):
        code = tables[cloud[k], classes[k]]
        out[k] = code + np.uint8(code == _CLEAR) * np.uint8(distance[k] - np.uint8(1))


def mask_codes(
    classes: NDArray[np.uint8], mask: ClassMask, distance_px: int = 1, nodata: float | None = None
) -> NDArray[np.uint8]:
    """Why each pixel is dropped, or how far it is from what is: below `CLEAR` the masked class, or `MARGIN`.

    A clear pixel's code is `CLEAR - 1` plus its distance to the nearest masked one in whole pixels, up to
    `distance_px`. Masked classes are opened (specks below `open_px` go) and dilated; no-data and defects stay exact,
    and no distance is kept from them. No-data is always masked; what is no class, or the file's own `nodata`, says
    nothing of the pixel and is no data. classes: (y, x) SCL codes at native resolution.

    Law: the codes of a window grown by `reach_px + distance_px` equal the window of the whole scene's. Source: the
    recipe gm-s2 of ODC (opening, then dilation) on the classes of Sen2Cor's SCL.
    """
    # Without data there is nothing to keep, whatever was asked: it must never win a pixel from a neighbouring scene.
    exact = [NODATA, *(code for code in mask.classes if code == DEFECTIVE)]
    soft = [code for code in mask.classes if code not in {NODATA, DEFECTIVE}]
    meant = np.arange(256)
    meant[_CLASSES:] = NODATA
    if nodata is not None and nodata in range(256):
        meant[int(nodata)] = NODATA
    alone = np.full(256, CLEAR, np.uint8)
    alone[exact] = exact
    grown = alone.copy()
    grown[soft] = soft
    if not mask.reach_px and distance_px <= 1:
        return _looked_up(classes, grown[meant])
    cloud = _looked_up(classes, np.isin(meant, soft).astype(np.uint8)).view(np.bool_)
    cloud = dilate(dilate(erode(cloud, mask.open_px), mask.open_px), mask.dilate_px)
    grown[~np.isin(np.arange(256), [*exact, *soft])] = MARGIN
    codes = np.empty(classes.shape, np.uint8)
    distance = distance_to(cloud, max(1, distance_px)).reshape(-1)
    tables = np.stack([alone[meant], grown[meant]])
    _explain(as_source(classes), cloud.view(np.uint8).reshape(-1), distance, tables, codes.reshape(-1))
    return codes


def _looked_up(classes: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = np.empty(classes.shape, np.uint8)
    _look_up(as_source(classes), table, out.reshape(-1))
    return out
