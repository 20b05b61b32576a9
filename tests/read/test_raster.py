"""Every real raster is read by one of the two readers as rasterio reads it, and what neither can read is named."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioError

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.read import codecs, geotiff
from pipeline.read.access import Access
from pipeline.read.fetch import ByteSource, open_source
from pipeline.read.gdal import GdalRaster
from pipeline.read.geotiff import GeoTiff
from pipeline.read.raster import Raster, attempt, open_raster
from pipeline.types import Asset, Grid
from tests.read.tiffs import Truth, coarse, equal, noise, write
from tests.servers.faulty import Answer, always, run_faulty

# Files without a CRS are among them; the pipeline silences this where it reads, pytest listens again.
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

ACCESS = Access()
FAST = ("landsat/", "s2/e84v1_33TWL_cog/", "s2/icor_10m/", "s2/openeo_10m_3dates/", "s1/rtc_pyrosar/", "dem/Copernicus")
"""Where scenes as they are published lie: the fast reader takes all of them."""


def rasters(shared_data: Path) -> dict[str, Path]:
    folder = shared_data / "raster"
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".tif", ".tiff", ".jp2"})
    return {path.relative_to(folder).as_posix(): path for path in found}


def asset_of(path: Path, band: int) -> Asset:
    """As a catalogue has it: with a grid, which counts where the file has none."""
    with rasterio.open(path) as dataset:
        return Asset("x", str(path), band, Grid("EPSG:32633", tuple(dataset.transform[:6]), dataset.shape))


def check(raster: Raster, path: Path, band: int) -> None:
    truth = Truth.of(path, band)
    rows, cols = truth.pixels.shape
    if truth.crs is not None:
        assert (raster.grid.crs, raster.grid.transform) == (truth.crs, truth.transform)
    assert raster.grid.shape == (rows, cols)
    assert repr(raster.nodata) == repr(truth.nodata)
    assert equal(raster.read(slice(0, rows), slice(0, cols)), truth.pixels)
    rng = np.random.default_rng(len(path.name))
    fast = isinstance(raster, GeoTiff)  # the other reader is rasterio itself, and slow over JPEG 2000
    for _ in range(4 if fast else 1):
        (top, bottom), (left, right) = (
            sorted(rng.choice(side + 1, 2, replace=False).tolist()) for side in (rows, cols)
        )
        assert equal(raster.read(slice(top, bottom), slice(left, right)), truth.pixels[top:bottom, left:right])
    for max_px in (2000, 512, 100, 33) if fast else (100,):
        assert equal(raster.read_coarse(max_px), coarse(path, max_px, band)), max_px
    for transform, pixels in truth.overviews:
        level = raster.overview(max(rows / pixels.shape[0], cols / pixels.shape[1]))
        assert truth.crs is None or level.grid.transform == pytest.approx(transform, rel=1e-12)
        assert equal(level.read(slice(0, pixels.shape[0]), slice(0, pixels.shape[1])), pixels)


@pytest.mark.parametrize(("driver", "number"), [("GTiff", 40), pytest.param("JP2OpenJPEG", 16, marks=pytest.mark.long)])
def test_every_real_raster_is_read_as_rasterio_reads_it(
    shared_data: Path, caplog: pytest.LogCaptureFixture, driver: str, number: int
) -> None:
    caplog.set_level(logging.DEBUG, "pipeline.read.raster")
    readers: dict[str, type] = {}
    for name, path in rasters(shared_data).items():
        try:
            with rasterio.open(path, driver=driver) as dataset:
                dataset.read()
                count, ground_control = dataset.count, bool(dataset.gcps[0])
        except RasterioError:
            continue  # the next test
        if ground_control or name.endswith("truncated_half.jp2"):
            continue
        for band in range(1, count + 1):
            caplog.clear()
            with open_raster(asset_of(path, band), ACCESS) as raster:
                readers[name] = type(raster)
                check(raster, path, band)
            said = [record.message for record in caplog.records]
            assert said == [] if readers[name] is GeoTiff else f"{path}: read by GDAL: " in said[0]
    assert len(readers) >= number
    fast = {name for name, reader in readers.items() if reader is GeoTiff}
    assert {name for name in readers if name.startswith(FAST)} <= fast


def test_every_real_file_that_rasterio_cannot_read_is_named(shared_data: Path) -> None:
    unread = []
    for name, path in rasters(shared_data).items():
        try:
            with rasterio.open(path, driver="GTiff") as dataset:
                dataset.read()
        except RasterioError:
            if ".jp2" in name or name.startswith("s2/"):
                continue
            unread.append(name)
            asset = Asset("x", str(path), grid=Grid("EPSG:32633", (10, 0, 0, 0, -10, 0), (549, 549)))
            with pytest.raises(PermanentAssetError, match=f"^item i, asset x: {re.escape(str(path))}: ") as caught:
                attempt(asset, ACCESS, "i", lambda raster: raster.read(*(slice(0, side) for side in raster.grid.shape)))
            assert len(caught.value.cause) > 10, name
    assert len(unread) >= 7


def test_what_turns_out_to_be_gdals_business_after_the_file_was_opened_is_given_to_it(
    shared_data: Path, tmp_path: Path
) -> None:
    """A second image that is no overview: pixels are read fast, coarse ones and overviews by GDAL."""
    path = tmp_path / "x.tif"
    path.write_bytes((shared_data / "raster/s2/icor_10m/ref_input_S2_B04.tif").read_bytes())
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2], rasterio.enums.Resampling.nearest)
    data = bytearray(path.read_bytes())
    marker = (
        (254).to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + (1).to_bytes(4, "little")
    )
    assert data.count(marker) == 1
    data[data.index(marker) + 8] = 0
    path.write_bytes(data)
    with open_raster(Asset("x", str(path)), ACCESS) as raster:
        assert isinstance(raster, GeoTiff)
        check(raster, path, 1)
        assert isinstance(raster.overview(4), GdalRaster)


def test_a_remote_file_that_is_gdals_is_asked_for_by_the_fast_reader_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def count(href: str, access: Access, newer_than: float) -> AbstractContextManager[ByteSource]:
        asked.append(href)
        return open_source(href, access, newer_than)

    monkeypatch.setattr(geotiff, "open_source", count)
    pixels = noise((40, 50), "uint16")
    whole = write(tmp_path / "jpeg.tif", pixels.astype("uint8"), compress="jpeg"), write(tmp_path / "plain.tif", pixels)
    with run_faulty({f"/{path.name}": path.read_bytes() for path in whole}) as server:
        for path, times, reader in zip(whole, (1, 3), (GdalRaster, GeoTiff), strict=True):
            href = f"{server.address}/{path.name}"
            for _ in range(3):
                with open_raster(Asset("x", href), Access(local=False)) as raster:
                    assert isinstance(raster, reader)
                    assert equal(raster.read(slice(0, 40), slice(0, 50)), Truth.of(path).pixels)
            assert asked.count(href) == times


@pytest.mark.parametrize("missing", ["imagecodecs", "obstore.store"])
def test_where_a_library_is_missing_gdal_reads_and_the_log_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    path = write(tmp_path / "x.tif", noise((40, 50), "uint16"), compress="lzw")
    codecs._decoder.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    caplog.set_level("DEBUG", "pipeline.read.raster")
    with run_faulty({"/x.tif": path.read_bytes()}) as server:
        asset = Asset("x", f"{server.address}/x.tif")
        kind, found = attempt(
            asset, Access(local=False), "i", lambda raster: (type(raster), raster.read(slice(0, 40), slice(0, 50)))
        )
    assert kind is GdalRaster and equal(found, Truth.of(path).pixels)
    assert f"{asset.href}: read by GDAL: {missing.partition('.')[0]} cannot be imported" in caplog.text


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a disk: it passes, so it is no damage."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    path, uses = write(tmp_path / "x.tif", noise((40, 50), "uint16")), []

    def use(raster: Raster) -> Any:
        uses.append(raster)
        if len(uses) == 1:
            os.utime(path, ns=(1, 1))
        return raster.read(slice(0, 40), slice(0, 50))

    assert equal(attempt(Asset("x", str(path)), ACCESS, "i", use), Truth.of(path).pixels)
    assert [type(raster) for raster in uses] == [GeoTiff, GeoTiff]


def test_the_log_has_no_signature_of_an_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A catalogue may list addresses that are signed already."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    caplog.set_level("DEBUG", "pipeline")
    with run_faulty({}, always(Answer(403))) as server, pytest.raises(AssetError):
        attempt(Asset("x", f"{server.address}/x.tif?sig=secret"), Access(local=False), "i", lambda raster: raster.grid)
    with run_faulty({}, always(Answer(503))) as server, pytest.raises(AssetError):
        attempt(Asset("x", f"{server.address}/x.tif?sig=secret"), Access(local=False), "i", lambda raster: raster.grid)
    assert "read by GDAL" in caplog.text and "attempt 1 of 4" in caplog.text
    assert "secret" not in caplog.text


class Twins(dict[str, bytes]):
    """What servers without a common clock or disk say: every other answer comes with another ETag."""

    turn = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.turn += 1
        content = super().get(key, default)
        return content and content + bytes([self.turn % 2])


def test_servers_that_do_not_agree_on_a_version_are_left_to_gdal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    path = write(tmp_path / "x.tif", noise((300, 300), "uint16"), compress="deflate")
    with run_faulty(Twins({"/x.tif": path.read_bytes()}), etags=True) as server:
        asset = Asset("x", f"{server.address}/x.tif")
        kind, found = attempt(
            asset, Access(local=False), "i", lambda raster: (type(raster), raster.read(slice(0, 300), slice(0, 300)))
        )
    assert kind is GdalRaster and equal(found, Truth.of(path).pixels)
