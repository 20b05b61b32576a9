"""What a run costs beside its work: a whole run in a new process, of one tile so small that it costs nothing."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.contest import ROOT
from tests.benchmarks.jobs import read_scenes, squares, write_config

SMALL_PX = 64


def startup(items: Path, folder: Path, runs: int) -> dict[str, float]:
    """CPU seconds, medians: of `--help`, and of a run of 64 x 64 pixels from first import to last process's end."""
    small, _ = squares(read_scenes(items), SMALL_PX)
    config = folder / "startup.yaml"
    write_config(config, str(items), str(folder / "startup"), [small], {})
    found: dict[str, list[float]] = {"help": [], "run": []}
    for _ in range(runs):
        found["help"].append(_cpu(["--help"]))
        found["run"].append(_cpu([str(config), "--yes", "--overwrite"]))
    return {name: statistics.median(values) for name, values in found.items()}


def _cpu(arguments: list[str]) -> float:
    """CPU seconds of the command and everything it started and waited for."""
    command = [sys.executable, "-m", "pipeline.run", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime
