"""STAC APIs on loopback for several tests: the source that asks one, and one with pages of a test's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest

from pipeline.config import SourceConfig
from pipeline.errors import CatalogError, PermanentAssetError
from pipeline.types import Asset, Grid
from tests.search.makers import raw_item
from tests.servers.faulty import Answer, FaultyServer, Request, Rule, run_faulty, truly

COLLECTION = "sentinel-2-c1-l2a"


def api_source(server: FaultyServer, **keys: Any) -> SourceConfig:
    """A configured source: the API that a server plays, and a collection."""
    return SourceConfig(stac=f"{server.address}/v1", **{"collection": (COLLECTION,), **keys})


def refused(server: FaultyServer) -> AbstractContextManager[pytest.ExceptionInfo[CatalogError]]:
    """A CatalogError that names the API, the collection and what happened."""
    return pytest.raises(CatalogError, match=rf"{server.address}/v1, collection {COLLECTION}: the search failed: \w+")


def no_header(_source: str, asset: Asset) -> Grid:
    raise PermanentAssetError(asset.href, "no header here")


class Paged:
    """A STAC API with pages of one's own, which says how each next page is to be asked for."""

    def __init__(self, *pages: list[Any], how: str = "POST", search: tuple[str, ...] = ("GET", "POST")) -> None:
        self.pages, self.how, self.search = pages, how, search
        self.address = ""
        self.spoil: Rule = truly

    def answer(self, request: Request, earlier: int) -> Answer | None:
        spoilt = self.spoil(request, earlier)
        if spoilt is not None or request.path != "/v1/search":
            return spoilt
        asked = json.loads(request.body).get("page", 0) if request.body else parse_qs(request.query).get("page", [0])[0]
        number = int(asked)
        links = [] if number + 1 >= len(self.pages) else [self.link(number + 1)]
        page = {"type": "FeatureCollection", "features": self.pages[number], "links": links}
        return Answer(body=json.dumps(page).encode())

    def link(self, number: int) -> dict[str, Any]:
        href = f"{self.address}/v1/search"
        links: dict[str, dict[str, Any]] = {
            "POST": {"rel": "next", "href": href, "method": "POST", "body": {"page": number}},
            "merge": {"rel": "next", "href": href, "method": "POST", "body": {"page": number}, "merge": True},
            "GET": {"rel": "next", "href": f"{href}?page={number}", "method": "GET"},
            "plain": {"rel": "next", "href": f"{href}?page={number}"},
            "relative": {"rel": "next", "href": f"/v1/search?page={number}"},
            "circle": {"rel": "next", "href": href, "method": "POST", "body": {"page": 1}},
        }
        return links[self.how]


@contextmanager
def run_paged(paged: Paged) -> Iterator[FaultyServer]:
    files: dict[str, bytes] = {}
    with run_faulty(files, paged.answer) as server:
        paged.address = server.address
        links = [{"rel": "search", "href": f"{server.address}/v1/search", "method": method} for method in paged.search]
        landing = {"type": "Catalog", "stac_version": "1.0.0", "id": "x", "description": "x", "links": links}
        files["/v1"] = json.dumps(landing).encode()
        yield server


def scenes(*names: str, **changes: Any) -> list[dict[str, Any]]:
    return [raw_item(id=name, collection=COLLECTION, **changes) for name in names]
