"""What a fault of the proxy is, seen by a client that keeps count of bytes."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.servers.faulty import run_faulty
from tests.servers.proxy import Fault, Rule, Spoil, run_proxy

BODY = bytes(range(256)) * 8


@contextmanager
def asked(rule: Rule) -> Iterator[http.client.HTTPResponse]:
    """The answer to one GET through a proxy with that rule."""
    with run_faulty({"/file": BODY}) as server, run_proxy(server.address, rule) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
        try:
            connection.request("GET", "/file")
            yield connection.getresponse()
        finally:
            connection.close()


def test_without_a_fault_the_answer_is_the_servers() -> None:
    with asked(lambda *_: None) as answer:
        assert (answer.status, answer.read()) == (200, BODY)


def test_a_refusal_has_status_code_and_request() -> None:
    with asked(lambda *_: Fault("refuse", 403, "ExpiredToken")) as answer:
        assert (answer.status, answer.headers["x-amz-request-id"]) == (403, "req-403")
        assert b"<Code>ExpiredToken</Code>" in answer.read()


def test_a_cut_answer_is_shorter_than_it_says() -> None:
    with asked(lambda *_: Fault("cut", bytes=100)) as answer, pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    assert len(caught.value.partial) == 100


def test_a_short_answer_says_that_it_is_all() -> None:
    with asked(lambda *_: Fault("short", bytes=100)) as answer:
        assert answer.read() == BODY[:100]


@pytest.mark.parametrize("sent", [0, 100])
def test_a_reset_is_one(sent: int) -> None:
    with pytest.raises(ConnectionResetError), asked(lambda *_: Fault("reset", bytes=sent)) as answer:
        answer.read()


def test_a_dropped_answer_never_comes_though_the_server_was_asked() -> None:
    reached = Spoil(Fault("drop"))
    with pytest.raises(http.client.RemoteDisconnected), asked(reached):
        pass
    assert reached.answers == {"GET /file": 1}


def test_a_stall_ends_after_its_time_or_with_the_proxy() -> None:
    began = time.monotonic()
    with asked(lambda *_: Fault("stall", bytes=100, seconds=0.2)) as answer:
        assert answer.read(100) == BODY[:100]
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
        assert time.monotonic() - began > 0.15
    with asked(lambda *_: Fault("stall", bytes=100, seconds=600)) as answer:
        assert answer.read(100) == BODY[:100]


def test_a_rule_spoils_the_same_share_each_time() -> None:
    """Only what fits, after the first few, at most so many; and by its seed alone."""

    def drawn(*, seed: int = 1, after: int = 0, most: int | None = None) -> list[bool]:
        rule = Spoil(Fault("refuse"), ("PUT",), "/data/", share=0.3, seed=seed, after=after, most=most)
        assert rule("GET", "/data/x") is None and rule("PUT", "/items/x") is None
        return [rule("PUT", f"/data/{number}") is not None for number in range(200)]

    assert drawn() == drawn()
    assert drawn() != drawn(seed=2)
    assert 30 < sum(drawn()) < 90
    assert sum(drawn(most=5)) == 5
    assert not any(drawn(after=150)[:150]) and any(drawn(after=150))
