"""A message counts only where every signed byte of it is as SNS signed it, of a topic that is listened to, of now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.events import SnsConfig
from pipeline.errors import ConfigError
from pipeline.events.proof.sns import (
    ForgedError,
    MalformedError,
    Prover,
    RefusedError,
    StrangerError,
    UnprovenError,
    refuse_raw,
    string_to_sign,
)
from pipeline.types import Json
from tests.events.proving import documents
from tests.servers.signer import KEYS, make_leaf
from tests.servers.sns import Sns, run_sns

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def sns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sns]:
    with run_sns(tmp_path_factory.mktemp("sns"), now=lambda: NOW) as server:
        yield server


@pytest.fixture(scope="module")
def prover(sns: Sns) -> Prover:
    return make(sns)


def make(sns: Sns, now: datetime = NOW, **further: bool) -> Prover:
    config = SnsConfig(endpoint=sns.endpoint, trust=str(sns.trust))
    return Prover([sns.arn()], config, now=lambda: now, **further)


def test_what_sns_signed_is_believed_as_it_says(sns: Sns, prover: Prover) -> None:
    for document in documents(sns):
        found = prover.prove(document)
        assert prover.prove_at_once(document) == found
        assert (found.kind, found.id, found.topic) == (document["Type"], document["MessageId"], sns.arn())
        assert (found.message, found.subject) == (document["Message"], document.get("Subject"))
        assert found.token == document.get("Token", "")
        assert abs(found.time - NOW) < timedelta(milliseconds=1)


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_other_version_is_not_what_was_signed(sns: Sns, prover: Prover, version: str) -> None:
    document = sns.notification("x", version=version)
    for prove in (prover.prove, prover.prove_at_once):
        with pytest.raises(ForgedError, match="not of what it says"):
            prove({**document, "SignatureVersion": {"1": "2", "2": "1"}[version]})


@pytest.mark.parametrize("version", ["", "0", "3", "02", "2 ", "1.0", "١"])  # noqa: RUF001 (an Arabic one)
def test_versions_are_exactly_1_and_2(sns: Sns, prover: Prover, version: str) -> None:
    before = len(sns.requests)
    with pytest.raises(ForgedError, match="allowed: 1 or 2"):
        prover.prove({**sns.notification("x"), "SignatureVersion": version})
    assert len(sns.requests) == before


def test_version_1_may_be_refused(sns: Sns) -> None:
    prover = make(sns, require_v2=True)
    prover.prove(sns.notification("x", version="2"))
    with pytest.raises(ForgedError, match="found SignatureVersion '1'; allowed: 2"):
        prover.prove(sns.notification("x", version="1"))


def test_a_subject_is_neither_added_nor_taken_away(sns: Sns, prover: Prover) -> None:
    bare, named = sns.notification("x"), sns.notification("x", subject="s")
    for forged in (
        {**bare, "Subject": ""},
        {**bare, "Subject": "s"},
        {**named, "Subject": "t"},
        _without("Subject", named),
    ):
        with pytest.raises(ForgedError, match="not of what it says"):
            prover.prove(forged)


def test_a_kind_is_not_taken_for_another(sns: Sns, prover: Prover) -> None:
    document = sns.confirmation()
    for kind in ("Notification", "UnsubscribeConfirmation"):
        with pytest.raises(ForgedError, match="not of what it says"):
            prover.prove({**document, "Type": kind})


def test_another_key_is_refused(sns: Sns, prover: Prover) -> None:
    other = make_leaf(sns.issuer, NOW)
    with pytest.raises(ForgedError, match="or by another key"):
        prover.prove(sns.sign(sns.notification("x"), by=other))
    # With the certificate of that key at an address of SNS, it is SNS's.
    assert prover.prove(sns.sign({**sns.notification("x"), "SigningCertURL": sns.publish_certificate(other)}, by=other))


def test_an_expired_certificate_is_refused(sns: Sns, prover: Prover) -> None:
    old = make_leaf(sns.issuer, NOW, life=(timedelta(days=-9), timedelta(seconds=-1)))
    document = {**sns.notification("x"), "SigningCertURL": sns.publish_certificate(old)}
    with pytest.raises(ForgedError, match="required: valid now"):
        prover.prove(sns.sign(document, by=old))


def test_topics_of_the_config_are_of_a_partition_that_is_known() -> None:
    with pytest.raises(ConfigError, match=r"topics: found topic 'arn:aws-moon:.*allowed: .* in aws, aws-cn"):
        Prover(["arn:aws-moon:sns:us-east-1:123456789012:arrivals"], SnsConfig())


def test_strangers_are_refused_before_anything_is_asked_for(sns: Sns) -> None:
    prover, before = make(sns), len(sns.requests)
    document = sns.notification("x", topic="other")
    for prove in (prover.prove_at_once, prover.prove):
        with pytest.raises(StrangerError, match=":other; allowed"):
            prove(document)
    assert len(sns.requests) == before


@pytest.mark.parametrize("minutes", [-121, 121])
def test_old_messages_and_those_of_the_future_are_refused(sns: Sns, minutes: int) -> None:
    prover, before = make(sns), len(sns.requests)
    with pytest.raises(ForgedError, match="allowed: at most 7200 s from now"):
        prover.prove(sns.notification("x", time=NOW + timedelta(minutes=minutes)))
    assert len(sns.requests) == before
    assert prover.prove(sns.notification("x", time=NOW + timedelta(minutes=minutes * 119 // 121)))


def test_the_server_of_certificates_may_be_down(sns: Sns) -> None:
    prover = Prover([sns.arn()], SnsConfig(endpoint="http://127.0.0.1:9", trust=str(sns.trust)), now=lambda: NOW)
    document = sns.notification("x")
    assert prover.prove_at_once(document) is None
    with pytest.raises(UnprovenError) as caught:
        prover.prove(document)
    assert caught.value.status == 503


@pytest.mark.parametrize("key", [*KEYS["SubscriptionConfirmation"], "Signature", "SignatureVersion", "SigningCertURL"])
@pytest.mark.parametrize("value", [None, 1, ["x"], {}, True, "\ud800"])
def test_every_key_must_be_text(sns: Sns, prover: Prover, key: str, value: Json) -> None:
    document = sns.confirmation()
    for prove in (prover.prove_at_once, prover.prove):
        with pytest.raises(MalformedError):
            prove({**document, key: value})
    with pytest.raises(MalformedError):
        prover.prove(_without(key, document))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "Other"),
        ("Type", "notification"),
        ("MessageId", ""),
        ("MessageId", "a\nb"),
        ("Subject", "a\nb"),
        ("Subject", None),
        ("Timestamp", "2026-02-30T00:00:00.000Z"),
        ("Timestamp", "2026-03-06T19:53:21.424+00:00"),
        ("Timestamp", "2026-03-06 19:53:21Z"),
        ("Timestamp", "٢026-03-06T19:53:21.424Z"),
        ("Timestamp", "1772826801"),
        ("TopicArn", "a\nb"),
    ],
)
def test_values_have_the_form_that_sns_gives_them(sns: Sns, prover: Prover, key: str, value: Json) -> None:
    with pytest.raises(MalformedError) as caught:
        prover.prove(sns.sign({**sns.notification("x"), key: str(value)}) | {key: value})
    assert caught.value.status == 400


@pytest.mark.parametrize("signature", ["", "x", "====", "AA==\n", "AAAA" * 80, "AAAA" * 84 + "!", "é" * 344])
def test_what_is_no_signature_is_refused_without_a_request(sns: Sns, signature: str) -> None:
    prover, before = make(sns), len(sns.requests)
    with pytest.raises(RefusedError):
        prover.prove({**sns.notification("x"), "Signature": signature})
    assert len(sns.requests) == before


def test_unsigned_fields_change_nothing(sns: Sns, prover: Prover) -> None:
    document = sns.notification("x")
    further = {"UnsubscribeURL": "https://evil.test/", "MessageAttributes": {"a": 1}, "Token": "t", "Records": []}
    assert prover.prove({**document, **further}) == prover.prove(document)


def test_a_raw_delivery_is_refused_with_the_reason() -> None:
    refuse_raw({"x-amz-sns-rawdelivery": "false", "content-type": "text/plain"})
    refuse_raw({})
    with pytest.raises(MalformedError, match="RawMessageDelivery off"):
        refuse_raw({"x-amz-sns-rawdelivery": "true"})


LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs", "Cc"]), max_size=5)
TRAPS = st.sampled_from(["MessageId", "Subject", "Timestamp", "TopicArn", "Type", "Notification", "\n", "a", "Message"])
FIELDS = st.fixed_dictionaries(
    {
        "Type": st.just("Notification"),
        "Message": st.lists(TRAPS | LINES, max_size=12).map("\n".join),
        "MessageId": TRAPS.filter(str.isalpha),
        "Timestamp": TRAPS.filter(str.isalpha),
        "TopicArn": TRAPS.filter(str.isalpha),
    },
    optional={"Subject": LINES | TRAPS.filter(str.isalpha)},
)


@given(FIELDS)
@settings(max_examples=100, deadline=None)
def test_two_documents_never_sign_alike(fields: dict[str, str]) -> None:
    """All but the message is one line, so the signed text reads one way only, from its end."""
    lines = string_to_sign(fields).decode().split("\n")[:-1]
    found: dict[str, str] = {}
    for key in ("Type", "TopicArn", "Timestamp"):
        found[key] = lines.pop()
        assert lines.pop() == key
    if "Subject" in fields:
        found["Subject"] = lines.pop()
        assert lines.pop() == "Subject"
    found["MessageId"] = lines.pop()
    assert lines.pop() == "MessageId"
    found["Message"] = "\n".join(lines[1:])
    assert found == fields


def _without(key: str, document: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in document.items() if name != key}
