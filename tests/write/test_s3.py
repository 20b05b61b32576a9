"""Laws of the S3 store on bad days: bounded retries, lost acknowledgements, errors naming bucket, key and request."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import StoreError, TransientStoreError
from pipeline.write import retry, s3_client
from pipeline.write.s3 import S3Store
from tests.servers.proxy import Rule, run_proxy
from tests.servers.weed import S3Server


@pytest.fixture
def direct(s3_environment: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    monkeypatch.setattr(retry, "BACKOFF_S", 0.01)
    return S3Store(s3_bucket, uuid.uuid4().hex, s3_environment.endpoint)


def spoil(calls: list[str], verdicts: list[int | None], method: str = "PUT") -> Rule:
    """Spoil the first requests of one method, in turn; note them all."""

    def rule(command: str, path: str) -> int | None:
        if command != method:
            return None
        calls.append(path)
        return verdicts.pop(0) if verdicts else None

    return rule


Put = Callable[[S3Store, Path], object]
PUTS: list[tuple[str, Put]] = [
    ("put_file", lambda store, path: store.put_file(path, "x")),
    ("put_bytes", lambda store, path: store.put_bytes(path.read_bytes(), "x")),
    ("put_new", lambda store, path: store.put_new(path.read_bytes(), "x")),
]


@pytest.mark.parametrize("put", [put for _, put in PUTS], ids=[name for name, _ in PUTS])
@pytest.mark.parametrize("verdict", [0, 503, 500, 429])
def test_puts_outlive_lost_answers_and_refusals(direct: S3Store, tmp_path: Path, put: Put, verdict: int) -> None:
    """Two spoiled answers cost two more requests; the object is whole, and put_new knows that it is its own."""
    source = tmp_path / "x"
    source.write_bytes(b"0123456789" * 200_000)
    calls: list[str] = []
    assert direct.endpoint
    with run_proxy(direct.endpoint, spoil(calls, [verdict, verdict])) as address:
        assert put(replace(direct, endpoint=address), source) in (None, True)
    assert len(calls) == 3
    assert direct.get_bytes("x") == source.read_bytes()


def test_a_lost_answer_to_a_lost_race_is_no_win(direct: S3Store) -> None:
    """put_new says False when the bytes there are another's, also if its own request was never answered."""
    direct.put_bytes(b"theirs", "x")
    assert direct.endpoint
    with run_proxy(direct.endpoint, spoil([], [0])) as address:
        assert replace(direct, endpoint=address).put_new(b"ours", "x") is False
    assert direct.get_bytes("x") == b"theirs"


def test_a_conflict_is_asked_again(direct: S3Store) -> None:
    """409, two conditional puts at once, decides nothing: the next answer does."""
    calls: list[str] = []
    assert direct.endpoint
    with run_proxy(direct.endpoint, spoil(calls, [409])) as address:
        assert replace(direct, endpoint=address).put_new(b"ours", "x") is True
    assert len(calls) == 2


def test_reads_outlive_lost_answers(direct: S3Store) -> None:
    direct.put_bytes(b"x" * 100_000, "x")
    calls: list[str] = []
    assert direct.endpoint
    with run_proxy(direct.endpoint, spoil(calls, [0, 503], "GET")) as address:
        assert replace(direct, endpoint=address).get_bytes("x") == b"x" * 100_000
    assert len(calls) == 3


def test_retries_end_and_the_error_says_where(direct: S3Store) -> None:
    """A store that stays down costs exactly ATTEMPTS requests; bucket, key, operation and request id are named."""
    calls: list[str] = []
    assert direct.endpoint
    with run_proxy(direct.endpoint, spoil(calls, [503] * 99)) as address, pytest.raises(TransientStoreError) as caught:
        replace(direct, endpoint=address).put_bytes(b"x", "data/x.tif")
    assert len(calls) == retry.ATTEMPTS
    for part in (
        direct.bucket,
        f"{direct.prefix}/data/x.tif",
        "put_object",
        f"after {retry.ATTEMPTS} attempts",
        "503",
        "req-503",
    ):
        assert part in str(caught.value)
    assert list(direct.list_objects()) == []


def test_a_server_that_is_not_there_is_transient(monkeypatch: pytest.MonkeyPatch, s3_environment: S3Server) -> None:
    """Nobody answers: bounded, and worth another attempt later."""
    monkeypatch.setattr(retry, "BACKOFF_S", 0.01)
    with pytest.raises(TransientStoreError, match=r"s3://nobody, key x: put_object failed after 6 attempts"):
        S3Store("nobody", endpoint="http://127.0.0.1:9").put_bytes(b"", "x")


