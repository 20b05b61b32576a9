"""Match-ups that runs have made, as one table."""

from __future__ import annotations

import io
import posixpath

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, NothingToDoError, StoreError
from pipeline.execute.records import current_by_product
from pipeline.write.sound import get_item
from pipeline.write.store import open_store

_ASSET = "matchups"


def read_matchups(
    uri: str,
    product: str = "matchups",
    *,
    endpoint: str | None = None,
    profile: str | None = None,
    anonymous: bool = False,
) -> pa.Table:
    """The current rows of every region and period of a `matchups` entry, one table with `region` and `period` before.

    uri: the `output` of runs, a folder or s3://. Raises NothingToDoError where no finished run made any, ConfigError
    where the product is of another kind, and StoreError for what is damaged.
    """
    store = open_store(uri, endpoint=endpoint, profile=profile, anonymous=anonymous)
    keys = current_by_product(store)
    if product not in keys:
        found = ", ".join(keys) or "nothing"
        raise NothingToDoError(f"{store.uri}: no match-ups of product {product!r}; found {found}")
    tables = []
    for key in keys[product]:
        item = get_item(store, key)
        if _ASSET not in item["assets"]:
            raise ConfigError(f"{store.uri}, product {product}: found no asset {_ASSET!r}; expected a matchups entry")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(key), item["assets"][_ASSET]["href"]))
        _, _, region, period, _ = place.split("/")
        try:
            table = pq.read_table(io.BytesIO(store.get_bytes(place)), page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{store.uri}, key {place}: found no whole table ({error}); run it again") from error
        for name, value in (("period", period), ("region", region)):
            table = table.add_column(0, name, pa.array([value] * table.num_rows, pa.string()))
        tables.append(table)
    return pa.concat_tables(tables, promote_options="default").replace_schema_metadata(None)
