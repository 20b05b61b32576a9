"""Buckets of a file of rules: the same answers from S3 and from a folder that stands in for it."""

from __future__ import annotations

import hashlib
import json
import pickle
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.config.events import EventsConfig
from pipeline.errors import StoreError, TransientStoreError
from pipeline.events.buckets.buckets import LOCAL_ROOT, Buckets, MissingObjectError, TooLargeError, open_buckets
from pipeline.write import retry
from tests.servers.proxy import Fault, Spoil, run_proxy
from tests.servers.weed import S3Server

ODD = ("a b+c %41 é😀 &<>'\"?#;=.csv", "é/中/file%2e%2e.csv", "a?versionId=1", "-rf", "~/x")
"""Names that a form, a URL, a shell or a client may take for something else."""


@dataclass(frozen=True)
class Kept:
    """Buckets under test, and how an object is put into the only one."""

    buckets: Buckets
    name: str
    put: Callable[[str, bytes], None]


def config(name: str, **place: object) -> EventsConfig:
    rules = {"any": {"match": {"bucket": name}, "check": {}}}
    document = {"name": "test", "inbox": "inbox.sqlite", "output": "out", "buckets": {name: place}, "rules": rules}
    return EventsConfig.model_validate_json(json.dumps(document), context={"folder": Path.cwd()})


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    if request.param == "folder":
        monkeypatch.setenv(LOCAL_ROOT, str(tmp_path / "root"))
        (tmp_path / "root" / "arrivals").mkdir(parents=True)

        def put(key: str, data: bytes) -> None:
            path = tmp_path / "root" / "arrivals" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

        return Kept(open_buckets(config("arrivals")), "arrivals", put)
    server: S3Server = request.getfixturevalue("s3_environment")
    monkeypatch.delenv(LOCAL_ROOT, raising=False)
    monkeypatch.setattr(retry, "BACKOFF_S", 0.01)
    name = server.make_bucket(f"b{uuid.uuid4().hex}")

    def send(key: str, data: bytes) -> None:
        server.client().call_s3("put_object", Bucket=name, Key=key, Body=data)

    return Kept(open_buckets(config(name, endpoint=server.endpoint)), name, send)


def test_an_object_comes_as_a_file_with_its_own_name_and_state(kept: Kept, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    kept.put("in/a b.csv", data)
    found = kept.buckets.fetch(kept.name, "in/a b.csv", tmp_path)
    assert found.path.name == "a b.csv"
    assert found.path.read_bytes() == data
    assert found.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
    state = kept.buckets.state(kept.name, "in/a b.csv")
    assert state is not None
    assert (state.size_bytes, state.etag) == (found.size_bytes, found.etag) == (len(data), found.etag)
    assert state.modified_s == found.modified_s > 0
    assert [one._replace(version="") for one in kept.buckets.entries(kept.name)] == [state._replace(version="")]
    assert kept.buckets.read(kept.name, "in/a b.csv", len(data)) == data


@pytest.mark.parametrize("key", ODD)
def test_a_key_is_taken_as_it_is(kept: Kept, tmp_path: Path, key: str) -> None:
    """What is asked for is what was put, and the listing has the same name."""
    kept.put(key, key.encode())
    kept.put("other", b"other")
    assert kept.buckets.fetch(kept.name, key, tmp_path).path.read_bytes() == key.encode()
    assert {one.key for one in kept.buckets.entries(kept.name)} == {key, "other"}


def test_an_empty_object_is_an_object(kept: Kept, tmp_path: Path) -> None:
    kept.put("empty", b"")
    assert kept.buckets.fetch(kept.name, "empty", tmp_path).path.read_bytes() == b""


def test_what_is_not_there_is_told_by_its_name(kept: Kept, tmp_path: Path) -> None:
    assert kept.buckets.state(kept.name, "in/none.csv") is None
    assert list(kept.buckets.entries(kept.name, "in/")) == []
    for ask in (
        lambda: kept.buckets.fetch(kept.name, "in/none.csv", tmp_path),
        lambda: kept.buckets.read(kept.name, "in/none.csv"),
    ):
        with pytest.raises(MissingObjectError, match=r"in/none\.csv: there is no such object"):
            ask()
    assert [path for path in tmp_path.iterdir() if path.name != "root"] == []


def test_a_reader_may_say_how_much_it_takes(kept: Kept, tmp_path: Path) -> None:
    kept.put("large", b"12345")
    for ask in (
        lambda: kept.buckets.fetch(kept.name, "large", tmp_path, max_bytes=4),
        lambda: kept.buckets.read(kept.name, "large", 4),
    ):
        with pytest.raises(TooLargeError, match=r"large: found 5 bytes; expected at most 4"):
            ask()


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "", "a\0b", "x" * 1025])
def test_a_key_that_leads_elsewhere_is_refused(kept: Kept, tmp_path: Path, key: str) -> None:
    with pytest.raises(StoreError, match="found the key"):
        kept.buckets.fetch(kept.name, key, tmp_path)


