"""A certificate is asked for once, where the topic's own SNS has it, and kept; who makes up addresses gains nothing."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.config.events import SnsConfig
from pipeline.errors import ConfigError
from pipeline.events.proof.addresses import Topic
from pipeline.events.proof.certificates import CertificateStore
from pipeline.events.refusals import ForgedError, UnprovenError
from tests.servers.signer import DAY, make_key, make_leaf
from tests.servers.sns import Sns, run_sns

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def sns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sns]:
    with run_sns(tmp_path_factory.mktemp("sns")) as server:
        yield server


def config(sns: Sns) -> SnsConfig:
    return SnsConfig(endpoint=sns.endpoint, trust=str(sns.trust))


def topic(sns: Sns) -> Topic:
    return Topic.of(sns.arn())


def url_of(sns: Sns, status: int, body: bytes = b"") -> str:
    """An address of this form that is answered so."""
    path = f"/SimpleNotificationService-{uuid.uuid4().hex}.pem"
    sns.files[path] = (status, body)
    return f"https://{sns.host}{path}"


def asked(sns: Sns, url: str) -> int:
    return sns.requests.count(url.removeprefix(f"https://{sns.host}"))


def test_many_threads_ask_once(sns: Sns) -> None:
    store, url = CertificateStore(config(sns)), sns.publish_certificate(sns.signer)
    assert store.known(url, topic(sns), NOW) is None
    barrier = threading.Barrier(16)

    def prove(_: int) -> object:
        barrier.wait()
        return store.proven(url, topic(sns), NOW)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(prove, range(16)))
    assert all(one is found[0] for one in found)
    assert asked(sns, url) == 1
    assert store.known(url, topic(sns), NOW) is found[0]


def test_dates_are_checked_at_every_receipt(sns: Sns) -> None:
    store = CertificateStore(config(sns))
    store.proven(sns.certificate_url, topic(sns), NOW)
    for now in (NOW + 301 * DAY, NOW - 31 * DAY):
        for prove in (store.proven, store.known):
            with pytest.raises(ForgedError, match="required: valid now"):
                prove(sns.certificate_url, topic(sns), now)
    store.proven(sns.certificate_url, topic(sns), NOW)


@pytest.mark.parametrize(
    ("status", "body", "match"),
    [
        (404, b"", "status 404"),
        (302, b"http://127.0.0.1:9/", "status 302"),
        (200, b"", "no certificate in PEM form"),
        (200, b"<html>", "no certificate in PEM form"),
        (200, b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", "no certificate in PEM form"),
        (200, b"x" * 16_385, "more than 16384 bytes"),
    ],
)
def test_what_is_no_certificate_is_refused_and_not_asked_for_again_for_a_minute(
    sns: Sns, status: int, body: bytes, match: str
) -> None:
    clock = [1000.0]
    store, url = CertificateStore(config(sns), monotonic=lambda: clock[0]), url_of(sns, status, body)
    for _ in range(3):
        for prove in (store.proven, store.known):
            with pytest.raises(ForgedError, match=match):
                prove(url, topic(sns), NOW)
        clock[0] += 19.0
    assert asked(sns, url) == 1
    clock[0] += 10.0
    assert store.known(url, topic(sns), NOW) is None
    with pytest.raises(ForgedError, match=match):
        store.proven(url, topic(sns), NOW)
    assert asked(sns, url) == 2


def test_a_server_that_has_a_fault_is_asked_again_at_once(sns: Sns) -> None:
    store, url = CertificateStore(config(sns)), url_of(sns, 500)
    with pytest.raises(UnprovenError, match="status 500"):
        store.proven(url, topic(sns), NOW)
    sns.files[url.removeprefix(f"https://{sns.host}")] = (200, sns.signer.pem)
    store.proven(url, topic(sns), NOW)


def test_nobody_answers(sns: Sns) -> None:
    store = CertificateStore(SnsConfig(endpoint="http://127.0.0.1:9", trust=str(sns.trust)))
    with pytest.raises(UnprovenError, match="refused"):
        store.proven(sns.certificate_url, topic(sns), NOW)


def test_an_authority_elsewhere_than_amazons_is_not_asked_for(sns: Sns) -> None:
    store = CertificateStore(config(sns))
    for place in ("http://169.254.169.254/tests.cer", "http://crt.evil.test/tests.cer"):
        url = sns.publish_certificate(make_leaf(sns.issuer, NOW, issuer_url=place))
        before = len(sns.requests)
        with pytest.raises(ForgedError, match=f"whose authority is at '{place}'"):
            store.proven(url, topic(sns), NOW)
        assert len(sns.requests) == before + 1


def test_a_certificate_by_another_authority_is_refused_where_amazons_are_trusted(sns: Sns) -> None:
    store = CertificateStore(SnsConfig(endpoint=sns.endpoint))
    with pytest.raises(ForgedError, match="leads to none of 4 authorities"):
        store.proven(sns.certificate_url, topic(sns), NOW)


def test_at_most_four_addresses_are_asked_at_a_time(sns: Sns) -> None:
    urls = [url_of(sns, 404) for _ in range(5)]
    sns.held.clear()
    store = CertificateStore(config(sns))
    with ThreadPoolExecutor(4) as pool:
        under_way = [pool.submit(store.proven, url, topic(sns), NOW) for url in urls[:4]]
        deadline = time.monotonic() + 10
        while sum(asked(sns, url) for url in urls) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(UnprovenError, match="4 other certificates"):
            store.proven(urls[4], topic(sns), NOW)
        sns.held.set()
        assert all(isinstance(one.exception(10), ForgedError) for one in under_way)
    assert asked(sns, urls[4]) == 0


def test_made_up_addresses_are_forgotten_and_the_true_one_is_not(sns: Sns) -> None:
    store = CertificateStore(config(sns))
    store.proven(sns.certificate_url, topic(sns), NOW)
    for _ in range(300):
        with pytest.raises(ForgedError, match="404"):
            store.proven(f"https://{sns.host}/SimpleNotificationService-{uuid.uuid4().hex}.pem", topic(sns), NOW)
    assert len(store._refused) == 256
    before = len(sns.requests)
    store.proven(sns.certificate_url, topic(sns), NOW)
    assert len(sns.requests) == before


def test_a_pinned_certificate_needs_no_request(sns: Sns, tmp_path: Path) -> None:
    (tmp_path / "pinned.pem").write_bytes(sns.signer.pem)
    store = CertificateStore(SnsConfig(certificate=str(tmp_path / "pinned.pem"), endpoint="http://127.0.0.1:9"))
    url = url_of(sns, 500)
    assert store.known(url, topic(sns), NOW) is store.proven(url, topic(sns), NOW)
    assert store.proven(url, topic(sns), NOW).key.public_numbers() == sns.signer.key.public_key().public_numbers()
    with pytest.raises(ForgedError, match="required: valid now"):
        store.proven(url, topic(sns), NOW + 301 * DAY)
    for prove in (store.proven, store.known):
        with pytest.raises(ForgedError, match="SigningCertURL"):
            prove("https://evil.test/x.pem", topic(sns), NOW)


def test_a_pinned_file_holds_one_certificate(sns: Sns, tmp_path: Path) -> None:
    (tmp_path / "pinned.pem").write_bytes(sns.signer.pem + sns.issuer.pem)
    with pytest.raises(ConfigError, match="found 2 certificates; required: the one that SNS signs by"):
        CertificateStore(SnsConfig(certificate=str(tmp_path / "pinned.pem")))
    (tmp_path / "pinned.pem").write_bytes(make_leaf(sns.issuer, NOW, key=make_key(1024)).pem)
    with pytest.raises(ConfigError, match=r"pinned\.pem: .*; required: RSA of 2048 bits or more"):
        CertificateStore(SnsConfig(certificate=str(tmp_path / "pinned.pem")))
    with pytest.raises(ConfigError, match=r"none\.pem"):
        CertificateStore(SnsConfig(trust=str(tmp_path / "none.pem")))


def test_a_chain_in_the_file_saves_the_request_for_its_authority(sns: Sns) -> None:
    store, url = CertificateStore(config(sns)), sns.publish_certificate(sns.signer, sns.issuer.pem)
    before = len(sns.requests)
    store.proven(url, topic(sns), NOW + timedelta(seconds=1))
    assert len(sns.requests) == before + 1
