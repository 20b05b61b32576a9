"""What the plan says of memory is what a bucket of floats takes: made from files, and merged with what is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.demo.argo_file import Cast, Column, profile_file
from pipeline.read.netcdf3 import Netcdf3
from tests.peaks import PEAK
from tests.products.argo_world import WHEN, path_of

FILES, LEVELS = 1200, 1000
CHILD = (
    PEAK
    + """
from pipeline.write.store import FolderStore
from tests.products.argo_world import Listed, config_of, job_of, publish

root = Path(sys.argv[1])
paths = sorted(str(path.relative_to(root / "dac")) for path in root.glob("dac/*/*/profiles/*.nc"))
old = dict.fromkeys(paths, "20240101000000")
for files in (old, {**old, paths[0]: "20240102000000"}):
    made, _ = publish(Listed(root, files), FolderStore(str(root / "out")))
print(made.properties["groundswell:files_read"], made.properties["groundswell:levels"])
print(job_of(Listed(root, files), config_of()).memory.peak_bytes, peak_bytes())
"""
)


def write_files(root: Path) -> None:
    """Many files that differ in float and cycle only: every parameter adjusted, 53 kB each."""
    random = np.random.default_rng(0)
    columns = {}
    for name, scale in (("PRES", 2000), ("TEMP", 30), ("PSAL", 40)):
        values = np.sort(random.random(LEVELS)).astype(np.float32) * np.float32(scale)
        columns[name] = Column(values, "1" * LEVELS, values + 1, "1" * LEVELS, values / 100, "D")
    data = bytearray(profile_file([Cast(9900100, 1, WHEN, 10.0, 60.0, columns)]))
    file, base = Netcdf3(memoryview(data)), address(np.frombuffer(data, np.uint8))
    cycle, last = address(file.get("CYCLE_NUMBER")) - base, address(file.get("PLATFORM_NUMBER")) - base + 6
    del file
    for number in range(FILES):
        data[cycle : cycle + 4] = (number // 10 + 1).to_bytes(4, "big")
        data[last] = ord(str(number % 10))
        path = root / "dac" / path_of(f"D990010{number % 10}_{number // 10 + 1:03d}.nc")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def address(array: NDArray[Any] | None) -> int:
    assert array is not None
    found: int = array.__array_interface__["data"][0]
    return found


@pytest.mark.long
def test_a_bucket_takes_no_more_than_planned(tmp_path: Path) -> None:
    write_files(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = [int(word) for word in done.stdout.split()]
    assert told[:2] == [1, FILES * LEVELS]
    planned, peak = told[2:]
    assert peak < planned
    assert peak > planned / 3, "the plan asks for far more than is taken"
