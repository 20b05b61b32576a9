"""Inputs on S3 read as files do, with the source's own endpoint; what is not there is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.demo import build_world
from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.types import Asset
from tests.servers.weed import S3Server

pytestmark = pytest.mark.long
TARGET = Target.rows_of(GeoBox((256, 256), Affine(10, 0, 735_280, 0, -10, 4_975_360), "EPSG:32632"))
SCENE = "s2/S2B_32TQQ_20240601_0_L2A/red.tif"


def test_a_source_on_s3(tmp_path: Path, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    build_world(tmp_path / "world", px=256)
    bucket = s3_environment.make_bucket("scenes")
    s3_environment.client().pipe_file(f"{bucket}/{SCENE}", (tmp_path / "world" / SCENE).read_bytes())
    # Only the source's own settings may say where the bucket is.
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    access = Access(endpoint=s3_environment.endpoint, local=False, attempts=1)
    found = read_layer(Asset("red", f"s3://{bucket}/{SCENE}"), access, "scene", TARGET)
    expected = read_layer(Asset("red", str(tmp_path / "world" / SCENE)), Access(), "scene", TARGET)
    np.testing.assert_array_equal(found, expected)
    assert found.any()
    with pytest.raises(PermanentAssetError, match=r"item scene, asset red: s3://scenes/nothing\.tif: S3: no such key"):
        read_layer(Asset("red", f"s3://{bucket}/nothing.tif"), access, "scene", TARGET)
    s3_environment.client().pipe_file(f"{bucket}/page.tif", b"<!DOCTYPE html>")
    with pytest.raises(PermanentAssetError, match=r"not a TIFF or JPEG 2000 \(starts with '<!DO'\)"):
        read_layer(Asset("red", f"s3://{bucket}/page.tif"), access, "scene", TARGET)
