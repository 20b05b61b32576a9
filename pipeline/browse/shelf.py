"""What the pages ask: current items, and each item's own document, brought up to date when a run has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pipeline.browse.table import Items, Rows, read_items, version_of
from pipeline.errors import ConfigError, NothingToDoError
from pipeline.products.matchups import output_access
from pipeline.read.access import own_endpoint
from pipeline.write.outputs import Output, parse_output
from pipeline.write.sound import get_item
from pipeline.write.store import Store

LOOK_EVERY_S = 5.0
"""How long an answer may go by what was current before."""
KEPT_ITEMS = 4096
"""Documents held in memory; one of ten kilobytes as JSON takes thirty or more."""
READS_AT_ONCE = 16
Document = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """An item as it was committed, and, where it has pixels on one grid, what it says of them."""

    key: str
    document: Document
    output: Output | None


class Shelf:
    """One output, open for reading; used from many threads."""

    def __init__(self, store: Store) -> None:
        access = output_access(store)
        if not access.local and access.endpoint is None:  # by GDAL too
            access = replace(access, endpoint=own_endpoint())
        self.store, self.access = store, access
        self._items = read_items(store)
        self._looked_s = time.monotonic()
        self._lock = threading.Lock()
        self._kept = lru_cache(maxsize=KEPT_ITEMS)(self._read)
        self._pool = ThreadPoolExecutor(READS_AT_ONCE, thread_name_prefix="items")

    def items(self) -> Items:
        """What is current; looked at again after some seconds, and read again only where a run has ended since."""
        with self._lock:
            if time.monotonic() - self._looked_s > LOOK_EVERY_S:
                if version_of(self.store) != self._items.version:
                    self._items = read_items(self.store)
                self._looked_s = time.monotonic()
            return self._items

    def kept(self, items: Items, rows: Iterable[int]) -> list[Kept]:
        """The documents of some items, in order. Raises StoreError naming one that is damaged."""
        keys = items.table["key"]
        return list(self._pool.map(lambda row: self._kept(items.version, keys[int(row)].as_py()), rows))

    def outputs(self, items: Items, rows: Iterable[int]) -> list[Output]:
        """The same, of those that have pixels."""
        return [one.output for one in self.kept(items, rows) if one.output is not None]

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, _version: str, key: str) -> Kept:
        document = get_item(self.store, key)
        pixels = any(asset.get("bands") and "proj:shape" in asset for asset in document["assets"].values())
        base = f"{self.store.uri.rstrip('/')}/{key.rpartition('/')[0]}"
        return Kept(key, document, parse_output(document, base) if pixels else None)


def rows_of(items: Items, product: str, period: str) -> Rows:
    """The rows of a product and period. Raises ConfigError, naming what there is, for what there is not."""
    if product not in items.products:
        raise ConfigError(f"no product {product!r}; found {_few(items.products)}")
    rows = items.periods.get((product, period))
    if rows is None:
        raise ConfigError(f"{product}: no period {period!r}; found {_few(items.periods_of(product))}")
    return rows


def refuse_empty(shelf: Shelf) -> None:
    """Raise NothingToDoError for an output in which no item is current."""
    if not shelf.items().products:
        raise NothingToDoError(
            f"{shelf.store.uri}: nothing to look at: found no current item; expected the output of a run that has "
            "ended (`groundswell status` says how far it is)"
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
