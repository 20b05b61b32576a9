"""Where the requester pays, every reader says so with every request: a proxy refuses whoever does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.config import StorageConfig
from pipeline.errors import CatalogError, PermanentAssetError
from pipeline.read import raster
from pipeline.read.access import Access
from pipeline.read.fetch import Unsupported
from pipeline.read.layer import Target, read_layer
from pipeline.search.transfer import open_library
from pipeline.types import Asset, Status
from tests.products.landsat_scenes import LandsatScenes
from tests.products.test_sentinel2 import written
from tests.servers.proxy import run_proxy
from tests.servers.weed import S3Server

pytestmark = pytest.mark.long
PAYS = ("x-amz-request-payer", "requester")
SIDE = 512
GRID = GeoBox((SIDE, SIDE), Affine(30, 0, 599_985, 0, -30, 5_000_025), "EPSG:32633")


@contextmanager
def paid(server: S3Server) -> Iterator[str]:
    """The server behind a door that lets only those pass who pay; the proxy's address."""
    with run_proxy(server.endpoint, lambda *_: None, PAYS) as address:
        yield address


def write_scene(folder: Path, kind: str) -> tuple[Path, np.ndarray[Any, Any]]:
    """A cloud-optimised GeoTIFF that the fast reader takes, or a JPEG 2000 that only GDAL reads."""
    pixels = np.random.default_rng(0).integers(1, 60_000, (SIDE, SIDE)).astype(np.uint16)
    profile: dict[str, Any] = {"count": 1, "crs": "EPSG:32633", "transform": GRID.transform, "dtype": "uint16"}
    profile |= {"width": SIDE, "height": SIDE, "nodata": 0}
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES"}
    cog = {"BLOCKSIZE": "128", "OVERVIEW_RESAMPLING": "nearest", "COMPRESS": "DEFLATE"}
    options = {"driver": "JP2OpenJPEG", **lossless} if kind == "jp2" else {"driver": "COG", **cog}
    path = folder / f"scene.{kind}"
    with rasterio.open(path, "w", **profile, **options) as target:
        target.write(pixels, 1)
    return path, pixels


def test_the_question_after_a_failure_pays_too(s3_environment: S3Server, s3_bucket: str) -> None:
    """A file that is not there is told from one that is not paid for."""
    with paid(s3_environment) as address:
        access = Access(sign="requester-pays", endpoint=address, local=False, attempts=1)
        with pytest.raises(PermanentAssetError, match="no such key"):
            read_layer(Asset("red", f"s3://{s3_bucket}/nothing.tif"), access, "scene", Target.rows_of(GRID))


@pytest.mark.parametrize(("kind", "fast"), [("tif", True), ("tif", False), ("jp2", False)])
def test_every_reader_pays(
    kind: str, fast: bool, tmp_path: Path, s3_environment: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole layers and overviews, by the reader of our own and by GDAL; without the word, refused by name."""
    path, pixels = write_scene(tmp_path, kind)
    # GDAL keeps what it has read: what is asked for without the word is another file.
    key, other_key = (f"{s3_bucket}/{word}-{kind}-{fast}.{kind}" for word in ("pays", "free"))
    for one in (key, other_key):
        s3_environment.client().pipe_file(one, path.read_bytes())
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    def other(*_: object, **__: object) -> None:
        raise Unsupported("by GDAL, for this test") if not fast else AssertionError("GDAL was not meant to read it")

    with paid(s3_environment) as address:
        free = Access(endpoint=address, local=False, attempts=1)
        with pytest.raises(PermanentAssetError, match=r"asset red: s3://.*: S3: access denied: .*sign: requester-pays"):
            read_layer(Asset("red", f"s3://{other_key}"), free, "scene", Target.rows_of(GRID))
        monkeypatch.setattr(raster, "open_gdal" if fast else "open_geotiff", other)
        asset = Asset("red", f"s3://{key}")
        access = replace(free, sign="requester-pays")
        found = read_layer(asset, access, "scene", Target.rows_of(GRID))
        np.testing.assert_array_equal(found, pixels)
        coarse = GeoBox((SIDE // 4, SIDE // 4), GRID.transform @ Affine.scale(4), GRID.crs)
        assert read_layer(asset, access, "scene", Target.rows_of(coarse)).all()


def test_a_run_pays_for_its_catalogue_and_its_scenes(
    tmp_path: Path, s3_environment: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same pixels as from a disk, from a source of which the config says `sign: requester-pays`."""
    scenes = LandsatScenes(tmp_path)
    for day in (2, 9):
        scenes.add(date(2003, 6, day))
    world = scenes.world()
    session = world.session()
    (job,) = session.plan.jobs
    expected = written(world, world.run(session, job))
    client = s3_environment.client()
    for item in scenes.items:
        for asset in item["assets"].values():
            name = Path(asset["href"]).name
            client.pipe_file(f"{s3_bucket}/usgs/{name}", Path(asset["href"]).read_bytes())
            asset["href"] = f"s3://{s3_bucket}/usgs/{name}"
    document = {"type": "FeatureCollection", "features": scenes.items}
    client.pipe_file(f"{s3_bucket}/usgs/items.json", json.dumps(document).encode())
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with paid(s3_environment) as address:
        items = f"s3://{s3_bucket}/usgs/items.json"
        source = f"sources.ls={{items: '{items}', sign: requester-pays, storage: {{endpoint: '{address}'}}}}"
        session = world.session(source, overwrite=True)
        (job,) = session.plan.jobs
        outcome = world.run(session, job)
        assert outcome.status is Status.DONE, outcome.cause
        assert not outcome.losses
        for key, pixels in written(world, outcome).items():
            np.testing.assert_array_equal(pixels, expected[key])
        with pytest.raises(CatalogError, match=r"items\.json"):
            open_library(StorageConfig(endpoint=address)).read_bytes(items)
