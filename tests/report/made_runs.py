"""Records of runs that never were, as a run writes them: any number of jobs, outcomes drawn by a seed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random

from pipeline.execute.records.lines import line_of
from pipeline.execute.records.runs import finish_run
from pipeline.types import AssetLoss, ClusterEvent, Finding, Json, Outcome, Quality, Status
from pipeline.write.store import open_store

RUN = "20260301T060000000Z-abc123"
BEGUN_S = 1_772_344_800.0
REGIONS = ("eu-central-1", "us-west-2")
_FAILURES = (
    ("PermanentAssetError", "item S2A_T{n:02d}ABC_2025, asset red: s3://scenes/{n}/red.tif: HTTP 404", 0.5),
    (
        "DeadlineError",
        "{job}: took longer than 3600 s (run.job_timeout_s); its worker tcp://10.0.0.{n}:4{n:04d} was ended",
        0.3,
    ),
    ("PoisonError", "{job}: ended 3 workers, the last with signal 11; it is set aside", 0.2),
)


@dataclass(frozen=True)
class Shape:
    """What is to be made up."""

    tiles: int
    periods: Sequence[str] = ("2025-06",)
    products: Sequence[str] = ("sentinel2",)
    failed: float = 0.0
    """Share of the jobs; of products after the first the jobs of a tile whose first failed are blocked."""
    skipped: float = 0.0
    cut: float = 1.0
    """Share of the jobs that were reached before the run ended."""
    workers: int = 40
    seed: int = 7


def write_run(folder: Path, shape: Shape, run: str = RUN, config: Json = None) -> Path:
    """A run under `folder`, which is given back; equal arguments give equal records but for what names the folder."""
    records = folder / "runs" / run
    records.mkdir(parents=True)
    jobs = list(_jobs(shape))
    config = config or {
        "name": "made-up",
        "run": {"notify": [{"webhook": "https://example.test", "secret": "**********"}]},
    }
    (records / "config.json").write_text(json.dumps(config))
    with (records / "plan.jsonl").open("w") as plan:
        plan.writelines(json.dumps(line) + "\n" for line in jobs)
    lines = list(_journal(shape, jobs))
    for number, start in enumerate(range(0, len(lines), 2000)):
        part = [line_of(line) + "\n" for line in lines[start : start + 2000]]
        (records / f"journal-{number:06d}.jsonl").write_text("".join(part))
    if shape.cut == 1:
        finish_run(open_store(str(folder)), run, {"run": run})
    return folder


def _jobs(shape: Shape) -> Iterator[Json]:
    """Tiles beside each other on an ellipse in Africa, as a plan has them."""
    draw, columns = Random(shape.seed), max(1, math.ceil(math.sqrt(shape.tiles * 1.3)))  # noqa: S311 (no secret)
    step = 40.0 / columns if shape.tiles > 100 else 0.2
    for tile in range(shape.tiles):
        row, column = divmod(tile, columns)
        west, north = 5.0 + column * step, 18.0 - row * step
        name = f"33N-{column:03d}-{row:04d}"
        for period in shape.periods:
            skipped = draw.random() < shape.skipped
            for product in shape.products:
                job = f"{product}/{name}/{period}"
                yield {
                    "format": 1,
                    "job": job,
                    "fingerprint": sha256(job.encode()).hexdigest()[:32],
                    "state": "already committed" if skipped else "run",
                    "region": REGIONS[tile % 2],
                    "bbox": [round(value, 5) for value in (west, north - step, west + step, north)],
                    "read_bytes": 90_000_000,
                }


def _journal(shape: Shape, jobs: Sequence[Json]) -> Iterator[Json]:
    draw = Random(shape.seed + 1)  # noqa: S311 (no secret)
    versions = {"groundswell": "0.1.0", "python": "3.11.7", "memory_bytes": 8 << 30, "packages": {"numpy": "2.3.1"}}
    command = ["python", "-m", "pipeline.run", "made up.yaml"]
    yield {"event": "begin", "time": BEGUN_S, "command": command, "environment": versions}
    for region in REGIONS:
        up = ClusterEvent(region, 0, "up", "coiled", shape.workers, 4, 16 << 30, spot=True, machine="m6i.xlarge")
        yield {"event": "cluster", "time": BEGUN_S + 60, **asdict(up)}
    free = [BEGUN_S + 60.0] * (shape.workers * len(REGIONS))
    todo = [job for job in jobs if job["state"] == "run"]
    failed: set[str] = set()
    for job in todo[: round(len(todo) * shape.cut)]:
        worker = draw.randrange(shape.workers) * 2 + REGIONS.index(job["region"])
        outcome = _outcome(shape, draw, job, failed)
        begun = free[worker]
        free[worker] += outcome.seconds
        if outcome.status is not Status.BLOCKED:
            outcome = replace(outcome, begun_s=begun, worker=f"tcp://10.0.{worker % 2}.{worker // 2}:9000")
            if draw.random() < 0.01:
                cause = f"{job['job']}: connection to s3.amazonaws.com reset after {draw.randrange(9999)} bytes"
                yield _job(
                    replace(
                        outcome, status=Status.RETRY, error="TransientAssetError", cause=cause, quality=None, losses=()
                    ),
                    begun,
                )
                outcome = replace(outcome, attempts=2)
        yield _job(outcome, free[worker])
    end = max(free)
    for region in REGIONS:
        yield {"event": "cluster", "time": end + 5, **asdict(ClusterEvent(region, 0, "closed"))}
    yield {"event": "end", "time": end + 6, "error": None, "code": int(bool(failed)), "reason": None}


def _job(outcome: Outcome, time_s: float) -> Json:
    return {"event": "job", "time": round(time_s, 3), **asdict(outcome)}


def _outcome(shape: Shape, draw: Random, job: Json, failed: set[str]) -> Outcome:
    product, tile, period = job["job"].split("/")
    blank = Outcome(job["job"], job["region"], job["fingerprint"], Status.DONE)
    if f"{tile}/{period}" in failed:
        cause = f"made from {shape.products[0]}/{tile}/{period}, which failed"
        return replace(blank, status=Status.BLOCKED, error="BlockedError", cause=cause, attempts=0)
    seconds = draw.lognormvariate(math.log(20 + 40 * shape.products.index(product)), 0.4)
    chance = draw.random()
    if chance < shape.failed and product == shape.products[0]:
        failed.add(f"{tile}/{period}")
        kind = draw.choices(_FAILURES, [one[2] for one in _FAILURES])[0]
        cause = kind[1].format(n=draw.randrange(60), job=job["job"])
        return replace(blank, status=Status.FAILED, seconds=seconds / 3, attempts=4, error=kind[0], cause=cause)
    found = (Finding("few_observations", "warn", "1 clear observation, expected 3"),) if chance > 0.98 else ()
    loss = AssetLoss("S2A_x", "red", "s3://scenes/x/red.tif", "TransientAssetError", "timed out after 30 s", 4)
    return replace(
        blank,
        seconds=seconds,
        item_key=f"items/{product}/{tile}_{period}_{job['fingerprint']}.json",
        read_bytes=draw.randrange(50_000_000, 130_000_000),
        written_bytes=draw.randrange(8_000_000, 14_000_000),
        quality=Quality("warn" if found else "pass", found),
        losses=(loss,) if chance > 0.995 else (),
    )
