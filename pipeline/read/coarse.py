"""Which pixels GDAL takes when a raster is asked for in fewer pixels than it has, nearest: the same ones, exactly.

Source: GDAL 3.10, rasterio.cpp (`GDALBandGetBestOverviewLevel2`, `GDALRasterBand::IRasterIO`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_OVERSAMPLING = 1.2
_ROUNDING = 0.1
_EPSILON = 1e-10


def best_overview(shapes: Sequence[tuple[int, int]], wanted: tuple[int, int]) -> int:
    """Index of the level to read: 0 for full resolution (the first of `shapes`), or an overview's.

    The one with the fewest pixels that is not much coarser than what is wanted.
    """
    height, width = shapes[0]
    if wanted[0] >= height and wanted[1] >= width:
        return 0
    down, right = height / wanted[0], width / wanted[1]
    desired = right if right < down or wanted[0] == 1 else down
    best, factor = 0, 0.0
    for level, (rows, cols) in enumerate(shapes[1:], 1):
        reduced = min(height / rows, width / cols)
        if factor < reduced < desired * _OVERSAMPLING + _ROUNDING:
            best, factor = level, reduced
    return best


def nearest(size: int, wanted: int) -> NDArray[np.int64]:
    """Source rows (or columns) of `wanted` rows over `size`."""
    step = size / wanted
    return np.minimum(((np.arange(wanted) + 0.5) * step + _EPSILON).astype(np.int64), size - 1)
