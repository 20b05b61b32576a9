"""Laws of signing: each way opens what it may, with what it must send and no more; nothing is sent to another host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from pipeline.config import SourceConfig
from pipeline.errors import PermanentAssetError
from pipeline.read import access as access_module
from pipeline.read.access import Access
from pipeline.read.lent import Lent
from tests.read.signing import geotiff, is_scene, read, without_credentials
from tests.servers.earthdata import run_earthdata
from tests.servers.faulty import Answer, Request, run_faulty
from tests.servers.tokens import run_token_server


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)


@contextmanager
def open_to_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Access]]:
    del folder, monkeypatch
    with run_faulty({"/red.tif": geotiff()}) as server:
        yield f"{server.address}/red.tif", Access(local=False)


@contextmanager
def for_signed_addresses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Access]]:
    (folder / "red.tif").write_bytes(geotiff())
    with run_token_server(folder, life_s=100) as server:
        monkeypatch.setenv("PC_SDK_SAS_URL", server.service)
        yield f"{server.address}red.tif", Access(collection="c", local=False)


@contextmanager
def for_holders_of_a_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Access]]:
    del folder
    with run_earthdata({"/red.tif": geotiff()}, monkeypatch) as earth:
        monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-somebody")
        yield f"{earth.data}/red.tif", Access(local=False)


@contextmanager
def for_those_who_pay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Access]]:
    lab(folder, monkeypatch)

    def unless_paid(request: Request, _earlier: int) -> Answer | None:
        names = {name.lower() for name in request.headers}
        return None if "x-amz-request-payer" in names else Answer(403)

    with run_faulty({"/bucket/red.tif": geotiff()}, unless_paid) as server:
        yield "s3://bucket/red.tif", Access(endpoint=server.address, profile="lab", local=False)


SERVERS = {
    "none": open_to_all,
    "planetary-computer": for_signed_addresses,
    "earthdata": for_holders_of_a_token,
    "requester-pays": for_those_who_pay,
}


@pytest.mark.parametrize("way", get_args(SourceConfig.model_fields["sign"].annotation))
def test_each_way_opens_what_is_closed_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Every word that `sign` allows: none is without a server here that wants it."""
    with SERVERS[way](tmp_path, monkeypatch) as (href, unsigned):
        if way != "none":
            with pytest.raises(PermanentAssetError, match=r"HTTP 40[13]|access denied"):
                read(href, unsigned)
        assert is_scene(read(href, replace(unsigned, sign=way)))


def lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile `lab` beside a default one."""
    path = folder / "credentials"
    path.write_text(
        "[default]\naws_access_key_id = DEFAULTKEY\naws_secret_access_key = secret-of-default\n"
        "[lab]\naws_access_key_id = LABKEY\naws_secret_access_key = secret-of-lab\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))


S3_CASES: dict[str, tuple[Callable[[str], Access], dict[str, str], str, str | None]] = {
    "anonymous": (lambda at: Access(endpoint=at, anonymous=True), {}, "", None),
    "environment": (lambda at: Access(endpoint=at), {"AWS_ACCESS_KEY_ID": "ENVKEY"}, "ENVKEY", None),
    "profile": (lambda at: Access(endpoint=at, profile="lab"), {}, "LABKEY", None),
    "profile-before-environment": (
        lambda at: Access(endpoint=at, profile="lab"),
        {"AWS_ACCESS_KEY_ID": "ENVKEY"},
        "LABKEY",
        None,
    ),
    "anonymous-before-environment": (
        lambda at: Access(endpoint=at, anonymous=True),
        {"AWS_ACCESS_KEY_ID": "ENVKEY"},
        "",
        None,
    ),
    "requester-pays": (
        lambda at: Access(endpoint=at, profile="lab", sign="requester-pays"),
        {},
        "LABKEY",
        "requester",
    ),
}


@pytest.mark.parametrize("way", S3_CASES)
def test_s3_credentials_are_those_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    make, environment, key, payer = S3_CASES[way]
    lab(tmp_path, monkeypatch)
    if environment:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-environment")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with run_faulty({"/bucket/red.tif": geotiff()}) as server:
        assert is_scene(read("s3://bucket/red.tif", make(server.address)))
    for request in server.requests:
        said = request.headers.get("Authorization", "")
        assert (f"Credential={key}/" in said) if key else not said
        assert {name.lower(): value for name, value in request.headers.items()}.get("x-amz-request-payer") == payer


def test_planetary_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("red.tif", "green.tif"):
        (tmp_path / name).write_bytes(geotiff())
    with run_token_server(tmp_path, life_s=100) as server:
        monkeypatch.setenv("PC_SDK_SAS_URL", server.service)
        way = Access(sign="planetary-computer", collection="c", local=False)
        with ThreadPoolExecutor(8) as pool:
            assert all(is_scene(one) for one in pool.map(lambda _: read(f"{server.address}red.tif", way), range(8)))
        assert len(server.signatures) == 1, "threads share a token"
        server.revoke()
        assert is_scene(read(f"{server.address}green.tif", way))
        assert len(server.signatures) == 2, "a refused token is replaced once"
        with pytest.raises(PermanentAssetError, match="HTTP 404"):
            read(f"{server.address}nothing.tif", way)
        assert len(server.signatures) == 2, "a missing file costs no token"


def test_planetary_computer_asks_for_a_token_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Microsoft's own client: so several collections, and items of none, are signed."""
    with run_faulty(
        {"/sas/sentinel2l2a01/sentinel2-l2": b'{"token": "sig=x", "msft:expiry": "2099-01-01T00:00:00Z"}'}
    ) as at:
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{at.address}/sas")
        href = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/60/V/red.tif"
        assert access_module.sign(href, Access(sign="planetary-computer")) == f"{href}?sig=x"


def test_none_sends_nothing() -> None:
    with run_faulty({"/red.tif": geotiff()}) as server:
        assert is_scene(read(f"{server.address}/red.tif", Access(local=False)))
    assert not any("Authorization" in request.headers for request in server.requests)


def test_what_is_lent_is_fetched_once_by_all_threads_that_were_refused_together() -> None:
    """And not again by one that was refused before the renewal."""
    lent: Lent[int] = Lent()
    fetched: list[int] = []

    def fetch() -> tuple[int, float]:
        fetched.append(len(fetched))
        return fetched[-1], time.time() + 1000

    before = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: lent.get("x", fetch, before), range(32))) == {0}
        refused = time.monotonic()
        assert set(pool.map(lambda _: lent.get("x", fetch, refused), range(32))) == {1}
    assert lent.get("x", fetch, before) == 1 and lent.get("y", fetch) == 2


def test_an_address_of_a_whole_account_is_refused_by_name() -> None:
    """And not by an index: one odd item would end the search for all."""
    with pytest.raises(PermanentAssetError, match=r"https://a\.blob\.core\.windows\.net: names no file"):
        access_module.sign("https://a.blob.core.windows.net", Access(sign="planetary-computer"))
