"""Laws of paging: each page as the server says, never for ever; what is asked is sent, what comes back is checked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from pipeline.search import api, transfer
from pipeline.search.api import search_api
from pipeline.search.catalog import Query
from pipeline.search.snapshot import search
from tests.search.apis import COLLECTION, Paged, api_source, no_header, refused, run_paged, scenes
from tests.search.makers import raw_item
from tests.servers.faulty import Answer, Request

JUNE = Query(((11, 44, 14, 47),), datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))


@pytest.mark.parametrize("how", ["POST", "merge", "GET", "plain", "relative"])
def test_next_pages_are_asked_for_as_the_server_says(how: str) -> None:
    """Three pages, the second one empty: a server that filters late has such."""
    paged = Paged(scenes("a", "b"), [], scenes("c"), how=how)
    with run_paged(paged) as server:
        found, notes = search_api(api_source(server), JUNE)
    assert ([item["id"] for item in found], notes) == (["a", "b", "c"], [])
    asked = [request for request in server.requests if request.path == "/v1/search"]
    assert [request.method for request in asked] == ["POST", *["POST" if how in {"POST", "merge"} else "GET"] * 2]
    bodies = [json.loads(request.body) for request in asked if request.body]
    assert all(("collections" in body) is (how == "merge") for body in bodies[1:])


def test_a_server_that_names_get_only_is_asked_by_get() -> None:
    limits = {"eo:cloud_cover": {"lt": 80}}
    with run_paged(Paged(scenes("a"), scenes("b"), how="GET", search=("GET",))) as server:
        found, _ = search_api(api_source(server, collection=("one", "two"), query=limits), JUNE)
    assert [item["id"] for item in found] == ["a", "b"]
    first, second = [request for request in server.requests if request.path == "/v1/search"]
    assert (first.method, second.method) == ("GET", "GET")
    sent = {name: values[0] for name, values in parse_qs(first.query).items()}
    assert sent["collections"] == "one,two" and json.loads(sent["query"]) == limits
    assert sent["bbox"] == "11.0,44.0,14.0,47.0" and sent["datetime"] == "2024-06-01T00:00:00Z/2024-07-01T00:00:00Z"


def test_pages_that_go_in_a_circle_are_refused() -> None:
    with run_paged(Paged(scenes("a"), scenes("b"), scenes("c"), how="circle")) as server, refused(server) as refusal:
        search_api(api_source(server), JUNE)
    assert "its pages go in a circle" in str(refusal.value)


def test_pages_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_MAX_PAGES", 3)
    with run_paged(Paged(*[scenes("a")] * 9)) as server, refused(server) as refusal:
        search_api(api_source(server), JUNE)
    assert "more than 3 pages" in str(refusal.value)


def test_a_server_that_asks_for_hours_is_asked_again_within_a_minute() -> None:
    assert transfer.RETRY.retry_after_max == 60


@pytest.mark.parametrize("spoilt", [Answer(cut_bytes=40), Answer(body=b'{"features": [')], ids=["cut", "half"])
def test_a_page_that_is_cut_on_the_way_is_asked_for_again(spoilt: Answer) -> None:
    paged = Paged(scenes("a"), scenes("b"))

    def cut(request: Request, earlier: int) -> Answer | None:
        if request.path != "/v1/search" or earlier not in {1, 2}:
            return None
        return spoilt if spoilt.body else replace(spoilt, body=b"x" * 500)

    paged.spoil = cut
    with run_paged(paged) as server:
        found, _ = search_api(api_source(server), JUNE)
    assert [item["id"] for item in found] == ["a", "b"]


CQL2 = {"op": "<=", "args": [{"property": "eo:cloud_cover"}, 40]}


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({"collection": ("a", "b")}, {"collections": ["a", "b"]}),
        ({"query": {"gsd": {"gte": 10, "lt": 30}}}, {"query": {"gsd": {"gte": 10, "lt": 30}}}),
        ({"filter": CQL2}, {"filter": CQL2, "filter-lang": "cql2-json"}),
        ({"filter": "gsd = 10"}, {"filter": "gsd = 10", "filter-lang": "cql2-text"}),
        (
            {"fields": {"exclude": ("assets.thumbnail",)}},
            {"fields": {"include": [], "exclude": ["assets.thumbnail"]}},
        ),
        (
            {"fields": {"include": ("links",)}},
            {"fields": {"include": ["id", "collection", "geometry", "properties", "assets", "links"], "exclude": []}},
        ),
    ],
    ids=["collections", "query", "filter-json", "filter-text", "fields-exclude", "fields-include"],
)
def test_what_the_source_asks_for_reaches_the_server(keys: dict[str, Any], sent: dict[str, Any]) -> None:
    with run_paged(Paged(scenes("a"))) as server:
        found, notes = search_api(api_source(server, **keys), JUNE)
    assert [item["id"] for item in found] == ["a"]
    (asked,) = [json.loads(request.body) for request in server.requests if request.path == "/v1/search"]
    assert {key: asked[key] for key in sent} == sent
    assert bool(notes) is ("filter" in keys), "this server does not declare that it filters"
    assert all("does not declare that it evaluates filter" in note for note in notes)


def test_an_area_across_the_antimeridian_is_asked_for_in_two_parts() -> None:
    with run_paged(Paged(scenes("a"))) as server:
        search_api(api_source(server), Query(((179, -20, -178, -10),), JUNE.start, JUNE.end))
    asked = [json.loads(request.body)["bbox"] for request in server.requests if request.path == "/v1/search"]
    assert asked == [[179, -20, 180, -10], [-180, -20, -178, -10]]


def test_an_item_that_meets_several_boxes_comes_once() -> None:
    """The same page answers each box here; an item that one page holds twice is the caller's to correct."""
    boxes = ((0.0, 40.0, 1.0, 41.0), (12.0, 45.0, 13.0, 46.0), (179.0, -20.0, -178.0, -10.0))
    with run_paged(Paged(scenes("a", "b"), [*scenes("c"), "junk"])) as server:
        found, _ = search_api(api_source(server), Query(boxes, JUNE.start, JUNE.end))
    assert [item["id"] for item in found if item != "junk"] == ["a", "b", "c"]
    assert found.count("junk") == 4, "what is no item is named by whoever normalises it"
    asked = [json.loads(request.body) for request in server.requests if request.path == "/v1/search"]
    assert [one["bbox"] for one in asked if "bbox" in one] == [
        [0, 40, 1, 41],
        [12, 45, 13, 46],
        [179, -20, 180, -10],
        [-180, -20, -178, -10],
    ]


