"""A catalogue or a file that means harm is refused by name: no foreign address is contacted, no bomb is unpacked."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

import pipeline.read.gdal
import pipeline.read.geotiff
from pipeline.errors import PermanentAssetError
from pipeline.execute.worker.task import run_job
from pipeline.read.access import Access, check_href
from pipeline.read.geotiff import GeoTiff
from pipeline.read.raster import Raster, attempt, open_raster
from pipeline.types import Asset, Status
from tests.faults._worlds import CHECKOUT, GRID, World, prepare_world, read_band, run_world, write_tif
from tests.servers.tokens import run_token_server

# The bombs have no CRS; the pipeline silences this where it reads, pytest listens again.
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

METADATA_SERVICE = (
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "https://169.254.0.1/x.tif",
    "http://169.254.169.254./x.tif",
    "http://2852039166/x.tif",
    "http://0xa9fea9fe/x.tif",
    "http://0251.0376.0251.0376/x.tif",
    "http://169.254.43518/x.tif",
    "http://%31%36%39.254.169.254/x.tif",
    "http://user:word@169.254.169.254:80/x.tif",
    "http://[fe80::1]/x.tif",
    "http://[fe80::1%25eth0]/x.tif",
    "http://[::ffff:169.254.169.254]/x.tif",
)
ELSEWHERE = (
    "/vsicurl/http://127.0.0.1:9/x.tif",
    "/vsizip//vsicurl/http://127.0.0.1:9/x.zip/x.tif",
    "http://127.0.0.1:9/x.tif?y=/vsimem/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1:9/x.tif",
    "zip+https://127.0.0.1:9/x.zip!x.tif",
    "vrt:///etc/passwd",
    "GTIFF_DIR:1:/etc/passwd",
    "NETCDF:/etc/passwd:x",
    "WMS:http://127.0.0.1:9/",
    "<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>",
    "x.tif\nHost: y",
)
OWN_SERVERS = (
    "http://127.0.0.1:9000/bucket/x.tif",
    "http://localhost/x.tif",
    "http://[::1]:8333/x.tif",
    "http://10.0.0.7/x.tif",
    "http://192.168.1.5:9000/x.tif",
    "https://sentinel-cogs.s3.us-west-2.amazonaws.com/x.tif",
    "s3://bucket/x.tif",
    "/data/x.tif",
)


class NoNetworkError(Exception):
    """Something tried to connect."""


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every attempt to reach anything: Python's sockets are cut, and curl's go to a proxy that only counts."""
    attempts: list[str] = []

    def refuse(_self: socket.socket, address: object) -> None:
        attempts.append(f"python: {address}")
        raise NoNetworkError

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.05)
        for name in ("http_proxy", "https_proxy", "GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setattr(socket.socket, "connect", refuse)
        yield attempts
        try:
            proxy.accept()[0].close()
            attempts.append("curl")
        except TimeoutError:
            pass
        monkeypatch.undo()
        assert attempts == [], "an address was contacted"


@pytest.mark.parametrize("href", [*METADATA_SERVICE, *ELSEWHERE])
def test_a_hostile_href_costs_its_asset_and_nothing_is_opened(
    tmp_path: Path, wire: list[str], monkeypatch: pytest.MonkeyPatch, href: str
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(pipeline.read.gdal, "DatasetReader", never)
    monkeypatch.setattr(pipeline.read.geotiff, "open_source", never)
    with pytest.raises(PermanentAssetError, match="href refused"):
        attempt(Asset("red", href), Access(), "item", lambda raster: raster.grid)
    assert wire == []


def test_in_a_job_a_hostile_href_is_a_named_loss(tmp_path: Path, wire: list[str]) -> None:
    world = World(tmp_path)
    for day in range(1, 5):
        world.add(f"2024-06-{day:02d}")
    for day, href in enumerate((METADATA_SERVICE[0], ELSEWHERE[0]), start=20):
        world.add(f"2024-06-{day}", {"red": href})
    outcome = run_world(world.config())
    assert outcome.status is Status.DONE
    assert [loss.href for loss in outcome.losses] == [METADATA_SERVICE[0], ELSEWHERE[0]]
    assert all(loss.cause.startswith("href refused") for loss in outcome.losses)
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2, 3))
    assert wire == []


