"""Laws of the clients of remote files: whose credentials they use, where they go, and what they never say."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from pipeline.errors import PermanentAssetError
from pipeline.read import fetch, flight, stores
from pipeline.read.access import Access
from pipeline.read.fetch import open_source
from pipeline.read.stores import Unsupported, locate
from tests.servers.earthdata import run_earthdata
from tests.servers.faulty import Answer, FaultyServer, Request, run_faulty
from tests.servers.tokens import run_token_server

CONTENT = bytes(range(256)) * 200
SPAN = [(30_000, 100)]
AWS_NAMES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    *("AWS_NO_SIGN_REQUEST", "AWS_REQUEST_PAYER"),
)


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker that knows nothing, on a machine without credentials."""
    monkeypatch.setattr(fetch, "_HEADS", fetch._Heads())
    monkeypatch.setattr(fetch, "_FLIGHT", flight.Flight())
    for name in AWS_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def read(href: str, access: Access, newer_than: float = 0.0) -> bytes:
    with open_source(href, access, newer_than) as source:
        return bytes(source.ranges(SPAN)[0])


def key_of(request: Request) -> str:
    """The access key that signed a request; empty: nobody did."""
    found = re.search(r"Credential=([^/]+)/\d+/([^/]+)/s3/", request.headers.get("Authorization", ""))
    return f"{found[1]} {found[2]}" if found else ""


# --- S3


