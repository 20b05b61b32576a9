"""Laws of Earthdata: the token and the keys open what they may, are asked for once, and go to no other host."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rasterio

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.read import earthdata
from pipeline.read.access import Access, s3_keys, secrets
from tests.read.signing import geotiff, is_scene, read, without_credentials
from tests.servers.earthdata import PASSWORD, USER, Earthdata, run_earthdata

EARTHDATA = Access(sign="earthdata", local=False)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)


@pytest.fixture
def earth(monkeypatch: pytest.MonkeyPatch) -> Iterator[Earthdata]:
    with run_earthdata(dict.fromkeys(("/red.tif", "/lp-bucket/red.tif"), geotiff()), monkeypatch) as running:
        yield running


@pytest.mark.parametrize("way", ["variable", "netrc"])
def test_earthdata_over_https(earth: Earthdata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The token opens the data host; the one it redirects to never sees it, also where GDAL goes there directly."""
    if way == "variable":
        monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
    else:
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for _ in range(3):
        assert is_scene(read(f"{earth.data}/red.tif", EARTHDATA))
    assert earth.seen_away() and not any("Authorization" in request.headers for request in earth.seen_away())
    assert earth.logins == (way == "netrc"), "one login for all reads"


def test_an_earthdata_token_goes_to_no_other_host(earth: Earthdata, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue may name any address: hosts that only look like NASA's, http, and files get nothing."""
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
    assert is_scene(read(f"{earth.away}/red.tif", EARTHDATA))
    assert not any("Authorization" in request.headers for request in earth.seen_away())


@pytest.mark.parametrize(
    ("href", "trusted"),
    [
        ("https://data.lpdaac.earthdatacloud.nasa.gov/x.tif", True),
        ("https://archive.podaac.earthdata.nasa.gov/x.tif", True),
        ("https://cumulus.asf.alaska.edu/x.tif", True),
        ("http://data.lpdaac.earthdatacloud.nasa.gov/x.tif", False),
        ("https://data.lpdaac.earthdatacloud.nasa.gov.example.com/x.tif", False),
        ("https://earthdata.nasa.gov@example.com/x.tif", False),
        ("https://a.earthdata.nasa.gov:8443/x.tif", False),
        ("https://a.earthdata.nasa.gov\\.example.com/x.tif", False),
        ("https://example.com/https://a.earthdata.nasa.gov/x.tif", False),
        ("https://evilearthdata.nasa.gov/x.tif", False),
        ("https://bucket.s3.us-west-2.amazonaws.com/x.tif", False),
        ("/data/x.tif", False),
    ],
)
def test_hosts_that_get_the_earthdata_token(monkeypatch: pytest.MonkeyPatch, href: str, *, trusted: bool) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
    assert bool(secrets(href, EARTHDATA)) is trusted
    assert secrets(href, Access()) == {}


def test_earthdata_over_s3(earth: Earthdata, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are lent once for all threads, sign the requests, and are not lent again before they end."""
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
    way = Access(sign="earthdata", s3_credentials=f"{earth.data}/s3credentials", endpoint=earth.away, local=False)
    with ThreadPoolExecutor(8) as pool:
        assert all(is_scene(one) for one in pool.map(lambda _: read("s3://lp-bucket/red.tif", way), range(8)))
    assert earth.keys_given == 1
    assert all("Credential=KEY1/" in request.headers.get("Authorization", "") for request in earth.seen_away())
    assert not any("token-of" in str(request.headers) for request in earth.seen_away())


def test_keys_that_end_soon_are_lent_again(earth: Earthdata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
    way = Access(sign="earthdata", s3_credentials=f"{earth.data}/s3credentials")
    earth.key_life_s = -1.0
    given = [s3_keys("s3://b/x", way) for _ in range(3)]
    assert [keys and keys[0] for keys in given] == ["KEY1", "KEY2", "KEY3"]
    earth.key_life_s = 3600.0
    assert s3_keys("s3://b/x", way) == s3_keys("s3://b/x", way)


@pytest.mark.parametrize("start", sorted(earthdata.LENDERS))
def test_the_lender_of_a_bucket_is_one_of_earthdatas_hosts(start: str) -> None:
    assert earthdata.HOSTS.match(earthdata.LENDERS[start])


@pytest.mark.parametrize(
    ("bucket", "lender", "said"),
    [
        ("sentinel-cogs", None, "no data centre is known for its bucket"),
        ("lp-x", "https://example.com/s3credentials", "https://example.com/s3credentials is no host of Earthdata"),
    ],
)
def test_keys_are_asked_for_at_no_other_host(
    monkeypatch: pytest.MonkeyPatch, bucket: str, lender: str | None, said: str
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
    with pytest.raises(PermanentAssetError, match=f"no S3 keys: {said}; name the source's s3_credentials"):
        read(f"s3://{bucket}/x.tif", Access(sign="earthdata", s3_credentials=lender, local=False))


def test_a_lender_that_redirects_elsewhere_does_not_hand_on_the_token(
    earth: Earthdata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
    with pytest.raises(TransientAssetError, match="no S3 keys from"):
        s3_keys("s3://b/x", Access(sign="earthdata", s3_credentials=f"{earth.data}/leak"))
    (request,) = earth.seen_away()
    assert request.path == "/s3credentials" and "Authorization" not in request.headers


@pytest.mark.parametrize("href", ["DATA/red.tif", "s3://b/red.tif"])
def test_without_credentials_the_user_is_told_what_to_do(
    earth: Earthdata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, href: str
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "nothing"))
    way = Access(sign="earthdata", s3_credentials=f"{earth.data}/s3credentials", local=False)
    with pytest.raises(
        PermanentAssetError, match=r"no Earthdata credentials: set EARTHDATA_TOKEN, or name 127\.0\.0\.1"
    ):
        read(href.replace("DATA", earth.data), way)


def test_refused_credentials_are_named_and_not_shown(earth: Earthdata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-that-ended")
    with pytest.raises(AssetError, match="HTTP 401") as over_https:
        read(f"{earth.data}/red.tif", EARTHDATA)
    way = Access(sign="earthdata", s3_credentials=f"{earth.data}/s3credentials", local=False)
    with pytest.raises(PermanentAssetError, match="refuses the Earthdata credentials: HTTP 401; renew") as over_s3:
        read("s3://b/red.tif", way)
    assert "token-that-ended" not in f"{over_https.value}{over_s3.value}"


def test_no_secret_is_logged_kept_or_sent_to_workers(
    earth: Earthdata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even at debug level, over https and s3, in a pickle, or in GDAL's settings afterwards."""
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    way = Access(sign="earthdata", s3_credentials=f"{earth.data}/s3credentials", endpoint=earth.away, local=False)
    with caplog.at_level(logging.DEBUG):
        assert is_scene(read(f"{earth.data}/red.tif", way)) and is_scene(read("s3://lp-bucket/red.tif", way))
    with rasterio.Env() as env:
        settings = repr(rasterio.env.getenv()) + repr(env.options)
    kept = caplog.text + settings + repr(way) + pickle.dumps(way).decode("latin-1")
    for secret in ("token-1", PASSWORD, "secret-of-keys"):
        assert secret not in kept
