"""A file server on loopback, with ranges, that answers chosen requests wrongly: a reader's bad day, on demand."""

from __future__ import annotations

import contextlib
import hashlib
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
    """Before anything is said."""
    trickle_s: float = 0.0
    """Before each byte of the body."""
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
    """Names as `Content-Length` is written, however the client wrote them."""


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
    etags: bool = False
    """Whether answers carry an ETag, which tells one content from another."""
    ranges: bool = True
    """False: every answer is the whole file."""
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    busy: int = 0
    """Requests not answered yet."""
    most_busy: int = 0

    @contextlib.contextmanager
    def occupied(self) -> Iterator[None]:
        """One request more, while it is answered."""
        with self.lock:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        try:
            yield
        finally:
            with self.lock:
                self.busy -= 1

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
def run_faulty(
    files: Mapping[str, bytes], rule: Rule = truly, *, etags: bool = False, ranges: bool = True
) -> Iterator[FaultyServer]:
    """A server on a free loopback port while the block runs."""
    state = FaultyServer(files, rule, etags=etags, ranges=ranges)

    class Handler(_Handler):
        server_state = state

    server = _Server(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """As many may connect at once; with fewer, some wait a second for their next try."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: FaultyServer

    def handle_one(self) -> None:
        with self.server_state.occupied():
            self._handle()

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.title(): value for name, value in self.headers.items()}
        request = Request(self.command, parts.path, parts.query, body, headers)
        fault = self.server_state.admit(request) or Answer()
        threading.Event().wait(fault.delay_s)
        content = fault.body if fault.body is not None else self.server_state.files.get(parts.path)
        if fault.status is not None:
            self._send(fault.status, fault.body or b"", fault.headers, fault)
        elif content is None:
            self._send(404, b"", {}, fault)
        else:
            self._send_range(content, fault)

    do_GET = do_HEAD = do_POST = handle_one  # noqa: N815 - names of the base class

    def _send_range(self, content: bytes, fault: Answer) -> None:
        unit, _, span = self.headers.get("Range", "").partition("=")
        first_byte, _, last_byte = span.partition("-")
        tag = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'} if self.server_state.etags else {}
        if unit != "bytes" or not content or not self.server_state.ranges:
            self._send(200, content, tag, fault)
        elif int(first_byte) >= len(content):
            self._send(416, b"", {}, fault)
        else:
            start, stop = int(first_byte), min(int(last_byte or len(content)), len(content) - 1) + 1
            headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}", **tag}
            self._send(206, content[start:stop], headers, fault)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], fault: Answer) -> None:
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._send_body(body if fault.cut_bytes is None else body[: fault.cut_bytes], fault.trickle_s)
        if fault.cut_bytes is not None:
            self.close_connection = True

    def _send_body(self, body: bytes, trickle_s: float) -> None:
        if not trickle_s:
            self.wfile.write(body)
            return
        for byte in body:
            self.wfile.write(bytes([byte]))
            threading.Event().wait(trickle_s)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; tests read the state."""
