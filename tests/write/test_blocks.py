"""Laws of a COG's blocks: to every reader the file is the one that GDAL alone would have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from pipeline.types import Band
from pipeline.write.cog import CogOptions, write_cog
from tests.write.test_cog import TAGS, geobox, texture


def by_driver(data: np.ndarray[Any, Any], band: Band, path: Path, compress: str) -> None:
    """The COG that GDAL alone makes of a band."""
    rows, columns = data.shape
    grid = {"crs": "EPSG:32633", "transform": geobox(rows, columns).transform, "nodata": band.nodata}
    with rasterio.open(
        "memory", "w", driver="MEM", height=rows, width=columns, count=1, dtype=data.dtype, **grid
    ) as source:
        source.write(data, 1)
        source.scales, source.offsets, source.units = (band.scale,), (band.offset,), (band.unit,)
        source.set_band_description(1, band.name)
        source.update_tags(**TAGS)
        source.update_tags(1, description=band.description)
        rasterio.shutil.copy(
            source, path, driver="COG", COMPRESS=compress, PREDICTOR="YES", OVERVIEW_RESAMPLING=band.overview.upper()
        )


def all_that_readers_see(path: Path) -> list[Any]:
    """Every level's grid, tags and pixels."""
    seen: list[Any] = []
    with rasterio.open(path) as source:
        levels = len(source.overviews(1))
        seen += [source.tags(), source.overviews(1), source.scales, source.offsets, source.units, source.descriptions]
    for level in (None, *range(levels)):
        with rasterio.open(path, **({} if level is None else {"overview_level": level})) as source:
            spaces = {space: source.tags(1, ns=space) for space in source.tag_namespaces(1)}
            structure = source.tags(ns="IMAGE_STRUCTURE")
            seen += [repr(dict(source.profile)), source.tags(1), spaces, structure, source.read(1).tobytes()]
    return seen


@pytest.mark.parametrize("compress", ["deflate", "zstd"])
@pytest.mark.parametrize(
    ("dtype", "nodata", "overview"),
    [
        ("uint8", None, "nearest"),
        ("uint8", 3, "mode"),
        ("uint16", 0, "average"),
        ("int16", -32768, "average"),
        ("int32", -1, "average"),
        ("float32", float("nan"), "average"),
        ("float64", -9999.0, "average"),
    ],
)
def test_readers_see_what_gdal_would_have_written(
    tmp_path: Path, dtype: str, nodata: float | None, overview: str, compress: Any
) -> None:
    """Grid, tags, structure, overviews and all pixels are those of GDAL's COG driver, to the bit."""
    data = texture(dtype)
    if nodata is not None:
        data[200:700, 100:800:3] = nodata
    band = Band("red", dtype, nodata, 1e-4, -0.1, "1", "Reflectance", overview=overview)
    by_driver(data, band, tmp_path / "theirs.tif", compress)
    write_cog(data, band, geobox(*data.shape), tmp_path / "mine.tif", CogOptions(compress), TAGS)
    assert all_that_readers_see(tmp_path / "mine.tif") == all_that_readers_see(tmp_path / "theirs.tif")


def test_a_level_is_libdeflates(tmp_path: Path) -> None:
    """With a level every block is searched by it; without, areas of one number are searched, too."""
    data = np.kron(np.random.default_rng(0).integers(0, 9, (64, 64)), np.ones((16, 16))).astype(np.uint16)
    sizes = []
    for level in (1, 6, None):
        path = tmp_path / f"{level}.tif"
        file = write_cog(data, Band("b", "uint16", None), geobox(*data.shape), path, CogOptions("deflate", level), TAGS)
        sizes.append(file.size_bytes)
    assert sizes[0] > sizes[1]
    assert sizes[2] < 1.2 * sizes[1]
