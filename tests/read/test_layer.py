"""Laws of one layer: nearest source pixels as uint16, parts that fit seamlessly, and dtypes refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.layer import Target, fitting, read_floats, read_layer, read_window
from pipeline.read.raster import attempt
from pipeline.types import Asset, Grid
from tests.read.scenes import raw_scenes

CORNER = Affine(10, 0, 500_000, 0, -10, 5_000_000)
GEOBOX = GeoBox((60, 50), CORNER, "EPSG:32633")


def write(path: Path, data: NDArray[Any], transform: Affine = CORNER, **profile: Any) -> Asset:
    """A small GeoTIFF; (y, x) or (band, y, x)."""
    bands = data if data.ndim == 3 else data[None]
    options = {"crs": "EPSG:32633", "tiled": True, "blockxsize": 16, "blockysize": 16, **profile}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=bands.shape[0],
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        transform=transform,
        **options,
    ) as sink:
        sink.write(bands)
    return Asset("red", str(path))


def numbers(dtype: str = "uint16") -> NDArray[Any]:
    return (np.arange(60 * 50).reshape(60, 50) * 7 % 60_000).astype(dtype)


def layer(asset: Asset, geobox: GeoBox = GEOBOX) -> NDArray[np.uint16]:
    return read_layer(asset, Access(), "scene", Target.rows_of(geobox))


def test_on_its_own_grid_a_layer_is_the_file(tmp_path: Path) -> None:
    found = layer(write(tmp_path / "a.tif", numbers()))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, numbers())


@pytest.mark.parametrize(
    ("dtype", "nodata", "values", "expected"),
    [
        ("uint16", 0, [0, 1, 65535], [0, 1, 65535]),
        ("uint16", 65535, [0, 1, 65535], [0, 1, 0]),
        ("uint16", None, [0, 1, 65535], [0, 1, 65535]),
        ("uint8", 255, [0, 1, 255], [0, 1, 0]),
        ("int16", -32768, [-32768, -5, 32767], [0, 0, 32767]),
        ("int16", -9999, [-9999, -1, 3], [0, 0, 3]),
        ("uint32", 0, [0, 5, 65535], [0, 5, 65535]),
        ("int32", -1, [-1, 5, 65535], [0, 5, 65535]),
    ],
)
def test_nodata_becomes_zero_in_every_integer_type(
    tmp_path: Path, dtype: str, nodata: int | None, values: list[int], expected: list[int]
) -> None:
    asset = write(tmp_path / "a.tif", np.tile(np.array(values, dtype), (16, 8)), nodata=nodata)
    found = layer(asset, GeoBox((1, 3), CORNER, "EPSG:32633"))
    assert found.tolist() == [expected]


def test_the_catalogues_nodata_counts_where_the_file_has_none(tmp_path: Path) -> None:
    bare = write(tmp_path / "a.tif", np.full((16, 16), 7, np.uint16))
    tagged = write(tmp_path / "b.tif", np.full((16, 16), 7, np.uint16), nodata=3)
    geobox = GeoBox((4, 4), CORNER, "EPSG:32633")
    assert (layer(Asset("red", bare.href, nodata=7.0), geobox) == 0).all()
    assert (layer(Asset("red", tagged.href, nodata=7.0), geobox) == 7).all()


@pytest.mark.parametrize(("dtype", "value"), [("float32", 1), ("float64", 1), ("uint32", 65536), ("int32", 70_000)])
def test_what_uint16_cannot_hold_is_refused_by_name(tmp_path: Path, dtype: str, value: int) -> None:
    asset = write(tmp_path / "a.tif", np.full((16, 16), value, dtype))
    with pytest.raises(PermanentAssetError, match=rf"item scene, asset red: .*a\.tif: pixels are {dtype}; expected"):
        layer(asset, GeoBox((4, 4), CORNER, "EPSG:32633"))


def test_a_band_inside_a_file_is_read_by_its_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.stack([numbers(), numbers() + 1, numbers() + 2])).href
    for band in (1, 2, 3):
        np.testing.assert_array_equal(layer(Asset("red", path, band=band)), numbers() + band - 1)
    with pytest.raises(PermanentAssetError, match="band 4 asked for; the file has 3"):
        layer(Asset("red", path, band=4))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_parts_of_a_layer_fit_seamlessly(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any rows and columns of a target, aligned or in another zone: the same pixels as cut from the whole."""
    folder = tmp_path_factory.mktemp("parts")
    zone, corner = data.draw(
        st.sampled_from([("EPSG:32633", (499_900, 5_000_050)), ("EPSG:32632", (972_000, 5_017_000))])
    )
    asset = write(folder / "a.tif", np.tile(numbers(), (8, 8)))
    geobox = GeoBox((150, 130), Affine(10, 0, corner[0], 0, -10, corner[1]), zone)
    whole = layer(asset, geobox)
    assert whole.any()
    rows, cols = (sorted(data.draw(st.tuples(st.integers(0, side - 1), st.integers(1, side)))) for side in (150, 130))
    part = Target(geobox, (rows[0], max(rows[1], rows[0] + 1)), (cols[0], max(cols[1], cols[0] + 1)))
    found = read_layer(asset, Access(), "scene", part)
    assert found.shape == part.shape
    np.testing.assert_array_equal(found, whole[part.rows[0] : part.rows[1], part.cols[0] : part.cols[1]])


