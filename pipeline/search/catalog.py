"""Raw items of one source, whatever kind of catalogue it is."""

from __future__ import annotations

from pipeline.config import SourceConfig
from pipeline.search.query import Query
from pipeline.search.static import read_static
from pipeline.search.transfer import open_library
from pipeline.types import Json

__all__ = ["Query", "raw_items", "read_static"]


def raw_items(source: SourceConfig, query: Query) -> tuple[list[Json], list[str]]:
    """Items as the catalogue has them, hrefs absolute, at least those that meet the query; and notes.

    Raises CatalogError when the catalogue itself cannot be read.
    """
    if source.stac is not None:
        from pipeline.search.api import search_api  # noqa: PLC0415 (pystac-client, only for an API)

        return search_api(source, query)
    library = open_library(source.storage, requester_pays=source.sign == "requester-pays")
    return read_static(source.items or "", library, query)
