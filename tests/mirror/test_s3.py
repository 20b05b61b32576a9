"""Fetching from a real S3 server."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.mirror.fetch import Fetched
from pipeline.mirror.parts import FilePart
from pipeline.mirror.transports import Body, Gdac
from pipeline.read.access import Access
from tests.mirror.gdacs import QUICK, closed_port, fetch_all, files_below, gdac_of, path_of, profile_bytes
from tests.servers.proxy import run_proxy
from tests.servers.weed import S3Server

pytestmark = pytest.mark.long
LARGE = profile_bytes(levels=100_000)


@pytest.fixture
def bucket(s3_environment: S3Server, s3_bucket: str, request: pytest.FixtureRequest) -> str:
    """An address of this test's own."""
    return f"s3://{s3_bucket}/{request.node.name.partition('[')[0]}/pub"


def put(server: S3Server, address: str, files: dict[str, bytes]) -> dict[str, str]:
    """ETags by path."""
    name, _, prefix = address.removeprefix("s3://").partition("/")
    return {
        path: server.client().call_s3("put_object", Bucket=name, Key=f"{prefix}/{path}", Body=data)["ETag"]
        for path, data in files.items()
    }


def gdac(server: S3Server, *addresses: str, endpoint: str = "") -> Gdac:
    return replace(gdac_of(*addresses), access=Access(endpoint=endpoint or server.endpoint))


def one(gdac: Gdac, to: Path) -> Fetched:
    return fetch_all(gdac, [path_of(1)], to)[path_of(1)]


def test_every_wanted_file_comes_whole_and_what_is_missing_is_told(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    files = {path_of(k): profile_bytes(k) for k in range(20)} | {path_of(50): LARGE}
    put(s3_server, bucket, files)
    got = fetch_all(gdac(s3_server, bucket + "/"), [*files, path_of(99)], tmp_path)
    assert files_below(tmp_path) == files
    assert got.pop(path_of(99)).state == "vanished"
    assert {(each.state, each.mirror) for each in got.values()} == {("fetched", bucket)}


@pytest.mark.parametrize("same", [True, False], ids=["same", "replaced"])
def test_a_part_is_added_to_only_where_the_object_is_still_the_same(
    s3_server: S3Server, bucket: str, tmp_path: Path, same: bool
) -> None:
    tag = put(s3_server, bucket, {path_of(1): LARGE})[path_of(1)]
    part = FilePart(tmp_path / path_of(1))

    async def nothing() -> AsyncGenerator[bytes]:
        yield b""

    assert part.begin(bucket, Body(len(LARGE), tag, 0, nothing()))
    part.write(LARGE[:123_456])
    part.close()
    wanted = LARGE if same else profile_bytes(8, levels=100_000)
    put(s3_server, bucket, {path_of(1): wanted})
    got = one(gdac(s3_server, bucket), tmp_path)
    assert files_below(tmp_path) == {path_of(1): wanted}
    assert got.resumed_bytes == (123_456 if same else 0)


def test_a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    put(s3_server, bucket, {path_of(1): LARGE})
    answers = iter([503, 0, None])
    with run_proxy(s3_server.endpoint, lambda *_: next(answers)) as endpoint:
        got = one(gdac(s3_server, bucket, endpoint=endpoint), tmp_path)
    assert (got.state, got.attempts) == ("fetched", 3)
    with run_proxy(s3_server.endpoint, lambda *_: 403) as endpoint:
        refused = one(gdac(s3_server, bucket, endpoint=endpoint), tmp_path / "not")
    assert (refused.state, refused.attempts) == ("failed", 1)
    assert "403" in refused.cause or "PermissionDenied" in refused.cause


def test_a_server_that_stalls_is_left(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    put(s3_server, bucket, {path_of(1): LARGE})

    def stalled(*_: str) -> None:
        threading.Event().wait(1)

    with run_proxy(s3_server.endpoint, stalled) as endpoint:
        asked = gdac(s3_server, bucket, endpoint=endpoint)
        got = one(replace(asked, s3=replace(QUICK, timeout_s=0.3, retries=0)), tmp_path)
    assert (got.state, got.cause) == ("failed", f"{bucket}: nothing came for 0.3 s")


def test_without_a_server_or_a_bucket_the_next_mirror_is_asked(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    files = {path_of(1): profile_bytes(1)}
    (tmp_path / "folder" / path_of(1)).parent.mkdir(parents=True)
    (tmp_path / "folder" / path_of(1)).write_bytes(files[path_of(1)])
    closed = f"http://127.0.0.1:{closed_port()}"
    for endpoint, address in ((closed, bucket), (s3_server.endpoint, "s3://no-such-bucket/pub")):
        asked = gdac(s3_server, address, str(tmp_path / "folder"), endpoint=endpoint)
        got = one(asked, tmp_path / "to")
        assert (got.state, got.mirror) == ("fetched", str(tmp_path / "folder"))
    quick = replace(gdac(s3_server, bucket, endpoint=closed), s3=replace(QUICK, retries=1))
    down = one(quick, tmp_path / "not")
    assert (down.state, down.attempts) == ("failed", 2)
    assert s3_server.secret not in down.cause
