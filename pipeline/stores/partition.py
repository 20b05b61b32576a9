"""Committed partitions as rows for PostgreSQL, a row group at a time: each profile with a digest of all it holds."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import StoreError
from pipeline.plan.argo_schema import IDENTITY, TABLES, Footer, NoFooterError, partition_key, read_footer
from pipeline.stores.encode import Field, double, encode_arrays, encode_row, integer, jsonb, moment, smallint, text
from pipeline.stores.migrations import numbers_table
from pipeline.types import Json
from pipeline.write.store import Entry, Store

SETTLED_S = 3.0
"""An object younger than this may be replaced within the resolution of its own time stamp."""
_ARRAYS = ("", "_qc", "_error", "_raw", "_raw_qc", "_adjusted", "_adjusted_qc", "_adjusted_error")
_NUMBERS = ("count", "min", "max", "mean", "profile_qc", "profile_qc_computed")
_PLACE = ("time", "time_qc", "latitude", "longitude", "position_qc", "data_mode")

Identity = tuple[int, int, str, str, int]
"""wmo, cycle, direction, kind, profile_index."""


class Listed(NamedTuple):
    """A committed partition, as a listing shows it."""

    bucket: str
    size_bytes: int
    modified_s: float | None
    """None where the object is too young to be told by it."""


@dataclass(frozen=True)
class Profile:
    """One profile, as it is sent to PostgreSQL."""

    identity: Identity
    mode: str | None
    row: tuple[Field, ...]
    """The columns of `profiles` from `wmo` to `statistics`."""
    measured: Mapping[str, Sequence[tuple[Field, ...]]]
    """By table of numbers, its rows from `parameter` on."""
    digest: bytes
    """Of all of that."""


def list_partitions(store: Store, product: str) -> list[Listed]:
    """The committed partitions of a product, sorted; one listing, nothing is read."""
    now_s = store.now_s()
    found = []
    for entry in store.list_entries(f"data/{product}/"):
        bucket = entry.key.split("/")[2]
        if entry.key == partition_key(product, bucket):
            found.append(_listed(bucket, entry, now_s))
    return sorted(found)


def _listed(bucket: str, entry: Entry, now_s: float) -> Listed:
    return Listed(bucket, entry.size_bytes, entry.modified_s if now_s - entry.modified_s > SETTLED_S else None)


class PartitionFile:
    """A partition's levels as of one moment, and what stands beside them of the same put."""

    def __init__(self, store: Store, product: str, bucket: str) -> None:
        """Read the bytes. Raises StoreError where they are no partition of ours."""
        self._where = f"{store.uri}, key {partition_key(product, bucket)}"
        self._levels = _open(store.get_bytes(partition_key(product, bucket)), self._where)
        self.footer: Footer = read_footer(self._levels.schema_arrow.metadata, self._where)
        self._versions = {one.path: one.version for one in self.footer.inputs}
        beside = _beside(store, product, bucket)
        self.whole = beside is not None and beside[0] == self.footer
        """False in the moment between the puts of its tables: profiles then lack metadata and statistics."""
        self._described = _by_identity(beside[1]) if beside is not None and self.whole else {}

    def profiles(self) -> Iterator[list[Profile]]:
        """Every profile, in the order of the file, a row group's worth at a time."""
        rest: pa.Table | None = None
        for number in range(self._levels.num_row_groups):
            table = self._levels.read_row_group(number)
            table = pa.concat_tables([rest, table]) if rest is not None else table
            if not table.num_rows:
                continue
            first = _starts(table)
            # The last profile of a row group may go on in the next.
            last = number == self._levels.num_row_groups - 1
            whole = table.num_rows if last else int(first[-1])
            if whole:
                yield self._encode(table.slice(0, whole), np.append(first if last else first[:-1], whole))
            rest = table.slice(whole)

    def _encode(self, table: pa.Table, first: np.ndarray[Any, np.dtype[np.int64]]) -> list[Profile]:
        columns = [*IDENTITY, *_PLACE, "file", *(f"{name.lower()}_mode" for name in self.footer.parameters)]
        heads = table.select(columns).take(pa.array(first[:-1])).to_pylist()
        levels = _levels(table, first, self._where)
        measured: list[dict[str, list[tuple[Field, ...]]]] = [{} for _ in heads]
        for parameter in ("depth", *self.footer.parameters):
            name, into = parameter.lower(), numbers_table(parameter)
            present = [f"{name}{part}" if f"{name}{part}" in table.column_names else "" for part in _ARRAYS]
            arrays = [encode_arrays(table[one], first) if one else [None] * len(heads) for one in present]
            for head, rows, values in zip(heads, measured, zip(*arrays, strict=True), strict=True):
                mode = (head.get(f"{name}_mode") or "").strip() or None
                if mode is not None or any(each is not None for each in values):
                    rows.setdefault(into, []).append((text(name), text(mode), *values))
        return [self._profile(*each) for each in zip(heads, levels, measured, strict=True)]

    def _profile(
        self, head: Mapping[str, Any], levels: int, measured: Mapping[str, list[tuple[Field, ...]]]
    ) -> Profile:
        identity: Identity = (head["wmo"], head["cycle"], head["direction"], head["kind"], head["profile_index"])
        metadata, statistics = _described(self._described.get(identity), self.footer.parameters)
        row = (
            *(integer(one) if isinstance(one, int) else text(one) for one in identity),
            moment(head["time"]),
            smallint(head["time_qc"]),
            double(head["latitude"]),
            double(head["longitude"]),
            smallint(head["position_qc"]),
            text(head["data_mode"]),
            text(head["file"]),
            text(self._versions.get(head["file"], "")),
            integer(levels),
            jsonb(metadata),
            jsonb(statistics),
        )
        digest = blake2b(encode_row(row), digest_size=16)
        for _, rows in sorted(measured.items()):
            for each in rows:
                digest.update(encode_row(each))
        return Profile(identity, head["data_mode"], row, measured, digest.digest())


