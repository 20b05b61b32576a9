"""What a connection may take: raw sockets against a listener with small limits."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.events.listener import limits
from tests.events.listening import Stage, post, rules_of, run_stage, told_of
from tests.servers.listener import LocalListener, read_answer, serve_listener
from tests.servers.sns import Sns, run_sns

READ_S = 1.0
PLACES = 12
HEAD = b"POST /sns HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    told = {"read_timeout_s": READ_S, "max_connections": PLACES, "max_body_bytes": 100_000}
    with run_stage(tmp_path_factory.mktemp("limits"), told) as made:
        yield made


@pytest.fixture(scope="module")
def listener(stage: Stage) -> LocalListener:
    return stage.listener


@pytest.fixture(scope="module")
def sns(stage: Stage) -> Sns:
    return stage.sns


def request_of(document: dict[str, str], *, close: bool = False) -> bytes:
    body = json.dumps(document).encode()
    return HEAD + (b"Connection: close\r\n" if close else b"") + b"Content-Length: %d\r\n\r\n" % len(body) + body


def number(listener: LocalListener, name: str) -> float:
    """A number of /metrics; 0 where it is not there yet."""
    lines = listener.get("/metrics").body.decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + " ")), 0.0)


def until(connection: socket.socket, end: bytes) -> bytes:
    """What comes, up to this end."""
    received = b""
    while not received.endswith(end):
        part = connection.recv(65_536)
        assert part, received
        received += part
    return received


def is_closed(connection: socket.socket, within_s: float) -> bool:
    """Whether the other side ends it, with or without an answer."""
    connection.settimeout(within_s)
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_a_large_body_is_refused_by_its_length_alone(listener: LocalListener) -> None:
    answer = listener.ask(HEAD + b"Content-Length: 100001\r\n\r\n")
    assert (answer.status, answer.body) == (413, b"the body is too large\n")
    assert listener.ask(HEAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n").status in {400, 413}
    head = listener.ask(HEAD.replace(b"POST", b"HEAD") + b"Content-Length: 100001\r\n\r\n")
    assert (head.status, head.body) == (413, b""), "what answers HEAD has no body"


def test_who_sends_a_large_body_all_the_same_reads_the_answer(listener: LocalListener) -> None:
    assert listener.post(bytes(5_000_000)).status == 413


def test_the_body_of_a_refused_request_is_not_taken_for_another_request(listener: LocalListener, sns: Sns) -> None:
    inner = request_of(told_of(sns, "smuggled.csv"))
    answer = listener.ask(HEAD + b"Content-Length: 200000\r\n\r\n" + inner)
    assert (answer.status, answer.body.count(b"HTTP/1.1")) == (413, 0)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -2\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: 0x2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length:\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Content-Length : 2\r\n",
        b" Content-Length: 2\r\n",
    ],
)
def test_a_length_that_two_readers_could_understand_differently_is_refused(
    listener: LocalListener, lines: bytes
) -> None:
    answer = listener.ask(HEAD + lines + b"\r\n{}")
    assert (answer.status in {400, 411}, answer.body.count(b"HTTP/1.1")) == (True, 0)


@pytest.mark.parametrize("rubbish", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\x00" * 100])
def test_what_is_no_http_is_refused(listener: LocalListener, rubbish: bytes) -> None:
    assert listener.ask(rubbish).status == 400


def test_a_head_without_end_is_refused_in_bounded_memory(listener: LocalListener) -> None:
    for endless in (b"X-A: " + b"a" * 300_000, b"X-A: a\r\n" * 40_000, b"X-A: " + b"a" * 17_000 + b"\r\n\r\n"):
        assert listener.ask(HEAD + endless).status == 431
    assert listener.ask(b"GET /" + b"a" * 300_000).status == 431


@pytest.mark.parametrize("sent", [b"P", HEAD, HEAD + b"Content-Length: 50\r\n\r\n{", b"\r\n"])
def test_a_request_that_stops_is_answered_and_closed(listener: LocalListener, sent: bytes) -> None:
    began_s = time.monotonic()
    assert listener.ask(sent).status == 408
    assert READ_S / 2 < time.monotonic() - began_s < READ_S + limits.LINGER_S + 3


def test_a_byte_now_and_then_does_not_prolong_it(listener: LocalListener) -> None:
    with listener.connect() as connection:
        began_s = time.monotonic()
        connection.sendall(HEAD + b"Content-Length: 5000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began_s < 10:
                connection.sendall(b" ")
                connection.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    if connection.recv(4096):
                        break
        assert time.monotonic() - began_s < READ_S + 2


def test_a_connection_on_which_nothing_is_asked_is_closed_without_an_answer(listener: LocalListener) -> None:
    with listener.connect() as connection:
        assert read_answer(connection).status == 0


@pytest.mark.long
def test_a_connection_serves_many_requests_and_each_has_its_own_time(listener: LocalListener, sns: Sns) -> None:
    with listener.connect(5) as connection:
        for each in range(3):
            connection.sendall(request_of(told_of(sns, f"kept-{each}.csv")))
            assert until(connection, b"stored\n").startswith(b"HTTP/1.1 200")
            time.sleep(READ_S)
        connection.sendall(HEAD)
        assert read_answer(connection).status == 408


def test_requests_that_follow_at_once_are_answered_in_order(listener: LocalListener, sns: Sns) -> None:
    first, second = (request_of(told_of(sns, f"pipelined-{each}.csv"), close=each == 1) for each in range(2))
    with listener.connect() as connection:
        connection.sendall(first + second[:-5])
        time.sleep(0.1)
        connection.sendall(second[-5:])
        received = read_answer(connection)
    assert (received.head + received.body.decode()).count("HTTP/1.1 200 OK") == 2


def test_what_is_not_taken_is_answered_once_and_after_its_whole_body(listener: LocalListener) -> None:
    with listener.connect() as connection:
        connection.sendall(HEAD.replace(b"/sns", b"/other") + b"Content-Length: 50000\r\n\r\n" + bytes(10_000))
        time.sleep(0.05)
        connection.sendall(bytes(40_000))
        assert until(connection, b"not found\n").count(b"HTTP/1.1") == 1
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = read_answer(connection)
    assert (answer.status, answer.body) == (200, b"ok\n")


def test_who_asks_for_thousands_at_once_costs_no_more_than_a_few(listener: LocalListener) -> None:
    before = number(listener, 'groundswell_listener_refused_total{by="503"}')
    answer = listener.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4_000)
    assert (answer.head + answer.body.decode()).count("HTTP/1.1") <= limits.PIPELINED + 1
    assert number(listener, 'groundswell_listener_refused_total{by="503"}') == before + 1


def test_a_request_that_stops_behind_another_does_not_take_its_place_for_ever(listener: LocalListener) -> None:
    with listener.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}" + HEAD + b"Content-Length: 50\r\n\r\n{")
        assert is_closed(connection, READ_S + limits.LINGER_S + 3)


def test_an_upgrade_is_not_followed(listener: LocalListener) -> None:
    lines = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"
    with listener.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n")
        assert until(connection, b"ok\n").startswith(b"HTTP/1.1 200")
    assert listener.ask(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test\r\n\r\n").status in {400, 404, 405}


def test_who_asks_first_whether_to_go_on_is_told(listener: LocalListener, sns: Sns) -> None:
    body = json.dumps(told_of(sns, "expected.csv")).encode()
    told = HEAD + b"Connection: close\r\nExpect: 100-continue\r\n"
    with listener.connect() as connection:
        connection.sendall(told + b"Content-Length: %d\r\n\r\n" % len(body))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert read_answer(connection).status == 200
    assert listener.ask(told + b"Content-Length: 100001\r\n\r\n").status == 413, "without sending it"


def test_who_waits_for_the_longest_gives_way_when_all_places_are_taken(listener: LocalListener, sns: Sns) -> None:
    before = number(listener, 'groundswell_listener_refused_total{by="connections"}')
    with ExitStack() as stack:
        slow = [stack.enter_context(listener.connect()) for _ in range(3 * PLACES)]
        for connection in slow[-PLACES:]:
            with contextlib.suppress(ConnectionError):
                connection.sendall(HEAD)
        assert post(listener, told_of(sns, "in-spite-of-all.csv")).status == 200
        assert number(listener, "groundswell_listener_connections") <= PLACES
        assert is_closed(slow[0], 5)
    assert number(listener, 'groundswell_listener_refused_total{by="connections"}') > before


@pytest.mark.long
def test_who_does_not_read_what_it_asked_for_is_cut_off(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PIPELINED", 100_000)
    with socket.socket() as connection:
        # So that the two systems between them keep little of what nobody reads.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        connection.connect(("127.0.0.1", listener.port))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000)
        deadline_s = time.monotonic() + 20
        while number(listener, "groundswell_listener_connections") > 1 and time.monotonic() < deadline_s:
            time.sleep(0.1)
        assert number(listener, "groundswell_listener_connections") == 1, "this one alone"


@pytest.mark.long
def test_parts_of_bodies_have_a_greatest_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELD_BYTES", 200_000)
    with run_sns(tmp_path) as sns, serve_listener(rules_of(tmp_path, sns)) as listener, ExitStack() as stack:
        slow = [stack.enter_context(listener.connect()) for _ in range(10)]
        for connection in slow:
            with contextlib.suppress(ConnectionError):
                connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(60_000))
            time.sleep(0.02)
        assert number(listener, "groundswell_listener_held_bytes") <= 200_000
        assert is_closed(slow[0], 5), "the one that waits for the longest"
        assert post(listener, told_of(sns, "small.csv")).status == 200
        stack.close()
        deadline_s = time.monotonic() + 5
        while number(listener, "groundswell_listener_held_bytes") and time.monotonic() < deadline_s:
            time.sleep(0.02)
        assert number(listener, "groundswell_listener_held_bytes") == 0
