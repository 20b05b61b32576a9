"""Real scenes with every composite: the values by plain NumPy, and the lazy cube gives the same ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, Session, open_session
from pipeline.types import Job, Status
from tests.products.plain import plain_clear
from tests.real.test_real_scenes import COGS, HERE, raster, slovenia_items

__all__ = ["slovenia_items"]

pytestmark = pytest.mark.long

MASK = ((0, 1, 3, 8, 9, 10), 1, 3)
BARE = ("median", "mean", "min", "max", "p25", "best_pixel", "latest", "least_cloudy", "geomedian", "none")


def layer(path: Path, job: Job) -> NDArray[Any]:
    """Nearest by integer division: every scene pixel of 120 m is two by two of 60 m."""
    with rasterio.open(path) as source:
        data, transform = source.read(1), source.transform
    height, width = job.tile.geobox.shape
    a, _, left, _, _, top, *_ = job.tile.geobox.transform
    rows = np.floor((transform.f - (top - a * (np.arange(height) + 0.5))) / 120 + 1e-9).astype(int)
    cols = np.floor((left + a * (np.arange(width) + 0.5) - transform.c) / 120 + 1e-9).astype(int)
    out = np.zeros((height, width), data.dtype)
    inside = [(rows >= 0) & (rows < data.shape[0]), (cols >= 0) & (cols < data.shape[1])]
    out[np.ix_(*inside)] = data[np.ix_(rows[inside[0]], cols[inside[1]])]
    return out


def plain(shared_data: Path, job: Job, band: str, scratch: Path) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(clear, values) of the five scenes in the order of their days; `boa_offset_applied` is true of all of them."""
    clears, values = [], []
    for folder in sorted((shared_data / COGS).iterdir(), key=lambda folder: folder.name[10:18]):
        clear = scratch / f"{folder.name}.tif"
        with rasterio.open(folder / "SCL.tif") as source, rasterio.open(clear, "w", **source.profile) as sink:
            sink.write(plain_clear(str(folder / "SCL.tif"), *MASK), 1)
        clears.append(layer(clear, job) == 1)
        stored = layer(folder / f"{band}.tif", job).astype(np.float64)
        values.append(np.where(stored == 0, np.nan, stored))
    return np.stack(clears), np.stack(values)


def made(session: Session, output: Path, job: Job) -> dict[str, NDArray[Any]]:
    outcome = run_job(job, session.assignments()[job.product], 1)
    assert outcome.status is Status.DONE, outcome
    path = output / str(outcome.item_key)
    item = json.loads(path.read_text())
    return {key: raster(path, item, key) for key, one in item["assets"].items() if one["type"].startswith("image/tiff")}


def same_lazily(session: Session, job: Job, rasters: dict[str, NDArray[Any]]) -> None:
    lazy = session.composite(job).compute(scheduler="threads")
    for key, pixels in rasters.items():
        band, dash, day = key.rpartition("-")
        stored = lazy[band].sel(time=day) if dash else lazy[key]
        np.testing.assert_array_equal(stored.values, pixels, err_msg=key)


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning", "ignore:Mean of empty:RuntimeWarning")
@pytest.mark.parametrize("name", ["mean", "min", "max", "p10", "p25", "p75", "p90"])
def test_slovenia_reduced_equals_numpy(shared_data: Path, slovenia_items: Path, tmp_path: Path, name: str) -> None:
    reducers: dict[str, Callable[..., NDArray[np.float64]]] = {"mean": np.nanmean, "min": np.nanmin, "max": np.nanmax}
    reduce = reducers.get(name) or partial(np.nanpercentile, q=int(name[1:]))
    sets = (f"sources.s2.items={slovenia_items}", f"products.0.composite={name}")
    session = open_session(Options(HERE / "slovenia.yaml", sets=sets, output=str(tmp_path / "out")))
    job = session.plan.jobs[0]
    rasters = made(session, tmp_path / "out", job)
    for band, file in (("red", "B04"), ("nir", "B08")):
        clear, values = plain(shared_data, job, file, tmp_path)
        clear, values, found = clear[:, ::3, ::3], values[:, ::3, ::3], rasters[band][::3, ::3]
        exact = np.nan_to_num(reduce(np.where(clear, values, np.nan), axis=0))
        # Exact halves may fall to either side in floats.
        assert (np.abs(found - exact) <= 0.5 + 1e-6).all()
        whole = np.abs(exact % 1 - 0.5) > 1e-6
        np.testing.assert_array_equal(found[whole], np.rint(exact)[whole])
    same_lazily(session, job, rasters)


@pytest.mark.parametrize("name", ["best_pixel", "latest", "least_cloudy"])
def test_slovenia_chosen_takes_all_bands_from_one_scene(
    shared_data: Path, slovenia_items: Path, tmp_path: Path, name: str
) -> None:
    sets = (f"sources.s2.items={slovenia_items}", f"products.0.composite={name}", "products.0.layers=[source, reasons]")
    session = open_session(Options(HERE / "slovenia.yaml", sets=sets, output=str(tmp_path / "out")))
    job = session.plan.jobs[0]
    rasters = made(session, tmp_path / "out", job)
    clear, _ = plain(shared_data, job, "B04", tmp_path)
    source = rasters["source"]
    np.testing.assert_array_equal(source > 0, clear.any(axis=0))
    assert np.take_along_axis(clear, np.maximum(source.astype(int) - 1, 0)[None], axis=0)[0][source > 0].all()
    if name == "latest":
        np.testing.assert_array_equal(source, (clear * np.arange(1, 6)[:, None, None]).max(axis=0))
    if name == "least_cloudy":
        shown = [layer(folder / "SCL.tif", job) for folder in sorted((shared_data / COGS).iterdir(), key=_day)]
        share = [one.sum() / max(1, np.count_nonzero(scl)) for one, scl in zip(clear, shown, strict=True)]
        order = np.argsort([-each for each in share], kind="stable")
        first = clear[order].argmax(axis=0)
        np.testing.assert_array_equal(source, np.where(clear.any(axis=0), order[first] + 1, 0))
    for band, file in (("red", "B04"), ("nir", "B08")):
        _, values = plain(shared_data, job, file, tmp_path)
        picked = np.take_along_axis(values, np.maximum(source.astype(int) - 1, 0)[None], axis=0)[0]
        np.testing.assert_array_equal(rasters[band], np.nan_to_num(np.where(source > 0, picked, 0)))
    same_lazily(session, job, rasters)


def _day(folder: Path) -> str:
    return folder.name[10:18]


@pytest.mark.parametrize("name", BARE)
def test_flanders_without_a_classification(shared_data: Path, tmp_path: Path, name: str) -> None:
    """Three dates at 10 m, three bands of one file: whatever has a number is an observation."""
    collection = shared_data / "raster/s2/openeo_10m_3dates/collection.json"
    june_4 = "products.0.best_pixel={target_doy: 155}"
    sets = (f"sources.s2.items={collection}", f"products.0.composite={name}", june_4)
    session = open_session(Options(HERE / "flanders.yaml", sets=sets, output=str(tmp_path / "out")))
    seen = 0
    for job in session.plan.jobs:
        rasters = made(session, tmp_path / "out", job)
        same_lazily(session, job, rasters)
        seen += int((rasters["qa"] == 0).sum())
        if "source" in rasters:
            expected = {"best_pixel": 2, "latest": 3, "least_cloudy": 1}[name]
            assert set(np.unique(rasters["source"])) <= {0, expected}
    assert seen == 73 * 58, "every source pixel is on exactly one tile"
