"""Which certificates are SNS's own: by name, key, date and authority."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pipeline.errors import ConfigError
from pipeline.events.proof import chains
from pipeline.events.proof.addresses import Topic
from pipeline.events.refusals import ForgedError, UnprovenError
from tests.servers.signer import DAY, ISSUER_URL, Signer, make_authority, make_key, make_leaf

NOW = datetime(2026, 3, 6, 20, tzinfo=UTC)
TOPIC = Topic.of("arn:aws:sns:us-west-2:123456789012:arrivals")
ROOT = make_authority(NOW)
ISSUER = make_authority(NOW, "Tests Intermediate", ROOT)
STRANGER = make_authority(NOW)
KEY = make_key()
LEAF = make_leaf(ISSUER, NOW, key=KEY)


def fetched(*known: Signer) -> Callable[[str], bytes]:
    """Authorities in the order in which they are asked for."""
    left = list(known)

    def fetch(url: str) -> bytes:
        assert url == ISSUER_URL
        return left.pop(0).der

    return fetch


def prove(*given: Signer, topic: Topic = TOPIC, anchors: tuple[Signer, ...] = (ROOT,), now: datetime = NOW) -> None:
    chains.prove_chain(
        [one.certificate for one in given], topic, [one.certificate for one in anchors], now, fetched(ISSUER)
    )


def test_an_authority_that_is_missing_is_fetched_and_one_that_is_there_is_not() -> None:
    prove(LEAF)
    chains.prove_chain([LEAF.certificate, ISSUER.certificate], TOPIC, [ROOT.certificate], NOW, fetched())
    chains.prove_chain([LEAF.certificate], TOPIC, [ISSUER.certificate], NOW, fetched())


def test_a_leaf_that_is_an_anchor_needs_no_authority() -> None:
    proven = chains.prove_chain([LEAF.certificate], TOPIC, [LEAF.certificate], NOW, fetched())
    assert proven.key.public_numbers() == LEAF.key.public_key().public_numbers()


@pytest.mark.parametrize(
    "leaf",
    [
        make_leaf(STRANGER, NOW, key=KEY),
        make_leaf(make_authority(NOW, "Tests Intermediate"), NOW, key=KEY),
        make_leaf(make_authority(NOW, "Tests Intermediate", STRANGER), NOW, key=KEY),
        make_leaf(LEAF, NOW, key=KEY),
        make_leaf(ISSUER, NOW, issuer_url=None, key=KEY),
    ],
    ids=["another root", "the issuer's name", "the chain's names", "by a leaf", "no way to the issuer"],
)
def test_a_chain_that_leads_elsewhere_is_refused(leaf: Signer) -> None:
    with pytest.raises(ForgedError, match="leads to none of 1 authorities"):
        chains.prove_chain([leaf.certificate], TOPIC, [ROOT.certificate], NOW, fetched(ISSUER, ISSUER))


def test_what_comes_beside_a_leaf_is_trusted_no_more_than_it_proves() -> None:
    leaf = make_leaf(STRANGER, NOW, issuer_url=None, key=KEY)
    with pytest.raises(ForgedError, match="leads to none"):
        chains.prove_chain([leaf.certificate, STRANGER.certificate], TOPIC, [ROOT.certificate], NOW, fetched())


@pytest.mark.parametrize(("begin", "end"), [(-9 * DAY, -timedelta(seconds=1)), (timedelta(seconds=1), 9 * DAY)])
@pytest.mark.parametrize("anchored", [False, True])
def test_dates_count_whatever_is_trusted(begin: timedelta, end: timedelta, anchored: bool) -> None:
    leaf = make_leaf(ISSUER, NOW, life=(begin, end), key=KEY)
    with pytest.raises(ForgedError, match=r"required: valid now, at 2026-03-06T20:00:00\+00:00"):
        prove(leaf, anchors=(leaf,) if anchored else (ROOT,))


def test_dates_of_authorities_bound_what_is_proven() -> None:
    short = make_authority(NOW - 3649 * DAY, "Tests Intermediate", ROOT)
    leaf = make_leaf(short, NOW, key=KEY)
    proven = chains.prove_chain([leaf.certificate, short.certificate], TOPIC, [ROOT.certificate], NOW, fetched())
    assert proven.until == short.certificate.not_valid_after_utc == NOW + DAY
    proven.check(NOW + DAY)
    with pytest.raises(ForgedError, match="required: valid now"):
        proven.check(NOW + DAY + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("arn", "name", "fits"),
    [
        ("arn:aws:sns:us-west-2:123456789012:a", "sns.amazonaws.com", True),
        ("arn:aws:sns:af-south-1:123456789012:a", "sns-signing.af-south-1.amazonaws.com", True),
        ("arn:aws:sns:af-south-1:123456789012:a", "sns-signing.me-south-1.amazonaws.com", False),
        ("arn:aws:sns:us-west-2:123456789012:a", "sns.us-east-1.amazonaws.com", False),
        ("arn:aws:sns:us-west-2:123456789012:a", "evil.amazonaws.com", False),
        ("arn:aws:sns:us-west-2:123456789012:a", "sns.amazonaws.com.evil.test", False),
        ("arn:aws:sns:us-west-2:123456789012:a", "*.amazonaws.com", False),
        ("arn:aws-us-gov:sns:us-gov-east-1:123456789012:a", "sns-us-gov-west-1.amazonaws.com", True),
        ("arn:aws-us-gov:sns:us-gov-east-1:123456789012:a", "sns.amazonaws.com", False),
        ("arn:aws-cn:sns:cn-north-1:123456789012:a", "sns-cn-north-1.amazonaws.com.cn", True),
        ("arn:aws-cn:sns:cn-north-1:123456789012:a", "sns.amazonaws.com", False),
    ],
)
@pytest.mark.parametrize("anchored", [False, True])
def test_names_are_those_of_sns_in_the_region_of_the_topic(arn: str, name: str, fits: bool, anchored: bool) -> None:
    leaf = make_leaf(ISSUER, NOW, name, key=KEY)
    anchors = (leaf,) if anchored else (ROOT,)
    if fits:
        prove(leaf, topic=Topic.of(arn), anchors=anchors)
    else:
        with pytest.raises(ForgedError, match="found a certificate of"):
            prove(leaf, topic=Topic.of(arn), anchors=anchors)


def test_a_key_is_rsa_of_2048_bits_or_more() -> None:
    with pytest.raises(ForgedError, match="required: RSA of 2048 bits"):
        chains.pinned(make_leaf(ISSUER, NOW, key=make_key(1024)).certificate)


def test_an_authority_that_is_fetched_must_be_a_certificate() -> None:
    with pytest.raises(ForgedError, match="found 4 bytes that are no certificate"):
        chains.prove_chain([LEAF.certificate], TOPIC, [ROOT.certificate], NOW, lambda _: b"nope")


def test_no_more_than_two_authorities_are_asked_for() -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return make_leaf(ROOT, NOW, key=KEY).der

    with pytest.raises(ForgedError, match="leads to none"):
        chains.prove_chain([LEAF.certificate], TOPIC, [ROOT.certificate], NOW, fetch)
    assert len(asked) == 2


def test_the_real_certificate_is_sns_of_its_time(shared_data: Path) -> None:
    folder = shared_data / "raster/events/sns_signed"
    leaf = chains.read_pem_file(next(folder.glob("*.pem")))
    proven = chains.prove_chain(leaf, TOPIC, leaf, NOW, fetched())
    assert (proven.until - NOW).days == 222
    with pytest.raises(ForgedError, match="2026-10-14"):
        chains.prove_chain(leaf, TOPIC, leaf, datetime(2026, 11, 22, tzinfo=UTC), fetched())


def test_the_real_certificate_names_an_authority_of_amazon(shared_data: Path) -> None:
    leaf = chains.read_pem_file(next((shared_data / "raster/events/sns_signed").glob("*.pem")))
    with pytest.raises(ZeroDivisionError, match=r"^http://crt\.r2m01\.amazontrust\.com/r2m01\.cer$"):
        chains.prove_chain(leaf, TOPIC, chains.amazon_roots(), NOW, _raises)


def _raises(url: str) -> bytes:
    raise ZeroDivisionError(url)


def test_amazons_roots_are_among_those_of_this_machine() -> None:
    roots = chains.amazon_roots()
    assert "CN=Amazon Root CA 1,O=Amazon,C=US" in [one.subject.rfc4514_string() for one in roots]
    assert all(one.subject == one.issuer and "Amazon" in one.subject.rfc4514_string() for one in roots)


def test_a_machine_without_amazons_roots_proves_nothing_and_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "others.pem").write_bytes(ROOT.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "others.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr(chains, "DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "others.pem"))
    with pytest.raises(UnprovenError, match=r"none of Amazon's authorities .*; give them as sns\.trust"):
        chains.amazon_roots()


def test_an_authority_that_is_damaged_is_refused() -> None:
    """Over HTTP anybody on the way may have sent it: here with one extension twice."""
    twice = x509.load_der_x509_certificate(LEAF.der.replace(b"\x06\x03\x55\x1d\x0e", b"\x06\x03\x55\x1d\x23"))
    with pytest.raises(x509.DuplicateExtension):
        _ = twice.extensions
    with pytest.raises(ForgedError, match="leads to none"):
        chains.prove_chain(
            [LEAF.certificate], TOPIC, [ROOT.certificate], NOW, lambda _: twice.public_bytes(Encoding.DER)
        )
    with pytest.raises(ForgedError, match="whose names cannot be read"):
        chains.prove_chain([twice], TOPIC, [ROOT.certificate], NOW, fetched())


@pytest.mark.parametrize("text", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_told_of(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "trust.pem").write_bytes(text)
    with pytest.raises(ConfigError, match=r"trust\.pem: .*; required: certificates in PEM form"):
        chains.read_pem_file(tmp_path / "trust.pem")


def test_a_pem_file_may_hold_several() -> None:
    assert chains.read_pem(LEAF.pem + b"# next\n" + ISSUER.pem) == [LEAF.certificate, ISSUER.certificate]
    assert isinstance(LEAF.certificate, x509.Certificate)
