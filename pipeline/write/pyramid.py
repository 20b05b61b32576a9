"""Overviews, to the bit as GDAL's COG driver makes them: each level from the one before, down to one block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from pipeline.compiled import compiled
from pipeline.types import Band

Array = NDArray[Any]
INTEGERS = (np.uint8, np.uint16, np.int16)
NEVER = 1 << 40
"""A number that no pixel has."""


def pyramid(data: Array, band: Band, block_px: int) -> list[Array]:
    """The layer (y, x) itself and its overviews by `band.overview`, each half as large, while one is beyond a block.

    Missing pixels have no share in an average, and it is never `band.nodata` by chance. Holds a third of `data`.
    """
    levels = [fixed(data)]
    while max(levels[-1].shape) > block_px:
        levels.append(fixed(_halved(levels[-1], band)))
    return levels


def fixed(array: Array) -> Array:
    """The array in C order and read-only: to compiled loops another kind than one that may be written."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _halved(level: Array, band: Band) -> Array:
    rows, columns = level.shape
    shape = max(1, rows // 2), max(1, columns // 2)
    even = rows % 2 == columns % 2 == 0
    if band.overview == "nearest":
        return np.ascontiguousarray(level[::2, ::2] if even else level[np.ix_(*map(_nearest, shape, level.shape))])
    if even and band.overview == "average" and (average := _average(level.dtype, band.nodata)):
        half = np.empty(shape, level.dtype)
        average(level, half)
        return half
    if columns == 1:
        # GDAL makes up values of a single column, but not of a row.
        return _halved(level.T, band).T
    profile = {"height": rows, "width": columns, "count": 1, "dtype": level.dtype, "nodata": band.nodata}
    grid = rasterio.Affine.scale(2.0, -2.0)  # rasterio warns of a raster without one
    with rasterio.open("memory", "w+", driver="MEM", transform=grid, **profile) as target:
        target.write(level, 1)
        found: Array = target.read(1, out_shape=shape, resampling=Resampling[band.overview])
        return found


def _nearest(less: int, more: int) -> NDArray[np.intp]:
    """Which of `more` pixels stand for `less`: GDAL's rule for overviews."""
    return (0.5 + np.arange(less) * (more / less)).astype(np.intp)


def _average(dtype: np.dtype[Any], nodata: float | None) -> Callable[[Array, Array], None] | None:
    """The compiled loop for such numbers; None where GDAL has rules of its own, as for averages that equal nodata."""
    if dtype == np.float32 and nodata is not None and np.isnan(nodata):
        return _average_floats
    if dtype in INTEGERS and (nodata is None or nodata in (np.iinfo(dtype).min, np.iinfo(dtype).max)):
        without = NEVER if nodata is None else int(nodata)
        return lambda level, half: _average_integers(level, half, without)
    return None


@compiled(*(f"Array({number}, 2, 'C', readonly=True), {number}[:,::1], i8" for number in ("u1", "u2", "i2")))
def _average_integers(level: Array, half: Array, nodata: int) -> None:
    """Means of two by two, halves away from zero; `nodata` where all four are."""
    for row in range(half.shape[0]):
        for column in range(half.shape[1]):
            total = count = 0
            for value in (
                level[2 * row, 2 * column],
                level[2 * row, 2 * column + 1],
                level[2 * row + 1, 2 * column],
                level[2 * row + 1, 2 * column + 1],
            ):
                if value != nodata:
                    total += value
                    count += 1
            size = abs(total)
            if count == 4:
                size = (size + 2) >> 2
            elif count == 3:
                size = (size + 1) // 3
            elif count == 2:
                size = (size + 1) >> 1
            elif count == 0:
                size = nodata
            half[row, column] = -size if total < 0 else size


@compiled("Array(f4, 2, 'C', readonly=True), f4[:,::1]")
def _average_floats(level: NDArray[np.float32], half: NDArray[np.float32]) -> None:
    """Means of two by two without NaN; added row by row, which shows in the last digit."""
    for row in range(half.shape[0]):
        for column in range(half.shape[1]):
            total, count = 0.0, 0
            for value in (
                level[2 * row, 2 * column],
                level[2 * row, 2 * column + 1],
                level[2 * row + 1, 2 * column],
                level[2 * row + 1, 2 * column + 1],
            ):
                if not np.isnan(value):
                    total += value
                    count += 1
            half[row, column] = total / count if count else np.nan
