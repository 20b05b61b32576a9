"""Raw items of a STAC API: pystac-client's requests, and paging that can neither end early nor go on for ever."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urljoin

import requests
from pystac import Link
from pystac_client import Client
from pystac_client.conformance import ConformanceClasses
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.item_search import ItemSearch
from pystac_client.stac_api_io import StacApiIO
from pystac_client.warnings import PystacClientWarning

from pipeline.config import SourceConfig, mask_credentials
from pipeline.errors import CatalogError
from pipeline.search import transfer
from pipeline.search.links import absolute, own_address
from pipeline.search.query import Query
from pipeline.types import Json

_PAGE_ITEMS = 250
_MAX_PAGES = 20_000
_API_FAULTS = (APIError, ClientTypeError, NotImplementedError, AttributeError, LookupError, TypeError, ValueError)
"""What pystac-client raises: by name, and where an answer is JSON but no STAC, which it does not check."""


def search_api(source: SourceConfig, query: Query) -> tuple[list[Json], list[str]]:
    """Raw items of a STAC API that meet the query, all pages of them, and notes. Raises CatalogError.

    A server that returns an item twice or ignores a filter is the caller's to correct; one whose pages go in a circle
    is refused.
    """
    url = source.stac or ""
    where = mask_credentials(f"{url}, collection {', '.join(source.collection or ())}")
    try:
        with warnings.catch_warnings():
            # What an API does not declare it may still do: what comes back is checked.
            warnings.simplefilter("ignore", PystacClientWarning)
            api = _open(url)
            items = _once([item for page in _pages(api, source, query, box) for item in page] for box in query.boxes)
    except _API_FAULTS as error:
        words = mask_credentials(f"{type(error).__name__}: {error}")
        raise CatalogError(
            f"{where}: the search failed: {words}; check the address and the network, or replay what an earlier run "
            "found with --snapshot"
        ) from error
    return [absolute(item, own_address(item, api.url)) for item in items], [
        f"{where}: {note}" for note in api.notes(source)
    ]


def _once(boxes: Iterable[list[Json]]) -> list[Json]:
    """The items of all boxes without those that an earlier box brought; versions of one are the caller's to choose."""
    found: list[Json] = []
    known: set[str] = set()
    for items in boxes:
        named = [(_name(item), item) for item in items]
        found += [item for name, item in named if name not in known]
        known.update(name for name, _ in named if name is not None)
    return found


def _name(item: Json) -> str | None:
    """What tells an item and its version from others; None for what is no item, which the caller names."""
    properties = item.get("properties") if isinstance(item, dict) else None
    if not isinstance(properties, dict) or not item.get("id"):
        return None
    return repr((item.get("collection"), item["id"], properties.get("updated")))


@dataclass(frozen=True)
class _Api:
    client: Client
    io: StacApiIO
    url: str
    method: str

    def notes(self, source: SourceConfig) -> list[str]:
        undeclared = source.filter is not None and not self.client.conforms_to(ConformanceClasses.FILTER)
        return ["the API does not declare that it evaluates filter; compare what it found"] if undeclared else []


def _open(url: str) -> _Api:
    io = StacApiIO(max_retries=transfer.RETRY, timeout=transfer.TIMEOUT_S)
    client = Client.open(url, stac_io=io)
    links = [link for link in client.links if link.rel == "search"]
    if not links:
        raise ValueError("no STAC API: its landing page has no link to a search")
    methods = {str(link.extra_fields.get("method") or "").upper() for link in links}
    # Only a server that names GET and nothing else is asked by GET: long lists fit no address.
    return _Api(client, io, urljoin(url, str(links[0].href)), "GET" if methods == {"GET"} else "POST")


def _pages(
    api: _Api, source: SourceConfig, query: Query, box: tuple[float, float, float, float]
) -> Iterator[list[Json]]:
    fields = source.fields
    search = ItemSearch(
        url=api.url,
        method=api.method,
        stac_io=api.io,
        limit=_PAGE_ITEMS,
        collections=list(source.collection or ()),
        bbox=box,
        datetime=None if query.ever else _interval(query.start, query.end),
        query={name: dict(limits) for name, limits in source.query.items()} or None,
        filter=source.filter if source.filter is None or isinstance(source.filter, str) else dict(source.filter),
        filter_lang=None if source.filter is None else "cql2-text" if isinstance(source.filter, str) else "cql2-json",
        fields=None if fields is None else {"include": list(fields.include), "exclude": list(fields.exclude)},
    )
    parameters = search.get_parameters()
    page = _read(api.io, api.url, method=api.method, parameters=parameters)
    seen = set()
    for _ in range(_MAX_PAGES):
        yield _features(page)
        following = next((link for link in page.get("links") or () if link["rel"] == "next"), None)
        if following is None:
            return
        key = json.dumps(following, sort_keys=True)
        if key in seen:
            raise ValueError(f"its pages go in a circle: the same next link came twice, {key[:200]}")
        seen.add(key)
        link = Link.from_dict({**following, "href": urljoin(api.url, following["href"])})
        page = _read(api.io, link, parameters=parameters)
    raise ValueError(f"more than {_MAX_PAGES} pages; make area, period or query smaller")


def _read(io: StacApiIO, source: str | Link, **how: Any) -> Any:
    for _ in range(transfer.CUTS - 1):
        try:
            return io.read_json(source, **how)
        except APIError as error:
            if not isinstance(error.__context__, requests.exceptions.ChunkedEncodingError):
                raise
        except json.JSONDecodeError:
            pass
    return io.read_json(source, **how)


def _features(page: Any) -> list[Json]:
    features = page["features"]
    if not isinstance(features, list):
        raise TypeError(f"a page with features that are no list but {type(features).__name__}")
    return features


def _interval(start: datetime, end: datetime) -> str:
    """In whole seconds, which every server reads, and outwards: what comes back is checked to the microsecond."""
    last = end + timedelta(microseconds=-end.microsecond % 10**6)
    return f"{start:%Y-%m-%dT%H:%M:%SZ}/{last:%Y-%m-%dT%H:%M:%SZ}"
