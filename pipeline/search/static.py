"""Raw items of a static source: a catalogue, collection, item, item list, or stac-geoparquet file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import stac_geoparquet.arrow as geoparquet

from pipeline.config import mask_credentials
from pipeline.errors import CatalogError
from pipeline.search.links import absolute, as_list, child_links
from pipeline.search.query import Query
from pipeline.search.transfer import THREADS, Library, open_library
from pipeline.types import Json

_MAX_DEPTH = 16
_ROWS = 1024


def read_static(
    location: str, library: Library | None = None, query: Query | None = None
) -> tuple[list[Json], list[str]]:
    """Raw items of a static source with absolute hrefs, and notes on links that led nowhere.

    location: path or address (http, https, s3) of a Catalog, Collection, Item, ItemCollection (FeatureCollection),
    JSON list of items, or stac-geoparquet file, of which only items within the query's time are made.
    Raises CatalogError when the entry itself cannot be read or is no STAC.
    """
    library = library or open_library()
    if location.partition("?")[0].endswith((".parquet", ".geoparquet")):
        return list(_parquet_items(location, library.read_bytes(location), query)), []
    items: list[Json] = []
    notes: list[str] = []
    with ThreadPoolExecutor(THREADS) as pool:
        level, depth = [(location, library.read_json(location))], 0
        seen = {location}
        while level:
            links: list[str] = []
            for where, content in level:
                try:
                    items.extend(_items_of(where, content))
                except CatalogError as error:
                    if where == location:
                        raise
                    notes.append(str(error))
                notes += _pages_left(where, content)
                links.extend(link for link in dict.fromkeys(child_links(content, where)) if link not in seen)
                seen.update(links)
            depth += 1
            if depth > _MAX_DEPTH:
                raise CatalogError(f"{mask_credentials(location)}: catalogues nested deeper than {_MAX_DEPTH}")
            level = []
            for link, result in zip(links, pool.map(lambda one: _try_json(library, one), links), strict=True):
                if isinstance(result, CatalogError):
                    notes.append(str(result))
                else:
                    level.append((link, result))
    return items, notes


def _try_json(library: Library, location: str) -> Json | CatalogError:
    try:
        return library.read_json(location)
    except CatalogError as error:
        return error


def _items_of(where: str, content: Json) -> Iterator[Json]:
    """The items a document itself holds, hrefs made absolute against its own address."""
    features: Json
    if isinstance(content, list):
        features = content
    elif not isinstance(content, dict):
        raise CatalogError(f"{mask_credentials(where)}: expected STAC, found {type(content).__name__}")
    elif content.get("type") == "FeatureCollection":
        features = content.get("features")
    elif content.get("type") == "Feature":
        features = [content]
    elif content.get("type") in {"Catalog", "Collection"} or "links" in content:
        return
    else:
        raise CatalogError(
            f"{mask_credentials(where)}: expected a STAC catalogue, collection or items, "
            f"found keys {sorted(content)[:6]}"
        )
    for feature in as_list(features):
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise CatalogError(f"{mask_credentials(where)}: expected a list of STAC items, found {str(feature)[:60]!r}")
        yield absolute(feature, where, alone=feature is content)


def _pages_left(where: str, content: Json) -> list[str]:
    """A note for one page of many, which an API's address of items is: a static source is whole."""
    links = as_list(content.get("links")) if isinstance(content, dict) and content.get("type") != "Feature" else []
    if any(isinstance(link, dict) and link.get("rel") == "next" for link in links):
        shown = mask_credentials(where)
        return [f"{shown}: only this page was read, and it names a next one; give an API as stac and collection"]
    return []


def _parquet_items(location: str, content: bytes, query: Query | None) -> Iterator[Json]:
    """Items of a stac-geoparquet file, a thousand rows at a time."""
    shown = mask_credentials(location)
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        if not {"id", "geometry", "assets"} <= set(file.schema_arrow.names):
            raise CatalogError(f"{shown}: no stac-geoparquet: expected columns id, geometry, assets and datetime")
        for batch in file.iter_batches(_ROWS):
            table = _within(pa.Table.from_batches([batch]), query)
            for item in geoparquet.stac_table_to_items(table) if table.num_rows else ():
                yield absolute(_without_nulls(item), location)
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
        raise CatalogError(f"{shown}: not a stac-geoparquet file: {type(error).__name__}: {error}") from None


def _within(table: pa.Table, query: Query | None) -> pa.Table:
    """Rows whose time may lie in the query's, before costly items are made of them."""
    if query is None or query.ever or "datetime" not in table.schema.names:
        return table
    times = table["datetime"]
    if not pa.types.is_timestamp(times.type) or times.type.tz is None:
        return table
    inside = pc.and_(pc.greater_equal(times, query.start), pc.less(times, query.end))
    return table.filter(pc.fill_null(inside, fill_value=True))


def _without_nulls(value: Json) -> Json:
    """What a table cannot say: a field that one item has and another has not is a null."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
