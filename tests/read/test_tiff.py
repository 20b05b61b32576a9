"""A header that means harm, or nothing, allocates nothing, is read as GDAL reads it, or is left to GDAL."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from pipeline.errors import AssetError
from pipeline.read import geotiff, tiff
from pipeline.read.access import Access
from pipeline.read.fetch import Unsupported
from pipeline.read.gdal import GdalRaster
from pipeline.read.geotiff import GeoTiff, open_geotiff
from pipeline.read.raster import open_raster
from pipeline.types import Asset
from tests.read.tiffs import CONTAINERS, Tags, equal, noise, put_together, tags_of, write

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

BLOCKS = [zlib.compress(bytes([number]) * 256) for number in range(4)]


def parsed_from(data: bytes, head: int = 16384) -> tuple[tiff.Header, tuple[tiff.Image, ...], list[tuple[int, int]]]:
    """Header and overviews of a file in memory, and what was asked for beyond its head."""
    asked = []

    def fetch(start: int, length: int) -> bytes:
        asked.append((start, length))
        assert start >= 0 and length > 0 and start + length <= len(data)
        return data[start : start + length]

    file = tiff.Bytes(data[:head], len(data), fetch)
    header = tiff.parse(file)
    return header, tiff.overviews(file, header), asked


def changed(path: Path, tags: dict[int, tuple[int, Any] | None], following: int = 0) -> bytes:
    """A sound file with other tags; None takes a tag away."""
    sound: Tags = tags_of(32, BLOCKS)
    for tag, entry in tags.items():
        if entry is None:
            del sound[tag]
        else:
            kind, values = entry
            dtype = {1: "<u1", 2: "<u1", 3: "<u2", 4: "<u4", 12: "<f8"}[kind]
            sound[tag] = kind, np.array(list(values), dtype)
    return put_together(path, sound, BLOCKS, following).read_bytes()


def test_the_file_that_is_changed_below_is_sound(tmp_path: Path) -> None:
    changed(tmp_path / "x.tif", {})
    with (
        open_raster(Asset("x", str(tmp_path / "x.tif")), Access()) as raster,
        rasterio.open(tmp_path / "x.tif") as truth,
    ):
        assert isinstance(raster, GeoTiff)
        assert equal(raster.read(slice(0, 32), slice(0, 32)), truth.read(1))
        assert raster.grid.transform == tuple(truth.transform[:6])


HUGE = 2**32 - 1
STRANGE: dict[str, dict[int, tuple[int, Any] | None]] = {
    "no width": {256: None},
    "no pixels": {257: (4, [0])},
    "an absurd size": {256: (4, [HUGE]), 257: (4, [HUGE])},
    "an absurd tile": {322: (4, [HUGE]), 323: (4, [HUGE])},
    "a tile of no pixels": {322: (4, [0])},
    "fewer blocks than the image has": {324: (4, [8, 8]), 325: (4, [9, 9])},
    "no sizes": {325: None},
    "sizes without places": {324: (4, [0, 0, 0, 0])},
    "tiles and strips": {273: (4, [8]), 278: (4, [32]), 279: (4, [9])},
    "another codec": {259: (3, [7])},
    "another predictor": {317: (3, [9])},
    "a predictor of floating-point numbers": {317: (3, [3])},
    "12 bits": {258: (3, [12])},
    "complex numbers": {339: (3, [6]), 258: (3, [64])},
    "bits in reverse": {266: (3, [2])},
    "turned": {274: (3, [6])},
    "luminance and chrominance": {262: (3, [6]), 277: (3, [3])},
    "no samples": {277: (3, [0])},
    "a type that does not exist": {258: (1, [8]), 256: (2, b"3")},
    "images inside images": {330: (4, [8])},
    "another file's overviews": {42112: (2, b"<GDALMetadata><Item name='OVERVIEW_FILE'>x</Item></GDALMetadata>")},
    "a megabyte of words": {42112: (2, b"<GDALMetadata>" + b" " * 2**20)},
    "the same in small letters": {42112: (2, b"<GDALMetadata><Item name='overview_file'>x</Item></GDALMetadata>")},
    "words in numbers": {42113: (3, [0x37])},
    "nodata in words": {42113: (2, b"none\0")},
    "nodata that no pixel can have": {42113: (2, b"-9999\0")},
    "no GeoKeys": {34735: None},
    "more GeoKeys than there are": {34735: (3, [1, 1, 0, 60000, 1024, 0, 1, 1])},
    "a CRS of somebody's own": {34735: (3, [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32767])},
    "a code that does not exist": {34735: (3, [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32799])},
    "a code that GDAL replaces": {34735: (3, [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 27591])},
    "a code that GDAL knows no more": {34735: (3, [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 26692])},
    "a code with heights": {34735: (3, [1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4965])},
    "geographic in a projected code": {34735: (3, [1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 32633])},
    "units of its own": {34735: (3, [1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633, 3076, 0, 1, 9003])},
    "two tie points": {33922: (12, [0, 0, 0, 6e5, 5e6, 0, 1, 1, 0, 7e5, 4e6, 0])},
    "no scale": {33550: None},
    "a scale of 0": {33550: (12, [0, 0, 0])},
    "two transforms": {34264: (12, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1])},
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_strange_is_left_to_gdal_and_costs_no_memory(tmp_path: Path, name: str) -> None:
    data = changed(tmp_path / "x.tif", STRANGE[name])
    tracemalloc.start()
    try:
        with pytest.raises(Unsupported):
            parsed_from(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_directory_behind_the_end_and_one_that_leads_to_itself_end(tmp_path: Path) -> None:
    sound = changed(tmp_path / "x.tif", {})
    (first,) = struct.unpack_from("<I", sound, 4)
    for target in (len(sound), HUGE):
        with pytest.raises(Unsupported, match="points to bytes"):
            parsed_from(sound[:4] + struct.pack("<I", target) + sound[8:])
        with pytest.raises(Unsupported, match="points to bytes"):
            parsed_from(sound[:-4] + struct.pack("<I", target))
    with pytest.raises(Unsupported, match="lead back"):
        parsed_from(sound[:-4] + struct.pack("<I", first))
    with pytest.raises(Unsupported, match="several images"):
        parsed_from(sound[:-4] + struct.pack("<I", len(sound)) + sound[first:])


def test_a_thousand_directories_are_too_many(tmp_path: Path) -> None:
    sound = changed(tmp_path / "x.tif", {254: (4, [4])})
    (first,) = struct.unpack_from("<I", sound, 4)
    directory = sound[first:-4]
    chain = b"".join(
        directory + struct.pack("<I", first + (number + 1) * (len(directory) + 4)) for number in range(1000)
    )
    with pytest.raises(Unsupported, match="too many"):
        parsed_from(sound[:first] + chain + directory + bytes(4))


def test_overviews_that_share_one_large_table_cost_no_memory(tmp_path: Path) -> None:
    """Each directory is small, what it points to is not: a file of 16 MB would come to a gigabyte."""
    side = 16 * 1500
    table = np.full(1500**2, 8, "<u4")
    tags = tags_of(32, BLOCKS) | {tag: (4, np.array([side], "<u4")) for tag in (256, 257)}
    path = put_together(
        tmp_path / "x.tif", tags | {324: (4, table), 325: (4, table)} | {254: (4, table[:1] * 0)}, BLOCKS
    )
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    directory = data[first:-4]
    at = directory.index(struct.pack("<HHI", 254, 4, 1))
    directory[at + 8] = 1
    data[-4:] = struct.pack("<I", len(data))
    for number in range(50):
        data += directory + struct.pack("<I", 0 if number == 49 else len(data) + len(directory) + 4)
    tracemalloc.start()
    try:
        with pytest.raises(Unsupported, match="too large"):
            parsed_from(bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 250 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=str)
def test_directories_beyond_the_head_are_fetched_once_each(tmp_path: Path, container: dict[str, str]) -> None:
    """A file whose directories lie at its end, with overviews added later."""
    path = write(tmp_path / "x.tif", noise((900, 800), "uint16"), compress="deflate", **container)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], Resampling.nearest)
    data = path.read_bytes()
    near, far = parsed_from(data), parsed_from(data, head=16)
    assert [image.shape for image in near[1]] == [(450, 400), (225, 200), (113, 100)]
    assert len(near[2]) <= 4
    for one, other in zip((near[0].image, *near[1]), (far[0].image, *far[1]), strict=True):
        np.testing.assert_array_equal(one.offsets, other.offsets)
        np.testing.assert_array_equal(one.counts, other.counts)


def test_a_header_is_parsed_once_for_every_version_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed, parse = [], tiff.parse

    def count(file: tiff.Bytes) -> tiff.Header:
        parsed.append(file.size)
        return parse(file)

    path = write(tmp_path / "x.tif", noise((40, 40), "uint8"))
    monkeypatch.setattr(tiff, "parse", count)
    for _ in range(3):
        with open_raster(Asset("x", str(path)), Access()) as raster:
            assert raster.grid.shape == (40, 40)
    assert len(parsed) == 1
    write(path, noise((41, 40), "uint8"))
    with open_raster(Asset("x", str(path)), Access()) as raster:
        assert raster.grid.shape == (41, 40)
    assert len(parsed) == 2


def test_headers_that_are_kept_are_few_where_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in strips of one row has as many blocks as rows: memory is bounded in bytes, whatever the files are."""
    monkeypatch.setattr(geotiff, "_REMEMBERED_BYTES", 1000)
    memory: geotiff._Memory[int, bytes] = geotiff._Memory(len)
    for key in range(100):
        assert memory.put(key, bytes(300)) == bytes(300)
        assert memory.put(key, bytes(400)) == bytes(400)
        held = [one for one in range(100) if memory.get(one) is not None]
        assert held == list(range(max(0, key - 1), key + 1))
    memory.put(100, bytes(5000))
    assert memory.get(100) is not None and memory.get(99) is None


