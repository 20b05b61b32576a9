"""What the plan promises of a DEM's memory is kept: files of real size, fine and coarse tiles, a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from tests.products.dem_world import Ground30, hills, world
from tests.products.test_memory import MAKE

STEP = 1 / 3600
BLOCKS = {"tiled": True, "blockxsize": 1024, "blockysize": 1024}
WORKER_BYTES, THREADS = 2 * 10**9, 2


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground30:
    """Nine files of 3600 x 3600 pixels around 14.5 E 45.5 N."""
    found = Ground30(tmp_path_factory.mktemp("ground"), hills, rows=3600)
    # Quickly made in little memory: what this process holds counts as the next one's, too.
    data = np.tile(np.random.default_rng(1).uniform(0, 900, (40, 40)).astype(np.float32), (90, 90))
    for south, west in ((south, west) for south in (44, 45, 46) for west in (13, 14, 15)):
        found.write(south, west, data, Affine(STEP, 0, west - STEP / 2, 0, -STEP, south + 1 + STEP / 2), **BLOCKS)
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("px", "metres"),
    [(2048, 10), (512, 250), *(pytest.param(*each, marks=pytest.mark.full) for each in ((2048, 30), (1024, 100)))],
)
def test_a_tile_stays_within_its_share_of_a_worker(tmp_path: Path, ground: Ground30, px: int, metres: int) -> None:
    """As one of two tasks of a worker of 2 GB: planned to fit, and no more is used, however coarse the tile is."""
    grid = f"{{kind: utm, tile_px: {px}, resolution_m: {metres}}}"
    small = world(tmp_path, ground.items, "{bbox: [14.5, 45.5, 14.501, 45.501]}", grid)
    command = [sys.executable, "-c", MAKE, str(small.config), str(WORKER_BYTES), str(THREADS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status, _, planned_bytes, peak_bytes, cause = json.loads(done.stdout.splitlines()[-1])
    assert status == "done", cause
    assert planned_bytes <= WORKER_BYTES / THREADS
    assert peak_bytes <= planned_bytes
