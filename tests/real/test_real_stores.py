"""Real scenes with every composite in both stores, on disk and on S3: the stores hold the same numbers, to the bit."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import rasterio
import xarray as xr

from pipeline.execute.task import run_job
from pipeline.session import Options, open_session
from pipeline.types import Status
from tests.real.test_real_scenes import HERE, check_output, slovenia_items
from tests.servers.weed import S3Server

__all__ = ["slovenia_items"]

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


def compare(root: str, key: str, options: Mapping[str, Any], session: rasterio.Env) -> set[str]:
    """Every COG read by rasterio equals the variable of plain xarray; returns the layers that were compared."""
    fs, _ = fsspec.url_to_fs(root, **options)
    item = json.loads(fs.cat_file(f"{root}/{key}"))
    folder = posixpath.dirname(f"{root}/{key}")
    where = {name: posixpath.join(folder, href) for name, href in layers_of(item).items()}
    store = posixpath.join(folder, item["assets"]["zarr"]["href"])
    where = {name: _plain(path) for name, path in where.items()}
    with xr.open_zarr(_plain(store), storage_options=options or None, mask_and_scale=False, consolidated=False) as cube:
        for name, path in where.items():
            with session, rasterio.open(path) as source:
                pixels = source.read(1)
            band, dash, day = name.rpartition("-")
            stored = cube[band].sel(time=f"{day[:4]}-{day[4:6]}-{day[6:]}") if dash and day.isdigit() else cube[name]
            np.testing.assert_array_equal(np.asarray(stored).squeeze(), pixels, err_msg=f"{key}: {name}")
            assert np.asarray(stored).dtype == pixels.dtype
    return set(where)


def _plain(path: str) -> str:
    scheme, separator, rest = path.partition("://")
    return f"{scheme}://{posixpath.normpath(rest)}" if separator else posixpath.normpath(path)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_both_stores_hold_the_same_numbers(
    composite: str, shared_data: Path, slovenia_items: Path, tmp_path: Path
) -> None:
    output = str(tmp_path / "out")
    keys = commit(slovenia_items, output, composite)
    for key in keys:
        names = compare(output, key, {}, rasterio.Env())
        assert {"count", "qa"} | LAYERS.get(composite, set()) <= names
    check_output(shared_data, output)


@pytest.mark.long
def test_both_stores_hold_the_same_numbers_on_s3(
    shared_data: Path, slovenia_items: Path, s3_environment: None, s3_server: S3Server
) -> None:
    """Every composite on one server, one output each."""
    bucket = "stores"
    s3_server.make_bucket(bucket)
    options = {"endpoint_url": s3_server.endpoint}
    env = {"AWS_S3_ENDPOINT": s3_server.endpoint.partition("//")[2], "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
    for composite in COMPOSITES:
        root = f"s3://{bucket}/{composite}"
        for key in commit(slovenia_items, root, composite, f"storage.endpoint={s3_server.endpoint}"):
            compare(root, key, options, rasterio.Env(**env))
        check_output(shared_data, root, **s3_server.environment)
