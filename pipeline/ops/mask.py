"""Cloud masks from a scene classification, made at its native resolution before any resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.distance import distance_to

NODATA, DEFECTIVE = 0, 1
"""SCL classes that state a fact about one pixel: masked exactly, never opened or dilated."""
MARGIN = 12
"""Code of a pixel that is masked for lying in the grown margin of others; SCL's own classes end at 11."""
CLEAR = 16
"""Smallest code of a clear pixel, one pixel from the nearest masked class; every further pixel of distance adds 1."""
OUTSIDE = 255
"""Code of a pixel that a scene does not reach."""
MAX_DISTANCE_PX = OUTSIDE - CLEAR


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


def disc_offsets(radius: int) -> tuple[tuple[int, int], ...]:
    """Offsets (dy, dx) of a disc: every pixel whose centre lies within `radius` of the middle one."""
    span = range(-radius, radius + 1)
    return tuple((dy, dx) for dy in span for dx in span if dy * dy + dx * dx <= radius * radius)


def dilate(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """True within `radius` pixels of any True pixel; outside the array counts as False. (y, x) bool in and out."""
    if radius == 0 or not mask.any():
        return mask
    out = np.zeros_like(mask)
    height, width = mask.shape
    for dy, dx in disc_offsets(radius):
        if abs(dy) >= height or abs(dx) >= width:
            continue
        target = out[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
        np.logical_or(target, mask[max(0, -dy) : height + min(0, -dy), max(0, -dx) : width + min(0, -dx)], out=target)
    return out


def erode(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """True where every pixel within `radius` is True; outside the array counts as True. (y, x) bool in and out."""
    return mask if radius == 0 else ~dilate(~mask, radius)


def mask_codes(classes: NDArray[np.uint8], mask: ClassMask, distance_px: int = 1) -> NDArray[np.uint8]:
    """Why each pixel is dropped, or how far it is from what is: below `CLEAR` the masked class, or `MARGIN`.

    A clear pixel's code is `CLEAR - 1` plus its distance to the nearest masked one in whole pixels, up to
    `distance_px`. Masked classes are opened (specks below `open_px` go) and dilated; no-data and defects stay exact,
    and no distance is kept from them. No-data is always masked. classes: (y, x) SCL codes at native resolution.

    Law: the codes of a window grown by `reach_px + distance_px` equal the window of the whole scene's. Source: the
    recipe gm-s2 of ODC (opening, then dilation) on the classes of Sen2Cor's SCL.
    """
    soft = [code for code in mask.classes if code not in {NODATA, DEFECTIVE}]
    lookup = np.zeros(256, np.bool_)
    lookup[soft] = True
    cloud = lookup[classes]
    cloud = dilate(dilate(erode(cloud, mask.open_px), mask.open_px), mask.dilate_px)
    # Without data there is nothing to keep, whatever was asked: it must never win a pixel from a neighbouring scene.
    exact = [NODATA, *(code for code in mask.classes if code == DEFECTIVE)]
    alone, within = np.full(256, CLEAR, np.uint8), np.full(256, MARGIN, np.uint8)
    alone[exact] = within[exact] = exact
    within[soft] = soft
    codes: NDArray[np.uint8] = alone[classes]
    if distance_px > 1:
        np.copyto(codes, distance_to(cloud, distance_px) + (CLEAR - 1), where=codes == CLEAR)
    codes[cloud] = within[classes[cloud]]
    return codes
