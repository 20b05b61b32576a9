"""Match-ups that runs have made, as one table."""

from __future__ import annotations

import io
from typing import Unpack

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, NothingToDoError, StoreError
from pipeline.execute.records.runs import current_by_product
from pipeline.results.where import Storage, Where, place_of, refuse_unknown_keys
from pipeline.write.sound import get_item, resolve

KIND = "matchups"
_ASSET = "matchups"


def read_matchups(where: Where, product: str | None = None, **storage: Unpack[Storage]) -> pa.Table:
    """The current rows of every region and period of a `matchups` entry, one table with `region` and `period` before.

    One row a profile and scene: what the profile says near the surface (pres in dbar, temp in degrees Celsius, psal),
    and mean, standard deviation and count of the pixels around it.
    where, product: as in `open_profiles`, of kind matchups.
    storage: endpoint, profile and anonymous, of an output on S3.
    Raises NothingToDoError where no finished run made any, ConfigError where the product is of another kind, and
    StoreError for what is damaged.
    """
    refuse_unknown_keys(storage, Storage)
    place = place_of(where, storage)
    store, product = place.store, place.choose(product, KIND)
    keys = current_by_product(store)
    if product not in keys:
        found = ", ".join(keys) or "nothing"
        raise NothingToDoError(f"{store.uri}: no match-ups of product {product!r}; found {found}")
    tables = []
    for key in keys[product]:
        item = get_item(store, key)
        if _ASSET not in item["assets"]:
            raise ConfigError(f"{store.uri}, product {product}: found no asset {_ASSET!r}; expected a matchups entry")
        path = resolve(key, item["assets"][_ASSET]["href"])
        _, _, region, period, _ = path.split("/")
        try:
            table = pq.read_table(io.BytesIO(store.get_bytes(path)), page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{store.uri}, key {path}: found no whole table ({error}); run it again") from error
        for name, value in (("period", period), ("region", region)):
            table = table.add_column(0, name, pa.array([value] * table.num_rows, pa.string()))
        tables.append(table)
    return pa.concat_tables(tables, promote_options="default").replace_schema_metadata(None)
