"""A small picture of a tile, for people who browse: never data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from pipeline.errors import OutputError
from pipeline.types import DataFile
from pipeline.write.files import finished_file

MAX_PX = 256
LOW_PERCENT, HIGH_PERCENT = 2.0, 98.0


def write_thumbnail(
    arrays: Sequence[npt.NDArray[Any]], nodata: float | None, path: Path, *, title: str = "Thumbnail"
) -> DataFile:
    """A PNG of at most 256 px a side from one array (grey) or three (red, green, blue); deterministic.

    arrays (y, x) of equal shape and any real dtype; each is stretched from its 2nd to its 98th percentile over the
    valid pixels of the picture. A pixel missing in any array is transparent. Raises OutputError for other input.
    """
    if len(arrays) not in (1, 3) or len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 2:
        raise OutputError(
            f"{path.name}: found arrays of shapes {[array.shape for array in arrays]}, "
            "expected one or three of the same (rows, columns)"
        )
    step = math.ceil(max(arrays[0].shape) / MAX_PX)
    top, left = (min(step, size) // 2 for size in arrays[0].shape)
    small = [array[top::step, left::step] for array in arrays]
    valid = np.logical_and.reduce([_valid(array, nodata) for array in small])
    layers = [*(_stretched(array, valid) for array in small), np.where(valid, 255, 0).astype(np.uint8)]
    rows, columns = valid.shape
    # A grid of its own keeps rasterio from warning of a missing one; without PAM it is written nowhere.
    profile = {"width": columns, "height": rows, "count": len(layers), "dtype": "uint8", "ZLEVEL": 1}
    try:
        with (
            rasterio.Env(GDAL_PAM_ENABLED="NO"),
            rasterio.open(path, "w", driver="PNG", transform=rasterio.Affine.scale(2.0, -2.0), **profile) as target,
        ):
            target.write(np.stack(layers))
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise OutputError(f"{path.name}: GDAL could not write it: {error}") from error
    return finished_file(path, "thumbnail", "image/png", ("thumbnail",), title, {})


def _valid(array: npt.NDArray[Any], nodata: float | None) -> npt.NDArray[np.bool_]:
    valid: npt.NDArray[np.bool_] = np.isfinite(array)
    if nodata is not None and not math.isnan(nodata):
        valid &= array != nodata
    return valid


def _stretched(array: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Grey values 0 to 255; missing pixels 0, a constant array mid-grey."""
    grey = np.zeros(array.shape, dtype=np.uint8)
    if not valid.any():
        return grey
    values = array[valid].astype(np.float64)
    low, high = np.percentile(values, [LOW_PERCENT, HIGH_PERCENT])
    scaled = (values - low) / (high - low) if high > low else np.full(values.shape, 0.5)
    grey[valid] = np.rint(np.clip(scaled, 0.0, 1.0) * 255.0).astype(np.uint8)
    return grey
