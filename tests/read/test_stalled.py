"""A server that goes silent, or gives a byte now and then, holds nobody for longer than the time-out, whoever reads."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import TransientAssetError
from pipeline.read.access import Access
from pipeline.read.gdal import GdalRaster
from pipeline.read.geotiff import GeoTiff
from pipeline.read.raster import Raster, attempt
from pipeline.types import Asset
from tests.faults._worlds import GRID, write_tif
from tests.servers.faulty import Answer, Request, Rule, run_faulty, truly

TIMEOUT_S = 1.0
LONGEST_S = 15.0
"""Of one attempt, on a busy machine: opening, reading, and asking the server what is wrong."""
FILES = {"ours": ("none", GeoTiff), "GDAL's": ("lerc", GdalRaster)}
BAD_DAYS = {"silent": Answer(delay_s=30), "a trickle": Answer(trickle_s=0.05)}


def later(answer: Answer) -> Rule:
    """From the second request for the file on: its head is whole."""

    def rule(_: Request, earlier: int) -> Answer | None:
        return answer if earlier else None

    return rule


@pytest.mark.long
@pytest.mark.parametrize("day", BAD_DAYS)
@pytest.mark.parametrize("reader", FILES)
def test_a_stalled_read_ends_with_its_time_out_and_is_worth_another(tmp_path: Path, reader: str, day: str) -> None:
    compress, kind = FILES[reader]
    pixels = np.random.default_rng(0).integers(1, 60_000, (512, 512)).astype(np.uint16)
    content = write_tif(tmp_path / "red.tif", pixels, GRID, compress=compress).read_bytes()

    def read(raster: Raster) -> type:
        raster.read(slice(0, 512), slice(0, 512))
        return type(raster)

    with run_faulty({"/red.tif": content}, truly) as server:
        asset = Asset("red", f"{server.address}/red.tif")
        assert attempt(asset, Access(local=False), "scene", read) is kind
    with run_faulty({"/red.tif": content}, later(BAD_DAYS[day])) as server:
        asset, began = Asset("red", f"{server.address}/red.tif"), time.monotonic()
        with pytest.raises(TransientAssetError, match=r"item scene, asset red: http://.*red\.tif: "):
            attempt(asset, Access(local=False, timeout_s=TIMEOUT_S, attempts=1), "scene", read)
        assert time.monotonic() - began < LONGEST_S
