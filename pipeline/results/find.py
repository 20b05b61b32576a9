"""The current items of an output: from its table, or, where that is missing, from its finished runs."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, NothingToDoError, StoreError
from pipeline.execute.records.runs import current_by_product
from pipeline.write.catalog import READS_AT_ONCE, TABLE_KEY
from pipeline.write.outputs import Output, parse_output
from pipeline.write.sound import get_item
from pipeline.write.store import Store

_REBUILD = "run `groundswell catalog`"
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


def find_outputs(store: Store, product: str | None, *, day_files: bool = False) -> tuple[Output, ...]:
    """The current items of one product, sorted by tile and period; `product` may be None where there is only one.

    Reads `items.parquet`, one object; without it the runs' plans and each item. day_files: also the items of time
    series, since the table leaves the COGs of single days out where Zarr holds them too. Raises NothingToDoError where
    no finished run made anything, ConfigError, naming the products there are, when `product` does not choose one, and
    StoreError where the table or an item is damaged.
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
        outputs = _read_outputs(store, keys[product])
    else:
        rows = table.filter(pc.equal(table["collection"], product)).to_pylist()
        outputs = (parse_output(row, store.uri) for row in rows)
        if day_files:
            outputs = _with_day_files(store, outputs)
    return tuple(sorted(outputs, key=lambda output: (output.tile, output.period)))


def _with_day_files(store: Store, outputs: Iterable[Output]) -> Iterator[Output]:
    keys = []
    for output in outputs:
        if any(layer.day and "cog" not in layer.sources for layer in output.layers):
            keys.append(f"items/{output.product}/{output.tile}_{output.period}_{output.fingerprint}.json")
        else:
            yield output
    yield from _read_outputs(store, keys)


def _table(store: Store) -> pa.Table | None:
    if not store.exists(TABLE_KEY):
        return None
    try:
        return pq.read_table(pa.BufferReader(store.get_bytes(TABLE_KEY)), columns=_FIELDS)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{store.uri}, key {TABLE_KEY}: found no table ({error}); {_REBUILD}") from error


def _read_outputs(store: Store, keys: Collection[str]) -> Iterator[Output]:
    """The items at these keys, in order, from their own documents. Raises StoreError naming one that is damaged."""

    def read(key: str) -> Output:
        return parse_output(get_item(store, key), f"{store.uri}/{posixpath.dirname(key)}")

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        yield from pool.map(read, keys)
