"""What the plan promises of memory is kept: a year of ten bands on a large tile, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

from tests.peaks import PEAK

DATES, PX = 146, 2048
BANDS = {
    "blue": 10,
    "green": 10,
    "red": 10,
    "nir": 10,
    "rededge1": 20,
    "rededge2": 20,
    "rededge3": 20,
    "nir08": 20,
    "swir16": 20,
    "swir22": 20,
}
TILE = Affine(10, 0, 614_400, 0, -10, 5_017_600)
"""One whole tile of the UTM grid with tiles of 2048 pixels of 10 m."""
WORKER_BYTES, THREADS = 4 * 10**9, 2

MAKE = (
    PEAK
    + """\
import json
from cluster.sizing import task_bytes
from pipeline.execute.worker.task import run_job
from pipeline.prepare import prepare
from pipeline.session import Options, open_session
from dataclasses import replace

session = open_session(Options(Path(sys.argv[1]), overwrite=True))
budget = {"default": [task_bytes(int(sys.argv[2]), int(sys.argv[3]))]}
(job,) = prepare(session.config, budget, overwrite=True).plan.jobs
assignment = session.assignments()[job.product]
assignment = replace(assignment, context=replace(assignment.context, threads=int(sys.argv[3])))
outcome = run_job(job, assignment, 1)
print(json.dumps([outcome.status, len(job.items), job.memory.peak_bytes, peak_bytes(), outcome.cause]))
"""
)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """146 dates over three sets of files that compress to almost nothing."""
    folder = tmp_path_factory.mktemp("year")
    for number in range(3):
        random = np.random.default_rng(number)
        for band, metres in {**BANDS, "scl": 20}.items():
            side = PX * 10 // metres
            if band == "scl":
                pattern = random.choice([4, 9], (8, 8), p=[0.4, 0.6]).astype(np.uint8).repeat(64, 0).repeat(64, 1)
            else:
                pattern = random.integers(1, 9000, (64, 64)).astype(np.uint16)
            data = np.tile(pattern, (side // len(pattern), side // len(pattern)))
            profile = {"driver": "GTiff", "count": 1, "crs": "EPSG:32633", "nodata": 0, "compress": "deflate"}
            blocks = {"tiled": True, "blockxsize": 1024, "blockysize": 1024, "predictor": 1}
            place = {"transform": TILE @ Affine.scale(metres / 10), "width": side, "height": side}
            with rasterio.open(
                folder / f"{band}-{number}.tif", "w", dtype=data.dtype, **profile, **blocks, **place
            ) as tif:
                tif.write(data, 1)
    to_degrees = Transformer.from_crs("EPSG:32633", 4326, always_xy=True)
    ring = [to_degrees.transform(*(TILE @ corner)) for corner in ((0, 0), (0, PX), (PX, PX), (PX, 0), (0, 0))]
    items = [
        {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": f"scene-{number}",
            "collection": "year",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {
                "datetime": f"{date(2024, 1, 1) + timedelta(days=number * 5 // 2)}T10:00:00Z",
                "s2:processing_baseline": "02.14",
            },
            "assets": {band: {"href": str(folder / f"{band}-{number % 3}.tif")} for band in (*BANDS, "scl")},
            "links": [],
        }
        for number in range(DATES)
    ]
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    lon, lat = to_degrees.transform(*(TILE @ (PX / 2, PX / 2)))
    for composite in ("median", "best_pixel"):
        (folder / f"{composite}.yaml").write_text(f"""\
name: year
output: {folder}/{composite}
area: {{bbox: [{lon - 0.001}, {lat - 0.001}, {lon + 0.001}, {lat + 0.001}]}}
grid: {{kind: utm, tile_px: {PX}, resolution_m: 10}}
period: {{start: 2024-01-01, end: 2025-01-01, every: year}}
sources: {{s2: {{items: {folder}/items.json}}}}
products:
  - {{product: sentinel2, source: s2, bands: [{", ".join(BANDS)}], composite: {composite}, indices: [ndvi]}}
""")
    return folder


@pytest.mark.long
@pytest.mark.parametrize("composite", ["median", pytest.param("best_pixel", marks=pytest.mark.full)])
def test_a_year_of_ten_bands_stays_within_its_share_of_a_worker_of_4_gb(year: Path, composite: str) -> None:
    """146 dates on 2048 x 2048 pixels, as one of two tasks of the worker: planned to fit, and no more is used."""
    command = [sys.executable, "-c", MAKE, str(year / f"{composite}.yaml"), str(WORKER_BYTES), str(THREADS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status, scenes, planned_bytes, peak_bytes, cause = json.loads(done.stdout.splitlines()[-1])
    assert (status, scenes) == ("done", DATES), cause
    assert planned_bytes <= WORKER_BYTES / THREADS
    assert peak_bytes <= planned_bytes
