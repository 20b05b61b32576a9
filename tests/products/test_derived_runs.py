"""Products made of products, by the real command: two regions, what fails and what that blocks, and how it resumes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr

from tests.peaks import PEAK
from tests.products import models
from tests.products.derived import DEM, OPTICAL, OTHER, plan

STACK = "{product: stack, inputs: [sentinel2, other, dem], write: {cog: {}, zarr: {}}}"
PREDICT = (
    "{{product: predict, inputs: [stack], model: {model}, window_px: 64, overlap_px: 16, results: [{{name: index}}], "
    "channels: [{{layer: sentinel2_nir, scale: 1}}, {{layer: other_red, scale: 1}}]}}"
)
COMMITTED = {"dem": 1, "other": 2, "sentinel2": 1, "stack": 1, "predict": 1}
ALL = {"dem": 1, "other": 2, "sentinel2": 2, "stack": 2, "predict": 2}
PEAKS = """\
name: peaks
output: {folder}/output
area: {{bbox: [12.001, 44.865, 12.004, 44.870]}}
grid: {{kind: utm, tile_px: 2048, resolution_m: 10}}
period: {{start: 2024-06-01, end: 2024-07-01, every: month}}
sources: {{s2: {{items: {world}/s2/collection.json}}}}
products:
  - {{product: sentinel2, source: s2, bands: [red, green, blue, nir]}}
  - {{product: stack, inputs: [sentinel2], dtype: float32, write: {{cog: {{}}, zarr: {{}}}}}}
  - product: predict
    inputs: [stack]
    model: {model}
    channels:
      [{{layer: sentinel2_red}}, {{layer: sentinel2_green}}, {{layer: sentinel2_blue}}, {{layer: sentinel2_nir}}]
    window_px: 258
    overlap_px: 64
    crop_px: 1
    missing: all
    results: [{{name: a}}, {{name: b}}]
    classes: [a, b, c, d, e, f, g, h]
run: {{missing_assets: {{max_fraction: 1.0}}}}
"""
MAKE = (
    PEAK
    + """\
import json
from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session

session = open_session(Options(Path(sys.argv[1])))
(job,) = [job for job in session.plan.jobs if job.product == sys.argv[2]]
outcome = run_job(job, session.assignments()[job.product], 1)
print(json.dumps([outcome.status, job.memory.peak_bytes, peak_bytes(), outcome.cause]))
"""
)


def command(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.run", str(folder / "run.yaml"), *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def committed(folder: Path) -> dict[str, dict[str, Any]]:
    """Items by product and period."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / "output" / "items").glob("*/*.json")):
        found.setdefault(path.parent.name, {})[path.name.split("_")[1]] = json.loads(path.read_text())
    return found


def pixels(folder: Path, item: Any, key: str) -> Any:
    with rasterio.open(folder / "output" / "items" / item["collection"] / item["assets"][key]["href"]) as source:
        return source.read(1)


@pytest.mark.long
def test_two_regions_one_failure_and_what_it_blocks(demo_world: Path, tmp_path: Path) -> None:
    """July's damaged scene fails one input: its stack and what is made of that are blocked by name, June is made.

    The same command again makes only what was not made.
    """
    predict = PREDICT.format(model=models.difference(tmp_path / "difference.onnx"))
    planned = plan(demo_world, tmp_path, [OPTICAL, OTHER, DEM, STACK, predict]).session.plan
    assert {job.region for job in planned.jobs} == {"eu-central-1", "us-west-2"}
    assert all(job.crossing_bytes > 0 for job in planned.jobs if job.product == "stack")
    done = command(tmp_path, "--set", "products.sentinel2.missing_assets={policy: fail}")
    assert done.returncode == 1, done.stdout + done.stderr
    items = committed(tmp_path)
    assert {name: len(periods) for name, periods in items.items()} == COMMITTED
    tile = planned.jobs[0].tile.id
    for because in ("sentinel2", "stack"):
        assert f"{because}/{tile}/2024-07, which it is made from" in done.stdout, done.stdout
    june = items["stack"]["2024-06"]
    for name, period, key in (
        ("sentinel2", "2024-06", "red"),
        ("other", "2024-06", "green"),
        ("dem", "static", "slope"),
    ):
        copied = pixels(tmp_path, june, f"{name}_{key}")
        np.testing.assert_array_equal(copied, pixels(tmp_path, items[name][period], key))
    nir, red = (pixels(tmp_path, june, key).astype(float) for key in ("sentinel2_nir", "other_red"))
    there = (nir > 0) & (red > 0)
    made = pixels(tmp_path, items["predict"]["2024-06"], "index")
    np.testing.assert_array_equal(~np.isnan(made), there)
    nir, red = nir[there], red[there]
    np.testing.assert_allclose(made[there], (nir - red) / (nir + red), rtol=1e-4, atol=1e-6)

    again = command(tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "3 done, 6 skipped" in again.stdout, again.stdout
    assert {name: len(periods) for name, periods in committed(tmp_path).items()} == ALL
    assert "0 done, 9 skipped" in command(tmp_path).stdout
    with xr.open_zarr(tmp_path / "output" / "items" / "stack" / june["assets"]["zarr"]["href"]) as cube:
        assert {"sentinel2_red", "other_green", "dem_elevation"} <= {*cube.data_vars}


@pytest.mark.full
def test_memory_is_what_was_planned(demo_world: Path, tmp_path: Path) -> None:
    """A stack of 2048 px and a model on it, each in a process of its own: no more is used than the plan says."""
    model = models.conv(tmp_path / "conv.onnx", np.ones((8, 4, 3, 3), np.float32))
    (tmp_path / "peaks.yaml").write_text(PEAKS.format(folder=tmp_path, world=demo_world, model=model))
    for product in ("sentinel2", "stack", "predict"):
        line = [sys.executable, "-c", MAKE, str(tmp_path / "peaks.yaml"), product]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr
        status, planned_bytes, peak_bytes, cause = json.loads(done.stdout.splitlines()[-1])
        assert status == "done", cause
        assert peak_bytes <= planned_bytes, product
