"""A subscription is confirmed by a request to the topic's own SNS, which names what is confirmed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.config.events import SnsConfig
from pipeline.events.proof.confirm import confirm
from pipeline.events.proof.sns import Envelope, Kind, Prover
from pipeline.events.refusals import ForgedError, MalformedError, UnprovenError
from tests.servers.sns import Sns, run_sns
from tests.servers.sns_delivery import Subscription


@pytest.fixture(scope="module")
def sns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sns]:
    with run_sns(tmp_path_factory.mktemp("sns")) as server:
        yield server


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without AWS credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def config(sns: Sns) -> SnsConfig:
    return SnsConfig(endpoint=sns.endpoint, trust=str(sns.trust))


def proven(sns: Sns, subscription: Subscription | None = None) -> Envelope:
    return Prover([sns.arn()], config(sns)).prove(sns.confirmation(subscription=subscription))


def asked(sns: Sns) -> list[str]:
    return [one for one in sns.requests if "Action=" in one]


def test_without_credentials_the_request_is_not_signed(sns: Sns) -> None:
    subscription = Subscription("", sns.arn(), arn=f"{sns.arn()}:mine")
    assert confirm(proven(sns, subscription), config(sns)) == f"{sns.arn()}:mine"
    assert subscription.confirmed.is_set()
    assert "AuthenticateOnUnsubscribe" not in asked(sns)[-1]
    assert sns.rights[-1] == ""


def test_with_credentials_nobody_else_may_end_it(sns: Sns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    confirm(proven(sns), config(sns))
    assert asked(sns)[-1].endswith("AuthenticateOnUnsubscribe=true")
    assert "/us-east-1/sns/aws4_request" in sns.rights[-1]


def test_credentials_that_may_not_confirm_do_not_stand_in_the_way(sns: Sns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "denied")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    subscription = Subscription("", sns.arn())
    confirm(proven(sns, subscription), config(sns))
    assert subscription.confirmed.is_set()
    assert [right.startswith("AWS4") for right in sns.rights[-2:]] == [True, False]


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.s3-us-east-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://evil.test/?Action=ConfirmSubscription&Token={token}",
        "http://169.254.169.254/latest/meta-data/",
        "",
    ],
)
def test_a_message_that_would_have_another_address_visited_is_refused(sns: Sns, url: str) -> None:
    before = len(sns.requests)
    document = sns.confirmation()
    document = sns.sign({**document, "SubscribeURL": url.format(token=document["Token"])})
    envelope = Prover([sns.arn()], config(sns)).prove(document)
    between = len(sns.requests)
    with pytest.raises(ForgedError, match="found SubscribeURL") as caught:
        confirm(envelope, config(sns))
    assert envelope.token not in str(caught.value)
    assert len(sns.requests) == between == before + 2  # the certificate and its authority


@pytest.mark.parametrize("kind", ["Notification", "UnsubscribeConfirmation"])
def test_nothing_else_is_confirmed(sns: Sns, kind: Kind) -> None:
    before = len(sns.requests)
    envelope = replace(proven(sns), kind=kind)
    with pytest.raises(ForgedError, match="required: SubscriptionConfirmation"):
        confirm(envelope, config(sns))
    assert not [one for one in sns.requests[before:] if "Action=" in one]


def test_a_token_that_sns_does_not_know_is_told_of(sns: Sns) -> None:
    envelope = proven(sns)
    sns.tokens.clear()
    with pytest.raises(MalformedError, match=r"sns\.us-east-1\.amazonaws\.com: .*Invalid parameter: Token"):
        confirm(envelope, config(sns))


def test_sns_may_be_down(sns: Sns) -> None:
    envelope = proven(sns)
    with pytest.raises(UnprovenError, match="Could not connect"):
        confirm(envelope, SnsConfig(endpoint="http://127.0.0.1:9"))
    sns.instead = (500, b"")
    try:
        with pytest.raises(UnprovenError, match="ConfirmSubscription"):
            confirm(envelope, config(sns))
    finally:
        sns.instead = None


@pytest.mark.parametrize("status", [301, 302, 307])
def test_no_redirect_is_followed(sns: Sns, status: int) -> None:
    envelope = proven(sns)
    sns.instead = (status, f"{sns.endpoint}/elsewhere".encode())
    try:
        with pytest.raises((UnprovenError, MalformedError)):
            confirm(envelope, config(sns))
    finally:
        sns.instead = None
    assert not [one for one in sns.requests if "elsewhere" in one]
