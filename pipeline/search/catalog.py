"""Raw items of one source: a STAC API through pystac-client, or a static catalogue, collection, item list or file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests
from botocore.exceptions import BotoCoreError
from pystac_client import Client
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from pystac_client.warnings import PystacClientWarning
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from pipeline.config import mask_credentials
from pipeline.errors import CatalogError
from pipeline.types import Json

RETRY = Retry(total=5, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
_TIMEOUT_S = (10, 60)
_THREADS = 16
_MAX_DEPTH = 16
_URL_USER = re.compile(r"^(\w+://)[^/@]*@")
_API_FAULTS = (
    *(APIError, ClientTypeError, PystacClientWarning, requests.RequestException, NotImplementedError),
    *(AttributeError, LookupError, TypeError, ValueError),
)
"""What pystac-client raises: by name, and where an answer is JSON but no STAC, which it does not check."""


@dataclass(frozen=True)
class Query:
    """What is searched, once for the whole area and time: box in degrees, [start, end)."""

    bbox: tuple[float, float, float, float]
    start: datetime
    end: datetime


def search_api(url: str, collection: str, query: Query) -> list[Json]:
    """Raw items of a STAC API that meet the query, paged and retried by pystac-client. Raises CatalogError."""
    span = f"{query.start:%Y-%m-%dT%H:%M:%SZ}/{query.end:%Y-%m-%dT%H:%M:%SZ}"
    try:
        client = Client.open(url, stac_io=StacApiIO(max_retries=RETRY, timeout=_TIMEOUT_S))
        found = client.search(collections=[collection], bbox=query.bbox, datetime=span, limit=250)
        return list(found.items_as_dicts())
    except _API_FAULTS as error:
        words = f"{url}, collection {collection}: the search failed: {type(error).__name__}: {error}"
        raise CatalogError(mask_credentials(words)) from error


def read_static(location: str) -> tuple[list[Json], list[str]]:
    """Raw items of a static source with absolute hrefs, and notes on links that led nowhere.

    location: path or URL of a Catalog, Collection, Item, ItemCollection (FeatureCollection) or JSON list of items.
    Raises CatalogError when the entry itself cannot be read or is no STAC.
    """
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=RETRY, pool_maxsize=_THREADS))
    document = _read_json(session, location)
    items: list[Json] = []
    notes: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        level, depth = [(location, document)], 0
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
                links.extend(link for link in _links_of(where, content) if link not in seen)
            seen.update(links)
            depth += 1
            if depth > _MAX_DEPTH:
                raise CatalogError(f"{mask_credentials(location)}: catalogues nested deeper than {_MAX_DEPTH}")
            level = []
            for link, result in zip(links, pool.map(lambda one: _try_json(session, one), links), strict=True):
                if isinstance(result, CatalogError):
                    notes.append(str(result))
                else:
                    level.append((link, result))
    return items, notes


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
    for feature in _list(features):
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise CatalogError(f"{mask_credentials(where)}: expected a list of STAC items, found {str(feature)[:60]!r}")
        yield _absolute(feature, where, alone=feature is content)


def _absolute(item: Json, where: str, *, alone: bool) -> Json:
    """A copy of an item whose asset hrefs are absolute; an item file of its own also learns its own address."""
    where = _URL_USER.sub(r"\1", where)  # what opens a catalogue is not handed on to the files it names
    assets = item.get("assets")
    assets = {
        key: {**asset, "href": _join(where, str(asset["href"]))}
        for key, asset in (assets.items() if isinstance(assets, dict) else ())
        if isinstance(asset, dict) and asset.get("href")
    }
    links = [link for link in _list(item.get("links")) if isinstance(link, dict)]
    own = next(
        (link.get("href") for link in links if link.get("rel") == "self"), where.partition("?")[0] if alone else None
    )
    links = [link for link in links if link.get("rel") != "self"]
    if own is not None:
        links.append({"rel": "self", "href": _join(where, str(own)), "type": "application/geo+json"})
    return {**item, "assets": assets, "links": links}


def _links_of(where: str, content: Json) -> Iterator[str]:
    if isinstance(content, dict) and content.get("type") not in {"Feature", "FeatureCollection"}:
        for link in _list(content.get("links")):
            if isinstance(link, dict) and link.get("rel") in {"item", "child"} and link.get("href"):
                yield _join(where, str(link["href"]))


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _join(base: str, href: str) -> str:
    """An href made absolute against the address of the document it stands in."""
    if "://" in href:
        return href if "://" in base else href.removeprefix("file://")
    if base.startswith("s3://"):
        return "s3://" + urljoin("http://" + base[5:], href).removeprefix("http://")
    if "://" in base:
        return urljoin(base, href)
    if href.startswith("/"):
        return href
    return os.path.normpath(Path(base).parent / href)


def _try_json(session: requests.Session, location: str) -> Json | CatalogError:
    try:
        return _read_json(session, location)
    except CatalogError as error:
        return error


def _read_json(session: requests.Session, location: str) -> Any:
    shown = mask_credentials(location)
    try:
        if location.startswith(("http://", "https://")):
            answer = session.get(location, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            return answer.json()
        if location.startswith("s3://"):
            import s3fs  # noqa: PLC0415 (slow to import, only for catalogues on S3)

            return json.loads(s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False).cat_file(location))
        return json.loads(Path(location).read_bytes())
    except requests.HTTPError as error:
        raise CatalogError(f"{shown}: HTTP {error.response.status_code}") from None
    except requests.exceptions.JSONDecodeError as error:
        raise CatalogError(f"{shown}: not JSON: {error}") from None
    except (OSError, ValueError, BotoCoreError) as error:
        raise CatalogError(f"{shown}: cannot be read: {type(error).__name__}: {mask_credentials(str(error))}") from None