def test_a_missing_bucket_is_permanent(direct: S3Store) -> None:
    """One request, and the message says what to do."""
    calls: list[str] = []
    assert direct.endpoint
    with run_proxy(direct.endpoint, spoil(calls, [], "GET")) as address, pytest.raises(StoreError) as caught:
        replace(direct, endpoint=address, bucket="no-such-bucket-here").get_bytes("x")
    assert not isinstance(caught.value, TransientStoreError)
    assert "NoSuchBucket" in str(caught.value)
    assert "make the bucket first" in str(caught.value)
    assert len(calls) == 1


def test_wrong_credentials_are_permanent_and_not_shown(direct: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused at the first request; the message names the cause, never the secret."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret-0123456789")
    s3_client.filesystem.cache_clear()
    with pytest.raises(StoreError, match=r"SignatureDoesNotMatch|AccessDenied") as caught:
        direct.put_bytes(b"x", "x")
    s3_client.filesystem.cache_clear()
    assert not isinstance(caught.value, TransientStoreError)
    assert "canary" not in str(caught.value)


def test_credentials_of_a_profile(
    direct: S3Store, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile is looked up in the process that uses the store; without credentials the message says what to set."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match=r"NoCredentialsError.*; set `profile`"):
        replace(direct, prefix="none").put_bytes(b"x", "x")
    file = tmp_path / "credentials"
    file.write_text(f"[mine]\naws_access_key_id={s3_server.key}\naws_secret_access_key={s3_server.secret}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    store = replace(direct, profile="mine")
    store.put_bytes(b"x", "x")
    assert store.get_bytes("x") == b"x"
    with pytest.raises(StoreError, match=r"ProfileNotFound.*; correct `profile`"):
        replace(direct, profile="other").put_bytes(b"x", "x")


def test_anonymous_requests_are_not_signed(direct: S3Store) -> None:
    """Credentials in the environment are left alone: a bucket that wants them refuses."""
    with pytest.raises(StoreError, match="AccessDenied"):
        replace(direct, anonymous=True).put_bytes(b"x", "x")


def test_objects_carry_their_type(direct: S3Store, s3_server: S3Server) -> None:
    """A browser that opens an item or a picture knows what it is."""
    for key, expected in (("a.json", "application/json"), ("a.png", "image/png"), ("a", "application/octet-stream")):
        direct.put_bytes(b"x", key)
        head = s3_server.client().call_s3("head_object", Bucket=direct.bucket, Key=f"{direct.prefix}/{key}")
        assert head["ContentType"] == expected


def test_one_put_object_per_object(direct: S3Store, tmp_path: Path) -> None:
    """A file of any size is one PUT: no multipart upload whose parts could be left behind, no second request."""
    source = tmp_path / "big"
    source.write_bytes(b"\0" * (60 * 2**20))
    calls: list[str] = []
    assert direct.endpoint
    with run_proxy(direct.endpoint, spoil(calls, [])) as address:
        replace(direct, endpoint=address).put_file(source, "big")
    assert len(calls) == 1
    assert dict(direct.list_objects()) == {"big": 60 * 2**20}


def test_a_listing_is_one_request_per_thousand(direct: S3Store) -> None:
    calls: list[str] = []
    for number in range(3):
        direct.put_bytes(b"", f"items/{number}")
    assert direct.endpoint
    with run_proxy(direct.endpoint, spoil(calls, [], "GET")) as address:
        assert len(list(replace(direct, endpoint=address).list_objects("items/"))) == 3
    assert len(calls) == 1


def test_keys_are_those_of_the_listing(direct: S3Store) -> None:
    """Whatever is in them, and after answers were lost."""
    keys = [f"a/{name}.json" for name in ("plain", "a&b <c> 'd' \"e\"", "é+d%20", "x=1;y", "Key")]
    for key in keys:
        direct.put_bytes(b"1", key)
    assert sorted(direct.list_keys("a/")) == sorted(keys) == sorted(key for key, _ in direct.list_objects("a/"))
    assert list(direct.list_keys("none/")) == []
    calls: list[str] = []
    assert direct.endpoint
    with run_proxy(direct.endpoint, spoil(calls, [503, 0], "GET")) as address:
        assert sorted(replace(direct, endpoint=address).list_keys("a/")) == sorted(keys)
    assert len(calls) == 3
