"""The demo's own config, run with other clusters and nothing else changed: what came of it, byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pipeline.session import Options, Result, open_session
from pipeline.types import Status

CONFIG = Path(__file__).parents[1] / "configs" / "demo.yaml"
REGIONS = ("eu-central-1", "us-west-2")


@dataclass(frozen=True)
class Ran:
    """What a run of the demo came to."""

    result: Result
    output: Path
    digests: Mapping[str, str]
    """Of every file of data, by its path."""

    def workers(self) -> dict[str, Counter[str]]:
        """Region → how many jobs each of its workers did, as the journal tells."""
        lines = [
            json.loads(line)
            for segment in sorted((self.output / "runs" / self.result.run_id).glob("journal-*.jsonl"))
            for line in segment.read_text(encoding="utf-8").splitlines()
        ]
        done: dict[str, Counter[str]] = {}
        for line in lines:
            if line["event"] == "job" and line["status"] == Status.DONE:
                done.setdefault(line["region"], Counter())[line["worker"]] += 1
        return done


def run_demo(world: Path, output: Path, clusters: Mapping[str, Any]) -> Ran:
    """Run it in this process. world: the demo's, of any size. Fails unless every job is done."""
    sources = ("s2", "s1", "dem", "landsat", "s2_c1")
    sets = [f"sources.{name}.items={world}/{name}/collection.json" for name in sources]
    sets.append(f"sources.argo.gdac={world}/argo")
    session = open_session(Options(CONFIG, sets=[*sets, f"clusters={json.dumps(clusters)}"], output=str(output)))
    result = session.run()
    assert [outcome.cause for outcome in result.outcomes if outcome.status is not Status.DONE] == []
    assert len(result.outcomes) == len(session.plan.jobs) > 0
    return Ran(result, output, digests_of(output))


@cache
def run_locally(world: Path) -> Mapping[str, str]:
    """Digests of the same on this machine's cores; run once for all tests."""
    return run_demo(world, Path(mkdtemp(dir=world.parent)), {"default": {"backend": "local"}}).digests


def digests_of(output: Path) -> dict[str, str]:
    """Of every file of data below a run's output."""
    files = sorted(path for path in (output / "data").rglob("*") if path.is_file())
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
