"""Every byte that was signed counts, and every byte of the signature: of our own messages, and of real ones."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.config.events import SnsConfig
from pipeline.events.proof.sns import ForgedError, Prover
from tests.events.proving import (
    changed,
    check_all_changes_are_refused,
    documents,
    one_byte_changes,
    refused,
    signed_keys,
)
from tests.servers.sns import Document, Sns, run_sns

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def sns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sns]:
    with run_sns(tmp_path_factory.mktemp("sns"), now=lambda: NOW) as server:
        yield server


@pytest.fixture(scope="module")
def prover(sns: Sns) -> Prover:
    """The topic `arrivalr` is one bit from `arrivals`, and listened to as well."""
    config = SnsConfig(endpoint=sns.endpoint, trust=str(sns.trust))
    return Prover([sns.arn(), sns.arn("arrivalr")], config, now=lambda: NOW)


def test_one_byte_changes_are_refused(sns: Sns, prover: Prover) -> None:
    for document in (sns.notification("a\né", subject="b"), sns.notification("", version="1")):
        assert check_all_changes_are_refused(prover, document, (0x01, 0x80)) > 900


@pytest.mark.long
def test_every_one_byte_change_is_refused(sns: Sns, prover: Prover) -> None:
    assert check_all_changes_are_refused(prover, sns.notification("é", subject="x"), range(1, 256)) > 90_000


@pytest.mark.long
def test_every_bit_of_every_kind_counts(sns: Sns, prover: Prover) -> None:
    bits = tuple(1 << bit for bit in range(8))
    for document in documents(sns):
        check_all_changes_are_refused(prover, document, bits)


def test_the_real_messages_verify_at_their_own_time_and_not_today(shared_data: Path) -> None:
    folder = shared_data / "raster/events/sns_signed"
    pem = next(folder.glob("*.pem"))
    files = sorted(folder.glob("*.json"))
    assert len(files) == 2
    for file in files:
        document = json.loads(file.read_text())
        of_then = real_prover(document, pem, datetime.fromisoformat(document["Timestamp"]) + timedelta(minutes=5))
        assert of_then.prove(document).kind == document["Type"]
        with pytest.raises(ForgedError, match="allowed: at most 7200 s"):
            real_prover(document, pem, datetime.now(UTC)).prove(document)
        # Even to who takes messages of any age, the certificate has ended.
        with pytest.raises(ForgedError, match="2026-10-14"):
            real_prover(document, pem, datetime(2026, 11, 22, tzinfo=UTC), window_s=1e9).prove(document)
        random.seed(9)
        for key in signed_keys(document):
            value = document[key].encode()
            for other in random.sample(list(one_byte_changes(value, (0x01,))), 12):
                assert other == value or refused(of_then, changed(document, key, other))


@pytest.mark.long
def test_every_bit_of_the_real_messages_counts(shared_data: Path) -> None:
    folder = shared_data / "raster/events/sns_signed"
    for file in sorted(folder.glob("*.json")):
        document = json.loads(file.read_text())
        then = datetime.fromisoformat(document["Timestamp"])
        prover = real_prover(document, next(folder.glob("*.pem")), then)
        check_all_changes_are_refused(prover, document, tuple(1 << bit for bit in range(8)))


def at_its_time(document: Document, config: SnsConfig) -> Prover:
    then = datetime.fromisoformat(document["Timestamp"])
    return Prover([document["TopicArn"]], config, now=lambda: then)


def real_prover(document: Document, pem: Path, now: datetime, window_s: float = 7200.0) -> Prover:
    """With the leaf as what is trusted, where it is pinned."""
    return Prover([document["TopicArn"]], SnsConfig(certificate=str(pem)), window_s=window_s, now=lambda: now)


def test_the_real_certificate_verifies_by_its_address(shared_data: Path, sns: Sns) -> None:
    """The same with the certificate at the address that the messages name, and the leaf as the only trust anchor."""
    folder = shared_data / "raster/events/sns_signed"
    pem = next(folder.glob("*.pem"))
    sns.files[f"/{pem.name}"] = (200, pem.read_bytes())
    for file in sorted(folder.glob("*.json")):
        document = json.loads(file.read_text())
        trusting = SnsConfig(endpoint=sns.endpoint, trust=str(pem))
        assert at_its_time(document, trusting).prove(document)
        by_amazon = at_its_time(document, SnsConfig(endpoint=sns.endpoint))
        with pytest.raises(ForgedError, match=r"r2m01\.cer: answered with HTTP status 404"):
            by_amazon.prove(document)