@pytest.mark.parametrize(
    ("settings", "environment", "expected"),
    [
        ({"anonymous": True}, {"AWS_ACCESS_KEY_ID": "ENV"}, ("", None, None)),
        ({}, {"AWS_ACCESS_KEY_ID": "ENV", "AWS_NO_SIGN_REQUEST": "YES"}, ("", None, None)),
        ({}, {"AWS_ACCESS_KEY_ID": "ENV"}, ("ENV us-east-1", None, None)),
        ({}, {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SESSION_TOKEN": "tok"}, ("ENV us-east-1", "tok", None)),
        ({}, {}, ("DEFAULT us-east-1", None, None)),
        ({}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ("DEFAULT us-east-1", None, None)),
        ({}, {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, ("DEFAULT us-east-1", None, None)),
        ({}, {"AWS_REGION": "eu-west-3"}, ("DEFAULT eu-west-3", None, None)),
        ({}, {"AWS_PROFILE": "lab"}, ("LAB us-east-1", "lab-token", None)),
        ({"profile": "lab"}, {"AWS_ACCESS_KEY_ID": "ENV"}, ("LAB us-east-1", "lab-token", None)),
        ({"profile": "default"}, {"AWS_SESSION_TOKEN": "stray"}, ("DEFAULT us-east-1", None, None)),
        ({"sign": "requester-pays"}, {"AWS_ACCESS_KEY_ID": "ENV"}, ("ENV us-east-1", None, "requester")),
        ({}, {"AWS_ACCESS_KEY_ID": "ENV", "AWS_REQUEST_PAYER": "requester"}, ("ENV us-east-1", None, "requester")),
    ],
)
def test_s3_requests_are_signed_by_whom_the_source_names(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: dict[str, object],
    environment: dict[str, str],
    expected: tuple[str, str | None, str | None],
) -> None:
    """As every AWS client finds them, the source's own first; a token never stands beside keys of another."""
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n"
        "[lab]\naws_access_key_id = LAB\naws_secret_access_key = s\naws_session_token = lab-token\n"
    )
    monkeypatch.setattr(stores, "_chain", stores._chain.__wrapped__)
    for name, value in {"AWS_SECRET_ACCESS_KEY": "s", **environment}.items():
        monkeypatch.setenv(name, value)
    with run_faulty({"/bucket/a/b.tif": CONTENT}) as server:
        access = replace(Access(endpoint=f"{server.address}/", local=False), **settings)  # type: ignore[arg-type]
        assert read("s3://bucket/a/b.tif", access) == CONTENT[30_000:30_100]
    assert [request.path for request in server.requests] == ["/bucket/a/b.tif"] * 2
    for request in server.requests:
        names = "X-Amz-Security-Token", "X-Amz-Request-Payer"
        assert (key_of(request), *(request.headers.get(name) for name in names)) == expected


def test_those_who_do_not_pay_are_left_to_gdal(monkeypatch: pytest.MonkeyPatch) -> None:
    def unless_paid(request: Request, _earlier: int) -> Answer | None:
        return None if request.headers.get("X-Amz-Request-Payer") == "requester" else Answer(403)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with run_faulty({"/bucket/a/b.tif": CONTENT}, unless_paid) as server:
        access = Access(endpoint=server.address)
        with pytest.raises(Unsupported, match=r"^HTTP response code: 403$"):
            read("s3://bucket/a/b.tif", access)
        assert read("s3://bucket/a/b.tif", replace(access, sign="requester-pays")) == CONTENT[30_000:30_100]


@pytest.mark.parametrize("profile", [None, "nobody"])
def test_without_credentials_gdal_is_asked(monkeypatch: pytest.MonkeyPatch, profile: str | None) -> None:
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    monkeypatch.setattr(stores, "_chain", stores._chain.__wrapped__)
    with pytest.raises(Unsupported, match=r"^no AWS credentials"):
        locate("s3://bucket/a/b.tif", Access(endpoint="http://127.0.0.1:9"))


def test_a_bucket_is_read_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The region is asked for once, at the nearest endpoint; where nothing answers, the nearest is taken."""

    def rule(request: Request, _earlier: int) -> Answer | None:
        bucket = request.path.split("/")[1]
        if request.method == "HEAD":
            return Answer(301, headers={} if bucket == "silent" else {"x-amz-bucket-region": "eu-west-2"})
        return None

    stores._ask_region.cache_clear()
    with run_faulty({"/far/b.tif": CONTENT, "/silent/b.tif": CONTENT}, rule) as server:
        monkeypatch.setattr(stores, "AWS", server.address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENV")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        monkeypatch.setenv("AWS_REGION", "us-west-1")
        for _ in range(2):
            assert read("s3://far/b.tif", Access()) == CONTENT[30_000:30_100]
            assert read("s3://silent/b.tif", Access()) == CONTENT[30_000:30_100]
    regions = {request.path: key_of(request) for request in server.requests if request.method == "GET"}
    assert regions == {"/far/b.tif": "ENV eu-west-2", "/silent/b.tif": "ENV us-west-1"}
    assert sum(request.method == "HEAD" for request in server.requests) == 2
    stores._ask_region.cache_clear()
    assert stores._find_region("far", "eu-north-1") == "eu-north-1"


def test_endpoints_of_aws_are_named_by_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """China's has a name of its own. Source: AWS General Reference, S3 endpoints."""
    monkeypatch.setattr(stores, "_ask_region", lambda bucket, _here: bucket)
    made: list[str] = []
    monkeypatch.setattr(stores, "_s3_store", lambda where, *_: made.append(where[1]))
    for region in ("eu-central-1", "cn-north-1"):
        locate(f"s3://{region}/b.tif", Access(anonymous=True))
    assert made == ["https://s3.eu-central-1.amazonaws.com", "https://s3.cn-north-1.amazonaws.com.cn"]


# --- https


@pytest.mark.parametrize(
    "path",
    [
        "/a/b.tif",
        "/a/S2A_MSIL2A.SAFE/B04_10m.tif",
        "/a/x+y=1,(2)@:!~;'*$&.tif",
        "/a/b%20c.tif",
        "/a/b%2Fc.tif",
        "/a//b.tif",
        "/a/%C3%A9.tif",
        "/a/100%25.tif",
        "/b.tif",
    ],
)
@pytest.mark.parametrize("query", ["", "sig=a%2Fb%3D&se=2026-01-01T00%3A00%3A00Z&x", "url=https://x/y?z"])
def test_an_address_is_asked_for_as_it_is_written(path: str, query: str) -> None:
    with run_faulty({path: CONTENT}) as server:
        assert read(f"{server.address}{path}{f'?{query}' if query else ''}", Access()) == CONTENT[30_000:30_100]
    assert {(request.path, request.query) for request in server.requests} == {(path, query)}


def test_letters_that_no_address_has_are_written_as_one_has() -> None:
    path = "/a/b é.tif"
    with run_faulty({quote(path): CONTENT}) as server:
        assert read(server.address + path, Access()) == CONTENT[30_000:30_100]


def test_a_fragment_is_left_to_gdal() -> None:
    with pytest.raises(Unsupported, match=r"^its address has a fragment$"):
        locate("https://host/a.tif#b", Access())


def test_addresses_of_one_host_share_a_client() -> None:
    """And so its connections."""
    one, other, elsewhere = (
        locate(href, Access()).store for href in ("https://h/a/b.tif", "https://h/c.tif", "https://g/a/b.tif")
    )
    assert one is other and one is not elsewhere
    assert one is not locate("https://h/a/b.tif", Access(timeout_s=5)).store


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("https://h/a/b.tif", "GDAL_HTTP_PROXY"),
        ("https://h/a/b.tif", "GDAL_HTTP_HEADERS"),
        ("s3://h/a/b.tif", "GDAL_HTTP_UNSAFESSL"),
        ("s3://h/a/b.tif", "AWS_S3_ENDPOINT"),
    ],
)
def test_what_only_gdal_was_told_is_left_to_gdal(monkeypatch: pytest.MonkeyPatch, href: str, name: str) -> None:
    """Named, without its value; what is about speed, or about other files, changes nothing."""
    access = Access(anonymous=True, endpoint="http://127.0.0.1:9")
    monkeypatch.setenv(name, "secret")
    with pytest.raises(Unsupported, match=f"^{name} is set, which GDAL understands$"):
        locate(href, access)
    monkeypatch.delenv(name)
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "3")
    locate(href, access)
    monkeypatch.setenv("AWS_S3_ENDPOINT", "h")
    locate("https://h/a/b.tif", access)


