"""The demo's own config, run by the command on whatever clusters a test has; and what must be equal on all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults._runs import CHECKOUT, Finished, Running, products

SOURCES = ("s2", "s1", "dem", "landsat", "s2_c1")
REGIONS = ("eu-central-1", "us-west-2")
JOBS = 38
"""Tiles of 256 pixels around the edge of two UTM zones, in one month, of six products; and two of tables."""


@dataclass(frozen=True)
class Demo:
    """One run of it: everything lies in `folder`."""

    folder: Path
    world: Path
    clusters: Mapping[str, Any]
    """As under `clusters:` of a config; keys are regions, or `default`."""
    environ: Mapping[str, str]
    """Further variables of the command, such as KUBECONFIG."""

    @property
    def output(self) -> Path:
        return self.folder / "output"

    def start(self, *options: str) -> Running:
        """`python -m pipeline.run configs/demo.yaml` with only `clusters:` and the places of its files changed."""
        sets = [f"sources.{name}.items={self.world}/{name}/collection.json" for name in SOURCES]
        sets.append(f"sources.argo.gdac={self.world}/argo")
        sets += [
            "grid.tile_px=256",
            "period.end=2024-07-01",
            f"clusters={json.dumps(self.clusters)}",
            f"output={self.output}",
        ]
        config = str(CHECKOUT / "configs" / "demo.yaml")
        self.folder.mkdir(exist_ok=True)
        log = self.folder / "log.txt"
        options = tuple(part for one in sets for part in ("--set", one)) + options
        path = os.pathsep.join((str(CHECKOUT), os.environ.get("PYTHONPATH", "")))
        state = {"PYTHONPATH": path, "XDG_STATE_HOME": str(self.folder / "state")}
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.run", config, "--yes", *options],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **state, **self.environ},
                cwd=self.folder,
                start_new_session=True,
            )
        return Running(process, log)

    def run(self, *options: str) -> Finished:
        """From start to end; it must end well."""
        finished = self.start(*options).wait()
        assert finished.code == 0, finished.text
        return finished

    def results(self) -> dict[str, Any]:
        """What runs must agree on: data files as bytes, items as documents; a killed put leaves unfinished ones."""
        files = (path for path in self.output.rglob("*") if path.is_file() and not path.name.startswith(".tmp-"))
        return products({path.relative_to(self.output).as_posix(): path.read_bytes() for path in files})

    def records(self) -> list[Any]:
        """What became of each job, as the run's journal has it; also while it runs."""
        lines = [line for path in (self.folder / "state").rglob("*.jsonl") for line in path.read_text().splitlines()]
        return [record for record in map(json.loads, lines) if record["event"] == "job"]

    def workers(self) -> dict[str, set[str]]:
        """Region → names of the workers that had its jobs."""
        found: dict[str, set[str]] = defaultdict(set)
        for record in self.records():
            found[record["region"]].add(record["worker"])
        return dict(found)


def check_same(one: Demo, other: Demo) -> None:
    """The same keys, and under each the same bytes."""
    found, expected = one.results(), other.results()
    assert found.keys() == expected.keys()
    assert [key for key in found if found[key] != expected[key]] == []
    assert any(key.startswith("data/") for key in found)