def test_fractions_of_a_second_are_asked_for_outwards() -> None:
    step = timedelta(microseconds=300_000)
    with run_paged(Paged(scenes("a"))) as server:
        search_api(api_source(server), Query(JUNE.bboxes, JUNE.start + step, JUNE.end + step))
    (asked,) = [json.loads(request.body)["datetime"] for request in server.requests if request.path == "/v1/search"]
    assert asked == "2024-06-01T00:00:00Z/2024-07-01T00:00:01Z"


def test_pages_that_shift_bring_an_item_twice_and_the_newest_stays() -> None:
    """An item comes on two pages, the second time with a later version."""
    old, new = ({"datetime": "2024-06-10T10:00:00Z", "updated": f"2024-06-1{day}T00:00:00Z"} for day in (1, 2))
    for pages in ([scenes("a", "b", properties=old), scenes("b", "c", properties=new)],) * 2:
        with run_paged(Paged(*pages)) as server:
            items = search({"s2": api_source(server)}, JUNE, no_header).items
        assert {item["id"]: item["properties"]["updated"][:10] for item in items} == {
            "a": "2024-06-11",
            "b": "2024-06-12",
            "c": "2024-06-12",
        }


def test_a_server_that_ignores_the_query_is_corrected_and_named() -> None:
    items = [
        raw_item(
            id=f"cloudy-{cover}",
            collection=COLLECTION,
            properties={"datetime": "2024-06-10T10:00:00Z", "eo:cloud_cover": cover},
        )
        for cover in (10, 80, 90)
    ]
    with run_paged(Paged(items)) as server:
        snapshot = search({"s2": api_source(server, query={"eo:cloud_cover": {"lt": 80}})}, JUNE, no_header)
    assert [item["id"] for item in snapshot.items] == ["cloudy-10"]
    assert snapshot.notes[0] == "source s2: 2 items left out that the server gave although they miss its query"


def test_several_collections_are_several_kinds_of_items() -> None:
    items = [raw_item(collection=name) for name in ("one", "two", "three")]
    with run_paged(Paged(items)) as server:
        found = search({"s2": api_source(server, collection=("one", "three"))}, JUNE, no_header).items
    assert [item["collection"] for item in found] == ["one", "three"]


def test_a_relative_address_of_an_api_counts_from_the_item() -> None:
    item = raw_item(links=[{"rel": "self", "href": "https://host/items/a.json"}], assets={"red": {"href": "./red.tif"}})
    with run_paged(Paged([item])) as server:
        (found,), _ = search_api(api_source(server), JUNE)
    assert found["assets"]["red"]["href"] == "https://host/items/red.tif"