# --- what is lent


def test_a_token_that_was_refused_is_not_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.tif").write_bytes(CONTENT)
    with run_token_server(tmp_path, life_s=100) as server:
        monkeypatch.setenv("PC_SDK_SAS_URL", server.service)
        href, access = f"{server.address}b.tif", Access(sign="planetary-computer", collection="c")
        assert read(href, access) == CONTENT[30_000:30_100]
        server.revoke()
        began = time.monotonic()
        with pytest.raises(OSError, match=r"^HTTP response code: 403$"):
            read(href, access)
        assert read(href, access, newer_than=began) == CONTENT[30_000:30_100]
        assert read(href, access) == CONTENT[30_000:30_100]
    assert len(server.signatures) == 2 and len(server.used) == 2


def test_a_token_of_earthdata_stays_with_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data host redirects every request to another, which must not see it; a stranger's host is never sent it."""
    with run_earthdata({"/a/b.tif": CONTENT}, monkeypatch) as earth:
        monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
        access = Access(sign="earthdata")
        assert read(f"{earth.data}/a/b.tif", access) == CONTENT[30_000:30_100]
        assert read(f"{earth.away}/a/b.tif", access) == CONTENT[30_000:30_100]
        monkeypatch.setenv("EARTHDATA_TOKEN", "another")
        with pytest.raises(OSError, match=r"^HTTP response code: 401$"):
            read(f"{earth.data}/a/b.tif", access)
    assert len(earth.seen_away()) == 4
    assert not any("token" in str(request.headers) for request in earth.seen_away())


def test_keys_of_earthdata_are_lent_to_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_earthdata({"/lp-bucket/b.tif": CONTENT}, monkeypatch) as earth:
        monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
        access = Access(sign="earthdata", s3_credentials=f"{earth.login}/s3credentials", endpoint=earth.away)
        assert read("s3://lp-bucket/b.tif", access) == CONTENT[30_000:30_100]
        assert read("s3://lp-bucket/b.tif", access, newer_than=time.monotonic()) == CONTENT[30_000:30_100]
    assert [key_of(request).split()[0] for request in earth.seen_away()] == ["KEY1", "KEY1", "KEY2", "KEY2"]
    assert {request.headers["X-Amz-Security-Token"] for request in earth.seen_away()} == {"tok"}


def test_missing_credentials_are_the_sources_own_error() -> None:
    with pytest.raises(PermanentAssetError, match="no S3 keys: no data centre is known for its bucket"):
        locate("s3://bucket/b.tif", Access(sign="earthdata"))


# --- secrets


@pytest.mark.parametrize(
    "answer", [Answer(500, b"body-SECRET"), Answer(302, headers={"Location": "/b.tif?sig=SECRET"})]
)
@pytest.mark.parametrize("number", [0, 1])
def test_nothing_that_is_said_holds_a_secret(answer: Answer, number: int) -> None:
    """Neither an error nor the text of an open file repeats a signature or what a server answered."""

    def rule(_request: Request, earlier: int) -> Answer | None:
        return answer if earlier >= number else None

    said: list[str] = []

    def use(server: FaultyServer) -> None:
        # As a presigned href has it: such a one may be shown, what it was signed with later may not.
        with open_source(f"{server.address}/b.tif", Access()) as source:
            said.append(repr(source))
            source.ranges(SPAN)

    with run_faulty({"/b.tif": CONTENT}, rule) as server, pytest.raises((OSError, Unsupported)) as caught:
        use(server)
    said.append(repr(locate("https://h/b.tif?sig=SECRET", Access())))
    assert "SECRET" not in "".join((*said, repr(caught.value), str(caught.value)))
    assert caught.value.__cause__ is None