def _open(data: bytes, where: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise NoFooterError(f"{where}: found no whole Parquet file ({error}); expected a partition") from error


def _beside(store: Store, product: str, bucket: str) -> tuple[Footer, pa.Table] | None:
    """The table of profiles, as it is now; None where it is absent or damaged, as a crash between puts leaves it."""
    key = partition_key(product, bucket, TABLES[1])
    if not store.exists(key):
        return None
    try:
        file = _open(store.get_bytes(key), f"{store.uri}, key {key}")
        return read_footer(file.schema_arrow.metadata, key), file.read()
    except NoFooterError:
        return None


def _by_identity(profiles: pa.Table) -> dict[Identity, dict[str, Any]]:
    return {tuple(row[name] for name in IDENTITY): row for row in profiles.to_pylist()}


def _starts(table: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows on which a profile begins."""
    new = np.zeros(table.num_rows, np.bool_)
    new[:1] = True
    for name in IDENTITY:
        column = np.asarray(table[name].combine_chunks().dictionary_encode().indices)
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new).astype(np.int64)


def _levels(table: pa.Table, first: np.ndarray[Any, np.dtype[np.int64]], where: str) -> list[int]:
    """Levels of each profile. Raises StoreError where they are not 0, 1, 2 …: an array's place is its level."""
    level = np.asarray(table["level"].fill_null(-1))
    counts = np.diff(first)
    wanted = np.arange(len(level)) - np.repeat(first[:-1], counts)
    none = (level == -1) & (np.repeat(counts, counts) == 1)
    wrong = np.flatnonzero((level != wanted) & ~none)
    if len(wrong):
        row = int(wrong[0])
        who = ", ".join(f"{name} {table[name][row].as_py()}" for name in IDENTITY)
        raise StoreError(f"{where}: found level {level[row]} of {who}, expected {wanted[row]}: levels count from 0")
    kept = np.where(none[first[:-1]], 0, counts)
    return [int(one) for one in kept]


def _described(row: Mapping[str, Any] | None, parameters: tuple[str, ...]) -> tuple[str | None, str | None]:
    """What the table of profiles says of one of them, as JSON: its texts and facts, and the numbers of its levels."""
    if row is None:
        return None, None
    names = [name.lower() for name in parameters]
    numbers = {f"{name}_{part}" for name in names for part in (*_NUMBERS, "mode")}
    known = {*IDENTITY, *_PLACE, "file", "version", "levels", *numbers}
    metadata = {key: _plain(value) for key, value in row.items() if key not in known and value not in (None, "")}
    statistics = {
        name: {part: _plain(row.get(f"{name}_{part}")) for part in _NUMBERS}
        for name in names
        if row.get(f"{name}_count") is not None and row.get(f"{name}_mode")
    }
    return _json(metadata), _json(statistics)


def _plain(value: Json) -> Json:
    if isinstance(value, str):
        return value.replace("\0", "")
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
