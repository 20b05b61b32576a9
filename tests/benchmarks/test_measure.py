"""What is measured is what was used: also by children, and by those that have ended."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.benchmarks.contest import Record
from tests.benchmarks.measure import measured
from tests.benchmarks.table import Figures, render

SPIN = "import time\nwhile time.process_time() < {}: pass"
PARENT = """
import subprocess, sys
for line in sys.stdin:
    subprocess.run([sys.executable, "-c", line.encode().decode("unicode_escape")], check=True)
    print("done", flush=True)
"""


@pytest.fixture
def parent() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    return process


def ask(parent: subprocess.Popen[str], program: str) -> None:
    assert parent.stdin is not None and parent.stdout is not None
    parent.stdin.write(program.replace("\n", "\\n") + "\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "done\n"


def test_cpu_of_a_child_that_has_ended_counts(parent: subprocess.Popen[str]) -> None:
    ask(parent, "pass")
    with measured(parent.pid) as use:
        ask(parent, SPIN.format(0.5))
    assert 0.45 < use.cpu_s < 2
    parent.communicate()


def test_peak_memory_is_that_of_the_whole_tree(parent: subprocess.Popen[str]) -> None:
    ask(parent, "pass")
    with measured(parent.pid) as use:
        ask(parent, "import time\nheld = bytearray(200_000_000)\ntime.sleep(0.5)")
    assert 200e6 < use.workers_bytes < use.peak_bytes < 300e6
    parent.communicate()


def test_what_happened_before_does_not_count() -> None:
    with measured(os.getpid()) as use:
        pass
    assert use.cpu_s < 0.2


def record(contender: str, cpu_s: float, tiles: tuple[str, ...], run: int = 1, place: str = "disk") -> Record:
    counts = {"requests": 30, "objects": 10, "bytes": 2000} if place == "http" else {}
    answer = {"objects": 10, "blocks": 90, "bytes": 1000} if contender == "floor" else {"tasks": 2 * len(tiles)}
    return Record(contender, place, run, tiles, 2.0, cpu_s, 10**9, 8 * 10**8, 0.5, answer, counts)


def test_ratios_are_to_the_floor_of_the_same_tiles_in_the_same_run() -> None:
    records = [
        record("floor", 4.0, ("a",)),
        record("floor", 6.0, ("b",)),
        record("ours", 12.0, ("a", "b")),
        record("stackstac", 30.0, ("b",)),
        record("ours", 11.0, ("a", "b"), place="http"),
    ]
    rows = {tuple(cell.strip() for cell in line.split("|"))[1:3]: line for line in render(Figures(records)).split("\n")}
    cells = {key: [cell.strip() for cell in line.split("|")][1:-1] for key, line in rows.items()}
    assert cells["Groundswell", "disk"][2:7] == ["1", "6", "1.2", "800", "2"]
    assert cells["stackstac", "disk"][4] == "5"
    assert cells["Groundswell", "40 ms away"][4] == "1.1"
    assert cells["Groundswell", "40 ms away"][7:9] == ["1.5", "1"]


def test_groups_of_neighbours_are_beside_their_own_floor() -> None:
    tiles = tuple(f"t{n}" for n in range(16))
    text = render(Figures([record("floor", 80.0, tiles), record("ours-super", 48.0, tiles)]))
    row = next(line for line in text.split("\n") if "Groundswell" in line)
    assert [cell.strip() for cell in row.split("|")][3:5] == ["3", "0.6"]
