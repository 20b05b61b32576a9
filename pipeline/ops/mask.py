"""Cloud masks from a scene classification, made at its native resolution before any resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NODATA, DEFECTIVE = 0, 1
"""SCL classes that state a fact about one pixel: masked exactly, never opened or dilated."""


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


def clear_mask(classes: NDArray[np.uint8], mask: ClassMask) -> NDArray[np.bool_]:
    """True = keep. Masked classes are opened (specks below `open_px` go) and dilated; no-data and defects stay exact.

    No-data is always masked. classes: (y, x) SCL codes at native resolution. Law: the mask of a window grown by
    `reach_px` equals the window of the whole scene's mask. Source: ODC's gm-s2 recipe (opening, then dilation) on the
    classes of Sen2Cor's SCL.
    """
    soft = [code for code in mask.classes if code not in {NODATA, DEFECTIVE}]
    lookup = np.zeros(256, np.bool_)
    lookup[soft] = True
    cloud = lookup[classes]
    cloud = dilate(dilate(erode(cloud, mask.open_px), mask.open_px), mask.dilate_px)
    lookup[:] = False
    # Without data there is nothing to keep, whatever was asked: it must never win a pixel from a neighbouring scene.
    lookup[[NODATA, *(code for code in mask.classes if code == DEFECTIVE)]] = True
    return ~(cloud | lookup[classes])
