"""One layer of the demo world as a file: a cloud-optimised GeoTIFF with the same bytes every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile

_BLOCK_PX, _LEAST_BLOCK_PX = 512, 128


@dataclass(frozen=True, eq=False)
class Layer:
    """Pixels of one band and where they lie."""

    key: str
    values: NDArray[Any]
    epsg: int
    corner: tuple[float, float]
    """X and y of the upper left corner."""
    pixel: tuple[float, float]
    """Width and height of a pixel, both positive."""
    nodata: float | None = 0
    """None: the file does not say."""

    @property
    def transform(self) -> list[float]:
        return [self.pixel[0], 0, self.corner[0], 0, -self.pixel[1], self.corner[1]]


def cog(layer: Layer) -> bytes:
    """One band: deflate, a predictor that fits its numbers; its header says nothing of scale or offset.

    Overviews take the nearest pixel: a copy has no rounding that could differ between machines.
    """
    height, width = layer.values.shape
    profile = {
        "driver": "COG",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": layer.values.dtype.name,
        "nodata": layer.nodata,
        "crs": f"EPSG:{layer.epsg}",
        "transform": Affine(*layer.transform),
    }
    predictor = 3 if layer.values.dtype.kind == "f" else 2
    creation = {
        "compress": "deflate",
        "predictor": predictor,
        "level": 2 if predictor == 3 else 6,
        "overview_resampling": "nearest",
    }
    block = _BLOCK_PX if max(height, width) > _BLOCK_PX else _LEAST_BLOCK_PX
    with rasterio.Env(GDAL_NUM_THREADS=1), MemoryFile() as memory:
        with memory.open(**profile, **creation, blocksize=block) as target:
            target.write(layer.values, 1)
        return bytes(memory.getbuffer())
