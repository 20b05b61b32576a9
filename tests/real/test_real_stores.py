"""Real scenes with every composite in both stores, on disk and on S3: the stores hold the same numbers, to the bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session
from pipeline.types import Status
from tests.real.test_real_scenes import HERE, check_output, slovenia_items
from tests.servers.weed import S3Server

__all__ = ["slovenia_items"]

pytestmark = pytest.mark.long

COMPOSITES = ("median", "mean", "min", "max", "p10", "p75", "best_pixel", "latest", "least_cloudy", "geomedian", "none")
LAYERS = {"best_pixel": {"source", "doy"}, "latest": {"source", "doy"}, "least_cloudy": {"source", "doy"}}


def commit(items: Path, output: str, composite: str, *sets: str) -> list[str]:
    """Every tile of the real scenes, made in this process; keys of the committed items."""
    both = ("write={cog: {}, zarr: {}}", f"products.0.composite={composite}", f"sources.s2.items={items}", *sets)
    session = open_session(Options(HERE / "slovenia.yaml", sets=both, output=output))
    outcomes = [run_job(job, session.assignments()[job.product], 1) for job in session.plan.jobs]
    assert [outcome.status for outcome in outcomes] == [Status.DONE] * len(session.plan.jobs), outcomes
    session.run(())
    return [str(outcome.item_key) for outcome in outcomes]


def layers_of(item: Mapping[str, Any]) -> dict[str, str]:
    """COG assets by key, with their hrefs."""
    return {key: one["href"] for key, one in item["assets"].items() if one["type"].startswith("image/tiff")}


def compare(root: Path, key: str) -> set[str]:
    """Every COG read by rasterio equals the variable of plain xarray; returns the layers that were compared."""
    path = root / key
    item = json.loads(path.read_text())
    where = {name: path.parent / href for name, href in layers_of(item).items()}
    with xr.open_zarr(path.parent / item["assets"]["zarr"]["href"], mask_and_scale=False, consolidated=False) as cube:
        for name, cog in where.items():
            with rasterio.open(cog) as source:
                pixels = source.read(1)
            band, dash, day = name.rpartition("-")
            stored = cube[band].sel(time=f"{day[:4]}-{day[4:6]}-{day[6:]}") if dash and day.isdigit() else cube[name]
            np.testing.assert_array_equal(np.asarray(stored).squeeze(), pixels, err_msg=f"{key}: {name}")
            assert np.asarray(stored).dtype == pixels.dtype
    return set(where)


FEW = {"median", "p75", "best_pixel", "geomedian", "none"}
"""Of each kind one; the others are `full`."""


@pytest.mark.parametrize(
    "composite", [pytest.param(name, marks=() if name in FEW else pytest.mark.full) for name in COMPOSITES]
)
def test_both_stores_hold_the_same_numbers(
    composite: str, shared_data: Path, slovenia_items: Path, tmp_path: Path
) -> None:
    output = str(tmp_path / "out")
    keys = commit(slovenia_items, output, composite)
    for key in keys:
        names = compare(Path(output), key)
        assert {"count", "qa"} | LAYERS.get(composite, set()) <= names
    check_output(shared_data, output)


@pytest.mark.full
def test_both_stores_hold_the_same_numbers_on_s3(
    shared_data: Path, slovenia_items: Path, tmp_path: Path, s3_environment: None, s3_server: S3Server
) -> None:
    """One that reduces, one that chooses, and none; one output each."""
    bucket = "stores"
    s3_server.make_bucket(bucket)
    for composite in ("median", "best_pixel", "none"):
        root, copy = f"s3://{bucket}/{composite}", tmp_path / composite
        keys = commit(slovenia_items, root, composite, f"storage.endpoint={s3_server.endpoint}")
        s3_server.client().get(f"{bucket}/{composite}/", f"{copy}/", recursive=True)
        for key in keys:
            compare(copy, key)
        check_output(shared_data, root, **s3_server.environment)
