"""Which GDAL reads which Zarr store, as the README says: of rasterio's own GDAL and of this machine's `gdalinfo`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioIOError

from pipeline.types import Band
from pipeline.write.zarr import ZarrOptions, ZarrTile
from pipeline.write.zarr_attributes import Extent

READS: dict[str, tuple[bool, bool]] = {"3.6": (False, False), "3.10": (False, False), "3.12": (True, False)}
"""By version, whether it reads a store (of one object a chunk, of shards); 3.6 is Debian 12's, 3.10 rasterio 1.4's."""

GRID = GeoBox((130, 200), Affine(10, 0, 600_000, 0, -10, 9_300_000), "EPSG:32733")
DATA = np.random.default_rng(0).integers(0, 9000, GRID.shape).astype(np.uint16)


@pytest.fixture(params=[False, True], ids=["one object a chunk", "sharded"])
def band(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, bool]:
    """The name by which GDAL opens a band, and whether it is sharded."""
    tile = ZarrTile(Extent(GRID), tmp_path / "tile.zarr", ZarrOptions(chunk_px=64, sharded=request.param), {
        "license": "CC-BY-4.0", "attribution": "somebody"
    })  # fmt: skip
    tile.add(DATA, Band("red", "uint16", 0, 1e-4))
    return f'ZARR:"{tile.finish()[0].path}":/red', request.param


def known(version: str, *, sharded: bool) -> bool:
    """What is claimed of a GDAL; skips where nothing is."""
    short = ".".join(version.split(".")[:2])
    if short not in READS:
        pytest.skip(f"nothing is claimed of GDAL {short}; add what it does to READS and to the README")
    return READS[short][sharded]


def test_rasterio(band: tuple[str, bool]) -> None:
    name, sharded = band
    if not known(rasterio.__gdal_version__, sharded=sharded):
        with pytest.raises(RasterioIOError):
            rasterio.open(name)
        return
    with rasterio.open(name) as source:
        np.testing.assert_array_equal(source.read(1), DATA)
        assert (source.crs.to_epsg(), source.transform, source.nodata) == (32733, GRID.transform, 0)


def test_gdalinfo(band: tuple[str, bool], need_binary: Callable[[str], str]) -> None:
    name, sharded = band
    gdalinfo = need_binary("gdalinfo")
    version = subprocess.run([gdalinfo, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    reads = known(version.split()[1], sharded=sharded)
    done = subprocess.run([gdalinfo, "-json", "-stats", name], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) == reads, done.stderr
    if reads:
        found = json.loads(done.stdout)
        assert found["size"] == [200, 130]
        assert found["bands"][0]["maximum"] == DATA.max()
