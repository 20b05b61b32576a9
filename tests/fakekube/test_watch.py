"""A watch tells every change once, and where there is none, how far it is."""

from __future__ import annotations

import asyncio
import json
from itertools import groupby

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.fakekube import streams
from tests.fakekube.errors import Json
from tests.fakekube.store import Store

SOON_S = 0.1
Told = list[tuple[str, Json]]
"""Types and objects."""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """With one object, and watches that speak soon where nothing happens."""
    monkeypatch.setattr(streams, "_BOOKMARK_S", SOON_S)
    made = Store()
    made.create(made.resources.named("ns"), "", {"metadata": {"name": "here"}})
    _make(made, "first")
    return made


def _make(store: Store, name: str) -> None:
    store.create(
        store.resources.named("cm"), "here", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    )


async def _watched(store: Store, *names: str, **query: str) -> Told:
    """What a watch tells, till it told of an object of the last of these names; each is made a while after a change."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await streams.watch(store, store.resources.named("cm"), request, lambda _: True)

    application, told, coming = web.Application(), Told(), list(names)
    application.router.add_get("/", answer)
    async with TestClient(TestServer(application)) as client, client.get("/", params=query) as response:
        async for line in response.content:
            change = json.loads(line)
            told.append((change["type"], change["object"]))
            if change["type"] == "BOOKMARK":
                continue
            if not coming:
                break
            await asyncio.sleep(5 * SOON_S)
            _make(store, coming.pop(0))
    return told


def _kinds(told: Told) -> list[str]:
    """Names of objects and marks, marks that follow each other as one."""
    return [key for key, _ in groupby(one["metadata"].get("name", kind) for kind, one in told)]


def test_an_idle_watch_says_how_far_it_is(store: Store) -> None:
    """Kubernetes does so to whom asks; from that revision on a next watch tells what came since, and nothing twice."""
    told = asyncio.run(_watched(store, "second", "third", allowWatchBookmarks="true"))
    assert _kinds(told) == ["first", "BOOKMARK", "second", "BOOKMARK", "third"]
    last = [one["metadata"] for kind, one in told if kind == "BOOKMARK"][-1]
    [second] = [one["metadata"] for _, one in told if one["metadata"].get("name") == "second"]
    assert last == {"resourceVersion": second["resourceVersion"]}
    after = asyncio.run(_watched(store, "fourth", resourceVersion=last["resourceVersion"]))
    assert _kinds(after) == ["third", "fourth"]


def test_others_are_told_of_changes_alone(store: Store) -> None:
    assert _kinds(asyncio.run(_watched(store, "second", "third"))) == ["first", "second", "third"]


def test_a_list_by_a_watch_ends_with_the_revision_that_it_is_of(store: Store) -> None:
    """What is made meanwhile comes after that mark, whose revision is before it."""
    told = asyncio.run(_watched(store, "second", sendInitialEvents="true"))
    assert _kinds(told) == ["first", "BOOKMARK", "second"]
    mark = told[1][1]["metadata"]
    assert mark["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert mark["resourceVersion"] == told[0][1]["metadata"]["resourceVersion"]
