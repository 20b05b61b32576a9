"""Floats of an output: where they were, and the levels of one profile, from the committed tables themselves."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.browse.table import Box, moment
from pipeline.errors import ConfigError
from pipeline.plan.argo_columns import UNITS
from pipeline.read.access import Access
from pipeline.read.partitions import Heads, Partition, read_heads, read_levels
from pipeline.results.float_years import Question, candidates, fresh_rows, partitions_of, read_float_years
from pipeline.write.entries import Entry
from pipeline.write.store import Store

MAX_PARTITIONS = 64
"""Looked into for one map: ten floats each; beyond, the page asks to zoom in."""
KEPT_PARTITIONS = 128
LOOK_EVERY_S = 10.0
READS_AT_ONCE = 8
Answer = dict[str, Any]


@dataclass(frozen=True)
class Cast:
    """What tells one profile from every other one of a product."""

    wmo: int
    cycle: int
    direction: str
    kind: str
    index: int


class Floats:
    """The floats of one output; used from many threads. Products are named by whoever asks."""

    def __init__(self, store: Store, access: Access) -> None:
        self._store, self._access = store, access
        self._lock = threading.Lock()
        self._listed: dict[str, tuple[float, dict[str, Entry], pa.Table]] = {}
        self._heads = lru_cache(maxsize=KEPT_PARTITIONS)(self._read)

    def within(self, product: str, box: Box) -> Answer:
        """Floats that were in a box: number, profiles, and place and time of the last one with a place."""
        listed, years = self._look(product)
        buckets = candidates(years, listed, Question(bbox=box))
        floats = []
        for heads in self._opened(listed, buckets[:MAX_PARTITIONS]):
            for wmo, rows in _by_float(heads.table):
                last = _last(heads.table, rows)
                if last is not None and _inside(last, box):
                    floats.append({"wmo": wmo, "profiles": len(rows), **last})
        return {"floats": floats, "left_out": max(0, len(buckets) - MAX_PARTITIONS)}

    def profiles(self, product: str, wmo: int) -> list[Answer]:
        """Every profile of a float, in the order of time. Raises ConfigError where there is no such float."""
        heads = self._of_float(product, wmo)[1]
        table = heads.table.filter(pc.equal(heads.table["wmo"], wmo))
        names = ("cycle", "direction", "kind", "profile_index", "time", "longitude", "latitude", "data_mode", "levels")
        rows = table.select([*names, "position_qc", "time_qc"]).to_pylist()
        rows.sort(key=lambda row: (row["time"] is None, row["time"], row["cycle"], row["profile_index"]))
        return [{**row, "time": moment(row["time"])} for row in rows]

    def profile(self, product: str, cast: Cast) -> Answer:
        """One profile: every parameter's best values and flags, and what the file said, by level.

        Pressures in dbar are always there; null where there is no number. Raises ConfigError where there is no such
        profile, and AssetError where the partition was replaced at this moment.
        """
        partition, heads = self._of_float(product, cast.wmo)
        number = _row_of(heads, cast)
        names = [name for name in heads.footer.parameters if name.lower() in heads.columns]
        parts = ("", "_qc", "_raw", "_raw_qc")
        wanted = [c for name in names for part in parts if (c := name.lower() + part) in heads.columns]
        first, last = (int(row) for row in heads.first[number : number + 2])
        table = read_levels(partition, wanted, (first, last), (heads.footer.fingerprint, heads.footer.generation))
        columns = {name: _numbers(table[name]) for name in table.column_names}
        (said,) = heads.table.slice(number, 1).to_pylist()
        parameters = [_parameter(name, columns) for name in names]
        return {
            **{name: said[name] for name in ("wmo", "cycle", "direction", "kind", "longitude", "latitude", "file")},
            "time": moment(said["time"]),
            "data_mode": said["data_mode"],
            "position_qc": said["position_qc"],
            "parameters": [one for one in parameters if one["name"] == "PRES" or _has_numbers(one)],
            "attribution": heads.footer.attribution,
            "doi": heads.footer.doi,
        }

    def _look(self, product: str) -> tuple[dict[str, Entry], pa.Table]:
        """The partitions that are committed, and the rows of the table of floats and years that still hold."""
        with self._lock:
            known = self._listed.get(product)
            if known is None or time.monotonic() - known[0] > LOOK_EVERY_S:
                listed = partitions_of(self._store, product)
                known = time.monotonic(), listed, fresh_rows(read_float_years(self._store, product), listed)
                self._listed[product] = known
        return known[1], known[2]

    def _opened(self, listed: Mapping[str, Entry], buckets: Sequence[str]) -> list[Heads]:
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            return list(pool.map(lambda bucket: self._heads(listed[bucket]), buckets))

    def _of_float(self, product: str, wmo: int) -> tuple[Partition, Heads]:
        listed, years = self._look(product)
        for bucket in candidates(years, listed, Question(floats=(wmo,))):
            heads = self._heads(listed[bucket])
            if pc.any(pc.equal(heads.table["wmo"], wmo)).as_py():
                return self._partition(listed[bucket]), heads
        raise ConfigError(f"{product}: no float {wmo}")

    def _partition(self, entry: Entry) -> Partition:
        return Partition(f"{self._store.uri.rstrip('/')}/{entry.key}", self._access)

    def _read(self, entry: Entry) -> Heads:
        return read_heads(self._partition(entry))


def _by_float(table: pa.Table) -> list[tuple[int, NDArray[np.int64]]]:
    numbers = table["wmo"].to_numpy()
    return [(int(wmo), np.flatnonzero(numbers == wmo)) for wmo in np.unique(numbers)]


def _last(table: pa.Table, rows: NDArray[np.int64]) -> Answer | None:
    """Place and time of the last profile that has a place; None where none has."""
    found = table.take(rows).select(["time", "longitude", "latitude"]).to_pylist()
    placed = [row for row in found if row["longitude"] is not None and math.isfinite(row["longitude"])]
    if not placed:
        return None
    last = max(placed, key=lambda row: (row["time"] is not None, row["time"]))
    return {"longitude": last["longitude"], "latitude": last["latitude"], "time": moment(last["time"])}


def _inside(place: Answer, box: Box) -> bool:
    west, south, east, north = box
    x = place["longitude"]
    across = west <= x <= east if west <= east else x >= west or x <= east
    return bool(across and south <= place["latitude"] <= north)


def _row_of(heads: Heads, cast: Cast) -> int:
    table = heads.table
    same = np.ones(len(table), np.bool_)
    wanted = {"wmo": cast.wmo, "cycle": cast.cycle, "profile_index": cast.index}
    for name, value in {**wanted, "direction": cast.direction, "kind": cast.kind}.items():
        same &= np.asarray(pc.equal(table[name], pa.scalar(value, pa.string() if isinstance(value, str) else None)))
    rows = np.flatnonzero(same)
    if not len(rows):
        raise ConfigError(f"float {cast.wmo}: no profile {cast.cycle} {cast.direction} {cast.kind} {cast.index}")
    return int(rows[0])


def _parameter(name: str, columns: Mapping[str, list[float | None]]) -> Answer:
    key = name.lower()
    empty: list[float | None] = []
    return {
        "name": name,
        "unit": UNITS.get(name, ("", ""))[0],
        "best": columns[key],
        "qc": columns.get(f"{key}_qc", empty),
        "raw": columns.get(f"{key}_raw", empty),
        "raw_qc": columns.get(f"{key}_raw_qc", empty),
    }


def _has_numbers(parameter: Answer) -> bool:
    return any(value is not None for part in ("best", "raw") for value in parameter[part])


def _numbers(column: pa.ChunkedArray) -> list[float | None]:
    """Shortest decimals of float32, as people read them; null for what is none."""
    values = column.to_pylist()
    if pa.types.is_float32(column.type):
        values = [None if value is None else float(str(np.float32(value))) for value in values]
    return [None if value is None or not math.isfinite(value) else value for value in values]
