"""Real scenes in small tiles: figures are those of the pixels, and the lines between tiles are no seams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, Session, open_session
from pipeline.types import Job
from tests.schemas.validate import stac_errors

COGS = "raster/s2/e84v1_33TWL_cog"
CONFIG = Path(__file__).parent / "slovenia.yaml"


@pytest.fixture
def session(shared_data: Path, tmp_path: Path) -> Session:
    """Twelve tiles of 15 km over the five scenes."""
    items = []
    for path in sorted((shared_data / COGS).glob("*/*.json")):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = str(path.parent / asset["href"])
        items.append(item)
    (tmp_path / "items.json").write_text(json.dumps(items))
    sets = [f"sources.s2.items={tmp_path / 'items.json'}", "grid.tile_px=128", "grid.resolution_m=120"]
    return open_session(Options(CONFIG, sets=sets, output=str(tmp_path / "out")))


def committed(session: Session, job: Job, output: Path) -> tuple[Path, Any]:
    outcome = run_job(job, session.assignments()[job.product], 1)
    path = output / str(outcome.item_key)
    return path, json.loads(path.read_text(encoding="utf-8"))


def test_real_tiles_meet_without_a_seam_and_say_what_they_hold(session: Session, tmp_path: Path) -> None:
    ratios = []
    for job in session.plan.jobs:
        path, item = committed(session, job, tmp_path / "out")
        assert stac_errors(item) == []
        quality = item["properties"]["groundswell:quality"]
        ratios += [step["ratio"] for step in quality.get("edges", ())]
        with rasterio.open(path.parent / item["assets"]["count"]["href"]) as dataset:
            count = dataset.read(1)
        assert quality["valid_fraction"] == pytest.approx((count > 0).mean(), abs=1e-6)
        assert quality["observations_mean"] == pytest.approx(count.mean(), abs=1e-4)
        assert quality["observations_min"] == count.min()
        assert 0 <= quality["cloud_fraction"] <= 1
    assert len(ratios) == 17 and max(ratios) < 2 and 0.8 < float(np.median(ratios)) < 1.3
