"""What the plan promises of memory is kept by radar: eighty passes on a large tile, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, timedelta

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer

from tests.products.radar import Radar
from tests.products.test_memory import MAKE, PX, THREADS, TILE

PASSES, MARGIN_PX = 80, 150
WORKER_BYTES = 3 * 10**9


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Radar, tuple[float, float]]:
    """Eighty passes, two a day, over one pair of files, off the tile's grid; and the tile's middle."""
    radar = Radar(tmp_path_factory.mktemp("radar"))
    side = PX + 2 * MARGIN_PX
    pattern = np.random.default_rng(0).gamma(4.4, 0.02, (64, 64)).astype(np.float32)
    data = np.tile(pattern, (side // 64 + 1, side // 64 + 1))[:side, :side].copy()
    first = radar.add(
        "2024-01-02",
        "descending",
        66,
        data=data,
        transform=TILE @ Affine.translation(-MARGIN_PX - 0.37, -MARGIN_PX + 0.4),
    )
    for number in range(1, PASSES):
        item = json.loads(json.dumps(first))
        ascending = number % 2
        item["id"] = f"{first['id']}-{number}"
        item["properties"] |= {
            "datetime": f"{date(2024, 1, 2) + timedelta(days=8 * (number // 2))}T{17 if ascending else 5:02d}:00:00Z",
            "sat:orbit_state": "ascending" if ascending else "descending",
            "sat:relative_orbit": 117 if ascending else 66,
        }
        radar.items.append(item)
    to_degrees = Transformer.from_crs("EPSG:32633", 4326, always_xy=True)
    return radar, to_degrees.transform(*(TILE @ (PX / 2, PX / 2)))


@pytest.mark.parametrize("entry", ["composite: median", "prefer: ascending, scale: db, speckle: {size_px: 5}"])
@pytest.mark.full
def test_a_year_of_passes_stays_within_its_share_of_a_worker_of_3_gb(
    world: tuple[Radar, tuple[float, float]], entry: str
) -> None:
    radar, middle = world
    config = radar.world(f"orbits: together, polarisations: [vv], {entry}", at=middle).config
    config.write_text(config.read_text().replace("tile_px: 128", f"tile_px: {PX}"))
    command = [sys.executable, "-c", MAKE, str(config), str(WORKER_BYTES), str(THREADS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status, scenes, planned_bytes, peak_bytes, cause = json.loads(done.stdout.splitlines()[-1])
    assert (status, scenes) == ("done", PASSES), cause
    assert planned_bytes <= WORKER_BYTES / THREADS
    assert peak_bytes <= planned_bytes
