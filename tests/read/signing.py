"""A small scene, and how it is read, for tests of signing."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.read import access
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.types import Asset

GEOBOX = GeoBox((64, 64), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")


def geotiff() -> bytes:
    """A GeoTIFF of the numbers from 1."""
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=64, height=64, count=1, dtype="uint16", crs="EPSG:32633", transform=GEOBOX.transform
        ) as target:
            target.write(np.arange(1, 4097, dtype=np.uint16).reshape(64, 64), 1)
        return bytes(memory.read())


def read(href: str, way: Access) -> np.ndarray:
    return np.asarray(read_layer(Asset("red", href), way, "scene-1", Target.rows_of(GEOBOX)))


def is_scene(pixels: np.ndarray) -> bool:
    return bool((pixels == np.arange(1, 4097).reshape(64, 64)).all())


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials of this machine, and no pause between attempts."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("pipeline.read.raster.time.sleep", lambda _seconds: None)
    access._profile.cache_clear()
