"""Laws of every store for those who clean up: when an object was put by the store's own clock, and what never ended."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.verbs._leftovers import Rules
from pipeline.verbs.vacuum import vacuum
from pipeline.write.store import FolderStore, Store, Unfinished, open_store
from tests.servers.weed import S3Server

Begin = Callable[[str], None]


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Begin]]:
    """A store, and how a put to a key begins there that never ends."""
    if request.param == "folder":
        store = open_store(str(tmp_path / "out"))

        def begin(key: str) -> None:
            path = Path(store.uri, key).with_name(f".tmp-{uuid.uuid4().hex}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"half")

        yield store, begin
        return
    server: S3Server = request.getfixturevalue("s3_environment")
    bucket: str = request.getfixturevalue("s3_bucket")
    prefix = f"entries/{uuid.uuid4().hex}"

    def begin_upload(key: str) -> None:
        server.client().call_s3("create_multipart_upload", Bucket=bucket, Key=f"{prefix}/{key}")

    store = open_store(f"s3://{bucket}/{prefix}")
    yield store, begin_upload
    for one in store.list_unfinished():  # other tests look at the whole bucket
        store.drop_unfinished(one)


def test_an_entry_says_when_it_was_put(place: tuple[Store, Begin]) -> None:
    """By the clock that `now_s` tells, to the second; a put of the same bytes is a put."""
    store, _ = place
    before = store.now_s()
    store.put_bytes(b"abc", "data/a/b")
    (entry,) = store.list_entries("data/")
    assert (entry.key, entry.size_bytes) == ("data/a/b", 3)
    assert before - 1 <= entry.modified_s <= store.now_s() + 1
    while store.now_s() < entry.modified_s + 1.5:
        time.sleep(0.1)
    store.put_bytes(b"abc", "data/a/b")
    assert next(store.list_entries("data/")).modified_s > entry.modified_s
    assert dict(store.list_objects()) == {"data/a/b": 3}


def test_one_key_is_looked_at_as_a_listing_has_it(place: tuple[Store, Begin]) -> None:
    """But for parts of a second, which not every answer has."""
    store, begin = place
    store.put_bytes(b"abc", "data/a/b")
    begin("data/a/c")
    (listed,) = store.list_entries("data/")
    found = store.entry_of("data/a/b")
    assert found is not None and found[:2] == listed[:2] and abs(found.modified_s - listed.modified_s) < 1
    assert store.entry_of("data/a/c") is None
    assert store.entry_of("data/a") is None


def test_a_digest_is_of_what_is_there(place: tuple[Store, Begin]) -> None:
    store, _ = place
    for content in (b"", os.urandom(3 * 2**20 + 1)):
        store.put_bytes(content, "data/a")
        assert store.digest("data/a") == (len(content), hashlib.sha256(content).hexdigest())
    with pytest.raises(StoreError, match="data/none"):
        store.digest("data/none")


def test_what_never_ended_is_listed_apart_and_can_be_dropped(place: tuple[Store, Begin]) -> None:
    store, begin = place
    store.put_bytes(b"whole", "data/a/b")
    begin("data/a/c")
    begin("data/a/c")
    found = list(store.list_unfinished())
    assert len(found) == 2
    assert all(abs(one.modified_s - store.now_s()) < 120 for one in found)
    assert [entry.key for entry in store.list_entries()] == ["data/a/b"]
    store.drop_unfinished(found[0])
    store.drop_unfinished(found[0])
    assert list(store.list_unfinished()) == found[1:]
    assert store.get_bytes("data/a/b") == b"whole"


def test_a_vacuum_drops_what_never_ended(place: tuple[Store, Begin]) -> None:
    """By its age; what is whole and not the project's stays."""
    store, begin = place
    store.put_bytes(b"{}", "runs/1/finished.json")
    store.put_bytes(b"whole", "data/a/b")
    begin("data/a/c")
    assert len(vacuum(store, Rules(3600)).unfinished) == 0
    assert len(vacuum(store, Rules(0), dry_run=True).unfinished) == 1
    assert len(list(store.list_unfinished())) == 1
    with pytest.raises(StoreError, match=r"plan\.jsonl"):
        vacuum(store, Rules(0, superseded=True))
    assert len(vacuum(store, Rules(0)).unfinished) == 1
    assert list(store.list_unfinished()) == []
    assert {entry.key for entry in store.list_entries()} == {"runs/1/finished.json", "data/a/b"}


@pytest.mark.parametrize("put", ["put_file", "put_bytes", "put_new"])
def test_a_put_whose_unfinished_file_is_dropped_is_whole_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put: str
) -> None:
    """A clean-up cannot know that a put is going on: it costs that put time, and nothing else."""
    store, source = FolderStore(str(tmp_path / "out")), tmp_path / "source"
    dropped: list[Unfinished] = []
    source.write_bytes(b"whole")
    sync = os.fsync

    def drop_first(handle: int) -> None:
        sync(handle)
        for one in list(store.list_unfinished()) if len(dropped) < 2 else ():
            store.drop_unfinished(one)
            dropped.append(one)

    monkeypatch.setattr(os, "fsync", drop_first)
    assert getattr(store, put)(source if put == "put_file" else b"whole", "data/a") in (None, True)
    assert len(dropped) == 2
    assert store.get_bytes("data/a") == b"whole"
    assert list(store.list_unfinished()) == []


def test_the_clock_of_a_folder_that_cannot_be_written_is_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "touch", refuse)
    assert abs(FolderStore(str(tmp_path)).now_s() - time.time()) < 60
