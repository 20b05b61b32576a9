"""The current items of an output as a table with a few numbers each: a hundred thousand are tens of megabytes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import StoreError
from pipeline.execute.records.runs import current_by_product
from pipeline.write.catalog import TABLE_KEY, derive_catalog
from pipeline.write.store import Store

QUALITY = "groundswell:quality"
ADOPTED = "groundswell:adopted"
_FIGURES = ("valid_fraction", "observations_mean", "missing_fraction")
_COLUMNS = [
    *("id", "collection", "bbox", "geometry", "start_datetime", "assets.inputs.href", "groundswell:fingerprint"),
    *(ADOPTED, f"{QUALITY}.status", f"{QUALITY}.flags", *(f"{QUALITY}.{name}" for name in _FIGURES)),
]
Box = tuple[float, float, float, float]
"""West, south, east, north in degrees; west greater than east crosses the antimeridian."""
Rows = NDArray[np.int64]
"""Numbers of rows."""


@dataclass(frozen=True, eq=False)
class Items:
    """Every current item, sorted by product, start, period and tile."""

    table: pa.Table
    """product, period, tile, start, key, geometry (WKB), status, flags, adopted, and the figures of quality."""
    boxes: NDArray[np.float64]
    """(item, 4): west, south, east, north."""
    periods: Mapping[tuple[str, str], Rows]
    """(product, period) → its rows, in the order of time."""
    version: str
    """Of what they were read from: another run that ends makes another."""

    @property
    def products(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(product for product, _ in self.periods))

    def periods_of(self, product: str) -> list[str]:
        """In the order of time; empty where there is no such product."""
        return [period for name, period in self.periods if name == product]

    def within(self, rows: Rows, box: Box) -> Rows:
        """Those of some rows whose box touches another one."""
        west, south, east, north = box
        low, bottom, high, top = self.boxes[rows].T
        kept = (bottom <= north) & (top >= south)
        kept &= _touch((low, high), (west, east))
        touched: Rows = rows[kept]
        return touched

    def bounds(self, rows: Rows) -> Box:
        """The box of some rows together; west of the antimeridian and beyond 180 where any crosses it."""
        low, bottom, high, top = self.boxes[rows].T
        high = np.where(high < low, high + 360, high)
        return float(low.min()), float(bottom.min()), float(high.max()), float(top.max())

    def row(self, number: int) -> dict[str, Any]:
        """One item as plain values."""
        (found,) = self.table.slice(number, 1).to_pylist()
        return dict(found)


def _touch(ones: tuple[NDArray[np.float64], NDArray[np.float64]], other: tuple[float, float]) -> NDArray[np.bool_]:
    """Whether ranges of longitudes meet, on a circle."""
    low, high = ones
    first, last = other
    high = np.where(high < low, high + 360, high)
    last = last + 360 if last < first else last
    met = [(low + turn <= last) & (high + turn >= first) for turn in (-360, 0, 360)]
    return np.asarray(np.logical_or.reduce(met))


def version_of(store: Store) -> str:
    """What changes when another run has ended, without reading what it made."""
    version = store.version_of(TABLE_KEY)
    return version if version is not None else ",".join(sorted(_finished(store)))


def _finished(store: Store) -> list[str]:
    return [key for key in store.list_keys("runs/") if key.endswith("/finished.json")]


def read_items(store: Store) -> Items:
    """The current items, from `items.parquet`, or, where that is missing, from the finished runs and each item.

    Raises StoreError where the table, or an item, is damaged.
    """
    version = version_of(store)
    if store.exists(TABLE_KEY):
        return _items(_read(pa.BufferReader(store.get_bytes(TABLE_KEY)), store.uri), version)
    with tempfile.TemporaryDirectory() as folder:
        made = derive_catalog(store, current_by_product(store), Path(folder)).table
        return _items(_EMPTY if made is None else _read(made, store.uri), version)


def _read(source: pa.BufferReader | Path, where: str) -> pa.Table:
    try:
        with pq.ParquetFile(source) as file:
            return _plain(file.read(columns=_COLUMNS))
    except (pa.ArrowException, OSError, LookupError) as error:
        raise StoreError(f"{where}, key {TABLE_KEY}: found no table ({error}); run `groundswell catalog`") from error


def _plain(table: pa.Table) -> pa.Table:
    """Columns of plain values, sorted."""
    parts = pc.split_pattern(pc.struct_field(table["assets"], ["inputs", "href"]), "/").to_pylist()
    tiles, periods = ([one[number] for one in parts] for number in (-3, -2))
    fingerprints = table["groundswell:fingerprint"].to_pylist()
    products = table["collection"].to_pylist()
    keys = [
        f"items/{product}/{tile}_{period}_{fingerprint}.json"
        for product, tile, period, fingerprint in zip(products, tiles, periods, fingerprints, strict=True)
    ]
    quality = table[QUALITY] if QUALITY in table.column_names else None
    told = {} if quality is None else {name: pc.struct_field(quality, name) for name in _names(quality)}
    nothing = pa.nulls(len(table))
    columns = {
        "product": products,
        "period": periods,
        "tile": tiles,
        "start": table["start_datetime"],
        "id": table["id"],
        "key": keys,
        "geometry": table["geometry"],
        "bbox": table["bbox"],
        "adopted": _true(table, ADOPTED),
        **{name: told.get(name, nothing) for name in ("status", "flags", *_FIGURES)},
    }
    order = [(name, "ascending") for name in ("product", "start", "period", "tile")]
    return pa.table(columns).sort_by(order).combine_chunks()


def _true(table: pa.Table, name: str) -> pa.Array:
    """Where a property is true; nowhere in a table without it."""
    if name not in table.column_names:
        return pa.array(np.zeros(len(table), np.bool_))
    return pc.fill_null(table[name], fill_value=False)


def _names(column: pa.ChunkedArray) -> list[str]:
    return [field.name for field in column.type]


def _items(table: pa.Table, version: str) -> Items:
    sides = [pc.struct_field(table["bbox"], name).to_numpy() for name in ("xmin", "ymin", "xmax", "ymax")]
    periods: dict[tuple[str, str], list[int]] = {}
    for number, pair in enumerate(zip(table["product"].to_pylist(), table["period"].to_pylist(), strict=True)):
        periods.setdefault(pair, []).append(number)
    by_pair = {pair: np.asarray(rows, np.int64) for pair, rows in periods.items()}
    return Items(table.drop_columns(["bbox"]), np.stack(sides, axis=1).astype(np.float64), by_pair, version)


_EMPTY = pa.table(
    {
        **{name: pa.array([], pa.string()) for name in ("product", "period", "tile", "id", "key", "status")},
        "start": pa.array([], pa.timestamp("us", tz="UTC")),
        "geometry": pa.array([], pa.binary()),
        "bbox": pa.array([], pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])),
        "flags": pa.array([], pa.list_(pa.string())),
        "adopted": pa.array([], pa.bool_()),
        **{name: pa.array([], pa.float64()) for name in _FIGURES},
    }
)
"""The same columns without an item."""


def moment(value: datetime | None) -> str | None:
    """ISO 8601, UTC."""
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%SZ")
