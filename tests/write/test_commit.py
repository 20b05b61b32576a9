"""Laws of the commit: the item comes last, names only whole files, and twice is once."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import OutputError, StoreError
from pipeline.types import DataFile, Job, Made
from pipeline.write.commit import commit, fingerprint_of, list_committed
from pipeline.write.stac import data_key, item_key
from pipeline.write.store import FolderStore, Store, open_store

NOW = datetime(2024, 8, 1, tzinfo=UTC)
STEPS = 34
"""Of a commit of seven files, of which one is a folder of 17 objects."""


class KilledError(Exception):
    """Stands for the end of the process."""


class KillAt(logging.Handler):
    """Ends the commit just before the step of this number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.steps = number, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.steps.append(record.getMessage().removeprefix("commit step "))
        if len(self.steps) > self.number:
            raise KilledError(self.steps[-1])


@pytest.fixture
def kill() -> Iterator[Callable[[int], KillAt]]:
    logger = logging.getLogger("pipeline.write.commit")
    level, handlers = logger.level, list(logger.handlers)
    logger.setLevel(logging.DEBUG)

    def at(number: int) -> KillAt:
        handler = KillAt(number)
        logger.handlers = [handler]
        return handler

    yield at
    logger.setLevel(level)
    logger.handlers = handlers


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "out"))
    request.getfixturevalue("s3_environment")
    return open_store(f"s3://{request.getfixturevalue('s3_bucket')}/{uuid.uuid4().hex}")


def content(store: Store) -> dict[str, bytes]:
    return {key: store.get_bytes(key) for key, _ in store.list_objects()}


def folder_of(made: Made) -> DataFile:
    return next(file for file in made.files if file.objects)


def check_whole(store: Store) -> int:
    """Every file that an item names is there, with the size and digest the item says; returns how many items."""
    items = [key for key, _ in store.list_objects("items/")]
    for key in items:
        assets = json.loads(store.get_bytes(key))["assets"]
        for name, asset in assets.items():
            if name == "zarr":
                continue
            data = store.get_bytes(asset["href"].removeprefix("../../"))
            assert len(data) == asset["file:size"]
            assert "1220" + hashlib.sha256(data).hexdigest() == asset["file:checksum"]
        folder = assets["zarr"]["href"].removeprefix("../../")
        manifest = json.loads(store.get_bytes(assets["zarr-manifest"]["href"].removeprefix("../../")))
        listed = {f"{folder}/{one['key']}": (one["size"], one["sha256"]) for one in manifest["objects"]}
        found = {each: store.get_bytes(each) for each, _ in store.list_objects(f"{folder}/")}
        assert {each: (len(data), hashlib.sha256(data).hexdigest()) for each, data in found.items()} == listed
    return len(items)


def test_a_commit_publishes_files_and_item(store: Store, job: Job, made: Made) -> None:
    done = commit(store, job, made, now=NOW)
    assert done.created
    assert done.item_key == item_key(job)
    assert done.written_bytes == sum(size for _, size in store.list_objects())
    assert check_whole(store) == 1
    objects = sum(max(1, len(file.objects)) for file in made.files)
    assert len(list(store.list_objects("data/s2_median/33T_0_1/2024_06/"))) == objects
    assert list_committed(store, "s2_median") == {job.fingerprint: done.item_key}


def test_twice_is_once(store: Store, job: Job, make_made: Callable[..., Made]) -> None:
    """The same job made again is the same commit: nothing changes, not even the item's own time."""
    commit(store, job, make_made(job), now=NOW)
    before = content(store)
    again = commit(store, job, make_made(job), now=NOW.replace(year=2025))
    assert not again.created
    assert content(store) == before


def test_other_files_under_the_same_fingerprint_are_refused(
    store: Store, job: Job, make_made: Callable[..., Made]
) -> None:
    """The item there stays; the message names what differs and the way out, which then works."""
    commit(store, job, make_made(job), now=NOW)
    before = store.get_bytes(item_key(job))
    with pytest.raises(
        StoreError, match=r"other files for count, inputs, ndvi, red, thumbnail, zarr, zarr-manifest;.*--overwrite"
    ):
        commit(store, job, make_made(job, seed=1), now=NOW)
    assert store.get_bytes(item_key(job)) == before
    assert commit(store, job, make_made(job, seed=1), overwrite=True, now=NOW).created
    assert store.get_bytes(item_key(job)) != before
    assert check_whole(store) == 1


def test_something_else_in_the_items_place_is_named(tmp_path: Path, job: Job, made: Made) -> None:
    store = FolderStore(str(tmp_path / "out"))
    store.put_bytes(b"<html>", item_key(job))
    with pytest.raises(StoreError, match=r"what is there is no item.*--overwrite"):
        commit(store, job, made, now=NOW)


