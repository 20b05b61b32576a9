"""The law of overviews: to the bit those that GDAL's COG driver makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine

from pipeline.types import Band
from pipeline.write.pyramid import pyramid

NAN = float("nan")
KINDS: list[tuple[str, float | None]] = [
    ("uint8", 0),
    ("uint8", 255),
    ("uint8", None),
    ("uint8", 100),
    ("uint16", 0),
    ("uint16", None),
    ("uint16", 65535),
    ("uint16", 7),
    ("int16", -32768),
    ("int16", 32767),
    ("int16", None),
    ("int16", 3),
    ("int32", 5),
    ("uint32", None),
    ("float32", NAN),
    ("float32", None),
    ("float32", -9999.0),
    ("float64", NAN),
]
SHAPES = [(520, 640), (258, 343), (257, 1), (3, 601), (128, 128)]


def layer(dtype: str, nodata: float | None, shape: tuple[int, int], numbers: str) -> np.ndarray[Any, Any]:
    """Numbers over the whole range of the type, at its ends, or next to nodata; nodata alone, and in a corner."""
    rng, kind = np.random.default_rng(0), np.dtype(dtype)
    if kind.kind == "f":
        data = rng.normal(0, 1, shape).astype(kind)
        if numbers == "ends":
            data[rng.random(shape) < 0.1] = np.finfo(kind).max
            data[rng.random(shape) < 0.1] = -np.inf
    else:
        ends = np.iinfo(kind)
        if numbers == "whole range":
            data = rng.integers(ends.min, ends.max, shape, kind, endpoint=True)
        elif numbers == "ends":
            data = rng.choice(np.array([ends.min, ends.min + 1, ends.max - 1, ends.max, 0, 1], kind), shape)
        else:
            near = int(nodata or 0)
            data = rng.integers(max(near - 3, ends.min), min(near + 6, ends.max), shape, np.int64).astype(kind)
    if nodata is not None:
        data[rng.random(shape) < 0.4] = nodata
        data[:30, :30] = nodata
    return data


def by_driver(data: np.ndarray[Any, Any], band: Band, path: Path) -> list[np.ndarray[Any, Any]]:
    """The overviews of a COG that GDAL alone has made."""
    profile = {"height": data.shape[0], "width": data.shape[1], "count": 1, "dtype": data.dtype, "nodata": band.nodata}
    grid = {"crs": "EPSG:32633", "transform": Affine(10, 0, 0, 0, -10, 0)}
    with rasterio.open("memory", "w", driver="MEM", **profile, **grid) as source:
        source.write(data, 1)
        rasterio.shutil.copy(
            source, path, driver="COG", COMPRESS="NONE", BLOCKSIZE=128, OVERVIEW_RESAMPLING=band.overview.upper()
        )
    with rasterio.open(path) as source:
        count = len(source.overviews(1))
    found = []
    for number in range(count):
        with rasterio.open(path, overview_level=number) as source:
            found.append(source.read(1))
    return found


@pytest.mark.long
@pytest.mark.parametrize("overview", ["average", "nearest", "mode"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_overviews_are_those_of_gdal(tmp_path: Path, shape: tuple[int, int], overview: str) -> None:
    """Of every type, with and without nodata, sides that halve exactly or not, numbers where roundings differ."""
    for dtype, nodata in KINDS:
        for numbers in ("whole range", "ends", "near nodata"):
            data = layer(dtype, nodata, shape, numbers)
            band = Band("b", dtype, nodata, overview=overview)
            expected = by_driver(data, band, tmp_path / "b.tif")
            found = pyramid(data, band, 128)[1:]
            name = f"{dtype}, nodata {nodata}, {numbers}"
            assert [each.shape for each in found] == [each.shape for each in expected], name
            for mine, theirs in zip(found, expected, strict=True):
                assert mine.tobytes() == theirs.tobytes(), name


@pytest.mark.parametrize("overview", ["average", "nearest", "mode"])
def test_a_column_is_as_a_row(overview: str) -> None:
    """GDAL makes up numbers of a column one pixel wide; its overviews are those of the same pixels as a row."""
    data = np.random.default_rng(0).choice(np.array([-7, 3, 9], np.int16), (2100, 1))
    band = Band("b", "int16", None, overview=overview)
    for mine, row in zip(pyramid(data, band, 512), pyramid(np.ascontiguousarray(data.T), band, 512), strict=True):
        np.testing.assert_array_equal(mine, row.T)


def test_the_layer_is_left_as_it_is() -> None:
    """Whatever its order in memory, the first level is the layer, and nothing is written into it."""
    data = np.asfortranarray(np.random.default_rng(0).integers(0, 9, (1024, 600)).astype(np.uint16))
    data.flags.writeable = False
    levels = pyramid(data, Band("b", "uint16", 0), 512)
    np.testing.assert_array_equal(levels[0], data)
    assert [level.shape for level in levels] == [(1024, 600), (512, 300)]
    assert all(level.flags.c_contiguous and not level.flags.writeable for level in levels)