def test_the_counting_proxy_sees_what_gdal_asks_for() -> None:
    """Control for the fixture `wire`: an allowed address does arrive there."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(5)
        code = (
            "from pipeline.read.access import *; from pipeline.read.raster import *; from pipeline.types import Asset\n"
        )
        code += "attempt(Asset('red', 'http://example.invalid/x.tif'), Access(attempts=1), '', lambda raster: None)"
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={"http_proxy": address, "PYTHONPATH": str(CHECKOUT)},
            stderr=subprocess.DEVNULL,
        )
        try:
            with proxy.accept()[0] as connection:
                assert connection.recv(100).startswith((b"HEAD http://example.invalid", b"GET http://example.invalid"))
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("href", OWN_SERVERS)
def test_a_users_own_servers_and_files_pass(href: str) -> None:
    check_href(href, Access())


@pytest.mark.parametrize("href", ["/etc/passwd", "../secret.tif", "file:///etc/passwd"])
def test_a_catalogue_from_the_network_may_not_name_local_files(tmp_path: Path, href: str) -> None:
    with run_token_server(tmp_path) as server:
        world = World(tmp_path, base=server.address)
        world.add("2024-06-01")
        world.add("2024-06-02", {"red": href})
        jobs, assignment = prepare_world(world.config())
        outcome = run_job(jobs["2024-06"], assignment, 1)
    (loss,) = outcome.losses
    assert "names a local path" in loss.cause or "scheme 'file'" in loss.cause or loss.href.startswith(server.address)
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0))


def test_a_vrt_by_the_name_of_a_tif_is_not_followed(tmp_path: Path, wire: list[str]) -> None:
    vrt = tmp_path / "scene.tif"
    vrt.write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        "<SourceFilename>/vsicurl/http://127.0.0.1:9/x.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(PermanentAssetError, match="not a TIFF or JPEG 2000"):
        attempt(Asset("red", str(vrt)), Access(), "item", lambda raster: raster.grid)
    assert wire == []


@pytest.mark.parametrize("tag", ["OVERVIEW_FILE", "MASK_FILE", "overview_file", "Overview_File"])
def test_a_tiff_that_points_to_another_file_is_refused(tmp_path: Path, wire: list[str], tag: str) -> None:
    path = write_tif(tmp_path / "scene.tif", np.ones(GRID.shape, np.uint16), GRID)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", **{tag: "/vsicurl/http://127.0.0.1:9/x.tif"})
    with pytest.raises(PermanentAssetError, match=f"its tag {tag} points to another file"):
        attempt(Asset("red", str(path)), Access(), "item", lambda raster: raster.read_coarse(16))
    assert wire == []


def bomb(path: Path, side: int, layout: str) -> Path:
    """A TIFF of zeros in one deflate strip or tile, `side` pixels a side; a hundredth of that on disk, or less."""
    rows = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = rows.compress(bytes(side)) + rows.flush(zlib.Z_FULL_FLUSH)
    adler = struct.pack(">I", ((side * side) % 65521) << 16 | 1)
    data = b"\x78\xda" + block * side + b"\x03\x00" + adler
    where = (
        [(322, side), (323, side), (324, 8), (325, len(data))]
        if layout == "tile"
        else [(273, 8), (278, side), (279, len(data))]
    )
    tags = sorted([(256, side), (257, side), (258, 8), (259, 8), (262, 1), (277, 1), *where])
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4))
    return path


@pytest.mark.parametrize("layout", ["strip", "tile"])
def test_the_bomb_is_a_real_one(tmp_path: Path, layout: str) -> None:
    with rasterio.open(bomb(tmp_path / "b.tif", 512, layout)) as dataset:
        assert dataset.read(1).shape == (512, 512) and not dataset.read(1).any()


REFUSED = {
    "strip": "cannot be read: the tile needs 2,500,000,000 bytes of it at once; at most 1,073,741,824",
    "tile": "one block decodes to 2500000000 bytes; at most 536870912",
}
MEASURE = """\
import resource, sys
from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.raster import attempt
from pipeline.types import Asset, Grid

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

side, before = slice(0, 50_000), peak()
try:
    grid = Grid("EPSG:32633", (10, 0, 600_320, 0, -10, 5_000_960), (50_000, 50_000))
    attempt(Asset("red", sys.argv[1], grid=grid), Access(), "item", lambda raster: raster.read(side, side))
except PermanentAssetError as error:
    print(peak() - before, error)
"""


@pytest.mark.parametrize("layout", ["strip", "tile"])
def test_a_decompression_bomb_is_refused_before_anything_is_allocated(tmp_path: Path, layout: str) -> None:
    path = bomb(tmp_path / "bomb.tif", 50_000, layout)
    assert path.stat().st_size < 10**7
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, timeout=60, cwd=CHECKOUT, check=True
    )
    grown_kib, _, message = done.stdout.strip().partition(" ")
    assert message == f"item item, asset red: {path}: {REFUSED[layout]}"
    assert int(grown_kib) < 64 * 1024


def test_a_window_that_no_worker_could_hold_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "scene.tif", np.ones(GRID.shape, np.uint16), GRID)

    def claim_more(raster: Raster) -> None:
        assert isinstance(raster, GeoTiff)
        replace(raster, grid=replace(raster.grid, shape=(10**6, 10**6))).read(slice(0, 10**6), slice(0, 10**6))

    with pytest.raises(PermanentAssetError, match=r"needs 2,000,000,000,000 bytes of it at once"):
        attempt(Asset("red", str(path)), Access(), "item", claim_more)
    with open_raster(Asset("red", str(path)), Access()) as raster:
        assert raster.read(slice(0, 128), slice(0, 128)).shape == (128, 128)


def test_an_enormous_sparse_file_costs_its_asset(tmp_path: Path) -> None:
    world = World(tmp_path)
    for day in range(1, 5):
        world.add(f"2024-06-{day:02d}")
    sparse = tmp_path / "sparse.tif"
    side = 200_000
    profile = {"dtype": "uint16", "width": side, "height": side, "count": 1, "tiled": True, "sparse_ok": True}
    fine = rasterio.Affine(1280 / side, 0, 600_320, 0, -1280 / side, 5_000_960)
    rasterio.open(
        sparse, "w", "GTiff", crs="EPSG:32633", transform=fine, blockxsize=512, blockysize=512, **profile
    ).close()
    world.add("2024-06-20", {"red": sparse})
    outcome = run_world(world.config())
    (loss,) = outcome.losses
    assert re.fullmatch(
        r"cannot be read: the tile needs [0-9,]{14} bytes of it at once; at most 1,073,741,824", loss.cause
    )
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2, 3))