def test_a_raster_beside_the_tile_gives_nothing(tmp_path: Path) -> None:
    asset = write(tmp_path / "a.tif", numbers())
    far = Target.rows_of(GeoBox((20, 20), Affine(10, 0, 700_000, 0, -10, 5_000_000), "EPSG:32633"))
    assert read_window(asset, Access(), "scene", far) is None
    assert not read_layer(asset, Access(), "scene", far).any()


def test_a_window_grows_by_its_pad_and_stays_inside_the_file(tmp_path: Path) -> None:
    asset = write(tmp_path / "a.tif", numbers())
    target = Target.rows_of(GeoBox((10, 10), Affine(10, 0, 500_020, 0, -10, 4_999_700), "EPSG:32633"))
    found = read_window(asset, Access(), "scene", target, pad=5)
    assert found is not None
    assert found.corner == (25, 0)
    np.testing.assert_array_equal(found.data, numbers()[25:45, 0:17])


def test_the_files_own_grid_wins_over_the_declared_one(tmp_path: Path) -> None:
    """A wrong proj:transform moves no pixel; the note says what was declared and what was found."""
    path = write(tmp_path / "a.tif", numbers()).href
    wrong = Asset("red", path, grid=Grid("EPSG:32633", (20, 0, 400_000, 0, -20, 5_000_000), (30, 25)))
    np.testing.assert_array_equal(layer(wrong), numbers())
    found = read_window(wrong, Access(), "scene", Target.rows_of(GEOBOX))
    assert found is not None and found.note is not None
    assert "declares EPSG:32633 (30, 25) at 20, the file has EPSG:32633 (60, 50) at 10" in found.note
    right = Asset("red", path, grid=Grid("EPSG:32633", (10, 0, 500_000, 0, -10, 5_000_000), (60, 50)))
    found = read_window(right, Access(), "scene", Target.rows_of(GEOBOX))
    assert found is not None and found.note is None


def test_a_file_that_lies_elsewhere_than_its_item_says_is_named(tmp_path: Path) -> None:
    """By the catalogue it covers the tile, by its header it does not: no quiet hole."""
    path = write(tmp_path / "a.tif", numbers(), Affine(10, 0, 700_000, 0, -10, 5_000_000)).href
    declared = Asset("red", path, grid=Grid("EPSG:32633", (10, 0, 500_000, 0, -10, 5_000_000), (60, 50)))
    with pytest.raises(PermanentAssetError, match=r"item scene, asset red: .*a\.tif: not on the tile: .* the file has"):
        layer(declared)


def test_a_real_item_that_declares_ten_metres_reads_its_own_grid(shared_data: Path) -> None:
    """Decimated scenes whose items still say proj:shape 10980: every pixel where the JPEG 2000 sidecar puts it."""
    folder = next((shared_data / "raster/s2/e84v1_33TWL").glob("*20230815*"))
    declared = Grid("EPSG:32633", (10, 0, 499_980, 0, -10, 5_100_000), (10_980, 10_980))
    geobox = GeoBox((200, 300), Affine(120, 0, 499_980 + 120 * 50, 0, -120, 5_100_000 - 120 * 70), "EPSG:32633")
    found = layer(Asset("red", str(folder / "B04.tif"), grid=declared), geobox)
    with rasterio.open(folder / "B04.tif") as source:
        np.testing.assert_array_equal(found, source.read(1)[70:270, 50:350])