def test_a_folder_that_is_not_there_is_no_empty_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that leads elsewhere must not look as if everything had been removed."""
    monkeypatch.setenv(LOCAL_ROOT, str(tmp_path / "elsewhere"))
    buckets = open_buckets(config("arrivals"))
    for ask in (lambda: buckets.state("arrivals", "x"), lambda: list(buckets.entries("arrivals"))):
        with pytest.raises(StoreError, match="there is no such folder in place of a bucket"):
            ask()


def test_a_bucket_of_no_rule_is_refused(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"s3://strange: found a bucket that is not in `buckets`"):
        kept.buckets.fetch("strange", "x", tmp_path)


def test_a_listing_has_what_begins_so(kept: Kept) -> None:
    """A prefix is text, not a folder."""
    for key in ("in/a.csv", "in/b/c.csv", "inner.csv", "out/a.csv"):
        kept.put(key, b"x")
    found = {prefix: sorted(one.key for one in kept.buckets.entries(kept.name, prefix)) for prefix in ("in", "in/b")}
    assert found == {"in": ["in/a.csv", "in/b/c.csv", "inner.csv"], "in/b": ["in/b/c.csv"]}


def test_a_zarr_store_is_one_thing(kept: Kept, tmp_path: Path) -> None:
    """All its objects come, and its state changes with any of them."""
    parts = {"zarr.json": b"{}", "temp/zarr.json": b"{}", "temp/c/0/0": b"chunk"}
    for name, data in parts.items():
        kept.put(f"in/ocean.zarr/{name}", data)
    kept.put("in/ocean.zarr.txt", b"beside")
    found = kept.buckets.fetch(kept.name, "in/ocean.zarr", tmp_path)
    files = {path.relative_to(found.path).as_posix(): path.read_bytes() for path in found.path.rglob("*.*")}
    assert files == {name: data for name, data in parts.items() if "." in name}
    assert (found.path / "temp/c/0/0").read_bytes() == b"chunk"
    before = kept.buckets.state(kept.name, "in/ocean.zarr")
    assert before is not None
    assert (before.size_bytes, before.etag) == (found.size_bytes, found.etag) == (9, found.etag)
    kept.put("in/ocean.zarr/temp/c/0/0", b"other")
    after = kept.buckets.state(kept.name, "in/ocean.zarr")
    assert after is not None and after.etag != before.etag
    with pytest.raises(TooLargeError):
        kept.buckets.fetch(kept.name, "in/ocean.zarr", tmp_path, max_bytes=8)


def test_buckets_travel_to_another_process(kept: Kept) -> None:
    kept.put("a", b"x")
    sent: Buckets = pickle.loads(pickle.dumps(kept.buckets))
    assert [one.key for one in sent.entries(kept.name)] == ["a"]


@pytest.mark.long
@pytest.mark.parametrize("fault", [Fault("cut", bytes=700_000), Fault("refuse"), Fault("reset", bytes=700_000)])
def test_a_cut_connection_is_gone_on_with(
    s3_environment: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """The bytes that came are kept: of a cut answer the rest is asked for, by its range."""
    monkeypatch.setattr(retry, "BACKOFF_S", 0.01)
    name, data = s3_environment.make_bucket(f"b{uuid.uuid4().hex}"), bytes(range(256)) * 8000
    s3_environment.client().call_s3("put_object", Bucket=name, Key="x", Body=data)
    spoil = Spoil(fault, methods=("GET",), most=3)
    with run_proxy(s3_environment.endpoint, spoil) as address:
        found = open_buckets(config(name, endpoint=address)).fetch(name, "x", tmp_path)
    assert found.path.read_bytes() == data
    assert spoil.spoilt == 3


@pytest.mark.long
def test_an_object_that_is_replaced_meanwhile_is_no_mixture(
    s3_environment: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer is cut, and the object another one when the rest is asked for: it is read from its start."""
    monkeypatch.setattr(retry, "BACKOFF_S", 0.01)
    name = s3_environment.make_bucket(f"b{uuid.uuid4().hex}")
    old, new = (bytes([value]) * 2_000_000 for value in (1, 2))
    s3_environment.client().call_s3("put_object", Bucket=name, Key="x", Body=old)
    seen: list[str] = []

    def rule(method: str, path: str) -> Fault | None:
        if method != "GET" or not path.startswith(f"/{name}/x"):
            return None
        seen.append(path)
        if len(seen) == 2:
            s3_environment.client().call_s3("put_object", Bucket=name, Key="x", Body=new)
        return Fault("cut", bytes=700_000) if len(seen) == 1 else None

    with run_proxy(s3_environment.endpoint, rule) as address:
        found = open_buckets(config(name, endpoint=address)).fetch(name, "x", tmp_path)
    assert found.path.read_bytes() == new
    assert found.etag == hashlib.md5(new, usedforsecurity=False).hexdigest()


