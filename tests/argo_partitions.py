"""Small Argo partitions from plain numbers: what readers of committed tables are tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.plan.argo_schema import Footer, levels_schema, partition_key, profiles_schema

PARAMETERS = ("PRES", "TEMP", "PSAL")


@dataclass(frozen=True)
class Cast:
    """One profile; numbers are best values, and flag 1 stands beside each."""

    wmo: int
    cycle: int
    latitude: float | None
    longitude: float | None
    time: datetime | None = datetime(2024, 6, 15, tzinfo=UTC)
    values: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    """By parameter in upper case; all of one length."""
    direction: str = "A"
    kind: str = "core"
    profile_index: int = 0
    mode: str = "D"
    time_qc: int = 1
    position_qc: int = 1
    flags: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[Any, ...]:
        return self.wmo, self.cycle, self.direction, self.kind, self.profile_index

    @property
    def levels(self) -> int:
        return max([0, *(len(each) for each in self.values.values())])


def tables(casts: Sequence[Cast], parameters: Sequence[str] = PARAMETERS) -> tuple[pa.Table, pa.Table]:
    """`levels` and `profiles` of some casts."""
    ordered = sorted(casts, key=lambda cast: cast.identity)
    schema = levels_schema(tuple(parameters))
    rows = [_row(cast, level, schema.names) for cast in ordered for level in range(max(1, cast.levels))]
    levels = pa.Table.from_pylist(rows, schema)
    heads = [_head(cast) for cast in ordered]
    return levels, pa.Table.from_pylist(heads, profiles_schema(tuple(parameters)))


def _who(cast: Cast) -> dict[str, Any]:
    names = ("wmo", "cycle", "direction", "kind", "profile_index")
    return {
        **dict(zip(names, cast.identity, strict=True)),
        "time": cast.time,
        "time_qc": cast.time_qc,
        "latitude": cast.latitude,
        "longitude": cast.longitude,
        "position_qc": cast.position_qc,
        "data_mode": cast.mode,
        "file": f"demo/{cast.wmo}/profiles/{cast.mode}{cast.wmo}_{cast.cycle:03d}.nc",
    }


def _head(cast: Cast) -> dict[str, Any]:
    modes = {f"{name.lower()}_mode": cast.mode for name in cast.values}
    return {**_who(cast), **modes, "levels": cast.levels}


def _row(cast: Cast, level: int, columns: Sequence[str]) -> dict[str, Any]:
    row = {**_who(cast), "level": level if cast.levels else None}
    for name, values in cast.values.items():
        value, flags = values[level], cast.flags.get(name)
        flag = None if value is None else flags[level] if flags else 1
        known = {"": value, "_qc": flag, "_error": 0.5, "_mode": cast.mode, "_raw": value, "_raw_qc": flag}
        row |= {f"{name.lower()}{part}": each for part, each in known.items() if f"{name.lower()}{part}" in columns}
    return row


def write_partition(  # noqa: PLR0913 (a partition is made of many parts, and most have a default)
    root: Path,
    bucket: str,
    casts: Sequence[Cast],
    *,
    product: str = "argo",
    parameters: Sequence[str] = PARAMETERS,
    generation: int = 1,
    fingerprint: str = "",
    row_group: int = 1000,
) -> Path:
    """Both tables of a bucket below an output's folder; gives the path of the levels."""
    footer = Footer(
        product,
        bucket,
        fingerprint or f"{bucket}-{generation}",
        tuple(parameters),
        generation,
        "20240901000000",
        (),
        license="CC-BY-4.0",
        attribution="Argo (2000), https://doi.org/10.17882/42182",
        doi="10.17882/42182",
    )
    path = root / partition_key(product, bucket)
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, table in zip(("levels", "profiles"), tables(casts, parameters), strict=True):
        stored = table.replace_schema_metadata(footer.metadata())
        pq.write_table(stored, root / partition_key(product, bucket, name), row_group_size=row_group)
    return path


def water(pressure: np.ndarray[Any, Any], day: float = 0.0) -> dict[str, list[float]]:
    """A plausible column: warm and fresh on top of cold and salt."""
    temp = 4 + 20 * np.exp(-pressure / 300) + 0.01 * day
    psal = 35.5 - 1.2 * np.exp(-pressure / 100)
    return {
        name: [float(each) for each in values] for name, values in zip(PARAMETERS, (pressure, temp, psal), strict=True)
    }
