"""What the databases hold, in plain Python, and what they should."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from redis import Redis

from pipeline.config.stores import StoresConfig
from pipeline.plan.argo_schema import IDENTITY, partition_key
from pipeline.stores.postgres import Connection
from pipeline.write.store import Store

PARTS = ("", "_qc", "_error", "_raw", "_raw_qc", "_adjusted", "_adjusted_qc", "_adjusted_error")
COLUMNS = ("value", "qc", "error", "raw", "raw_qc", "adjusted", "adjusted_qc", "adjusted_error")


def identities(database: Connection) -> list[tuple[Any, ...]]:
    """Every profile: who it is, its mode, and its file."""
    statement = (
        "SELECT wmo, cycle, direction, kind, profile_index, data_mode, file FROM profiles "
        "ORDER BY wmo, cycle, direction, kind, profile_index"
    )
    return database.execute(statement).fetchall()


def dump(database: Connection) -> list[str]:
    """All that is held of profiles and floats, but for numbers and times of PostgreSQL's own; NaN as text."""
    rows = []
    for table in ("profiles", "measurements", "measurements_wide"):
        join = "" if table == "profiles" else "JOIN profiles AS p USING (profile_id)"
        who = "wmo, cycle, direction, kind, profile_index"
        rows += database.execute(
            f"SELECT '{table}', {who}, (to_jsonb(t) - 'profile_id' - 'generation')::text "  # noqa: S608 - constants
            f"FROM {table} AS t {join} ORDER BY {who}, 7"
        ).fetchall()
    rows += database.execute("SELECT to_jsonb(f)::text FROM floats AS f ORDER BY wmo").fetchall()
    rows += database.execute("SELECT bucket, fingerprint, generation, profiles FROM partitions ORDER BY 1").fetchall()
    return [repr(row) for row in rows]


def differences(database: Connection, store: Store, bucket: str) -> list[str]:
    """Where PostgreSQL does not hold exactly what the partition does, number by number, NaN and null told apart."""
    table = pq.read_table(pa.BufferReader(store.get_bytes(partition_key("argo", bucket))))
    parameters = [name.removesuffix("_raw_qc") for name in table.column_names if name.endswith("_raw_qc")]
    wanted: dict[tuple[Any, ...], dict[str, dict[str, list[Any]]]] = {}
    for row in table.to_pylist():
        profile = wanted.setdefault(tuple(row[name] for name in IDENTITY), {})
        for name in (*parameters, "depth"):
            numbers = profile.setdefault(name, {column: [] for column in COLUMNS})
            for column, part in zip(COLUMNS, PARTS, strict=True):
                numbers[column].append(row.get(f"{name}{part}"))
    found: dict[tuple[Any, ...], dict[str, dict[str, list[Any]]]] = {identity: {} for identity in wanted}
    for numbers_table in ("measurements", "measurements_wide"):
        # In binary, since texts of 32-bit numbers are rounded to the fewest digits that tell them apart.
        rows = database.cursor(binary=True).execute(
            f"SELECT {', '.join(IDENTITY)}, parameter, {', '.join(COLUMNS)} "  # noqa: S608 - constants
            f"FROM {numbers_table} JOIN profiles USING (profile_id) WHERE bucket = %s",
            (bucket,),
        )
        for row in rows:
            found.setdefault(tuple(row[:5]), {})[str(row[5])] = dict(zip(COLUMNS, row[6:], strict=True))  # type: ignore[arg-type]
    faults = [f"{identity} is held, and not in the partition" for identity in found.keys() - wanted.keys()]
    for identity, profile in wanted.items():
        for name, numbers in profile.items():
            held = found[identity].get(name, {})
            for column, values in numbers.items():
                kept = held.get(column) or [None] * len(values)
                if list(map(repr, kept)) != list(map(repr, values)):
                    faults.append(f"{identity} {name} {column}: held {kept}, wanted {values}")
    return faults


def documents(stores: StoresConfig) -> dict[str, list[dict[str, Any]]]:
    """By target, the documents in Redis."""
    assert stores.redis is not None
    client = Redis.from_url(stores.redis.url.get_secret_value())
    try:
        found = {}
        for key in client.scan_iter(f"{stores.redis.prefix}:*:latest"):
            content = client.get(key)
            if content is not None:
                found[key.decode().split("{")[1].split("}")[0]] = json.loads(content)
        return found
    finally:
        client.close()


def modes(stores: StoresConfig, target: str) -> list[tuple[int, str]]:
    """Cycle and mode of each profile of a document, newest first."""
    return [(one["cycle"], one["data_mode"]) for one in documents(stores)[target]]
