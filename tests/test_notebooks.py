"""Every notebook runs from top to bottom, offline, and what it shows is what lies in its files."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import xarray as xr
from numpy.typing import NDArray

from tests.notebooks.pictures import MOST_BYTES
from tests.notebooks.running import NOTEBOOKS, ROOT, TAG, Ran, make_checkout, run_notebook

NAMES = [path.stem for path in NOTEBOOKS]
FOLDER = ROOT / "notebooks"


@pytest.fixture
def checkout(demo_world: Path, tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout", demo_world)


def committed(ran: Ran, product: str) -> list[Path]:
    """Items of a product, sorted."""
    return sorted((ran.output / "items" / product).rglob("*.json"))


def numbers_of(item: Path, asset: str) -> NDArray[Any]:
    """The first band of an asset in its unit, as rasterio reads it; NaN where there is nothing."""
    href = json.loads(item.read_text())["assets"][asset]["href"]
    with rasterio.open(item.parent / href) as source:
        stored = source.read(1, masked=True)
        numbers: NDArray[Any] = (stored * source.scales[0] + source.offsets[0]).astype(float).filled(np.nan)
    return numbers


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_clean(path: Path) -> None:
    """No outputs, no places of one machine, one picture, and words before code."""
    text = path.read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert not re.search(r"/(home|root|work|tmp|Users)/|https?://(?!127\.)", text)
    assert sum(TAG in cell["metadata"].get("tags", []) for cell in code) == 1
    assert cells[0]["cell_type"] == "markdown" and cells[0]["source"][0].startswith("# ")
    assert len(cells) <= 16 and all(len(cell["source"]) <= 40 for cell in code), "few cells, each for one thing"


def test_each_is_named_with_its_picture() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for pattern in (r"\((\w+)\.ipynb\)", r"!\[[^]]+\]\((\w+)\.png\)"):
        assert sorted(set(re.findall(pattern, page))) == NAMES
    assert "notebooks/README.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert 3_000 < (FOLDER / f"{name}.png").stat().st_size <= MOST_BYTES


@pytest.mark.long
def test_first_look(checkout: Path) -> None:
    ran = run_notebook(checkout, "first_look")
    assert "dashboard: http://127.0.0.1:" in ran.text and "pixels that differ: 0" in ran.text
    assert len(committed(ran, "sentinel2")) == 2 and len(ran.figures) == 1
    assert "grown by 3 px" in ran.text


@pytest.mark.long
def test_tuning(checkout: Path) -> None:
    ran = run_notebook(checkout, "tuning")
    (report,) = (ran.output / "runs").glob("*/performance-*.html")
    assert f"{report.relative_to(ran.output)}: {report.stat().st_size / 1e6:.1f} MB" in ran.text
    assert "Task Stream" in report.read_text(encoding="utf-8")
    assert all(key in ran.text for key in ("job_timeout_s", "super_tile", "budget_usd"))
    assert len(committed(ran, "sentinel2")) == 2 and len(ran.figures) == 1


@pytest.mark.long
def test_land_products(checkout: Path) -> None:
    ran = run_notebook(checkout, "land_products")
    items = [item for product in ("sentinel2", "landsat") for item in committed(ran, product)]
    ndvi = [numbers_of(item, "ndvi") for item in items]
    assert len(ndvi) == 2
    both = np.isfinite(ndvi[0]) & np.isfinite(ndvi[1])
    correlation = np.corrcoef(ndvi[0][both], ndvi[1][both])[0, 1]
    assert f"correlation {correlation:.3f}, " in ran.text and correlation > 0.8
    assert len(ran.figures) == 2


@pytest.mark.long
def test_tree_cover_tile(checkout: Path) -> None:
    ran = run_notebook(checkout, "tree_cover_tile")
    (item,) = committed(ran, "ttc_ard")
    said = json.loads(item.read_text())["properties"]
    assert len(said["groundswell:channels"]) == 13 and len(committed(ran, "sentinel1")) == 4
    days = [date.fromisoformat(day) for day in said["groundswell:dates"]]
    scenes = json.loads((checkout / "out/notebooks/trees-world/s2.json").read_text())["features"]
    cloud = {one["properties"]["datetime"][:10]: one["properties"]["eo:cloud_cover"] for one in scenes}
    assert all(cloud[day.isoformat()] < 30 for day in days) and any(each > 30 for each in cloud.values())
    # Water is dark in the near infrared, the forest brighter than the fields in radar.
    nir, vh = (numbers_of(item, band) for band in ("nir", "vh"))
    assert nir[20:40, 180:200].max() < 0.05 < nir[150:190, 10:60].min()
    assert np.median(vh[150:190, 10:60]) > 1.5 * np.median(vh[100:140, 100:120])
    assert len(ran.figures) == 3


@pytest.mark.long
def test_glacier_season(checkout: Path) -> None:
    """Areas and medians of the table, counted again in the files of the dates."""
    ran = run_notebook(checkout, "glacier_season")
    (store,) = (ran.output / "data" / "glaciers").rglob("*.zarr")
    opened = xr.open_zarr(store, mask_and_scale=False).compute()
    table = re.findall(r"^(2024-\d\d-\d\d) +([\d.]+)  +([\d.]+) +([\d.]+)$", ran.text, re.MULTILINE)
    assert len(table) == opened.sizes["time"] == 9
    for row, moment in zip(table, opened.time.values, strict=True):
        day = opened.sel(time=moment)
        assert row[0] == str(moment)[:10]
        assert float(row[1]) == pytest.approx((day["red"] > 0).sum().item() * 0.0016, abs=0.051)
        ice = day["nir"].values[day["blue"].values > 2500]
        assert float(row[3]) == pytest.approx(np.median(ice) * 1e-4, abs=6e-4)
    fronts = [float(x) for x in re.findall(r"^2024-\d\d-\d\d +(-?[\d.]+)$", ran.text, re.MULTILINE)]
    assert fronts[0] == 0 and fronts == sorted(fronts) and 700 < fronts[-1] < 1500, "it goes back"
    assert len(ran.figures) == 2


@pytest.mark.long
def test_floats(checkout: Path) -> None:
    ran = run_notebook(checkout, "floats")
    (grid,) = {path for path in (ran.output / "data" / "argo_grid" / "lake").rglob("*.zarr") if "2024-07" in str(path)}
    july = xr.open_zarr(grid)["ct"].sel(pressure=10)
    assert 24 < float(july.mean()) < 28 and len(ran.figures) == 2
    assert re.search(r"^ +unreadable +NaN +1 ", ran.text, re.MULTILINE) and "superseded_file" in ran.text


@pytest.mark.long
def test_land_and_ocean(checkout: Path) -> None:
    ran = run_notebook(checkout, "land_and_ocean")
    started = set(re.findall(r"scenes +(sentinel2/\S+/2024-06)", ran.text))
    made = {json.loads(item.read_text())["id"] for item in committed(ran, "sentinel2")}
    assert made == {job.replace("/", "_") for job in started} and len(made) == 2
    assert re.search(r"floats +float/9900101", ran.text)
    tables = [pq.read_table(path) for path in (ran.output / "data" / "matchups").rglob("*.parquet")]
    rows = sum(len(table) for table in tables)
    clear = sum(int(np.sum(table["s2_green_count"].to_numpy() > 0)) for table in tables)
    assert f"{rows} pairs of profile and scene, {clear} of them without clouds" in ran.text and 0 < clear < rows
    assert len(ran.figures) == 1
