"""The lazy composite gives the committed pixels also on coarse tiles, where bands come from overviews."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

import pipeline.products._lazy as lazy
from pipeline.read.lazy import open_layers
from pipeline.types import Status
from tests.products.scenes import Scenes
from tests.products.test_sentinel2 import written
from tests.worlds import SmallWorld


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    """Eight scenes with overviews of means, which have numbers where single pixels have none."""
    scenes = Scenes(tmp_path).add_month(8)
    for item in scenes.items:
        for asset in item["assets"].values():
            with rasterio.open(asset["href"], "r+") as raster:
                raster.build_overviews([2, 4], Resampling.average)
    return scenes.world()


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize(
    ("composite", "resampling"),
    [("median", "nearest"), ("best_pixel", "nearest"), ("least_cloudy", "average"), ("geomedian", "bilinear")],
)
def test_a_coarse_tile_is_the_same_lazily(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, composite: str, resampling: str, masked: bool
) -> None:
    """What a scene is masked by is read at full resolution, also where that is one of its bands."""
    keys = [f"composite={composite}", f"resampling={resampling}", *(() if masked else ("mask=null",))]
    sets = (*(f"products.sentinel2.{key}" for key in keys), "grid.resolution_m=20", "grid.tile_px=64")
    session = world.session(*sets)
    job = max(session.plan.jobs, key=lambda each: len(each.items))
    outcome = world.run(session, job)
    assert outcome.status is Status.DONE, outcome.cause
    monkeypatch.setattr(lazy, "open_layers", partial(open_layers, chunk_px=25))
    computed = session.composite(job).compute(scheduler="threads")
    made = written(world, outcome)
    assert made["red"].any()
    for key, raster in made.items():
        np.testing.assert_array_equal(computed[key].values, raster, err_msg=key)
