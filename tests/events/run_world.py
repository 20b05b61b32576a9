"""A file of rules over a run's config over the demo world, in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import load_events
from pipeline.config.events import EventsConfig
from pipeline.events.event import SceneEvent
from pipeline.events.messages.scenes import stac_event

DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
ARN = "arn:aws:sns:eu-central-1:123456789012:scenes"
RULES: Mapping[str, Any] = {
    "s2": {"match": {"collection": "sentinel-2-l2a"}, "run": "run.yaml", "source": "s2", "settle": "period_end+5d"},
    "s1": {"match": {"collection": "sentinel-1-rtc"}, "run": "run.yaml", "source": "s1", "settle": "6h"},
    "dem": {"match": {"collection": "cop-dem-glo-90"}, "run": "run.yaml", "source": "dem"},
    "landsat": {"match": {"collection": "landsat-c2-l2"}, "run": "run.yaml", "source": "landsat"},
    "floats": {"match": {"bucket": "argo", "prefix": "pub/dac/"}, "run": "run.yaml", "settle": "1h"},
    "tables": {"match": {"bucket": "data", "suffix": [".csv", ".zarr"]}, "check": {}},
}


@dataclass(frozen=True)
class RunWorld:
    """A file of rules, the config of their run, its output, and the archives that it reads."""

    rules: Path
    run: Path
    output: Path
    world: Path

    def config(self, *sets: str) -> EventsConfig:
        return load_events(self.rules, sets)

    def scenes(self, source: str) -> list[SceneEvent]:
        """Every scene of a source, as its catalogue tells of it."""
        paths = sorted((self.world / source).glob("*/*.json"))
        return [stac_event(json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def run_world(world: Path, folder: Path, run: str | None = None, rules: Mapping[str, Any] = RULES) -> RunWorld:
    """Write both files; run: text of the run's config, by default the demo's own on tiles of 256 pixels."""
    output = folder / "output"
    text = run or DEMO.read_text(encoding="utf-8").replace("../demo-world", str(world)).replace(
        "./demo-output", str(output)
    ).replace("tile_px: 512", "tile_px: 256")
    (folder / "run.yaml").write_text(text, encoding="utf-8")
    events = {
        "name": "events",
        "inbox": str(folder / "inbox.sqlite"),
        "topics": [ARN],
        "buckets": {"argo": {}, "data": {}},
        "rules": dict(rules),
        "output": str(folder / "results"),
    }
    (folder / "events.yaml").write_text(json.dumps(events), encoding="utf-8")
    return RunWorld(folder / "events.yaml", folder / "run.yaml", output, world)
