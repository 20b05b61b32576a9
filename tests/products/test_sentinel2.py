"""The composite is what plain NumPy makes of our read layers; lazily or in strips, the pixels are the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from pipeline.products.sentinel2 import VERSION
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.session import Session
from pipeline.types import Asset, Job, Outcome, Status
from tests.products.plain import plain_composite
from tests.worlds import SmallWorld

MASKS = {"default": ((0, 1, 3, 8, 9, 10), 1, 3), "wide": ((0, 1, 2, 3, 7, 8, 9, 10, 11), 2, 5), "none": None}
BROKEN = "S2A_33TTK_20240706_0_L2A"


def written(world: SmallWorld, outcome: Outcome) -> dict[str, NDArray[np.generic]]:
    """Every raster of a committed item, by asset key."""
    assert outcome.item_key is not None
    item = world.output / outcome.item_key
    assets = json.loads(item.read_text())["assets"]
    rasters = {}
    for key, asset in assets.items():
        if asset["type"].startswith("image/tiff"):
            with rasterio.open(item.parent / asset["href"]) as source:
                rasters[key] = source.read(1)
    return rasters


def whole_jobs(session: Session) -> list[Job]:
    """Jobs whose inputs are all readable."""
    return [job for job in session.plan.jobs if all(item.id != BROKEN for item in job.items)]


@pytest.mark.parametrize("name", MASKS)
def test_composite_equals_plain_numpy_over_read_layers(world: SmallWorld, tmp_path: Path, name: str) -> None:
    mask = MASKS[name]
    entry = "null" if mask is None else f"{{classes: {list(mask[0])}, open_px: {mask[1]}, dilate_px: {mask[2]}}}"
    session = world.session(f"products.sentinel2.mask={entry}")
    jobs = whole_jobs(session)
    assert jobs, "the small world has a month without the broken file"
    for job in jobs:
        outcome = world.run(session, job)
        assert outcome.status is Status.DONE, outcome.cause
        rasters = written(world, outcome)

        def layer(path: str, job: Job = job) -> NDArray[np.uint16]:
            return read_layer(Asset("plain", path), Access(), "plain", Target.rows_of(job.tile.geobox))

        items = [world.world / "s2" / item.id / f"{item.id}.json" for item in job.items]
        counts = []
        for band in ("red", "nir"):
            median, count = plain_composite(items, band, layer, tmp_path, mask)
            np.testing.assert_array_equal(rasters[band], median)
            counts.append(count)
        np.testing.assert_array_equal(rasters["count"], np.minimum(*counts))
        np.testing.assert_array_equal(rasters["qa"], (np.minimum(*counts) == 0).astype(np.uint8))
        red, nir = rasters["red"].astype(float), rasters["nir"].astype(float)
        both = (red > 0) & (nir > 0)
        ratio = np.divide(1e4 * (nir - red), nir + red, out=np.zeros_like(red), where=both)
        np.testing.assert_array_equal(rasters["ndvi"], np.where(both, np.rint(ratio), -32768))


def test_lazy_cube_is_lazy_and_gives_the_committed_pixels(world: SmallWorld) -> None:
    session = world.session()
    for job in whole_jobs(session):

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("something was computed while the graph was built")

        with dask.config.set(scheduler=refuse):
            lazy = session.composite(job)
        rasters = written(world, world.run(session, job))
        for band in ("red", "nir"):
            np.testing.assert_array_equal(lazy[band].compute(scheduler="threads").values, rasters[band])


def test_strips_change_nothing(world: SmallWorld) -> None:
    session = world.session()
    job = whole_jobs(session)[0]
    whole = written(world, world.run(session, job))
    for rows in (16, 100):
        again = world.session(overwrite=True)
        narrow = replace(job, memory=replace(job.memory, strip_rows=rows))
        for key, raster in written(world, world.run(again, narrow)).items():
            np.testing.assert_array_equal(raster, whole[key])


def test_every_offset_convention_gives_the_same_reflectance(world: SmallWorld) -> None:
    """June mixes three conventions; a wrong one would show as a difference of 0.1 in reflectance."""
    session = world.session()
    job = whole_jobs(session)[0]
    assert {item.properties["s2:processing_baseline"] for item in job.items} == {"02.14", "05.10"}
    observations = session.open(job)["red"].compute(scheduler="threads").values.astype(float)
    medians = [np.median(day[day > 0]) * 1e-4 for day in observations if (day > 0).mean() > 0.05]
    assert len(medians) >= 3
    assert max(medians) - min(medians) < 0.06, medians


def test_pixels_are_pinned_to_the_product_version(world: SmallWorld) -> None:
    """Golden: whoever changes these pixels raises VERSION, so that users' tiles are made again."""
    session = world.session()
    digest = hashlib.sha256()
    for job in whole_jobs(session):
        for key, raster in sorted(written(world, world.run(session, job)).items()):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(raster).tobytes())
    assert (VERSION, digest.hexdigest()[:16]) == (2, "3afd9e836b5fc6d7")


def test_numbers_of_another_scale_are_refused_by_name(world: SmallWorld) -> None:
    """A file in other units would give plausible, wrong reflectances."""
    session = world.session()
    job = whole_jobs(session)[0]
    other = job.items[0]
    changed = replace(other, assets={**other.assets, "red": replace(other.assets["red"], scale=1e-3)})
    outcome = world.run(session, replace(job, items=(changed, *job.items[1:])))
    assert outcome.status is Status.DONE
    (loss,) = outcome.losses
    assert (loss.item, loss.asset) == (other.id, "red")
    assert loss.cause == "the catalogue declares scale 0.001; Sentinel-2 L2A has 0.0001"
