"""Laws of the COG writer: same input, same bytes; what is accepted is valid, complete and described."""

from __future__ import annotations

import hashlib
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rio_cogeo.cogeo import cog_validate

from pipeline.errors import OutputError
from pipeline.types import Band, Rights
from pipeline.write import cog
from pipeline.write.cog import CogOptions, grid_fields, json_number, rights_tags, write_cog

TAGS = rights_tags(Rights("CC-BY-4.0", "© Somebody, “2024”", "https://example.com/l"))
DEFLATE, ZSTD = CogOptions("deflate"), CogOptions("zstd")


def geobox(rows: int, columns: int) -> GeoBox:
    return GeoBox((rows, columns), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")


def texture(dtype: str, rows: int = 1100, columns: int = 900, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    top = 200 if np.dtype(dtype).itemsize == 1 else 9000
    return np.add.outer(np.arange(rows) % 50, rng.integers(1, top // 2, columns)).astype(dtype)


@pytest.mark.parametrize("options", [DEFLATE, ZSTD], ids=["deflate", "zstd"])
@pytest.mark.parametrize(
    ("dtype", "nodata", "predictor"),
    [
        ("uint8", 255, "2"),
        ("uint16", 0, "2"),
        ("int16", -32768, "2"),
        ("float32", float("nan"), "3"),
        ("float64", None, "3"),
    ],
)
def test_a_cog_is_what_it_was_made_from(
    tmp_path: Path, options: CogOptions, dtype: str, nodata: float | None, predictor: str
) -> None:
    """Pixels, grid, nodata, scale, offset, unit, names, rights, tiling, predictor and overviews read back as asked."""
    data = texture(dtype)
    if nodata is not None:
        data[:300, :300] = nodata
    band = Band("red", dtype, nodata, 1e-4, -0.1, "1", "Reflectance", "red", 0.665)
    file = write_cog(data, band, geobox(*data.shape), tmp_path / "red.tif", options, TAGS)
    assert cog_validate(file.path, strict=True, quiet=True) == (True, [], [])
    with rasterio.open(file.path) as source:
        np.testing.assert_array_equal(source.read(1), data)
        assert source.crs.to_epsg() == 32633
        assert source.transform == geobox(*data.shape).transform
        assert str(source.nodata) == str(None if nodata is None else float(nodata))
        assert (source.scales, source.offsets, source.units) == ((1e-4,), (-0.1,), ("1",))
        assert source.descriptions == ("red",)
        assert source.tags().items() >= TAGS.items()
        assert source.tags(1)["description"] == "Reflectance"
        structure = source.tags(ns="IMAGE_STRUCTURE")
        assert (structure["COMPRESSION"], structure["PREDICTOR"]) == (options.compress.upper(), predictor)
        assert source.block_shapes == [(512, 512)]
        assert source.overviews(1) == [2, 4]
    assert (file.key, file.roles) == ("red", ("data",))
    assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert file.size_bytes == file.path.stat().st_size
    assert list(tmp_path.iterdir()) == [file.path], "a side file was left"


@pytest.mark.parametrize(
    "shape", [(600, 512), (1100, 1024), (4096, 1024), (5000, 2048), (512, 600), (2000, 511), (1200, 1025)]
)
def test_no_shape_is_taken_for_strips(tmp_path: Path, shape: tuple[int, int]) -> None:
    """A tall image, or overview, exactly one usual block wide is tiled by narrower ones, and validates as any other."""
    file = write_cog(np.ones(shape, np.uint8), Band("b", "uint8", 0), geobox(*shape), tmp_path / "b.tif", DEFLATE, TAGS)
    assert cog_validate(file.path, strict=True, quiet=True) == (True, [], [])


@pytest.mark.parametrize("options", [DEFLATE, ZSTD], ids=["deflate", "zstd"])
def test_same_input_same_bytes(tmp_path: Path, options: CogOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the time, the folder, the order of the tags nor the number of threads shows in the file."""
    data = texture("uint16")
    band = Band("red", "uint16", 0)
    first = write_cog(data, band, geobox(*data.shape), tmp_path / "a.tif", options, TAGS)
    monkeypatch.setenv("GDAL_NUM_THREADS", "4")
    (tmp_path / "b").mkdir()
    tags = dict(reversed(TAGS.items()))
    with rasterio.Env(GDAL_NUM_THREADS="4"):
        second = write_cog(data.copy(order="F"), band, geobox(*data.shape), tmp_path / "b" / "c.tif", options, tags)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.fields == second.fields


def test_the_bytes_are_those_of_this_golden_file(tmp_path: Path) -> None:
    """GDAL's own settings do not reach the file: a small constant band has no room for anything but its tags."""
    data = np.full((64, 64), 7, np.uint8)
    with rasterio.Env(GDAL_TIFF_ENDIANNESS="BIG", COMPRESS_OVERVIEW="LZW", GDAL_TIFF_OVR_BLOCKSIZE="128"):
        inside = write_cog(data, Band("c", "uint8", None), geobox(64, 64), tmp_path / "a.tif", DEFLATE, TAGS)
    outside = write_cog(data, Band("c", "uint8", None), geobox(64, 64), tmp_path / "b.tif", DEFLATE, TAGS)
    assert inside.sha256 == outside.sha256


def test_average_overviews_leave_missing_pixels_out(tmp_path: Path) -> None:
    """An overview pixel is the mean of the valid pixels under it, nodata only where there is none."""
    data = texture("uint16", 1024, 1024)
    data[::2, ::2] = 0
    data[:4, :4] = 0
    band = Band("red", "uint16", 0, overview="average")
    file = write_cog(data, band, geobox(1024, 1024), tmp_path / "red.tif", DEFLATE, TAGS)
    with rasterio.open(file.path, overview_level=0) as source:
        found = source.read(1)
    blocks = data.reshape(512, 2, 512, 2).astype(float)
    count = (blocks > 0).sum(axis=(1, 3))
    expected = np.divide(blocks.sum(axis=(1, 3)), count, out=np.zeros((512, 512)), where=count > 0)
    assert np.array_equal(found == 0, count == 0)
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


def test_average_overviews_of_floats_leave_nan_out(tmp_path: Path) -> None:
    data = texture("float32", 1024, 1024)
    data[::2, ::2] = np.nan
    band = Band("ndvi", "float32", float("nan"))
    file = write_cog(data, band, geobox(1024, 1024), tmp_path / "ndvi.tif", DEFLATE, TAGS)
    with rasterio.open(file.path, overview_level=0) as source:
        found = source.read(1)
    expected = np.nanmean(data.reshape(512, 2, 512, 2), axis=(1, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("overview", ["nearest", "mode"])
def test_overviews_of_codes_invent_no_code(tmp_path: Path, overview: str) -> None:
    """Every overview pixel of a class band is a class that is there."""
    data = np.random.default_rng(0).choice(np.array([1, 4, 9], np.uint8), (1024, 1024))
    band = Band("scl", "uint8", 0, overview=overview)
    file = write_cog(data, band, geobox(1024, 1024), tmp_path / "scl.tif", DEFLATE, TAGS)
    with rasterio.open(file.path, overview_level=0) as source:
        assert set(np.unique(source.read(1))) <= {1, 4, 9}


@pytest.mark.parametrize(
    ("data", "band", "options", "tags", "message"),
    [
        (np.zeros((8, 9), np.uint8), Band("b", "uint8", 0), DEFLATE, TAGS, r"shape: found \(8, 9\), expected \(8, 8\)"),
        (np.zeros((8, 8), np.uint8), Band("b", "uint16", 0), DEFLATE, TAGS, "dtype: found uint8, expected uint16"),
        (np.zeros((8, 8), np.uint8), Band("b", "uint8", 300), DEFLATE, TAGS, "nodata 300 is a value of uint8"),
        (np.zeros((8, 8), np.uint8), Band("b", "uint8", 0.5), DEFLATE, TAGS, r"nodata 0\.5 is a value of uint8"),
        (np.zeros((8, 8), np.uint8), Band("b", "uint8", 0, overview="lanczos"), DEFLATE, TAGS, "overview 'lanczos'"),
        (np.zeros((8, 8), np.uint8), Band("b", "uint8", 0), DEFLATE, {"license": "x"}, "missing rights"),
        (np.zeros((8, 8), np.uint8), Band("b", "uint8", 0), CogOptions("zstd", 99), TAGS, "level: found 99"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_by_name(
    tmp_path: Path, data: Any, band: Band, options: CogOptions, tags: dict[str, str], message: str
) -> None:
    """File and band are named with what was found and expected; nothing is left on disk."""
    with pytest.raises(OutputError, match=rf"b\.tif, band b: .*{message}"):
        write_cog(data, band, geobox(8, 8), tmp_path / "b.tif", options, tags)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    """What GDAL says reaches the message, with file and band."""
    with pytest.raises(OutputError, match=r"b\.tif, band b: could not be written: .*none"):
        write_cog(
            np.zeros((8, 8), np.uint8), Band("b", "uint8", 0), geobox(8, 8), tmp_path / "none/b.tif", DEFLATE, TAGS
        )


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    """When the disk takes only half of the file, nothing is accepted and nothing is left."""
    data = np.random.default_rng(0).integers(0, 60_000, (600, 600)).astype(np.uint16)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"b\.tif, band b"):
            write_cog(data, Band("b", "uint16", None), geobox(600, 600), tmp_path / "b.tif", DEFLATE, TAGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_can_no_longer_be_read_is_named_and_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at the very end, when the digest is taken, is told like one that fails before."""

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(cog, "finished_file", fail)
    with pytest.raises(OutputError, match=r"b\.tif, band b: could not be written: .*Input/output error"):
        write_cog(np.zeros((8, 8), np.uint8), Band("b", "uint8", 0), geobox(8, 8), tmp_path / "b.tif", DEFLATE, TAGS)
    assert list(tmp_path.iterdir()) == []


def _flip_a_pixel(path: Path) -> None:
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        target.write(np.array([[9]], np.uint8), 1, window=((599, 600), (599, 600)))


def _drop_overviews(path: Path) -> None:
    with rasterio.open(path) as source:
        data, profile = source.read(), source.profile
    with rasterio.open(path, "w", **profile) as target:
        target.write(data)


def _change_tag(path: Path) -> None:
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        target.update_tags(attribution="nobody")


@pytest.mark.parametrize("damage", [_flip_a_pixel, _drop_overviews, _change_tag])
def test_a_file_that_is_not_what_was_asked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Any
) -> None:
    """A wrong pixel, a lost overview or a wrong tag is found on the finished file, which is then removed."""
    write = cog._write

    def spoiled(*arguments: Any) -> None:
        write(*arguments)
        damage(tmp_path / "b.tif")

    monkeypatch.setattr(cog, "_write", spoiled)
    data = texture("uint8", 600, 600)
    with pytest.raises(OutputError, match=r"b\.tif, band b"):
        write_cog(data, Band("b", "uint8", None), geobox(600, 600), tmp_path / "b.tif", DEFLATE, TAGS)
    assert list(tmp_path.iterdir()) == []


def test_fields_describe_the_file(tmp_path: Path) -> None:
    """The item says of a band what the file says, in STAC 1.1 words, and NaN as text."""
    data = texture("float32", 600, 700)
    band = Band(
        "ndvi", "float32", float("nan"), unit="1", description="Index", common_name="red", center_wavelength_um=1
    )
    fields = write_cog(data, band, geobox(600, 700), tmp_path / "n.tif", DEFLATE, TAGS).fields
    (described,) = fields["bands"]
    assert {name: value for name, value in described.items() if name != "statistics"} == {
        "name": "ndvi",
        "data_type": "float32",
        "nodata": "nan",
        "unit": "1",
        "description": "Index",
        "raster:scale": 1.0,
        "raster:offset": 0.0,
        "eo:common_name": "red",
        "eo:center_wavelength": 1,
    }
    assert {name: value for name, value in fields.items() if name != "bands"} == {
        "proj:code": "EPSG:32633",
        "proj:shape": [600, 700],
        "proj:transform": [10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0],
        "proj:bbox": [500_000.0, 4_994_000.0, 507_000.0, 5_000_000.0],
        "gsd": 10.0,
    }


def test_a_grid_without_a_code_is_given_as_wkt(tmp_path: Path) -> None:
    """A custom projection is written and described; degrees give no `gsd`, which is in metres."""
    crs = "+proj=aea +lat_1=-5 +lat_2=-42 +lat_0=-32 +lon_0=-60 +units=m"
    grid = GeoBox((64, 64), Affine(30, 0, 0, 0, -30, 0), crs)
    write_cog(np.ones((64, 64), np.uint8), Band("b", "uint8", 0), grid, tmp_path / "b.tif", DEFLATE, TAGS)
    fields = grid_fields(grid)
    assert fields["proj:code"] is None
    assert "Albers" in fields["proj:wkt2"]
    assert fields["gsd"] == 30.0
    assert "gsd" not in grid_fields(GeoBox((64, 64), Affine(0.1, 0, 0, 0, -0.1, 0), "EPSG:4326"))


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0.0, 0), (-9999.0, -9999), (0.5, 0.5), (float("nan"), "nan"), (float("inf"), "inf"), (float("-inf"), "-inf")],
)
def test_numbers_as_stac_spells_them(number: float, expected: float | str) -> None:
    assert json_number(number) == expected


def test_options_are_values() -> None:
    assert replace(DEFLATE, level=3) == CogOptions("deflate", 3)
