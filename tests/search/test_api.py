"""Laws of the STAC API source, against a server with recorded pages: all pages, retries, named refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.search import transfer
from pipeline.search.api import search_api
from pipeline.search.catalog import Query
from pipeline.search.snapshot import search
from tests.search.apis import COLLECTION, api_source, no_header, refused
from tests.servers.faulty import Answer, FaultyServer, Request, Rule, always, run_faulty, truly

ORIGIN = "https://earth-search.aws.element84.com/v1"
JULY_31 = Query(((-180, -90, 180, 90),), datetime(2025, 7, 31, tzinfo=UTC), datetime(2025, 8, 1, tzinfo=UTC))


@pytest.fixture
def recorded(shared_data: Path) -> Callable[[str], dict[str, Any]]:
    return lambda name: json.loads((shared_data / "raster/stac/recorded" / name).read_text())


@contextmanager
def earth_search(recorded: Callable[[str], dict[str, Any]], rule: Rule = truly) -> Iterator[FaultyServer]:
    """Earth Search as it answered on 2025-07-31: its landing page and two pages of a search, joined by a POST token."""
    pages = [recorded("es_v1_search_cql2_p1_s1grd.json"), recorded("es_v1_search_cql2_p2_s2.json")]
    pages[1]["links"] = [link for link in pages[1]["links"] if link["rel"] != "next"]

    def answer(request: Request, earlier: int) -> Answer | None:
        spoilt = rule(request, earlier)
        if spoilt is None and request.path == "/v1/search":
            return Answer(body=bodies[b'"next"' in request.body])
        return spoilt

    files: dict[str, bytes] = {}
    with run_faulty(files, answer) as server:
        here = f"{server.address}/v1"
        bodies = [json.dumps(page).replace(ORIGIN, here).encode() for page in pages]
        files["/v1"] = json.dumps(recorded("es_v1_root.json")).replace(ORIGIN, here).encode()
        yield server


def expected(recorded: Callable[[str], dict[str, Any]], collection: str | None) -> set[str]:
    pages = [recorded("es_v1_search_cql2_p1_s1grd.json"), recorded("es_v1_search_cql2_p2_s2.json")]
    return {item["id"] for page in pages for item in page["features"] if collection in {None, item["collection"]}}


def test_every_page_is_read(recorded: Callable[[str], dict[str, Any]]) -> None:
    with earth_search(recorded) as server:
        found, _ = search_api(api_source(server), JULY_31)
    assert {item["id"] for item in found} == expected(recorded, None)
    asked = [json.loads(request.body) for request in server.requests if request.path == "/v1/search"]
    assert len(asked) == 2
    assert asked[0]["collections"] == [COLLECTION] and asked[0]["bbox"] == [-180, -90, 180, 90]
    assert asked[0]["datetime"] == "2025-07-31T00:00:00Z/2025-08-01T00:00:00Z"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", ["/v1", "/v1/search"])
def test_a_server_that_is_busy_twice_is_asked_again(recorded: Callable[[str], dict[str, Any]], path: str) -> None:
    def busy(request: Request, earlier: int) -> Answer | None:
        return Answer(503) if request.path == path and earlier < 2 else None

    with earth_search(recorded, busy) as server:
        found, _ = search_api(api_source(server), JULY_31)
    assert {item["id"] for item in found} == expected(recorded, None)


def test_retries_cover_what_passes_and_post_too() -> None:
    """The statuses that a busy service gives, five times, with growing pauses."""
    assert transfer.RETRY.total == 5 and transfer.RETRY.backoff_factor > 0
    assert {429, 500, 502, 503, 504} <= set(transfer.RETRY.status_forcelist or ())
    assert transfer.RETRY.is_retry("POST", 503) and not transfer.RETRY.is_retry("POST", 404)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_stays_busy_is_named(recorded: Callable[[str], dict[str, Any]]) -> None:
    with earth_search(recorded, always(Answer(503))) as server, refused(server):
        search_api(api_source(server), JULY_31)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in</html>",
        b"[]",
        b"5",
        b"{}",
        b'{"type": "Feature"}',
        b'{"type": "Catalog", "id": "x", "links": []}',
    ],
)
def test_a_landing_page_that_is_no_stac_api_is_refused_with_its_address(body: bytes) -> None:
    with run_faulty({"/v1": body}) as server, refused(server):
        search_api(api_source(server), JULY_31)


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"[]", b"5", b'{"features": 5}'])
def test_a_page_that_is_no_item_collection_is_refused_with_its_address(
    recorded: Callable[[str], dict[str, Any]], body: bytes
) -> None:
    def spoil(request: Request, _earlier: int) -> Answer | None:
        return Answer(body=body) if request.path == "/v1/search" else None

    with earth_search(recorded, spoil) as server, refused(server):
        search_api(api_source(server), JULY_31)


def test_a_404_is_refused_with_its_address() -> None:
    with run_faulty({}) as server, refused(server):
        search_api(api_source(server), JULY_31)


def test_a_search_keeps_only_what_was_asked_for(recorded: Callable[[str], dict[str, Any]]) -> None:
    """A server that ignores filters (this one does) puts no foreign collection and no other day into the snapshot."""
    with earth_search(recorded) as server:
        source = api_source(server)
        found = search({"s2": source}, JULY_31, no_header)
        assert {item["id"] for item in found.items} == expected(recorded, COLLECTION)
        assert {item["properties"]["groundswell:source"] for item in found.items} == {"s2"}
        later = Query(JULY_31.bboxes, datetime(2025, 7, 31, 13, 10, tzinfo=UTC), JULY_31.end)
        times = {item["properties"]["datetime"] for item in search({"s2": source}, later, no_header).items}
        assert times == {"2025-07-31T13:19:22.930000+00:00"}
