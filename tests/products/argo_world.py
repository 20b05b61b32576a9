"""Floats in a folder, jobs over them as a run plans them, and partitions made and published as a worker does it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pipeline.demo.argo_file import Cast, Column, profile_file
from pipeline.errors import MovedError
from pipeline.plan.argo_jobs import argo_jobs
from pipeline.products._base import Context
from pipeline.products.argo import PRODUCT, ArgoConfig
from pipeline.read.access import Access
from pipeline.types import Asset, Item, Job, Made
from pipeline.write.commit import Committed, commit
from pipeline.write.files import write_json_file
from pipeline.write.profiles import Partition, read_partition
from pipeline.write.store import FolderStore, Store
from pipeline.write.tile import WriteOptions

WHEN = datetime(2024, 6, 1, tzinfo=UTC)
BUDGET = 4 * 2**30


@dataclass(frozen=True)
class Listed:
    """Files of a mirror as an index lists them: path below dac/ → version."""

    root: Path
    files: Mapping[str, str] = field(default_factory=dict)
    index: str = "20240901000000"
    complete: bool = True
    beside: tuple[str, ...] = ()
    """What the index lists too, and is not asked for now."""
    greylist: tuple[str, ...] = ()
    project: str = "ARGO"

    def with_file(self, path: str, data: bytes, version: str, *, without: str | None = None) -> Listed:
        """With one file more on disk and in the index, and another gone from the index."""
        target = self.root / "dac" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        kept = {name: known for name, known in self.files.items() if name != without}
        return replace(self, files={**kept, path: version})

    def items(self) -> list[Item]:
        floats: dict[str, list[str]] = {}
        for path in self.files:
            floats.setdefault(path.split("/")[1], []).append(path)
        return [self._item(wmo, paths) for wmo, paths in floats.items()]

    def _item(self, wmo: str, paths: Sequence[str]) -> Item:
        return Item(
            id=wmo,
            collection="argo",
            source="argo",
            time=WHEN,
            solar_day=WHEN.date(),
            geometry=None,
            assets={path: Asset(path, str(self.root / "dac" / path), checksum=self.files[path]) for path in paths},
            properties={
                "argo:index": self.index,
                "argo:complete": self.complete,
                "argo:beside": "\n".join(self.beside),
                "argo:roots": [str(self.root)],
                "argo:project": self.project,
                "argo:greylist": [row for row in self.greylist if row.startswith(f"{wmo},")],
            },
        )


def config_of(**keys: Any) -> ArgoConfig:
    return ArgoConfig.model_validate_json(json.dumps({"product": "argo", "source": "argo", **keys}), strict=True)


def jobs_of(listed: Listed, config: ArgoConfig) -> list[Job]:
    plan = PRODUCT.plan(config, "default", WriteOptions(None), {})
    return argo_jobs(plan, listed.items(), BUDGET)[0]


def job_of(listed: Listed, config: ArgoConfig) -> Job:
    """The only job: all floats are of one bucket."""
    (job,) = jobs_of(listed, config)
    return job


def make(job: Job, config: ArgoConfig, store: Store, folder: Path, **context: Any) -> Made:
    settings: dict[str, Any] = {"skip_missing": True, "max_missing_fraction": 1.0, "threads": 2, **context}
    ready = Context(access=Access(), write=WriteOptions(None), store=store, **settings)
    (made,) = PRODUCT.make([job], config, ready, [folder], job.memory)
    return made


def publish(listed: Listed, store: Store, config: ArgoConfig | None = None) -> tuple[Made, Committed | None]:
    """Make and commit the only job, again as often as somebody else was faster."""
    config = config or config_of()
    job = job_of(listed, config)
    while True:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            made = make(job, config, store, folder)
            if not made.files:
                return made, None
            inputs = write_json_file({"paths": sorted(listed.files)}, folder / "inputs.json", "inputs", title="Inputs")
            try:
                return made, commit(store, job, replace(made, files=(*made.files, inputs)))
            except MovedError:
                continue


def partition(store: Store, bucket: str = "990010x") -> Partition:
    found = read_partition(store, "argo", bucket)
    assert found is not None
    assert found.footer is not None
    assert found.tables, "the three tables are not of one put"
    return found


def rows(store: Store, bucket: str = "990010x") -> list[dict[str, Any]]:
    """Every profile as (identity, mode, file …)."""
    found: list[dict[str, Any]] = partition(store, bucket).tables["profiles"].to_pylist()
    return found


def same_tables(one: Mapping[str, pa.Table], other: Mapping[str, pa.Table]) -> bool:
    """Equal in every bit; NaN is NaN."""
    return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)


def _equal(one: pa.Table, other: pa.Table) -> bool:
    if one.schema != other.schema or one.num_rows != other.num_rows:
        return False
    for name in one.column_names:
        left, right = (table[name].combine_chunks() for table in (one, other))
        if pa.types.is_floating(left.type):
            values = [part.fill_null(0).to_numpy(zero_copy_only=False) for part in (left, right)]
            if left.is_null() != right.is_null() or not np.array_equal(values[0], values[1], equal_nan=True):
                return False
        elif left.to_pylist() != right.to_pylist():
            return False
    return True


def cast(cycle: int = 1, mode: str = "R", *, wmo: int = 9900101, shift: float = 0.0, **keys: Any) -> Cast:
    """A profile of five levels; adjusted unless its mode is R, and then by `shift`."""
    pres = np.array([5.0, 10.0, 20.0, 50.0, 100.0], np.float32)
    columns = {}
    truth: dict[str, NDArray[np.floating]] = {"PRES": pres, "TEMP": 20 - pres / 10, "PSAL": 35 + pres / 100}
    for name, values in truth.items():
        adjusted = None if mode == "R" else (values + np.float32(shift)).astype(np.float32)
        flags, error = ("11111", np.full(5, 0.1, np.float32)) if adjusted is not None else (None, None)
        columns[name] = Column(values.astype(np.float32), "11111", adjusted, flags, error, mode)
    where: dict[str, Any] = {"latitude": 10.0, "longitude": 60.0, "moment": WHEN, **keys}
    return Cast(wmo=wmo, cycle=cycle, columns=columns, **where)


def path_of(name: str) -> str:
    """`D9900101_001.nc` as the index has it."""
    wmo = name.lstrip("BSRD").partition("_")[0]
    return f"incois/{wmo}/profiles/{name}"


def core(name: str, version: str, *casts: Cast) -> tuple[str, bytes, str]:
    """What `Listed.with_file` takes."""
    return path_of(name), profile_file(casts, "core", version), version


OLD, NEW = "20240701000000", "20240801000000"
R1 = core("R9900101_001.nc", OLD, cast(1, "R"))
D1 = core("D9900101_001.nc", NEW, cast(1, "D", shift=0.5))
R2 = core("R9900101_002.nc", OLD, cast(2, "A", shift=0.25))
"""One cycle in real time and delayed mode, and another one."""


@pytest.fixture
def mirror(tmp_path: Path) -> Listed:
    return Listed(tmp_path / "gdac")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(str(tmp_path / "out"))
