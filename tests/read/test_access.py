"""Laws of access: which hrefs pass, where a token goes and how long it is used, and what is taken out of texts."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.read import lent
from pipeline.read.access import Access, check_href, gdal_options, gdal_path, redact, s3_options, sign
from tests.servers.faulty import Answer, always, run_faulty
from tests.servers.tokens import TokenServer, run_token_server

LOCAL, REMOTE = Access(local=True), Access(local=False)
SIGNED = Access(sign="planetary-computer", collection="sentinel-2-l2a", local=False)


@pytest.mark.parametrize(
    "href",
    [
        "/vsicurl/https://host/x.tif",
        "/vsimem/x",
        "/vsigzip//vsicurl/https://host/x",
        "https://host/vsicurl/x.tif",
        "vrt://x.tif",
        "vrt://https://host/x.tif?bands=1",
        "<VRTDataset rasterXSize='1' rasterYSize='1'/>",
        "MEM:::DATAPOINTER=1,PIXELS=1,LINES=1",
        "mem:x",
        "GTIFF_RAW:/data/x.tif",
        "NETCDF:/data/x.nc:band",
        'HDF5:"/data/x.h5"://band',
        "ftp://host/x.tif",
        "gs://bucket/x.tif",
        "file:///data/x.tif",
        "s3:/bucket/x.tif",
        "https:x.tif",
        "a|b.tif",
        "http://169.254.169.254/latest/meta-data",
        *(f"/data/x{chr(code)}.tif" for code in (*range(32), 127)),
    ],
)
@pytest.mark.parametrize("access", [LOCAL, REMOTE], ids=["local", "remote"])
def test_what_gdal_could_take_for_more_than_a_file_is_refused(href: str, access: Access) -> None:
    """Virtual file systems, inline documents, drivers, other schemes, every control character."""
    with pytest.raises(PermanentAssetError, match="href refused: "):
        check_href(href, access)


@pytest.mark.parametrize(
    "href", ["https://host/x.tif", "http://127.0.0.1:9/x.tif", "s3://bucket/x.tif", "https://h/a:b?c=d"]
)
@pytest.mark.parametrize("access", [LOCAL, REMOTE], ids=["local", "remote"])
def test_addresses_pass_from_everywhere(href: str, access: Access) -> None:
    check_href(href, access)


@pytest.mark.parametrize("href", ["/data/x.tif", "x.tif", "../x.tif", "/data/a b/ü.tif", "/data/12:00/x.tif"])
def test_files_pass_only_where_the_catalogue_is_local(href: str) -> None:
    check_href(href, LOCAL)
    with pytest.raises(PermanentAssetError, match="a catalogue read over the network names a local path"):
        check_href(href, REMOTE)


secrets = st.text("abcXYZ0189%-_.~", min_size=8, max_size=40)


@given(
    st.sampled_from(
        ["sig", "SIG", "signature", "token", "access_token", "X-Amz-Signature", "x-amz-security-token", "se"]
    ),
    secrets,
    st.sampled_from(["", "&x=1", " and more", "'", '"']),
    st.booleans(),
)
def test_redacted_text_has_no_signature(name: str, secret: str, after: str, second: bool) -> None:
    text = f"GET https://host/x.tif{'?y=2&' if second else '?'}{name}={secret}{after}"
    assert redact(text) == f"GET https://host/x.tif{'?y=2&' if second else '?'}{name}=***{after}"


@pytest.mark.parametrize("text", ["", "no address", "https://host/x.tif?band=1", "design=5", "/data/sig=x.tif"])
def test_redacting_leaves_other_texts_alone(text: str) -> None:
    assert redact(text) == text


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    """A signing service whose tokens live a hundred seconds."""
    with run_token_server(tmp_path, life_s=100) as running:
        monkeypatch.setenv("PC_SDK_SAS_URL", running.service)
        yield running


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_s, self._time = 0.0, time.time
        monkeypatch.setattr(
            lent, "time", SimpleNamespace(time=lambda: self._time() + self.ahead_s, monotonic=time.monotonic)
        )


def test_a_token_is_asked_for_once_and_used_until_shortly_before_it_ends(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth of its life is kept back, so that a read that starts with it can end with it."""
    clock = Clock(monkeypatch)
    href = f"{server.address}x.tif"
    signed = sign(href, SIGNED)
    (signature,) = server.signatures
    assert signed.startswith(f"{href}?") and signature in signed
    for ahead_s in (0, 40, 78):
        clock.ahead_s = ahead_s
        assert sign(href, SIGNED) == signed
    clock.ahead_s = 82
    assert sign(href, SIGNED) != signed
    assert len(server.signatures) == 2


def test_a_token_serves_its_own_collection(server: TokenServer) -> None:
    for collection in ("one", "two", "one"):
        sign(f"{server.address}x.tif", Access(sign="planetary-computer", collection=collection))
    assert len(server.signatures) == 2


def test_a_new_token_can_be_asked_for(server: TokenServer) -> None:
    href = f"{server.address}x.tif"
    assert sign(href, SIGNED) != sign(href, SIGNED, newer_than=time.monotonic())


