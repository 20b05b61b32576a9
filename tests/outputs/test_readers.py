"""What is committed opens in the programs people use, from a folder and from a real S3 server alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
import stackstac

from pipeline.demo import build_world
from pipeline.types import Status
from pipeline.write.store import Store
from tests.plain_xarray import fingerprint, read_zarr
from tests.schemas.validate import stac_errors
from tests.servers.weed import S3Server
from tests.worlds import SmallWorld, small_world

pytestmark = pytest.mark.long

BOTH = "write={cog: {}, zarr: {}}"


@dataclass(frozen=True)
class Output:
    """A committed output: where it is, and how a reader's environment must look."""

    uri: str
    store: Store
    environment: dict[str, str]

    def items(self) -> list[pystac.Item]:
        """Every committed item, with absolute hrefs."""
        found = []
        for key, _ in sorted(self.store.list_objects("items/")):
            item = pystac.Item.from_dict(json.loads(self.store.get_bytes(key)))
            item.set_self_href(f"{self.uri}/{key}")
            item.make_asset_hrefs_absolute()
            found.append(item)
        return found


@pytest.fixture(scope="module", params=["s3", pytest.param("folder", marks=pytest.mark.full)])
def output(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Output]:
    """The small world's tiles in both stores, with 1024 pixels, so that overviews are needed, in a folder or on S3."""
    folder = tmp_path_factory.mktemp(request.param)
    build_world(folder / "world", px=256)
    world: SmallWorld = small_world(folder / "world", folder)
    sets = ["grid.tile_px=1024", "period.end=2024-07-01", BOTH]
    uri, environment = str(world.output), {}
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "s3":
            server: S3Server = request.getfixturevalue("s3_server")
            uri = f"s3://{server.make_bucket('readers')}/small"
            address = urlsplit(server.endpoint).netloc
            gdal = {"AWS_S3_ENDPOINT": address, "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
            environment = {**server.environment, **gdal}
            sets += [f"output={uri}", f"storage.endpoint={server.endpoint}"]
        for name, value in environment.items():
            patch.setenv(name, value)
        session = world.session(*sets)
        for job in session.plan.jobs:
            outcome = world.run(session, job)
            assert outcome.status is Status.DONE, outcome.cause
        yield Output(uri, session.prepared.store, environment)


def address(href: str) -> str:
    """How GDAL's own tools name an asset."""
    return href.replace("s3://", "/vsis3/")


def test_items_are_valid(output: Output) -> None:
    for key, _ in output.store.list_objects("items/"):
        item = json.loads(output.store.get_bytes(key))
        assert stac_errors(item) == []
        item["assets"]["red"]["proj:shape"] = ["1024", 1024]
        assert any("proj:shape" in fault for fault in stac_errors(item)), "a wrong shape is refused"


def test_independent_checker_finds_no_fault(output: Output, shared_data: Path) -> None:
    check(output.uri, shared_data, output.environment)


def test_independent_checker_finds_no_fault_without_cog(tmp_path: Path, shared_data: Path) -> None:
    """Zarr alone is a whole output, too."""
    build_world(tmp_path / "world", px=128)
    world = small_world(tmp_path / "world", tmp_path)
    session = world.session("period.end=2024-07-01", "write={zarr: {}}")
    for job in session.plan.jobs:
        assert world.run(session, job).status is Status.DONE
    check(str(world.output), shared_data, {})
    assert not list(world.output.rglob("*.tif"))
    assert list(world.output.rglob("*.zarr"))


def check(uri: str, shared_data: Path, environment: dict[str, str]) -> None:
    script = shared_data.parent / "tools" / "check_output.py"
    done = subprocess.run(
        [sys.executable, str(script), uri],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 faults, 0 left-over data files" in done.stdout


def test_xarray_opens_the_numbers_that_rasterio_opens(output: Output) -> None:
    """Every band of every item, stored numbers, to the bit; and the period the item is of."""
    for item in output.items():
        found = read_zarr(item.assets["zarr"].href, output.environment)
        cogs = {key: asset for key, asset in item.assets.items() if asset.media_type == pystac.MediaType.COG}
        assert found.keys() == cogs.keys() | {"x", "y", "spatial_ref", "time", "time_bnds"}
        for key, asset in cogs.items():
            with rasterio.open(asset.href) as source:
                assert found[key] == fingerprint(source.read(1))
        start = item.common_metadata.start_datetime
        assert start
        assert found["time"] == fingerprint(np.array(start.replace(tzinfo=None), "datetime64[ns]"))


def test_rio_cogeo_validates_strictly(output: Output) -> None:
    rio = Path(sys.executable).with_name("rio")
    for item in output.items():
        for asset in (asset for asset in item.assets.values() if asset.media_type == pystac.MediaType.COG):
            command = [str(rio), "cogeo", "validate", "--strict", address(asset.href)]
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env={**os.environ, **output.environment},
            )
            assert "is a valid cloud optimized GeoTIFF" in done.stdout, done.stdout + done.stderr


@pytest.mark.long
def test_gdalinfo_reads_numbers_and_rights(output: Output, need_binary: Callable[[str], str]) -> None:
    gdalinfo = need_binary("gdalinfo")
    item = output.items()[0]
    done = subprocess.run(
        [gdalinfo, "-json", address(item.assets["red"].href)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, **output.environment},
    )
    found = json.loads(done.stdout)
    band = found["bands"][0]
    assert (band["type"], band["noDataValue"], band["scale"], band.get("offset", 0)) == ("UInt16", 0, 1e-4, 0)
    assert band["block"] == [512, 512]
    assert band["overviews"]
    assert "contains no Copernicus data" in json.dumps(found["metadata"])


def test_odc_stac_and_stackstac_open_the_pixels(output: Output) -> None:
    item = output.items()[0]
    with rasterio.open(item.assets["red"].href) as source:
        expected, bounds = source.read(1), tuple(source.bounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of these libraries' own use of shapely, pandas and affine
        cube = odc.stac.load([item], bands=["red", "ndvi"])
        np.testing.assert_array_equal(cube["red"].values[0], expected)
        assert cube["red"].dtype == np.uint16
        assert cube["red"].attrs["nodata"] == 0
        options: dict[str, Any] = {"dtype": "uint16", "fill_value": np.uint16(0), "rescale": False}
        epsg = int(item.properties.get("proj:code", item.assets["red"].to_dict()["proj:code"]).split(":")[1])
        stacked = stackstac.stack([item], assets=["red"], epsg=epsg, resolution=10, bounds=bounds, **options)
        np.testing.assert_array_equal(stacked.values[0, 0], expected)
