"""Partitions of invented profiles, written as products write them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from pipeline.plan.argo_schema import Footer, Input, cast_to, levels_schema, partition_key, profiles_schema
from pipeline.write.profiles import write_parquet
from pipeline.write.store import Store

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
PARAMETERS = ("PRES", "TEMP", "PSAL")
PRODUCT = "argo"


@dataclass(frozen=True)
class Cast:
    """One profile; its values are made from what it is."""

    wmo: int = 2902269
    cycle: int = 1
    mode: str = "R"
    direction: str = "A"
    kind: str = "core"
    index: int = 0
    time: datetime | None = EPOCH
    latitude: float | None = 10.0
    longitude: float | None = 65.0
    levels: int = 5
    offset: float = 0.0
    """Added to the temperatures: another version of the file."""
    values: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    """In place of made ones, by column."""

    @property
    def file(self) -> str:
        letter = "D" if self.mode == "D" else "R"
        prefix = {"core": "", "bgc": "B", "synthetic": "S"}[self.kind]
        down = "D" if self.direction == "D" else ""
        return f"incois/{self.wmo}/profiles/{prefix}{letter}{self.wmo}_{self.cycle:03d}{down}.nc"

    @property
    def version(self) -> str:
        return {"R": "20240101000000", "A": "20240201000000", "D": "20240301000000"}[self.mode]

    @property
    def identity(self) -> tuple[int, int, str, str, int]:
        return self.wmo, self.cycle, self.direction, self.kind, self.index

    def head(self) -> dict[str, Any]:
        names = ("wmo", "cycle", "direction", "kind", "profile_index")
        place = {"time": self.time, "latitude": self.latitude, "longitude": self.longitude}
        quality = {"time_qc": 1, "position_qc": 1, "data_mode": self.mode, "file": self.file}
        return {**dict(zip(names, self.identity, strict=True)), **place, **quality}

    def rows(self, parameters: Sequence[str]) -> list[dict[str, Any]]:
        if not self.levels:
            return [{**self.head(), "level": None}]
        rows = []
        for level in range(self.levels):
            made: dict[str, Any] = {"level": level, "depth": 9.9 * (level + 1)}
            for number, parameter in enumerate(parameters):
                name = parameter.lower()
                truth = 10.0 * (level + 1) if parameter == "PRES" else 20 + number + level / 10 + self.offset
                delayed = self.mode != "R"
                made |= {
                    name: truth,
                    f"{name}_qc": 1,
                    f"{name}_mode": self.mode,
                    f"{name}_raw": truth,
                    f"{name}_raw_qc": 1,
                }
                made |= {f"{name}_adjusted": truth, f"{name}_adjusted_qc": 1} if delayed else {}
            made |= {name: given[level] for name, given in self.values.items()}
            rows.append({**self.head(), **made})
        return rows

    def profile(self, parameters: Sequence[str]) -> dict[str, Any]:
        numbers: dict[str, Any] = {}
        for parameter in parameters:
            name = parameter.lower()
            numbers |= {f"{name}_mode": self.mode, f"{name}_count": self.levels, f"{name}_min": 1.0, f"{name}_max": 2.0}
        texts = {"platform_type": "ARVOR", "pi_name": "M. Ravichandran", "version": self.version, "levels": self.levels}
        return {**self.head(), **numbers, **texts, "parameters": list(parameters)}


def cycles(count: int, **given: Any) -> list[Cast]:
    """Casts of successive cycles, ten days apart."""
    return [Cast(**{"cycle": one, "time": EPOCH + timedelta(days=10 * one), **given}) for one in range(1, count + 1)]


def put_partition(
    store: Store, casts: Iterable[Cast], generation: int, *, parameters: Sequence[str] = PARAMETERS, beside: bool = True
) -> str:
    """Write the partition of these casts; returns its bucket. beside: with the table of profiles, or without it yet."""
    chosen = sorted(casts, key=lambda one: one.identity)
    bucket = f"{chosen[0].wmo // 10}x"
    names = tuple(parameters)
    inputs = tuple(Input(*one, "used") for one in sorted({(one.file, one.version) for one in chosen}))
    fingerprint = hashlib.sha256(repr((chosen, names)).encode()).hexdigest()[:16]
    footer = Footer(PRODUCT, bucket, fingerprint, names, generation, "20240901000000", inputs)
    levels = pa.Table.from_pylist([row for one in chosen for row in one.rows(names)], levels_schema(names))
    profiles = pa.Table.from_pylist([one.profile(names) for one in chosen], profiles_schema(names))
    with TemporaryDirectory() as folder:
        for table, rows in (("profiles", profiles), ("levels", levels)) if beside else (("levels", levels),):
            path = Path(folder, f"{table}.parquet")
            write_parquet(cast_to(rows, rows.schema), path, footer)
            store.put_file(path, partition_key(PRODUCT, bucket, table))
    return bucket