def gdals(path: Path) -> tuple[Any, ...] | None:
    try:
        with rasterio.open(path) as dataset:
            code = dataset.crs.to_epsg() if dataset.crs else None
            return f"EPSG:{code}", tuple(dataset.transform[:6]), dataset.nodatavals[0], dataset.read(1)
    except RasterioError:
        return None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=str)
def test_spoilt_headers_give_gdals_pixels_or_none(tmp_path: Path, container: dict[str, str], seed: int) -> None:
    """Bits flipped at random in directory and values: GDAL's own grid and pixels, an error, or left to GDAL."""
    layout = {"tiled": True, "blockxsize": 32, "blockysize": 16} if seed % 2 else {"blockysize": 16}
    path = write(tmp_path / "x.tif", noise((100, 90), "uint16"), compress="deflate", predictor=2, **layout, **container)
    sound, rng, told = path.read_bytes(), np.random.default_rng(seed), 0
    for _ in range(60):
        data = bytearray(sound)
        for _ in range(int(rng.integers(1, 3))):
            data[int(rng.integers(8, 700))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            with open_geotiff(Asset("x", str(path)), Access(), 0.0, never) as raster:
                found = raster.read(*(slice(0, side) for side in raster.grid.shape))
                truth = gdals(path)
                if truth is not None:
                    assert (raster.grid.crs, raster.grid.transform, repr(raster.nodata)) == (*truth[:2], repr(truth[2]))
                    assert equal(found, truth[3])
                    told += 1
        except (Unsupported, AssetError, OSError, ValueError):
            continue
    assert told > 3


def never() -> GdalRaster:
    raise AssertionError("given to GDAL")
