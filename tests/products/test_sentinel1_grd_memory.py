"""What the plan promises of memory is kept by ground range scenes with annotations, which are parsed once each."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.control import GroundControlPoint

from tests.products.radar import Radar
from tests.products.test_memory import MAKE, PX, TILE

PASSES, MARGIN_PX = 12, 150
SIDE = PX + 2 * MARGIN_PX
WORKER_BYTES, THREADS = 2 * 10**9, 2
PLACE = TILE @ Affine.translation(-MARGIN_PX - 0.37, -MARGIN_PX + 0.4)
COUNTING = """\
from pipeline.products import _sentinel1_grd
parse, parsed = _sentinel1_grd.parse_calibration, []
def counted(data):
    parsed.append(1)
    return parse(data)
_sentinel1_grd.parse_calibration = counted
"""


def write_image(path: Path) -> None:
    """Amplitudes that compress to almost nothing, with points on a lattice."""
    to_degrees = Transformer.from_crs("EPSG:32633", 4326, always_xy=True)
    at = np.linspace(0, SIDE - 1, 10)
    points = [
        GroundControlPoint(row, col, *to_degrees.transform(*(PLACE @ (col + 0.5, row + 0.5))))
        for row in at
        for col in at
    ]
    pattern = np.random.default_rng(0).integers(20, 900, (64, 64)).astype(np.uint16)
    data = np.tile(pattern, (SIDE // 64 + 1, SIDE // 64 + 1))[:SIDE, :SIDE]
    form = {"driver": "GTiff", "height": SIDE, "width": SIDE, "count": 1, "dtype": "uint16", "compress": "deflate"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", tiled=True, gcps=points, crs="EPSG:4326", **form) as dataset:
            dataset.write(data, 1)


def both_annotations() -> dict[str, str]:
    """As large as real ones: 30 lines of 650 samples."""
    samples = np.linspace(0, SIDE - 1, 650).round().astype(int)
    pixels, values = " ".join(map(str, samples)), " ".join(["3.236000e+02"] * samples.size)
    lines = np.linspace(0, SIDE, 30).round().astype(int)
    tables = "".join(f"<{name}>{values}</{name}>" for name in ("sigmaNought", "betaNought", "gamma", "dn"))
    parts = {
        "calibration": ("calibrationVector", tables),
        "noise": ("noiseRangeVector", f"<noiseRangeLut>{values}</noiseRangeLut>"),
    }
    return {
        root: f"<{root}><{name}List>"
        + "".join(f"<{name}><line>{line}</line><pixel>{pixels}</pixel>{body}</{name}>" for line in lines)
        + f"</{name}List></{root}>"
        for root, (name, body) in parts.items()
    }


@pytest.mark.long
def test_passes_of_ground_range_stay_within_their_share_of_a_worker_of_2_gb(tmp_path: Path) -> None:
    write_image(tmp_path / "vv.tif")
    radar, texts = Radar(tmp_path), both_annotations()
    (first,) = [radar.add("2024-01-02", "descending", 66, polarisations=("vv",), transform=PLACE)]
    to_degrees = Transformer.from_crs("EPSG:32633", 4326, always_xy=True)
    corners = [PLACE @ corner for corner in ((0, 0), (0, SIDE), (SIDE, SIDE), (SIDE, 0), (0, 0))]
    first["geometry"]["coordinates"] = [[list(to_degrees.transform(*corner)) for corner in corners]]
    radar.items.clear()
    for number in range(PASSES):
        item = json.loads(json.dumps(first)) | {"id": f"S1A_IW_GRDH_{number:03d}"}
        item["properties"]["datetime"] = f"{date(2024, 1, 2) + timedelta(days=6 * number)}T05:00:00Z"
        item["assets"] = {"vv": {"href": str(tmp_path / "vv.tif")}}
        for root, text in texts.items():
            path = tmp_path / f"{root}-{number}.xml"
            path.write_text(text)
            item["assets"][f"schema-{root}-vv"] = {"href": str(path)}
        radar.items.append(item)
    entry = "kind: grd, polarisations: [vv], orbits: together, composite: median, speckle: {size_px: 7}"
    config = radar.world(entry, at=to_degrees.transform(*(TILE @ (PX / 2, PX / 2)))).config
    config.write_text(config.read_text().replace("tile_px: 128", f"tile_px: {PX}"))
    code = MAKE.replace("outcome = run_job", f"{COUNTING}outcome = run_job") + "print(len(parsed))\n"
    command = [sys.executable, "-c", code, str(config), str(WORKER_BYTES), str(THREADS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, parsed = done.stdout.splitlines()[-2:]
    status, scenes, planned_bytes, peak_bytes, cause = json.loads(found)
    assert (status, scenes) == ("done", PASSES), cause
    assert planned_bytes <= WORKER_BYTES / THREADS
    assert peak_bytes <= planned_bytes
    assert int(parsed) == PASSES