@pytest.mark.long
def test_a_server_that_is_not_there_is_worth_another_attempt(
    s3_environment: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert s3_environment.key
    monkeypatch.setattr(retry, "BACKOFF_S", 0.01)
    buckets = open_buckets(config("nobody", endpoint="http://127.0.0.1:9"))
    with pytest.raises(TransientStoreError, match=r"s3://nobody/x: head_object failed after 6 attempts"):
        buckets.fetch("nobody", "x", tmp_path)


@pytest.mark.long
def test_a_name_too_long_for_a_file_keeps_its_end(s3_environment: S3Server, tmp_path: Path) -> None:
    """A part of a key may have 1,024 bytes on S3, where file systems end at 255."""
    name, key = s3_environment.make_bucket(f"b{uuid.uuid4().hex}"), "n" * 240 + ".nc"
    s3_environment.client().call_s3("put_object", Bucket=name, Key=key, Body=b"x")
    found = open_buckets(config(name, endpoint=s3_environment.endpoint)).fetch(name, key, tmp_path)
    assert found.path.name == "n" * 197 + ".nc"
    assert found.path.read_bytes() == b"x"


@pytest.mark.long
def test_checksums_that_the_store_keeps_come_along(s3_environment: S3Server, tmp_path: Path) -> None:
    """Of moto, which keeps them as AWS does."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 (starts Flask)

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        moto = S3Server(f"http://{host}:{port}", s3_environment.key, s3_environment.secret)
        name = moto.make_bucket("checked")
        moto.client().call_s3("put_object", Bucket=name, Key="x", Body=b"x", ChecksumAlgorithm="SHA256")
        found = open_buckets(config(name, endpoint=moto.endpoint)).fetch(name, "x", tmp_path)
    finally:
        server.stop()
    assert found.sha256 == hashlib.sha256(b"x").hexdigest()


@pytest.mark.long
def test_a_listing_of_several_pages_is_whole(s3_environment: S3Server) -> None:
    """S3 gives a thousand names at once."""
    name = s3_environment.make_bucket(f"b{uuid.uuid4().hex}")
    keys = {f"in/{number} +%é.csv" for number in range(1001)}

    def put(key: str) -> None:
        s3_environment.client().call_s3("put_object", Bucket=name, Key=key, Body=b"")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, keys))
    found = [one.key for one in open_buckets(config(name, endpoint=s3_environment.endpoint)).entries(name, "in/")]
    assert len(found) == 1001 and set(found) == keys
