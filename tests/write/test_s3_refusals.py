"""What a bucket refuses is told from what passes: credentials are read anew once, clocks are named, nothing stalls."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import CredentialsError, StoreError, TransientStoreError
from pipeline.write import retry, s3_client
from pipeline.write.retry import counting
from pipeline.write.s3 import S3Store
from tests.servers.proxy import Fault, Spoil, Verdict, run_proxy
from tests.servers.weed import S3Server

EXPIRED = Fault("refuse", 403, "ExpiredToken")
Call = Callable[[S3Store], object]
CALLS: list[tuple[str, Call]] = [
    ("put_bytes", lambda store: store.put_bytes(b"x", "x")),
    ("put_new", lambda store: store.put_new(b"x", "x")),
    ("get_bytes", lambda store: store.get_bytes("there")),
    ("digest", lambda store: store.digest("there")),
    ("exists", lambda store: store.exists("there")),
    ("version_of", lambda store: store.version_of("there")),
    ("entry_of", lambda store: store.entry_of("there")),
    ("list_objects", lambda store: list(store.list_objects())),
    ("delete", lambda store: store.delete("x")),
]
QUICK = {"put_bytes", "exists"}
EVERY = pytest.mark.parametrize(
    "call",
    [pytest.param(call, id=name, marks=() if name in QUICK else pytest.mark.long) for name, call in CALLS],
)


@pytest.fixture
def direct(s3_environment: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    monkeypatch.setattr(retry, "BACKOFF_S", 0.01)
    store = S3Store(s3_bucket, uuid.uuid4().hex, s3_environment.endpoint)
    store.put_bytes(b"there", "there")
    return store


@EVERY
def test_credentials_that_ran_out_are_read_anew(direct: S3Store, call: Call) -> None:
    """Once, at the first refusal; then the call is as any other, and counts as sent again."""
    assert direct.endpoint
    rule = Spoil(EXPIRED, most=1)
    with run_proxy(direct.endpoint, rule) as address, counting() as sent_again:
        assert call(replace(direct, endpoint=address)) == call(direct)
    assert (rule.spoilt, sent_again.count) == (1, 1)


@pytest.mark.long
@EVERY
def test_credentials_that_stay_refused_are_no_error_of_the_request(direct: S3Store, call: Call) -> None:
    """A HEAD has no body that says why: the same is asked in a way that has."""
    assert direct.endpoint
    rule = Spoil(EXPIRED)
    with run_proxy(direct.endpoint, rule) as address, pytest.raises(CredentialsError, match=r"ExpiredToken.*; renew"):
        call(replace(direct, endpoint=address))
    assert rule.spoilt <= 4, "no retry helps, and none is made"


def test_fresh_credentials_are_those_of_this_moment(
    direct: S3Store, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was withdrawn while a run goes on, and replaced in its file."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    profile = "[mine]\naws_access_key_id={}\naws_secret_access_key={}\n"
    file.write_text(profile.format("withdrawn", "secret"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert direct.endpoint

    def renew(_method: str, _path: str) -> Verdict:
        file.write_text(profile.format(s3_server.key, s3_server.secret))
        return None

    with run_proxy(direct.endpoint, renew) as address:
        replace(direct, endpoint=address, profile="mine").put_bytes(b"x", "x")
    assert replace(direct, profile="mine").get_bytes("x") == b"x"


def test_a_head_that_may_not_be_asked_is_named(direct: S3Store) -> None:
    """Though it has no body: as what its GET is refused for."""
    assert direct.endpoint
    rule = Spoil(Fault("refuse", 403, "AccessDenied"), ("HEAD", "GET"))
    with (
        run_proxy(direct.endpoint, rule) as address,
        pytest.raises(StoreError, match=r"AccessDenied.*; check") as caught,
    ):
        replace(direct, endpoint=address).exists("there")
    assert not isinstance(caught.value, CredentialsError | TransientStoreError)


@pytest.mark.parametrize(("ahead_s", "way"), [(1200, "ahead of"), (-1200, "behind")])
def test_a_wrong_clock_is_told_with_its_sign(
    direct: S3Store, monkeypatch: pytest.MonkeyPatch, ahead_s: int, way: str
) -> None:
    assert direct.endpoint
    shifted = SimpleNamespace(time=lambda: time.time() + ahead_s, monotonic=time.monotonic)
    monkeypatch.setattr(s3_client, "time", shifted)
    rule = Spoil(Fault("refuse", 403, "RequestTimeTooSkewed"))
    said = rf"this machine's clock is 1(19|20)\d s {way} the server's: set this machine's clock"
    with run_proxy(direct.endpoint, rule) as address, pytest.raises(StoreError, match=said):
        replace(direct, endpoint=address).put_bytes(b"x", "x")
    assert rule.spoilt == 1


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that takes connections, and nothing from them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        for one in taken:
            one.close()


@pytest.mark.long
@pytest.mark.parametrize("put", ["put_file", "put_bytes"])
def test_a_put_that_nobody_takes_ends(
    direct: S3Store, deaf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put: str
) -> None:
    """Within STALL_S of the last byte that moved, each time it is tried."""
    monkeypatch.setattr(s3_client, "STALL_S", 0.5)
    monkeypatch.setattr(retry, "ATTEMPTS", 2)
    store, path = replace(direct, endpoint=deaf), tmp_path / "big"
    with path.open("wb") as handle:
        handle.truncate(64 * 2**20)
    began = time.monotonic()
    with pytest.raises(
        TransientStoreError, match=r"after 2 attempts: StalledError: [0-9]+ of 67108864 bytes were taken"
    ):
        store.put_file(path, "big") if put == "put_file" else store.put_bytes(path.read_bytes(), "big")
    assert time.monotonic() - began < 60


def test_an_answer_that_stalls_is_asked_for_again(direct: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within READ_TIMEOUT_S of its last byte: a half-read object is never taken for a whole one."""
    assert direct.endpoint
    direct.put_bytes(b"0123456789" * 1000, "long")
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_S", 1)
    rule = Spoil(Fault("stall", bytes=100, seconds=60), ("GET",), most=1)
    with run_proxy(direct.endpoint, rule) as address:
        assert replace(direct, endpoint=address).get_bytes("long") == b"0123456789" * 1000
    assert rule.spoilt == 1
