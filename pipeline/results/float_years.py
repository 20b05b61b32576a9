"""A small table of where each float was in each year: which partitions a question of place or time needs at all.

Derived, and never the truth: a row counts only while the partition that it was made from is still what lies there.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import AssetError, StoreError
from pipeline.plan.argo_schema import partition_key
from pipeline.read.access import Access
from pipeline.read.partitions import Heads, Partition, read_heads
from pipeline.write.store import Entry, Store

READS_AT_ONCE = 16
SCHEMA = pa.schema(
    [
        ("bucket", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_s", pa.float64()),
        ("generation", pa.int64()),
        ("wmo", pa.int32()),
        ("year", pa.int32()),
        ("profiles", pa.int64()),
        ("levels", pa.int64()),
        ("placed", pa.int64()),
        *((f"time_{side}", pa.timestamp("us", tz="UTC")) for side in ("min", "max")),
        *((f"{name}_{side}", pa.float64()) for name in ("latitude", "longitude") for side in ("min", "max")),
        ("kinds", pa.list_(pa.string())),
        ("modes", pa.list_(pa.string())),
        ("parameters", pa.list_(pa.string())),
    ]
)
"""One row a float and year; year is null for profiles without a time, wmo for a partition without a profile. size_bytes
and modified_s: of the listing of `levels.parquet` that the row was made from. placed: profiles with a position."""


def float_years_key(product: str) -> str:
    """Where the table lies."""
    return f"indexes/{product}/float_years.parquet"


def partitions_of(store: Store, product: str) -> dict[str, Entry]:
    """By bucket, the listing of every committed partition of a product; one pass."""
    found = {}
    for entry in store.list_entries(f"data/{product}/"):
        bucket = entry.key.split("/")[2]
        if entry.key == partition_key(product, bucket):
            found[bucket] = entry
    return dict(sorted(found.items()))


def read_float_years(store: Store, product: str) -> pa.Table:
    """The table as it was left; empty where there is none that can be read: it is made anew at the next run's end."""
    key = float_years_key(product)
    try:
        if store.exists(key):
            return pq.read_table(io.BytesIO(store.get_bytes(key))).select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, KeyError, StoreError):
        pass
    return SCHEMA.empty_table()


def refresh_float_years(store: Store, product: str, access: Access) -> int:
    """Bring the table up to what is committed; gives its rows. Reads only partitions that changed since.

    Raises StoreError, and AssetError naming a partition that cannot be read.
    """
    listed = partitions_of(store, product)
    known = read_float_years(store, product)
    fresh = fresh_rows(known, listed)
    changed = sorted(listed.keys() - set(fresh["bucket"].to_pylist()))
    if not changed and len(fresh) == len(known):
        return len(known)
    made = _made(store, {bucket: listed[bucket] for bucket in changed}, access)
    table = pa.concat_tables([fresh, *made]).sort_by(
        [("bucket", "ascending"), ("wmo", "ascending"), ("year", "ascending")]
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    store.put_bytes(sink.getvalue(), float_years_key(product))
    return len(table)


def fresh_rows(table: pa.Table, listed: Mapping[str, Entry]) -> pa.Table:
    """The rows whose partition is, by size and time, still what they were made from."""
    same = [
        bucket in listed and (size, modified) == listed[bucket][1:]
        for bucket, size, modified in zip(
            *(table[name].to_pylist() for name in ("bucket", "size_bytes", "modified_s")), strict=True
        )
    ]
    return table.filter(pa.array(same, pa.bool_()))


@dataclass(frozen=True)
class Question:
    """What is asked for, as far as the table can tell; None: anything."""

    floats: Collection[int] | None = None
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north; west > east crosses the antimeridian."""
    start: datetime | None = None
    end: datetime | None = None
    """Excluded."""


def candidates(table: pa.Table, listed: Iterable[str], question: Question) -> list[str]:
    """Buckets that may hold what is asked for: those whose rows say so, and those without a row."""
    matching = table.filter(pa.array(_matches(table, question)))
    told = set(table["bucket"].to_pylist())
    may = set(matching["bucket"].to_pylist())
    return [bucket for bucket in listed if (bucket in may or bucket not in told) and _of_floats(bucket, question)]


def _of_floats(bucket: str, question: Question) -> bool:
    return question.floats is None or bucket in {f"{wmo // 10}x" for wmo in question.floats}


def _matches(table: pa.Table, question: Question) -> NDArray[np.bool_]:
    kept = np.asarray(table["wmo"].is_valid())
    if question.floats is not None:
        kept &= np.isin(_numbers(table, "wmo"), list(question.floats))
    if question.bbox is not None:
        west, south, east, north = question.bbox
        kept &= (_numbers(table, "latitude_max") >= south) & (_numbers(table, "latitude_min") <= north)
        low, high = _numbers(table, "longitude_min"), _numbers(table, "longitude_max")
        kept &= (high >= west) & (low <= east) if west <= east else (high >= west) | (low <= east)
    if question.start is not None:
        kept &= _true(pc.greater_equal(table["time_max"], pa.scalar(question.start, SCHEMA.field("time_max").type)))
    if question.end is not None:
        kept &= _true(pc.less(table["time_min"], pa.scalar(question.end, SCHEMA.field("time_min").type)))
    return kept


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """NaN for null, which no comparison holds for."""
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)


def _true(mask: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(mask, fill_value=False))


def _made(store: Store, entries: Mapping[str, Entry], access: Access) -> Sequence[pa.Table]:
    def make(bucket: str) -> pa.Table | None:
        entry = entries[bucket]
        try:
            heads = read_heads(Partition(f"{store.uri.rstrip('/')}/{entry.key}", access))
        except AssetError as error:
            if not store.exists(entry.key):
                return None
            raise StoreError(f"the table of floats and years: {error}") from error
        return _rows(bucket, entry, heads)

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        return [table for table in pool.map(make, entries) if table is not None]


def _rows(bucket: str, entry: Entry, heads: Heads) -> pa.Table:
    """One row a float and year of one partition; of a partition without a profile one row that says so."""
    year = pc.year(heads.table["time"]).cast(pa.int32())
    table = heads.table.append_column("year", year)
    bounds = [(name, side) for name in ("time", "latitude", "longitude") for side in ("min", "max")]
    sums = [("profile_index", "count"), ("levels", "sum"), ("latitude", "count")]
    lists = [("kind", "distinct"), ("data_mode", "distinct")]
    grouped = table.group_by(["wmo", "year"]).aggregate([*bounds, *sums, *lists])
    grouped = grouped.rename_columns(
        {
            "profile_index_count": "profiles",
            "levels_sum": "levels",
            "latitude_count": "placed",
            "kind_distinct": "kinds",
            "data_mode_distinct": "modes",
        }
    )
    if not len(grouped):
        grouped = pa.table({"wmo": pa.nulls(1, pa.int32())})
    alike = {
        "bucket": bucket,
        "size_bytes": entry.size_bytes,
        "modified_s": entry.modified_s,
        "generation": heads.footer.generation,
        "parameters": list(heads.footer.parameters),
    }
    columns = {name: grouped[name] for name in grouped.column_names}
    columns |= {name: pa.array([value] * len(grouped), SCHEMA.field(name).type) for name, value in alike.items()}
    absent = {name: pa.nulls(len(grouped), SCHEMA.field(name).type) for name in SCHEMA.names if name not in columns}
    return pa.table({**columns, **absent}).select(SCHEMA.names).cast(SCHEMA)
