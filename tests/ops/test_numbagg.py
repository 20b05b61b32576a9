"""Whether numbagg is installed must not matter: it compiles for half a minute in every process that takes a median."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worlds import SmallWorld

ROOT = Path(__file__).parents[2]
VERSION = "0.9.4"
STUB = f"""
__version__ = "{VERSION}"

def __getattr__(name):
    if not name.startswith("__"):
        raise RuntimeError(f"numbagg.{{name}} was asked for")
    raise AttributeError(name)
"""
LAZY = """
import sys
from pathlib import Path
import numpy as np
import xarray as xr
from pipeline.session import Options, open_session

for name in ("median", "p10", "best_pixel"):
    session = open_session(Options(Path(sys.argv[1]), sets=(f"products.0.composite={name}",)))
    job = next(job for job in session.plan.jobs if all(item.id != "S2A_33TTK_20240706_0_L2A" for item in job.items))
    for cube in (session.open(job), session.composite(job)):
        computed = cube.compute(scheduler="threads")
        print(name, int(computed["red"].max()) > 0)
try:
    xr.DataArray(np.array([[1.0, np.nan], [2.0, 3.0]]), dims=("time", "x")).median("time")
except RuntimeError as error:
    print("the trap works:", error)
"""


@pytest.mark.long
def test_the_lazy_path_never_asks_for_numbagg(world: SmallWorld, tmp_path: Path) -> None:
    """A numbagg is installed that raises when it is used, and xarray's own median shows that it would be found."""
    (tmp_path / "numbagg.py").write_text(STUB)
    metadata = tmp_path / f"numbagg-{VERSION}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: numbagg\nVersion: {VERSION}\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-c", LAZY, str(world.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    *made, trap = done.stdout.splitlines()
    assert made == ["median True", "median True", "p10 True", "p10 True", "best_pixel True", "best_pixel True"]
    assert trap.startswith("the trap works: numbagg.")