def test_a_file_that_shrank_is_not_committed(tmp_path: Path, job: Job, made: Made) -> None:
    """A local file cut short after its validation stops the commit before the item."""
    store = FolderStore(str(tmp_path / "out"))
    ndvi = made.files[1].path
    ndvi.write_bytes(ndvi.read_bytes()[:-1])
    with pytest.raises(OutputError, match=r"s2_median/33T_0_1/2024_06: .*ndvi\.tif: found \d+ bytes, expected"):
        commit(store, job, made, now=NOW)
    assert check_whole(store) == 0


def test_an_object_that_shrank_is_not_committed(tmp_path: Path, job: Job, made: Made) -> None:
    store = FolderStore(str(tmp_path / "out"))
    chunk = folder_of(made).path / "ndvi/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(OutputError, match=r"2024_06: .*ndvi/c/0/0: found \d+ bytes, expected"):
        commit(store, job, made, now=NOW)
    assert check_whole(store) == 0


def test_an_object_that_cannot_be_put_stops_the_commit(
    tmp_path: Path, job: Job, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a put that was under way beside others reaches the caller, and there is no item."""
    put = FolderStore.put_file

    def refuse(self: FolderStore, path: Path, key: str) -> None:
        if key.endswith("red/c/0/0"):
            raise StoreError(f"{key}: refused")
        put(self, path, key)

    monkeypatch.setattr(FolderStore, "put_file", refuse)
    store = FolderStore(str(tmp_path / "out"))
    with pytest.raises(StoreError, match="red/c/0/0: refused"):
        commit(store, job, made, now=NOW)
    assert check_whole(store) == 0


def test_steps_are_announced_in_order(tmp_path: Path, job: Job, made: Made, kill: Callable[[int], KillAt]) -> None:
    """The names that kill tests rely on, each before its step: data files, objects of folders, then the item."""
    handler = kill(99)
    commit(FolderStore(str(tmp_path / "out")), job, made, now=NOW)
    data = [
        step
        for file in made.files
        for step in (
            f"data_put:{file.key}",
            *(f"object_put:{file.key}/{one.key}" for one in file.objects),
            f"data_put_done:{file.key}",
        )
    ]
    assert handler.steps == [*data, "item_render", "item_put", "item_put_done"]
    assert len(handler.steps) == STEPS


@pytest.mark.parametrize("number", range(STEPS))
def test_killed_at_any_step_a_reader_sees_all_or_nothing(
    tmp_path: Path, job: Job, made: Made, kill: Callable[[int], KillAt], number: int
) -> None:
    """Stopped anywhere, there is no item or a whole one; done again, the output is as if never stopped."""
    store, calm = FolderStore(str(tmp_path / "out")), FolderStore(str(tmp_path / "calm"))
    kill(number)
    with pytest.raises(KilledError):
        commit(store, job, made, now=NOW)
    assert check_whole(store) == (1 if number == STEPS - 1 else 0)
    kill(99)
    commit(store, job, made, now=NOW)
    commit(calm, job, made, now=NOW)
    assert content(store) == content(calm)


def test_two_runs_at_once_commit_once(store: Store, job: Job, made: Made) -> None:
    """Of eight simultaneous commits with different clocks one creates the item; the others accept it as theirs."""
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda second: commit(store, job, made, now=NOW.replace(second=second)), range(8)))
    assert [each.created for each in done].count(True) == 1
    assert check_whole(store) == 1


def test_the_listing_is_of_one_product(store: Store, job: Job, other_job: Job, make_made: Callable[..., Made]) -> None:
    """One listing, fingerprints read from the right of names that hold `_` themselves, other products left out."""
    commit(store, job, make_made(job), now=NOW)
    commit(store, other_job, make_made(other_job), now=NOW)
    elsewhere = replace(job, product="s2")
    commit(store, elsewhere, make_made(job), now=NOW)
    assert list_committed(store, "s2_median") == {each.fingerprint: item_key(each) for each in (job, other_job)}
    assert list_committed(store, "s2") == {job.fingerprint: item_key(elsewhere)}
    assert list_committed(store, "none") == {}


@pytest.mark.parametrize(
    ("key", "fingerprint"),
    [("items/p/a_b_c_d_0f.json", "0f"), ("items/p/readme.txt", None), ("items/p/x.json", None), ("a_b", None)],
)
def test_fingerprints_are_read_from_the_right(key: str, fingerprint: str | None) -> None:
    assert fingerprint_of(key) == fingerprint


def test_the_independent_check_finds_no_fault(
    store: Store, job: Job, made: Made, shared_tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checker that shares no code with the project agrees, on disk and on S3; and it does see a file cut short."""
    commit(store, job, made, now=NOW)
    spec = importlib.util.spec_from_file_location("check_output", shared_tools / "check_output.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.main(store.uri) == 0, capsys.readouterr().out
    red = data_key(job, made.files[0])
    store.put_bytes(store.get_bytes(red)[:-100], red)
    assert tool.main(store.uri) == 1
