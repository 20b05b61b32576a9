"""`items.parquet`: all current items as one table, in stac-geoparquet."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from pyarrow import ArrowException
from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

from pipeline.errors import StoreError
from pipeline.write.edges import FIELD as EDGES

DAY = "groundswell:solar_day"
"""Field of an asset that is one day of a time series."""
Document = dict[str, Any]


def as_row(key: str, item: Document) -> Document:
    """An item as a row of the table: hrefs from the root of the output; a column has one type, so numbers are floats.

    The files of single days are left out where a Zarr store holds them too: every one of them would be columns. So
    are the numbers along the edges, which only the makers of neighbours read.
    """
    folder = posixpath.dirname(key)
    days = {name for name, asset in item["assets"].items() if DAY in asset and "zarr" in item["assets"]}

    def moved(part: Document) -> Document:
        href = part["href"]
        return {**part, "href": f"./{posixpath.normpath(f'{folder}/{href}')}"} if href.startswith(".") else part

    def typed(asset: Document) -> Document:
        bands = [_typed_band(band) for band in asset.get("bands", ())]
        return {**moved(asset), "bands": bands} if bands else moved(asset)

    return {
        **item,
        "assets": {name: typed(asset) for name, asset in item["assets"].items() if name not in days},
        "links": [moved(link) for link in item["links"]],
    }


def _typed_band(band: Document) -> Document:
    numbers: Document = {"nodata": float(band["nodata"])} if "nodata" in band else {}
    if "statistics" in band:
        numbers["statistics"] = {name: float(value) for name, value in band["statistics"].items()}
    return {name: value for name, value in {**band, **numbers}.items() if name != EDGES}


def write_table(items: Iterator[Document], path: Path, at_once: int) -> Path | None:
    """stac-geoparquet of the items, `at_once` of which are held in memory; None when there are none.

    Raises StoreError for items in which a property is not of one type.
    """
    first = next(items, None)
    if first is None:
        return None
    with tempfile.TemporaryDirectory(dir=path.parent) as chunks:
        rows = chain([first], items)
        try:
            to_parquet(parse_stac_items_to_arrow(rows, chunk_size=at_once, schema="ChunksToDisk", tmpdir=chunks), path)
        except (ArrowException, OverflowError) as error:
            raise StoreError(f"{path.name}: {error}; expected one type a property, in all products") from error
    return path
