"""A file server on loopback, with ranges, that answers chosen requests wrongly: a reader's bad day, on demand."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What is said instead of the truth; None keeps that part true."""

    status: int | None = None
    body: bytes | None = None
    cut_bytes: int | None = None
    """The length is announced in full, then the connection is cut after so many bytes of the body."""
    delay_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent beside a status, such as a Location."""


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    """Without the query."""
    query: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Rule = Callable[[Request, int], Answer | None]
"""(request, how many came before it for that path) → None: answer truly."""


@dataclass
class FaultyServer:
    """Files by name; `rule` decides which answers are spoilt."""

    files: Mapping[str, bytes]
    """Path, with its slash, to content."""
    rule: Rule
    address: str = ""
    """Without a slash at its end."""
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, request: Request) -> Answer | None:
        with self.lock:
            earlier = sum(one.path == request.path for one in self.requests)
            self.requests.append(request)
        return self.rule(request, earlier)

    def count(self, path: str) -> int:
        """Requests for a path so far."""
        with self.lock:
            return sum(one.path == path for one in self.requests)


def truly(_request: Request, _earlier: int) -> Answer | None:
    """No fault at all."""
    return None


def first(count: int, answer: Answer) -> Rule:
    """The first requests of every path get that answer, later ones the truth."""
    return lambda _, earlier: answer if earlier < count else None


def always(answer: Answer) -> Rule:
    return lambda _request, _earlier: answer


@contextlib.contextmanager
def run_faulty(files: Mapping[str, bytes], rule: Rule = truly) -> Iterator[FaultyServer]:
    """A server on a free loopback port while the block runs."""
    state = FaultyServer(files, rule)

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: FaultyServer

    def handle_one(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, parts.path, parts.query, body, dict(self.headers))
        fault = self.server_state.admit(request) or Answer()
        threading.Event().wait(fault.delay_s)
        content = fault.body if fault.body is not None else self.server_state.files.get(parts.path)
        if fault.status is not None:
            self._send(fault.status, fault.body or b"", fault.headers, None)
        elif content is None:
            self._send(404, b"", {}, None)
        else:
            self._send_range(content, fault.cut_bytes)

    do_GET = do_HEAD = do_POST = handle_one  # noqa: N815 - names of the base class

    def _send_range(self, content: bytes, cut_bytes: int | None) -> None:
        unit, _, span = self.headers.get("Range", "").partition("=")
        first_byte, _, last_byte = span.partition("-")
        if unit != "bytes" or not content:
            self._send(200, content, {}, cut_bytes)
        elif int(first_byte) >= len(content):
            self._send(416, b"", {}, None)
        else:
            start, stop = int(first_byte), min(int(last_byte or len(content)), len(content) - 1) + 1
            headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}
            self._send(206, content[start:stop], headers, cut_bytes)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], cut_bytes: int | None) -> None:
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body if cut_bytes is None else body[:cut_bytes])
        if cut_bytes is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; tests read the state."""
