"""A small finished job: one UTM tile, three bands of synthetic numbers in both stores, inputs and rights."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.types import (
    AssetLoss,
    Band,
    Item,
    Job,
    Made,
    MemoryPlan,
    Period,
    Rights,
    Tile,
)
from pipeline.write.cog import CogOptions, rights_tags
from pipeline.write.files import write_json_file
from pipeline.write.thumbnail import write_thumbnail
from pipeline.write.tile import TileWriter, WriteOptions, writing
from pipeline.write.zarr import ZarrOptions
from pipeline.write.zarr_attributes import Extent

RED = Band("red", "uint16", 0, 1e-4, -0.1, "1", "Surface reflectance", "red", 0.665)
NDVI = Band("ndvi", "float32", float("nan"), unit="1", description="Vegetation index")
COUNT = Band("count", "uint8", None, unit="1", description="Valid observations", overview="nearest", role="metadata")
RIGHTS = Rights(
    "other",
    "Contains modified Copernicus Sentinel data 2024",
    "https://example.com/licence.pdf",
    ({"name": "ESA", "roles": ["producer"], "url": "https://example.com"},),
)

MakeJob = Callable[..., Job]
MakeMade = Callable[..., Made]


def make_geobox(west: float = 500_000) -> GeoBox:
    return GeoBox((600, 700), Affine(10, 0, west, 0, -10, 5_000_000), "EPSG:32633")


def make_item(number: int) -> Item:
    time = datetime(2024, 6, number % 28 + 1, 10, 0, tzinfo=UTC)
    return Item(
        f"scene-{number}", "s2", "s2", time, date(2024, 6, number % 28 + 1), None, {}, href=f"/in/scene-{number}.json"
    )


@pytest.fixture
def job() -> Job:
    """A job of June 2024 on a tile and in a period whose names hold the separator `_`."""
    return Job(
        "s2_median",
        "sentinel2",
        Tile("33T_0_1", make_geobox()),
        Period("2024_06", datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)),
        "default",
        tuple(make_item(number) for number in range(3)),
        "0123456789abcdef" * 4,
        MemoryPlan(512, 10**6),
        10**6,
    )


@pytest.fixture
def make_made(tmp_path: Path) -> MakeMade:
    """Files of a job; another seed gives other pixels."""

    def make(job: Job, seed: int = 0) -> Made:
        folder = tmp_path / f"local-{job.tile.id}-{seed}"
        folder.mkdir(exist_ok=True)
        geobox = job.tile.geobox
        rng = np.random.default_rng(seed)
        red = rng.integers(1, 5000, geobox.shape).astype(np.uint16)
        red[:100, :200] = 0
        ndvi = np.where(red == 0, np.float32("nan"), red / np.float32(5000)).astype(np.float32)
        count = (red % 5).astype(np.uint8)
        tags = rights_tags(RIGHTS)
        options = WriteOptions(cog=CogOptions(), zarr=ZarrOptions(chunk_px=256))
        with writing() as thread:
            writer = TileWriter(Extent(geobox, job.period), folder, options, tags, thread)
            for data, band in ((red, RED), (ndvi, NDVI), (count, COUNT)):
                writer.add(data, band)
            files = list(writer.finish())
        files.append(write_thumbnail([red], 0, folder / "thumbnail.png"))
        files.append(write_json_file({"seed": seed}, folder / "inputs.json", "inputs", title="Inputs"))
        loss = AssetLoss("scene-9", "red", "/in/red.tif", "PermanentAssetError", "404", 1)
        return Made(tuple(files), {"constellation": "sentinel-2"}, RIGHTS, (loss,))

    return make


@pytest.fixture
def made(job: Job, make_made: MakeMade) -> Made:
    return make_made(job)


@pytest.fixture
def other_job(job: Job) -> Job:
    """The neighbouring tile of `job`, with a fingerprint of its own."""
    return replace(job, tile=Tile("33T_1_1", make_geobox(507_000)), fingerprint="fedcba9876543210" * 4)


@pytest.fixture
def shared_tools() -> Path:
    """Folder of the independent output checker; skips where it is not beside the checkout."""
    base = os.environ.get("GROUNDSWELL_SHARED") or Path(__file__).parents[2].parent / "shared"
    tools = Path(base) / "tools"
    if not (tools / "check_output.py").is_file():
        pytest.skip(f"needs the independent output checker in {tools}")
    return tools