def test_a_query_is_kept(server: TokenServer) -> None:
    assert sign(f"{server.address}x.tif?v=1", SIGNED).startswith(f"{server.address}x.tif?v=1&se=")


@pytest.mark.parametrize(
    "href",
    [
        "https://example.com/x.tif",
        "https://blob.core.windows.net.example.com/x.tif",
        "https://example.com/account.blob.core.windows.net/x.tif",
        "https://example.com?x=.blob.core.windows.net",
        "https://example.com#.blob.core.windows.net",
        "https://account.blob.core.windows.net@example.com/x.tif",
        "https://evilblob.core.windows.net/x.tif",
        "http://127.0.0.1:1/x.tif",
        "s3://account.blob.core.windows.net/x.tif",
        "/data/x.tif",
    ],
)
def test_a_token_never_goes_to_another_host(server: TokenServer, href: str) -> None:
    assert sign(href, SIGNED) == href
    assert not server.signatures, "a token was even asked for"


def test_a_token_goes_to_azures_blob_hosts(server: TokenServer) -> None:
    signed = sign("https://sentinel2l2a01.blob.core.windows.net/x.tif", SIGNED)
    assert signed.startswith("https://sentinel2l2a01.blob.core.windows.net/x.tif?se=")


@pytest.mark.parametrize("way", ["none", "requester-pays"])
def test_other_sources_are_not_signed(server: TokenServer, way: str) -> None:
    href = f"{server.address}x.tif"
    assert sign(href, Access(sign=way, collection="x")) == href
    assert not server.signatures


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b"[]", b"5", b'{"token": "x"}', b'{"token": "x", "msft:expiry": "soon"}']
)
def test_a_service_that_gives_no_token_is_named(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    with run_faulty({"/token/sentinel-2-l2a": body}) as running:
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{running.address}/token")
        with pytest.raises(TransientAssetError, match="token/sentinel-2-l2a: no token from the signing service"):
            sign(f"{running.address}/x.tif", SIGNED)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 429, 500, 503])
def test_a_service_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """With its answer; what a key or another collection would mend is not asked for again."""
    with run_faulty({}, always(Answer(status))) as running:
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{running.address}/token/")
        with pytest.raises(AssetError, match=f"no token from the signing service: HTTP {status}") as caught:
            sign(f"{running.address}/x.tif", SIGNED)
    permanent = status in {400, 401, 403, 404}
    assert type(caught.value) is (PermanentAssetError if permanent else TransientAssetError)
    assert ("PC_SDK_SUBSCRIPTION_KEY" in caught.value.cause) is permanent


def test_what_travels_to_workers_holds_no_token(server: TokenServer) -> None:
    sign(f"{server.address}x.tif", SIGNED)
    (signature,) = server.signatures
    assert signature.encode() not in pickle.dumps(SIGNED)
    assert signature not in repr(SIGNED)


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("https://host/x.tif", "/vsicurl/https://host/x.tif"),
        ("s3://bucket/x.tif", "/vsis3/bucket/x.tif"),
        ("/data/x.tif", "/data/x.tif"),
    ],
)
def test_gdals_name_of_an_href(href: str, path: str) -> None:
    assert gdal_path(href) == path


def test_gdals_options_bound_time_and_never_list_remote_folders() -> None:
    options = gdal_options("https://host/x.tif", Access(timeout_s=7))
    assert options["GDAL_HTTP_TIMEOUT"] == 7
    assert options["GDAL_HTTP_CONNECTTIMEOUT"] and options["GDAL_HTTP_LOW_SPEED_TIME"]
    assert options["GDAL_DISABLE_READDIR_ON_OPEN"] == "EMPTY_DIR"
    assert "GDAL_DISABLE_READDIR_ON_OPEN" not in gdal_options("/data/x.jp2", Access()), "its sidecar holds the CRS"


def test_a_sources_own_s3_settings_reach_gdal() -> None:
    access = Access(sign="requester-pays", endpoint="http://127.0.0.1:8333", profile="lab", anonymous=True)
    options = gdal_options("s3://bucket/x.tif", access)
    assert options["AWS_S3_ENDPOINT"] == "127.0.0.1:8333"
    assert (options["AWS_HTTPS"], options["AWS_VIRTUAL_HOSTING"]) == ("NO", "FALSE")
    assert options["AWS_NO_SIGN_REQUEST"] == "YES"
    assert options["AWS_REQUEST_PAYER"] == "requester"
    assert not any(name.startswith("AWS_") for name in gdal_options("s3://bucket/x.tif", Access()))
    assert not any(name.startswith("AWS_") for name in gdal_options("https://host/x.tif", access))


def test_an_endpoint_of_the_environment_is_as_good_as_one_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets have no DNS name there either: `http://bucket.localhost` leads nowhere."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    assert s3_options(Access()) == {"anon": False, "use_listings_cache": False}
    said = s3_options(Access(endpoint="http://localhost:1", profile="own"))
    assert said["config_kwargs"] == {"s3": {"addressing_style": "path"}} and said["profile"] == "own"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    assert s3_options(Access(profile="own")) == said