def test_real_bands_of_one_file(shared_data: Path) -> None:
    path = shared_data / "raster/s2/openeo_10m_3dates/openEO_2023-06-01Z.tif"
    with rasterio.open(path) as source:
        geobox, data = GeoBox(source.shape, source.transform, source.crs), source.read()
    for band in (1, 2, 3):
        expected = np.where(data[band - 1] == -32768, 0, data[band - 1])
        np.testing.assert_array_equal(layer(Asset("x", str(path), band=band), geobox), expected)


def test_scenes_have_the_grid_this_folder_assumes(shared_data: Path) -> None:
    """What `scenes.py` says of the files, by rasterio."""
    for raw in raw_scenes(shared_data):
        with rasterio.open(raw["assets"]["red"]["href"]) as source:
            assert tuple(source.transform[:6]) == (120, 0, 523_980, 0, -120, 5_076_000)
            assert (source.shape, str(source.crs)) == ((480, 480), "EPSG:32633")


@pytest.mark.parametrize(("crs", "x"), [("EPSG:32633", 905_000), ("EPSG:32634", 437_000)])
def test_a_coarse_tile_takes_the_same_level_on_both_sides_of_a_zone_edge(tmp_path: Path, crs: str, x: float) -> None:
    """A pixel of 20 m is a little less than two of 10 m there, and a little more here."""
    asset = write(tmp_path / "a.tif", numbers(), Affine(10, 0, 905_000, 0, -10, 5_000_000), nodata=0)
    with rasterio.open(asset.href, "r+") as file:
        file.build_overviews([2, 4])
    tile = GeoBox((30, 25), Affine(20, 0, x, 0, -20, 5_000_000), crs)
    assert attempt(asset, Access(), "scene", lambda raster: fitting(raster, tile).grid.shape) == (30, 25)
    as_fine = GeoBox((60, 50), Affine(10, 0, x, 0, -10, 5_000_000), crs)
    assert attempt(asset, Access(), "scene", lambda raster: fitting(raster, as_fine).grid.shape) == (60, 50)


@pytest.mark.parametrize("compress", ["deflate", "lerc"], ids=["fast", "gdal"])
@pytest.mark.parametrize("nodata", [0, None])
def test_zeros_outside_of_a_swath_are_not_mixed_into_its_edge(
    tmp_path: Path, nodata: int | None, compress: str
) -> None:
    """Whoever made the overviews of a file without nodata took its zeros for numbers."""
    data = np.full((60, 50), 4000, np.uint16)
    data[np.arange(60)[:, None] % 3 + np.arange(50) < 25] = 0
    asset = replace(write(tmp_path / "a.tif", data, nodata=nodata, compress=compress), nodata=0)
    with rasterio.open(asset.href, "r+") as file:
        file.build_overviews([2], rasterio.enums.Resampling.average)
    found = layer(asset, GeoBox((30, 25), Affine(20, 0, 500_000, 0, -20, 5_000_000), "EPSG:32633"))
    assert set(np.unique(found)) == {0, 4000}


@pytest.mark.parametrize(
    ("dtype", "nodata", "gone"),
    [("uint8", -9999.0, 0), ("int16", -9999.5, 0), ("int16", -9999.0, 1), ("float32", -3.4028234663852886e38, 1)],
)
def test_a_nodata_that_no_pixel_can_be_is_none(tmp_path: Path, dtype: str, nodata: float, gone: int) -> None:
    """What a catalogue declares may not fit the file; it then means no pixel, and no other number either."""
    data = numbers(dtype)
    if gone or dtype == "int16":
        data[3, 4] = int(nodata) if dtype == "int16" else nodata
    asset = replace(write(tmp_path / "a.tif", data), nodata=nodata)
    found = read_floats(asset, Access(), "scene", Target.rows_of(GEOBOX), "nearest")
    assert np.isnan(found).sum() == gone
    kept = ~np.isnan(found)
    assert (found[kept] == data[kept].astype(np.float32)).all()
