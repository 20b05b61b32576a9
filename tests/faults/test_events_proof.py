"""What is posted and not proven starts nothing, is answered alike, and has nobody asked who was not asked before."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.events.listening import Stage, keys_of, run_stage, told_of
from tests.events.proof.test_addresses import HOSTILE_CERTIFICATES, HOSTILE_SUBSCRIPTIONS, TOKEN
from tests.servers.signer import DAY, make_authority, make_leaf

pytestmark = pytest.mark.long
Forge = Callable[[Stage, dict[str, str]], Mapping[str, str]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with run_stage(tmp_path_factory.mktemp("listener")) as stage:
        yield stage


@pytest.fixture
def stage(shared: Stage) -> Stage:
    shared.reset()
    return shared


@pytest.fixture
def sockets(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where this process, of which the listener is a part, connects to or looks up, but for the listener itself."""
    opened: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connected(self: socket.socket, address: Any) -> None:
        if address[1] != stage.listener.port:
            opened.append(address)
        connect(self, address)

    def looked_up(host: Any, port: Any, *rest: Any, **further: Any) -> Any:
        if port != stage.listener.port:
            opened.append((host, port))
        return look_up(host, port, *rest, **further)

    monkeypatch.setattr(socket.socket, "connect", connected)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    return opened


def with_url(stage: Stage, document: Mapping[str, str], key: str, url: str) -> Mapping[str, str]:
    """Signed as SNS would sign it: the address is all that is wrong."""
    return stage.sns.sign({**document, key: url})


def other_leaf(**further: Any) -> Forge:
    """By a certificate that stands at an address of SNS, and is not SNS's."""

    def forge(stage: Stage, document: dict[str, str]) -> Mapping[str, str]:
        leaf = make_leaf(further.pop("by", stage.sns.issuer), stage.sns.now(), **further)
        url = stage.sns.publish_certificate(leaf)
        return stage.sns.sign({**document, "SigningCertURL": url}, by=leaf)

    return forge


def _by_stranger(stage: Stage, document: dict[str, str]) -> Mapping[str, str]:
    return other_leaf(by=make_authority(stage.sns.now(), "Tests Intermediate"))(stage, document)


def _flip(signature: str) -> str:
    return ("B" if signature[0] != "B" else "C") + signature[1:]


FORGERIES: dict[str, tuple[Forge, int]] = {
    "no signature": (lambda _, document: {**document, "Signature": ""}, 0),
    "one bit of the signature": (lambda _, document: {**document, "Signature": _flip(document["Signature"])}, 2),
    "version 1 with the body of 2": (lambda _, document: {**document, "SignatureVersion": "1"}, 2),
    "version 3": (lambda _, document: {**document, "SignatureVersion": "3"}, 0),
    "a subject": (lambda _, document: {**document, "Subject": "New file"}, 2),
    "another message": (lambda _, document: {**document, "Message": document["Message"].replace("a.csv", "b.csv")}, 2),
    "another time": (lambda stage, document: stage.sns.sign({**document, "Timestamp": "2026-03-06T19:53:21Z"}), 0),
    "another key": (
        lambda stage, document: stage.sns.sign(document, by=make_leaf(stage.sns.issuer, stage.sns.now())),
        2,
    ),
    "expired": (other_leaf(life=(-30 * DAY, timedelta(seconds=-1))), 1),
    "not valid yet": (other_leaf(life=(timedelta(hours=1), 30 * DAY)), 1),
    "another name": (other_leaf(name="sqs.amazonaws.com"), 1),
    "an authority nobody trusts": (_by_stranger, 2),
    "an authority at another place": (other_leaf(issuer_url="http://169.254.169.254/tests.cer"), 1),
}
"""How each is made of a true message, and how many requests it may take the listener, at SNS's own server, to know."""


@pytest.mark.parametrize("forgery", FORGERIES)
def test_f42_a_forged_message_starts_nothing(stage: Stage, sockets: list[Any], forgery: str) -> None:
    forge, requests = FORGERIES[forgery]
    answer = stage.post(forge(stage, told_of(stage.sns, "a.csv")))
    assert (answer.status, answer.body) == (403, b"refused\n")
    assert "a.csv" not in keys_of(stage.config)
    assert len(stage.sns.requests) <= requests
    port = int(stage.sns.endpoint.rpartition(":")[2])
    assert {address[1] for address in sockets} <= {port}, "a certificate is read of SNS, and nobody else is asked"


def swapped(url: str) -> str:
    """The addresses are for a topic in us-west-2, and the topic here is in us-east-1."""
    return "us-east-1".join(part.replace("us-east-1", "us-west-2") for part in url.split("us-west-2"))


@pytest.mark.parametrize("url", HOSTILE_CERTIFICATES)
def test_f43_a_hostile_address_of_a_certificate_opens_no_socket(stage: Stage, sockets: list[Any], url: str) -> None:
    document = with_url(stage, told_of(stage.sns, "a.csv"), "SigningCertURL", swapped(url))
    assert stage.status(document) in {400, 403}
    assert sockets == []
    assert "a.csv" not in keys_of(stage.config)


@pytest.mark.parametrize("url", HOSTILE_SUBSCRIPTIONS)
def test_f43_a_hostile_address_of_a_confirmation_opens_no_socket(stage: Stage, sockets: list[Any], url: str) -> None:
    stage.post(told_of(stage.sns, "first.csv"))  # the certificate is known from now on
    sockets.clear()
    document = stage.sns.confirmation()
    document = dict(with_url(stage, document, "SubscribeURL", swapped(url).replace(TOKEN, document["Token"])))
    assert stage.status(document) in {400, 403}
    assert sockets == []
    assert not stage.asked("Action=")


def test_f43_a_redirect_is_not_followed(stage: Stage, sockets: list[Any]) -> None:
    document = told_of(stage.sns, "a.csv")
    path = "/SimpleNotificationService-" + "0" * 32 + ".pem"
    stage.sns.files[path] = (302, b"http://127.0.0.1:9/SimpleNotificationService.pem")
    document = stage.sns.sign({**document, "SigningCertURL": f"https://{stage.sns.host}{path}"})
    assert stage.status(document) == 403
    assert not [address for address in sockets if address[1] == 9]


@pytest.mark.parametrize("topic", ["departures", "arrivals2", "Arrivals"])
def test_f44_a_topic_that_is_not_listed_is_refused_however_well_it_is_signed(
    stage: Stage, sockets: list[Any], topic: str
) -> None:
    message = told_of(stage.sns, "a.csv")["Message"]
    for document in (
        stage.sns.notification(message, topic=topic),
        stage.sns.confirmation(topic=topic),
        stage.sns.confirmation(topic=topic, kind="UnsubscribeConfirmation"),
    ):
        answer = stage.post(document)
        assert (answer.status, answer.body) == (403, b"refused\n")
    assert sockets == []
    assert "a.csv" not in keys_of(stage.config)


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_true_message_is_taken(stage: Stage, version: str) -> None:
    assert stage.status(stage.sns.sign(told_of(stage.sns, f"true-{version}.csv"), version)) == 200
    assert f"true-{version}.csv" in keys_of(stage.config)
