"""A GET ends by itself, whatever the server does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.events.proof.bounded import AnswerError, UnreachableError, read
from tests.servers.signer import make_authority, make_leaf

SECONDS = 10.0
Talk = Callable[[socket.socket], None]
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.contextmanager
def run_talker(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that says to each connection what `talk` says; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):  # the server's end, or the client's
                while True:
                    line, _ = server.accept()
                    with contextlib.suppress(OSError), line:
                        if context is None:
                            talk(line)
                        else:
                            with context.wrap_socket(line, server_side=True) as secret:
                                talk(secret)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def saying(data: bytes) -> Talk:
    def talk(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(data)

    return talk


def slowly(begin: bytes) -> Talk:
    def talk(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(begin)
        for _ in range(100):
            time.sleep(0.1)
            line.sendall(b"x")

    return talk


def test_what_is_there_is_read() -> None:
    with run_talker(saying(FINE)) as port:
        assert read(f"http://127.0.0.1:{port}/a", SECONDS, 2) == b"ok"


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "status 204"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlong", "more than 2 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, "more than 2 bytes"),
    ],
)
def test_another_answer_is_final(said: bytes, match: str) -> None:
    with run_talker(saying(said)) as port, pytest.raises(AnswerError, match=match):
        read(f"http://127.0.0.1:{port}/a", SECONDS, 2)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\nok",
    ],
)
def test_half_an_answer_may_be_whole_next_time(said: bytes) -> None:
    with run_talker(saying(said)) as port, pytest.raises(UnreachableError, match=f"http://127.0.0.1:{port}/a: "):
        read(f"http://127.0.0.1:{port}/a", SECONDS, 20)


def test_nobody_listens() -> None:
    with pytest.raises(UnreachableError, match="refused"):
        read("http://127.0.0.1:9/a", SECONDS, 20)


@pytest.mark.parametrize(
    "begin",
    [b"", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n"],
)
def test_a_server_that_sends_a_byte_now_and_then_is_left_in_time(begin: bytes) -> None:
    with run_talker(slowly(begin)) as port:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=r"within 0\.25 s"):
            read(f"http://127.0.0.1:{port}/a", 0.25, 16_384)
        assert time.monotonic() - began < 2.0


def test_a_proxy_that_sends_a_byte_now_and_then_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before there is a tunnel, too."""
    monkeypatch.setenv("no_proxy", "")
    with run_talker(slowly(b"HTTP/1.1 200 OK\r\nx: ")) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=r"within 0\.25 s"):
            read("https://sns.us-east-1.amazonaws.com/a.pem", 0.25, 16_384)
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    "proxy", ["http://user:open/sesame@127.0.0.1:9", "https://127.0.0.1:9", "socks5://127.0.0.1:9"]
)
def test_a_proxy_of_another_form_is_told_of_without_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(UnreachableError, match="another form than http://<host>:<port>") as caught:
        read("https://sns.us-east-1.amazonaws.com/a.pem", SECONDS, 20)
    assert "open" not in "".join(traceback.format_exception(caught.value))


def test_https_takes_the_authorities_of_the_machine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(datetime.now(UTC))
    leaf = make_leaf(authority, datetime.now(UTC), "localhost")
    pem = tmp_path / "server.pem"
    pem.write_bytes(leaf.private_pem + leaf.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    with run_talker(saying(FINE), context) as port:
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            read(f"https://localhost:{port}/a", SECONDS, 20)
        (tmp_path / "authority.pem").write_bytes(authority.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert read(f"https://localhost:{port}/a", SECONDS, 20) == b"ok"
        with pytest.raises(UnreachableError, match="mismatch"):
            read(f"https://127.0.0.1:{port}/a", SECONDS, 20)


def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    def talk(line: socket.socket) -> None:
        heard.append(line.recv(65536))
        line.sendall(FINE if heard[-1].startswith(b"GET") else b"HTTP/1.1 407 Rights\r\n\r\n")

    with run_talker(talk) as port:
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("http_proxy", f"http://user:wo%20rd@127.0.0.1:{port}")
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{port}")
        assert read("http://crt.r2m01.amazontrust.com/r2m01.cer", SECONDS, 20) == b"ok"
        with pytest.raises(UnreachableError, match="407"):
            read("https://sns.us-east-1.amazonaws.com/a.pem", SECONDS, 20)
    assert heard[0].startswith(b"GET http://crt.r2m01.amazontrust.com/r2m01.cer HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjp3byByZA==" in heard[0]
    assert heard[1].startswith(b"CONNECT sns.us-east-1.amazonaws.com:443 HTTP/1.")
