"""What the products make of the demo world is its truth: radar, heights and Landsat, each by its own conventions."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from pipeline.demo import World, demo_backscatter, demo_heights, demo_truth
from pipeline.types import Status
from tests.worlds import SmallWorld

CONFIG = """\
name: truth
output: {folder}/output
area: {{bbox: [11.999, 44.879, 12.001, 44.881]}}
grid: {{kind: utm, tile_px: 128, resolution_m: 10}}
period: {{start: 2024-06-01, end: 2024-08-01, every: span}}
sources:
  s1: {{items: {world}/s1/collection.json, region: eu-central-1}}
  dem: {{items: {world}/dem/collection.json, region: eu-central-1}}
  landsat: {{items: {world}/landsat/collection.json, region: us-west-2}}
products:
  - {{product: sentinel1, source: s1, orbits: direction}}
  - {{product: dem, source: dem}}
  - {{product: landsat, source: landsat, bands: [green, nir08]}}
"""


@pytest.fixture(scope="module")
def layers(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path, dict[str, Any]]]:
    """(product, folder of the item, item) of each tile, on both sides of the zone edge."""
    folder = tmp_path_factory.mktemp("truth")
    (folder / "truth.yaml").write_text(CONFIG.format(folder=folder, world=small_world.folder))
    small = SmallWorld(folder / "truth.yaml", folder / "output", small_world.folder)
    session = small.session()
    assert {job.product: job.region for job in session.plan.jobs} == {
        "sentinel1": "eu-central-1",
        "dem": "eu-central-1",
        "landsat": "us-west-2",
    }
    made = []
    for job in session.plan.jobs:
        outcome = small.run(session, job)
        assert outcome.status is Status.DONE and not outcome.losses, outcome
        path = small.output / str(outcome.item_key)
        made.append((job.product, path.parent, json.loads(path.read_text())))
    zones = {item["assets"]["qa"]["proj:code"] for _, _, item in made}
    assert zones == {"EPSG:32632", "EPSG:32633"}
    return made


def read(folder: Path, item: dict[str, Any], key: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], str]:
    """Pixels, x and y of their centres, and the CRS."""
    with rasterio.open(folder / item["assets"][key]["href"]) as file:
        cols, rows = np.meshgrid(np.arange(file.width) + 0.5, np.arange(file.height) + 0.5)
        x, y = file.transform @ (cols, rows)
        return file.read(1), x, y, file.crs.to_string()


def test_heights(layers: list[tuple[str, Path, dict[str, Any]]]) -> None:
    """Within what pixels of 93 m can show of the relief, on both sides of 12 E, where one file ends."""
    for _, folder, item in (one for one in layers if one[0] == "dem"):
        heights, x, y, crs = read(folder, item, "elevation")
        off = np.abs(heights - demo_heights(x, y, crs))
        assert not np.isnan(heights).any() and np.quantile(off, 0.9) < 4
        assert read(folder, item, "slope")[0].max() < 60


def test_backscatter(layers: list[tuple[str, Path, dict[str, Any]]]) -> None:
    """Means of three passes a direction: the truth, but for speckle and the warp."""
    for _, folder, item in (one for one in layers if one[0] == "sentinel1"):
        for direction in ("ascending", "descending"):
            power, x, y, crs = read(folder, item, f"vv-{direction}")
            truth = demo_backscatter(x, y, crs, date(2024, 6, 20), direction)[0]
            seen = ~np.isnan(power)
            # Crops grow from pass to pass: only the whole is compared.
            assert seen.mean() > 0.5 and np.median(power[seen] / truth[seen]) == pytest.approx(1.0, abs=0.15)


def test_reflectance(layers: list[tuple[str, Path, dict[str, Any]]]) -> None:
    """Medians of what Landsat saw clearly lie between the ground's first and last day, but for pixels of 30 m."""
    for _, folder, item in (one for one in layers if one[0] == "landsat"):
        for number, band in ((1, "green"), (3, "nir08")):
            stored, x, y, crs = read(folder, item, band)
            seen = stored > 0
            ends = [demo_truth(x, y, crs, day)[number] for day in (date(2024, 6, 7), date(2024, 7, 17))]
            middle = (ends[0] + ends[1]) / 2
            assert seen.mean() > 0.5 and np.median((stored * 1e-4 - middle)[seen]) == pytest.approx(0, abs=0.03)
