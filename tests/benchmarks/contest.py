"""Contenders as processes, asked in turn: what each used for which tiles, as plain records."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.jobs import Square
from tests.benchmarks.measure import measured

ROOT = Path(__file__).parents[2]
Counts = Mapping[str, int]


def _no_counts() -> Counts:
    return {}


@dataclass(frozen=True)
class Place:
    """Where the scenes are read from."""

    name: str
    items: Path
    """Item list whose addresses are of that place."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the product's source."""
    environment: Mapping[str, str] = field(default_factory=dict)
    gdal: Mapping[str, str] = field(default_factory=dict)
    """The same settings in GDAL's words, for those that read by GDAL alone."""
    counts: Callable[[], Counts] = _no_counts
    """Requests, objects and bytes since it was last called."""


@dataclass(frozen=True)
class Record:
    """What one contender used for some tiles."""

    contender: str
    place: str
    run: int
    tiles: tuple[str, ...]
    wall_s: float
    cpu_s: float
    peak_bytes: int
    workers_bytes: int
    load: float
    """Of the machine, one-minute average at the end."""
    answer: Mapping[str, Any]
    """What the contender itself says: tasks, blocks, bytes, CPU of its parts."""
    counts: Counts
    """What its place says: requests, objects, bytes."""


class Contender:
    """A process that makes tiles on demand."""

    def __init__(self, name: str, place: Place, process: subprocess.Popen[str]) -> None:
        self.name, self.place, self._process = name, place, process

    def run(self, tiles: Sequence[Square], run: int) -> Record:
        """Have tiles made. Raises RuntimeError where the process ends instead of answering."""
        self.place.counts()
        with measured(self._process.pid) as use:
            answer = self._ask([tile.name for tile in tiles])
        return Record(
            self.name,
            self.place.name,
            run,
            tuple(tile.name for tile in tiles),
            use.wall_s,
            use.cpu_s,
            use.peak_bytes,
            use.workers_bytes,
            os.getloadavg()[0],
            answer,
            self.place.counts(),
        )

    def _ask(self, names: list[str]) -> dict[str, Any]:
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None:
            raise RuntimeError("the process has no pipes")
        asked.write(json.dumps(names) + "\n")
        asked.flush()
        for line in answers:
            if line.startswith("RESULT "):
                answer: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
                return answer
        raise RuntimeError(f"{self.name} on {self.place.name} ended with exit code {self._process.wait()}")


@contextlib.contextmanager
def contender(name: str, place: Place, tiles: Sequence[Square], folder: Path) -> Iterator[Contender]:
    """A contender's process while the block runs; its errors go to standard error."""
    mine = folder / f"{name}-{place.name}"
    mine.mkdir(parents=True, exist_ok=True)
    setup = {
        "folder": str(mine),
        "items": str(place.items),
        "source": dict(place.source),
        "remote": place.name != "disk",
        "tiles": [asdict(tile) for tile in tiles],
    }
    environment = place.environment if name.startswith("ours") else {**place.environment, **place.gdal}
    path = mine / "setup.json"
    path.write_text(json.dumps(setup))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.child", name, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield Contender(name, place, process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
