"""The pixels of a decimated read are those that GDAL takes, for shapes that divide badly and any overviews."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from pipeline.read.access import Access
from pipeline.read.geotiff import GeoTiff
from pipeline.read.raster import open_raster
from pipeline.types import Asset
from tests.read.tiffs import coarse, equal, write


@pytest.mark.parametrize("seed", range(25))
def test_a_coarse_read_is_gdals(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(30, 700, 2).tolist())
    pixels = np.arange(shape[0] * shape[1], dtype=np.uint32).reshape(shape)
    path = write(tmp_path / "x.tif", pixels, tiled=True, blockxsize=64, blockysize=48)
    factors = sorted({int(factor) for factor in rng.integers(2, 20, int(rng.integers(0, 5)))})
    if factors:
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews(factors, Resampling.nearest)
    with open_raster(Asset("x", str(path)), Access()) as raster:
        assert isinstance(raster, GeoTiff)
        for max_px in {1, 2, 5, 512, *rng.integers(1, max(shape) + 50, 12).tolist()}:
            assert equal(raster.read_coarse(max_px), coarse(path, max_px)), (shape, factors, max_px)
