"""Laws of every store: puts are atomic, put_new has one winner, keys are safe, errors say where."""

from __future__ import annotations

import os
import pickle
import shutil
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from pipeline.errors import ConfigError, StoreError
from pipeline.write import s3
from pipeline.write.keys import check_key
from pipeline.write.s3 import S3Store
from pipeline.write.store import FolderStore, Store, open_store
from tests.servers.weed import S3Server


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "folder":
        yield open_store(str(tmp_path / "out"))
        assert list(tmp_path.rglob(".tmp-*")) == [], "a put left a temporary file"
        return
    server: S3Server = request.getfixturevalue("s3_environment")
    bucket: str = request.getfixturevalue("s3_bucket")
    yield open_store(f"s3://{bucket}/some/{uuid.uuid4().hex}")
    assert server.pending_uploads(bucket) == [], "a multipart upload was left behind"


def test_what_is_put_is_read_back(store: Store, tmp_path: Path) -> None:
    """get(put(x)) is x, for bytes and for files, also after replacing and for nothing at all."""
    big = os.urandom(6 * 2**20)
    (tmp_path / "big").write_bytes(big)
    store.put_file(tmp_path / "big", "data/big.bin")
    store.put_bytes(b"first", "data/small")
    store.put_bytes(b"", "data/small")
    assert store.get_bytes("data/big.bin") == big
    assert store.get_bytes("data/small") == b""
    assert dict(store.list_objects("data/")) == {"data/big.bin": len(big), "data/small": 0}


def test_absent_keys(store: Store) -> None:
    """A key that was never put does not exist, lists nothing, may be deleted, and is named when read."""
    assert not store.exists("items/none.json")
    assert list(store.list_objects("items/")) == []
    store.delete("items/none.json")
    with pytest.raises(StoreError, match=r"items/none\.json"):
        store.get_bytes("items/none.json")


def test_delete_makes_absent(store: Store) -> None:
    store.put_bytes(b"x", "a/b")
    assert store.exists("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")
    assert list(store.list_objects()) == []


@pytest.mark.parametrize(
    "name", ["a b", "a+b%20c", "é-ü", "雪", "a'b\"c", "a&b=c;d", "x(1)[2]{3}", "~!@#$^", "a?versionId=3"]
)
def test_names_are_taken_literally(store: Store, name: str) -> None:
    """No character of a legal key is decoded, encoded or expanded on the way."""
    key = f"data/{name}/f.txt"
    store.put_bytes(name.encode(), key)
    assert store.put_new(b"other", key) is False
    assert store.get_bytes(key) == name.encode()
    assert store.exists(key)
    assert [found for found, _ in store.list_objects("data/")] == [key]
    store.delete(key)
    assert not store.exists(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/../b",
        "./a",
        "a\\b",
        "a\0b",
        "a\nb",
        "e\u0301",
        "x" * 1025,
        "a/.tmp-1",
        "\ud800",
    ],
)
def test_unsafe_keys_are_refused_everywhere(store: Store, tmp_path: Path, key: str) -> None:
    for call in (
        lambda: store.put_bytes(b"", key),
        lambda: store.put_new(b"", key),
        lambda: store.put_file(Path(__file__), key),
        lambda: store.get_bytes(key),
        lambda: store.exists(key),
        lambda: store.delete(key),
    ):
        with pytest.raises(StoreError, match="expected a relative path"):
            call()
    assert list(store.list_objects()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_prefix_is_a_folder(store: Store) -> None:
    """`items/a/` lists nothing of `items/ab/`, and half a name is refused rather than guessed."""
    store.put_bytes(b"1", "items/a/x.json")
    store.put_bytes(b"22", "items/ab/y.json")
    assert dict(store.list_objects("items/a/")) == {"items/a/x.json": 1}
    assert dict(store.list_objects()) == {"items/a/x.json": 1, "items/ab/y.json": 2}
    with pytest.raises(StoreError, match="prefix"):
        list(store.list_objects("items/a"))


def test_listing_spans_pages(store: Store) -> None:
    """More keys than one page of 1,000 are all listed, each once."""
    keys = {f"items/p/t_{number:04d}.json" for number in range(1100)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put_bytes(b"{}", key), keys))
    listed = [key for key, _ in store.list_objects("items/p/")]
    assert len(listed) == len(keys)
    assert set(listed) == keys


def test_put_new_keeps_what_is_there(store: Store) -> None:
    """The first writer wins; the same bytes again are the same commit, others are not."""
    assert store.put_new(b"mine", "items/x.json") is True
    assert store.put_new(b"mine", "items/x.json") is True
    assert store.put_new(b"yours", "items/x.json") is False
    assert store.get_bytes("items/x.json") == b"mine"


def test_put_new_has_one_winner(store: Store) -> None:
    """Of sixteen writers with different bytes at one key exactly one is told it won, and its bytes are there."""
    rounds = 3 if isinstance(store, FolderStore) else 1  # the server's lock makes losers wait for seconds
    for round_ in range(rounds):
        barrier = threading.Barrier(16)

        def race(number: int, key: str = f"items/{round_}.json", gate: threading.Barrier = barrier) -> bool:
            gate.wait(30)
            return store.put_new(b"writer %d" % number, key)

        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(race, range(16)))
        assert won.count(True) == 1
        assert store.get_bytes(f"items/{round_}.json") == b"writer %d" % won.index(True)


