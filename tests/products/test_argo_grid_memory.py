"""What the plan promises of memory is kept by grids: a million profiles, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.plan.argo_schema import Footer, levels_schema, partition_key, profiles_schema
from tests.argo_partitions import PARAMETERS
from tests.peaks import PEAK

PARTITIONS, PROFILES, LEVELS = 100, 10_000, 12
WORKER_BYTES = 2 * 2**30
CHILD = (
    PEAK
    + """
import json, pathlib
from datetime import UTC, datetime
from pipeline.plan.memory import project_memory
from pipeline.products._base import Context
from pipeline.products.argo_grid import PRODUCT, ArgoGridConfig
from pipeline.read.access import Access
from pipeline.types import Asset, Item, Job, Period
from pipeline.write.tile import WriteOptions

root, budget = pathlib.Path(sys.argv[1]), int(sys.argv[2])
said = {"product": "argo_grid", "inputs": ["argo"], "regions": {"sea": {"bbox": [40, -30, 100, 30]}}}
config = ArgoGridConfig.model_validate(said, strict=False)
plan = PRODUCT.plan(config, "default", WriteOptions(None), {})
memory = project_memory(plan.tiles[0].geobox.shape.yx, 1, 1, plan.holding, budget)
ever = datetime(1950, 1, 1, tzinfo=UTC)
items = tuple(
    Item(path.parts[-3], "argo", "argo", ever, ever.date(), None, {"levels": Asset("levels", str(path))}, "made-once")
    for path in sorted(root.glob("data/argo/*/static/levels.parquet"))
)
period = Period("2024-Q1", datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))
job = Job("argo_grid", "argo_grid", plan.tiles[0], period, "default", items, "0" * 64, memory, 0)
context = Context(Access(), WriteOptions(None), skip_missing=True, max_missing_fraction=0.0, threads=2)
folder = root / "made"
folder.mkdir()
made = PRODUCT.make([job], config, context, [folder], memory)[0]
print(json.dumps([made.properties["groundswell:profiles_gridded"], len(items), memory.peak_bytes, peak_bytes()]))
"""
)


def write_many(root: Path, bucket: str) -> Path:
    """Ten floats of a thousand profiles each, all over a sea and a quarter of a year."""
    random = np.random.default_rng(0)
    rows = PROFILES * LEVELS
    pressure = np.tile(np.linspace(4, 1990, LEVELS, dtype=np.float32), PROFILES)
    start = np.datetime64("2024-01-01", "us")
    heads: dict[str, Any] = {
        "wmo": np.repeat(np.arange(2900000, 2900010), PROFILES // 10),
        "cycle": np.tile(np.arange(PROFILES // 10), 10),
        "profile_index": np.zeros(PROFILES, np.int32),
        "time": start + random.integers(0, 90 * 86400, PROFILES).astype("timedelta64[s]"),
        "time_qc": np.ones(PROFILES, np.int8),
        "latitude": random.uniform(-30, 30, PROFILES),
        "longitude": random.uniform(40, 100, PROFILES),
        "position_qc": np.ones(PROFILES, np.int8),
        "direction": "A",
        "kind": "core",
        "data_mode": "D",
        "file": "demo",
    }
    each = {name: value if isinstance(value, str) else np.repeat(value, LEVELS) for name, value in heads.items()}
    each |= {
        "level": np.tile(np.arange(LEVELS), PROFILES),
        "pres": pressure,
        "temp": (4 + 22 * np.exp(-pressure / 300) + random.normal(0, 0.1, rows)).astype(np.float32),
        "psal": (35.5 - 1.2 * np.exp(-pressure / 100)).astype(np.float32),
    }
    heads["levels"] = np.full(PROFILES, LEVELS, np.int32)
    footer = Footer(
        "argo", bucket, "made-once", PARAMETERS, 1, "20240901000000", (), license="CC-BY-4.0", attribution="A"
    )
    for name, columns, schema, count in (
        ("levels", each, levels_schema(PARAMETERS), rows),
        ("profiles", heads, profiles_schema(PARAMETERS), PROFILES),
    ):
        table = pa.table([_column(columns.get(field.name), field.type, count) for field in schema], schema=schema)
        path = root / partition_key("argo", bucket, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(footer.metadata()), path, row_group_size=131072)
    return root / partition_key("argo", bucket)


def _column(values: Any, kind: pa.DataType, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, kind)
    return pa.repeat(values, count).cast(kind) if isinstance(values, str) else pa.array(values).cast(kind)


@pytest.mark.long
def test_a_million_profiles_stay_within_what_the_plan_promises(tmp_path: Path) -> None:
    """One partition under a hundred names, which costs the grid as much as a hundred different ones."""
    first = write_many(tmp_path, "290000x")
    for number in range(1, PARTITIONS):
        folder = tmp_path / f"data/argo/{290000 + number}x/static"
        folder.mkdir(parents=True)
        for name in ("levels.parquet", "profiles.parquet"):
            os.link(first.with_name(name), folder / name)
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(WORKER_BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    profiles, partitions, planned_bytes, peak_bytes = json.loads(done.stdout.splitlines()[-1])
    assert (profiles, partitions) == (PARTITIONS * PROFILES, PARTITIONS)
    assert peak_bytes <= planned_bytes <= WORKER_BYTES
    print(f"{profiles} profiles: peak {peak_bytes / 2**20:.0f} MiB of {planned_bytes / 2**20:.0f} planned")  # noqa: T201
