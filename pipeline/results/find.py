"""The current items of an output: from its table, or, where that is missing, from its finished runs."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, NothingToDoError
from pipeline.execute.records import current_by_product
from pipeline.write.catalog import TABLE_KEY
from pipeline.write.outputs import Output, parse_output
from pipeline.write.store import Store

_FIELDS = [
    "id",
    "collection",
    "start_datetime",
    "end_datetime",
    "license",
    "attribution",
    "groundswell:fingerprint",
    "assets",
]


def find_outputs(store: Store, product: str | None) -> tuple[Output, ...]:
    """The current items of one product, sorted by tile and period; `product` may be None where there is only one.

    Reads `items.parquet`, one object; without it the runs' plans and each item. Raises NothingToDoError where no
    finished run made anything, and ConfigError, naming the products there are, when `product` does not choose one.
    """
    table = _table(store)
    keys = {} if table is not None else current_by_product(store)
    products = sorted(keys if table is None else set(table["collection"].to_pylist()))
    if not products:
        raise NothingToDoError(
            f"{store.uri}: no results: found no {TABLE_KEY} and no finished run that made anything; "
            "expected the `output` of a run"
        )
    if product is None and len(products) > 1:
        raise ConfigError(f"{store.uri}: found the products {', '.join(products)}; choose one with product=")
    product = products[0] if product is None else product
    if product not in products:
        raise ConfigError(f"{store.uri}: no results of product {product!r}; found {', '.join(products)}")
    if table is None:
        outputs = _from_items(store, keys[product])
    else:
        rows = table.filter(pc.equal(table["collection"], product)).to_pylist()
        outputs = (parse_output(row, store.uri) for row in rows)
    return tuple(sorted(outputs, key=lambda output: (output.tile, output.period)))


def _table(store: Store) -> pa.Table | None:
    if not store.exists(TABLE_KEY):
        return None
    return pq.read_table(pa.BufferReader(store.get_bytes(TABLE_KEY)), columns=_FIELDS)


def _from_items(store: Store, keys: list[str]) -> Iterator[Output]:
    for key in keys:
        document: Mapping[str, Any] = json.loads(store.get_bytes(key))
        yield parse_output(document, f"{store.uri}/{posixpath.dirname(key)}")