def test_stores_travel_to_other_processes(store: Store) -> None:
    """A store is a value: equal after pickling, also when its client has been used, and small."""
    store.put_bytes(b"x", "a")
    copy = pickle.loads(pickle.dumps(store))
    assert copy == store
    assert hash(copy) == hash(store)
    assert copy.get_bytes("a") == b"x"
    assert len(pickle.dumps(store)) < 500


def test_a_failed_file_put_leaves_nothing(store: Store, tmp_path: Path) -> None:
    """When the source cannot be read there is neither an object nor a part of one."""
    with pytest.raises(FileNotFoundError):
        store.put_file(tmp_path / "none.tif", "data/none.tif")
    assert list(store.list_objects()) == []


def test_exception_in_the_middle_of_a_write_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there stays whole, and the temporary file goes."""
    store = FolderStore(str(tmp_path / "out"))
    store.put_bytes(b"old", "data/x")
    source = tmp_path / "source"
    source.write_bytes(b"new" * 1000)

    def half(read: BinaryIO, write: BinaryIO, length: int) -> None:
        write.write(read.read(1500))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", half)
    with pytest.raises(StoreError, match=r"out, key data/x: put failed: No space left"):
        store.put_file(source, "data/x")
    assert [path.name for path in (tmp_path / "out" / "data").iterdir()] == ["x"]
    assert store.get_bytes("data/x") == b"old"


def test_stale_temporary_files_are_not_listed(tmp_path: Path) -> None:
    """What a killed process left behind is not part of the output."""
    store = FolderStore(str(tmp_path))
    store.put_bytes(b"x", "data/x")
    (tmp_path / "data" / ".tmp-0123").write_bytes(b"half")
    assert [key for key, _ in store.list_objects()] == ["data/x"]


def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    """A put leaves the mode that the umask gives, not the private mode of temporary files."""
    (tmp_path / "plain").write_bytes(b"")
    store = FolderStore(str(tmp_path))
    store.put_bytes(b"x", "put")
    store.put_new(b"x", "new")
    modes = {(tmp_path / name).stat().st_mode for name in ("plain", "put", "new")}
    assert len(modes) == 1


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path))
    store.put_bytes(b"x", "a")
    with pytest.raises(StoreError, match=r"key a/b: put failed: (Not a directory|File exists)"):
        store.put_bytes(b"y", "a/b")


def test_objects_beyond_one_put_are_refused_by_name(tmp_path: Path) -> None:
    """More than 5 GiB cannot be put in one request; it is refused before any connection."""
    big = tmp_path / "big.tif"
    with big.open("wb") as handle:
        handle.truncate(s3.MAX_PUT_BYTES + 1)
    with pytest.raises(StoreError, match=r"s3://bucket/p, key data/big\.tif: .*big\.tif, one atomic put"):
        S3Store("bucket", "p", "http://127.0.0.1:9").put_file(big, "data/big.tif")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket", S3Store("bucket")),
        ("s3://bucket/a/b/", S3Store("bucket", "a/b")),
        ("/data/out", FolderStore("/data/out")),
        ("file:///data/out%20put", FolderStore("/data/out put")),
    ],
)
def test_addresses(uri: str, expected: Store) -> None:
    """One address, one store, whatever the spelling; its own address opens it again."""
    assert open_store(uri) == expected
    assert open_store(expected.uri) == expected


@pytest.mark.parametrize("uri", ["gs://bucket/x", "s3://", "https://example.com/x"])
def test_addresses_that_are_no_store(uri: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        open_store(uri)


def test_relative_folders_are_fixed_when_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with another working directory writes to the same place."""
    monkeypatch.chdir(tmp_path)
    assert open_store("./out") == FolderStore(str(tmp_path / "out"))


def test_check_key_returns_the_key() -> None:
    assert check_key("data/é/x.tif") == "data/é/x.tif"


def test_a_replacement_needs_the_state_it_was_made_from(store: Store, tmp_path: Path) -> None:
    """put_if(version) puts where the key is still at that version, and only there; None is the version of nothing."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"first")
    second.write_bytes(b"other")  # as many bytes
    key = "data/p/levels.parquet"
    assert store.version_of(key) is None
    one = store.put_if(first, key, None)
    assert one is not None and one == store.version_of(key)
    assert store.put_if(second, key, None) is None
    two = store.put_if(second, key, one)
    assert two is not None and two not in (one, None) and two == store.version_of(key)
    assert store.put_if(first, key, one) is None
    assert store.get_bytes(key) == b"other"
    store.delete(key)
    assert store.put_if(first, key, two) is None
    assert not store.exists(key)


def test_of_many_replacements_of_one_state_exactly_one_wins(store: Store, tmp_path: Path) -> None:
    """And no reader ever sees anything but one of them, whole. The bytes of each state are new, as a version may be."""
    files = [tmp_path / f"{number}" for number in range(4)]
    version = None
    for round_ in range(3):
        for number, file in enumerate(files):
            file.write_bytes(bytes([number, round_]) * 1000)
        with ThreadPoolExecutor(4) as pool:
            state = version
            won = list(pool.map(lambda file, state=state: store.put_if(file, "a/levels", state), files))
        (version,) = [one for one in won if one is not None]
        winner = next(file for file, one in zip(files, won, strict=True) if one is not None)
        assert store.get_bytes("a/levels") == winner.read_bytes()
        assert store.version_of("a/levels") == version
