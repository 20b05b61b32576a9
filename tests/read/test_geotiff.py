"""The fast reader gives what rasterio gives, to the bit, over every kind of GeoTIFF that it takes on itself."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from pipeline.read.access import Access
from pipeline.read.carry import Carry
from pipeline.read.gdal import GdalRaster, open_gdal
from pipeline.read.geotiff import GeoTiff
from pipeline.read.raster import Raster, open_raster
from pipeline.types import Asset
from tests.read.tiffs import CODINGS, CONTAINERS, DTYPES, LAYOUTS, ORIGIN, Truth, coarse, equal, noise, write

ACCESS = Access()
SHAPE = (133, 147)


def whole(raster: Raster) -> Any:
    return raster.read(slice(0, raster.grid.shape[0]), slice(0, raster.grid.shape[1]))


def windows(shape: tuple[int, int], count: int, seed: int) -> Iterator[tuple[slice, slice]]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        rows, cols = (sorted(rng.choice(side + 1, 2, replace=False).tolist()) for side in shape)
        yield slice(*rows), slice(*cols)


def check(path: Path, band: int = 1, reader: type = GeoTiff, seed: int = 0) -> None:
    """One band's grid, nodata, pixels, random windows and overviews are rasterio's; `reader` is what read them."""
    truth = Truth.of(path, band)
    with open_raster(Asset("x", str(path), band), ACCESS) as raster:
        assert type(raster) is reader
        assert (raster.grid.crs, raster.grid.transform) == (truth.crs, truth.transform)
        assert (raster.grid.shape, raster.dtype) == (truth.pixels.shape, truth.pixels.dtype)
        assert repr(raster.nodata) == repr(truth.nodata)
        assert equal(whole(raster), truth.pixels)
        for rows, cols in windows(truth.pixels.shape, 3, seed):
            assert equal(raster.read(rows, cols), truth.pixels[rows, cols]), (rows, cols)
        assert raster.overview(1.0) is raster
        for transform, pixels in truth.overviews:
            factor = max(full / side for full, side in zip(truth.pixels.shape, pixels.shape, strict=True))
            level = raster.overview(factor)
            assert level.grid.transform == transform
            assert equal(whole(level), pixels)
            assert level.grid.shape == pixels.shape


@pytest.mark.parametrize(
    ("compress", "predictor", "dtype"),
    [(*coding, dtype) for coding in CODINGS for dtype in DTYPES if coding[1] < 3 or dtype.startswith("float")],
)
def test_every_type_coding_layout_and_byte_order(tmp_path: Path, compress: str, predictor: int, dtype: str) -> None:
    coding = {"compress": compress} | ({} if predictor == 1 else {"predictor": predictor})
    pixels = noise(SHAPE, dtype)
    for seed, (layout, container) in enumerate(itertools.product(LAYOUTS.values(), CONTAINERS.values())):
        check(write(tmp_path / f"{seed}.tif", pixels, **coding, **layout, **container), seed=seed)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("predictor", [1, 2, 3])
@pytest.mark.parametrize("layout", ["tiles of 64 x 32", "strips of 7"])
def test_every_band_of_a_file(tmp_path: Path, layout: str, predictor: int, interleave: str) -> None:
    dtype = "float32" if predictor == 3 else "int16"
    pixels = noise((3, *SHAPE), dtype)
    options = {"compress": "deflate", "predictor": predictor, "interleave": interleave, **LAYOUTS[layout]}
    for container in CONTAINERS.values():
        path = write(tmp_path / "x.tif", pixels, **options, **container)
        for band in (1, 2, 3):
            check(path, band)


@pytest.mark.parametrize("size", [256, 512])
def test_large_blocks_and_overviews(tmp_path: Path, size: int) -> None:
    pixels = noise((1201, 1307), "uint16")
    path = write(
        tmp_path / "x.tif", pixels, compress="deflate", predictor=2, tiled=True, blockxsize=size, blockysize=size
    )
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8, 16], Resampling.average)
    check(path)
    for max_px in (2000, 1307, 700, 512, 300, 100, 41, 3, 1):
        with open_raster(Asset("x", str(path)), ACCESS) as raster:
            assert equal(raster.read_coarse(max_px), coarse(path, max_px)), max_px


def test_a_block_beyond_four_gigabytes(tmp_path: Path) -> None:
    """The first block of a BigTIFF, moved behind a hole in the file."""
    path = write(tmp_path / "x.tif", noise((64, 64), "uint16"), compress="deflate", tiled=True, bigtiff="YES")
    with rasterio.open(path) as dataset:
        start, size = (int(dataset.get_tag_item(f"BLOCK_{name}_0_0", "TIFF", bidx=1)) for name in ("OFFSET", "SIZE"))
    data, far = bytearray(path.read_bytes()), 5 * 2**30
    entry = struct.pack("<HHQ", 324, 16, 1) + struct.pack("<Q", start)
    assert data.count(entry) == 1
    at = data.index(entry) + 12
    data[at : at + 8] = struct.pack("<Q", far)
    with path.open("wb") as file:
        file.write(data[:start] + bytes(size) + data[start + size :])
        file.seek(far)
        file.write(data[start : start + size])
    check(path)


@pytest.mark.parametrize("nodata", [None, 0, 7, 255])
@pytest.mark.parametrize("layout", ["tiles of 16", "strips of 7"])
def test_blocks_that_were_never_written_are_nodata(tmp_path: Path, layout: str, nodata: float | None) -> None:
    path = tmp_path / "x.tif"
    profile = {"driver": "GTiff", "height": 133, "width": 147, "count": 2, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(
        path,
        "w",
        **profile,
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
        nodata=nodata,
        sparse_ok=True,
        **LAYOUTS[layout],
    ) as dataset:
        dataset.write(np.full((40, 60), 9, np.uint8), 1, window=((20, 60), (30, 90)))
    for band in (1, 2):
        check(path, band)


def test_overviews_that_were_never_written_are_nodata(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    profile = {"driver": "GTiff", "height": 400, "width": 500, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    layout = {"transform": ORIGIN, "nodata": 9, "sparse_ok": True, **LAYOUTS["tiles of 64 x 32"]}
    with rasterio.open(path, "w", **profile, **layout) as dataset:
        dataset.write(np.full((40, 60), 7, np.uint8), 1, window=((20, 60), (30, 90)))
    with rasterio.Env(SPARSE_OK_OVERVIEW=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.nearest)
    check(path)


@pytest.mark.parametrize(
    ("photometric", "bands", "interleave"),
    [("CIELAB", 3, "pixel")]
    + [(*kind, order) for kind in (("MINISWHITE", 1), ("RGB", 3), ("CMYK", 4)) for order in ("pixel", "band")],
)
def test_kinds_of_colour_change_no_number(tmp_path: Path, photometric: str, bands: int, interleave: str) -> None:
    """Those whose numbers GDAL may convert are left to it."""
    path = write(tmp_path / "x.tif", noise((bands, *SHAPE), "uint8"), photometric=photometric, interleave=interleave)
    for band in range(1, bands + 1):
        check(path, band, reader=GdalRaster if photometric in {"CMYK", "CIELAB"} else GeoTiff)


def test_a_palette_is_read_as_its_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tif", noise(SHAPE, "uint8"))
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {number: (number, 0, 255 - number, 255) for number in range(256)})
    check(path, reader=GdalRaster if path.with_name("x.tif.aux.xml").exists() else GeoTiff)


@pytest.mark.parametrize("window", [((-1, 5), (0, 5)), ((0, 134), (0, 5)), ((0, 5), (140, 148)), ((5, 5), (0, 5))])
def test_a_window_that_is_not_inside_is_refused(
    tmp_path: Path, window: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    path = write(tmp_path / "x.tif", noise(SHAPE, "uint8"))
    with (
        open_raster(Asset("x", str(path)), ACCESS) as raster,
        pytest.raises(ValueError, match=r"raster of \(133, 147\)"),
    ):
        raster.read(slice(*window[0]), slice(*window[1]))


def test_threads_that_read_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    pixels = noise((600, 640), "uint16")
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "predictor": 2}
    asset, carry = Asset("x", str(write(tmp_path / "x.tif", pixels, **layout))), Carry(50_000)

    def read(seed: int) -> bool:
        rows, cols = next(windows(pixels.shape, 1, seed))
        with open_raster(asset, ACCESS) as raster:
            return equal(raster.read(rows, cols, carry=carry, below=rows.stop), pixels[rows, cols])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(200)))


@pytest.mark.parametrize("mask", ["internal", "external"])
def test_a_mask_changes_no_pixel_and_is_no_overview(tmp_path: Path, mask: str) -> None:
    path = write(tmp_path / "x.tif", noise(SHAPE, "uint16"), compress="deflate")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=mask == "internal"), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 2 == 0)
        dataset.build_overviews([2, 4], Resampling.nearest)
    truth = Truth.of(path)
    assert truth.masked and len(truth.overviews) == 2
    check(path, reader=GeoTiff if mask == "internal" else GdalRaster)


def test_external_overviews_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tif", noise(SHAPE, "uint16"))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.nearest)
    assert path.with_name("x.tif.ovr").exists()
    check(path, reader=GdalRaster)


@pytest.mark.parametrize("tags", [{"AREA_OR_POINT": "Point"}, {"AREA_OR_POINT": "Area"}])
@pytest.mark.parametrize(
    "transform",
    [
        rasterio.Affine(10, 0, 600_000, 0, -10, 5_000_000),
        rasterio.Affine(1 / 3600, 0, 6.1, 0, -1 / 3600, 45.7),
        rasterio.Affine(9.8, 1.3, 600_000.1, 1.2, -9.7, 5_000_000.7),
        rasterio.Affine(10, 0, 600_000, 0, 10, 5_000_000),
    ],
)
def test_the_grid_is_gdals_to_the_last_bit(tmp_path: Path, transform: rasterio.Affine, tags: dict[str, str]) -> None:
    path = write(tmp_path / "x.tif", noise(SHAPE, "uint8"), transform=transform)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**tags)
    check(path, reader=GdalRaster if path.with_name("x.tif.aux.xml").exists() else GeoTiff)


@pytest.mark.parametrize(
    "code",
    [4326, 4269, 4258, 3857, 3035, 32601, 32660, 32733, 25832, 26912, 5070, 3577, 2154, 3413, 3031, 27700, 2056, 28992],
)
def test_a_crs_is_the_code_that_gdal_reads(tmp_path: Path, code: int) -> None:
    check(write(tmp_path / "x.tif", noise((20, 20), "uint8"), crs=f"EPSG:{code}"))


@pytest.mark.parametrize(
    "crs", ["EPSG:2225", "+proj=utm +zone=33 +ellps=bessel", "EPSG:4326+5773", "EPSG:4979", "ESRI:54009"]
)
def test_a_crs_that_is_more_than_a_code_is_gdals(tmp_path: Path, crs: str) -> None:
    check(write(tmp_path / "x.tif", noise((20, 20), "uint8"), crs=crs), reader=GdalRaster)


@pytest.mark.parametrize(
    ("dtype", "nodata", "reader"),
    [
        ("float32", float("nan"), GeoTiff),
        ("float32", -9999.0, GeoTiff),
        ("float32", float(np.finfo(np.float32).min), GeoTiff),
        ("float64", 0.1, GeoTiff),
        ("float32", 0.1, GdalRaster),
        ("int16", -32768.0, GeoTiff),
        ("uint32", 4294967295.0, GeoTiff),
    ],
)
def test_nodata_is_gdals(tmp_path: Path, dtype: str, nodata: float, reader: type) -> None:
    check(write(tmp_path / "x.tif", noise(SHAPE, dtype), nodata=nodata), reader=reader)


@pytest.mark.parametrize("ending", [".tfw", ".wld"])
def test_a_world_file_beside_a_georeferenced_file_changes_nothing(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / "x.tif", noise(SHAPE, "uint8"))
    path.with_suffix(ending).write_text("1\n0\n0\n-1\n5\n5\n")
    check(path)


def test_what_pam_says_of_a_file_is_heard(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tif", noise(SHAPE, "uint8"), nodata=3)
    path.with_name("x.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32632</SRS></PAMDataset>")
    check(path, reader=GdalRaster)
    assert Truth.of(path).crs == "EPSG:32632"


def test_both_readers_are_one_raster_to_their_callers(tmp_path: Path) -> None:
    """Level by level, for every factor, and what they answer about themselves."""
    path = write(tmp_path / "x.tif", noise((401, 333), "uint16"), tiled=True, blockxsize=64, blockysize=32, nodata=7)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], Resampling.nearest)
    asset = Asset("x", str(path), nodata=9)
    with open_raster(asset, ACCESS) as fast, open_gdal(asset, ACCESS) as slow:
        assert (type(fast), type(slow)) == (GeoTiff, GdalRaster)
        for factor in (0.5, 1, 1.9, 2, 3.99, 4, 7.9, 8, 100):
            one, other = fast.overview(factor), slow.overview(factor)
            assert (one.grid, one.dtype, one.nodata, one.note) == (other.grid, other.dtype, other.nodata, other.note)
            assert equal(whole(one), whole(other))
        assert fast.block == slow.block == (32, 64)
        assert all(equal(fast.read_coarse(px), slow.read_coarse(px)) for px in (512, 100, 50, 10))
