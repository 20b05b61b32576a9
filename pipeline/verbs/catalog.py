"""`groundswell catalog`: the derived pages and the table, written anew."""

from __future__ import annotations

import argparse

from pipeline.execute.records.runs import current_by_product
from pipeline.verbs._answer import Answer
from pipeline.verbs._output import name_of, open_output
from pipeline.write.catalog import write_catalog


def run(options: argparse.Namespace) -> Answer:
    """Write `catalog.json`, `collections/` and `items.parquet` for the items that are current."""
    store = open_output(options)
    count = write_catalog(store, name_of(store), current_by_product(store))
    return Answer(f"catalog: {count} items in {store.uri}")
