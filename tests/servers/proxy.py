"""A loopback HTTP proxy that spoils chosen answers: what a network and a store do on a bad day, on demand."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["refuse", "delay", "cut", "short", "reset", "drop", "stall"]


@dataclass(frozen=True)
class Fault:
    """What becomes of one request.

    `refuse`: answered at once with a status and an S3 error code, never passed on. `delay`: passed on, `seconds` later.
    `cut`: the length is announced in full, the connection ends after so many bytes. `short`: only so many bytes are
    announced and sent, as if they were all. `reset`: so many bytes, then RST. `drop`: passed on and done, never
    answered. `stall`: so many bytes, then nothing for `seconds`, then the end.
    """

    kind: Kind
    status: int = 503
    code: str = "SlowDown"
    bytes: int = 0
    """Of the body of the answer that come through."""
    seconds: float = 0.0


Verdict = Fault | int | None
"""None: pass on; 0: pass on, then cut the connection unanswered; a status: answer it at once."""
Rule = Callable[[str, str], Verdict]
"""(method, path with its query) → what becomes of the request."""


@dataclass
class Spoil:
    """A rule that spoils a seeded share of some requests, after the first few, at most so many; and counts them."""

    fault: Fault
    methods: tuple[str, ...] = ("GET", "PUT", "POST", "HEAD", "DELETE")
    part: str = ""
    """Of the path or query that a request must have."""
    share: float = 1.0
    seed: int = 0
    after: int = 0
    """So many fitting requests pass first."""
    most: int | None = None
    fitting: int = 0
    spoilt: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """How often each (method, path without query) was spoilt."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._source = random.Random(self.seed)  # noqa: S311 (chooses test cases)

    def __call__(self, method: str, path: str) -> Verdict:
        if method not in self.methods or self.part not in path:
            return None
        with self._lock:
            self.fitting += 1
            drawn = self._source.random() < self.share
            if self.fitting <= self.after or not drawn or (self.most is not None and self.spoilt >= self.most):
                return None
            self.spoilt += 1
            self.answers[f"{method} {path.partition('?')[0]}"] += 1
        return self.fault


@contextlib.contextmanager
def run_proxy(upstream: str, rule: Rule, needs: tuple[str, str] | None = None) -> Iterator[str]:
    """Address of a proxy in front of `upstream`. The Host header is passed on, so that signatures stay right.

    needs: a header and its value without which every request is refused, once the rule has let it pass.
    """

    class Handler(_Handler):
        target = urlsplit(upstream).netloc
        decide = staticmethod(rule)
        needed = needs
        ended = threading.Event()

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        Handler.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """As many may connect at once; with fewer, some wait a second for their next try."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever was waiting for an answer may have ended meanwhile: tests look at what they expect to come."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: str
    decide: Rule
    needed: tuple[str, str] | None
    ended: threading.Event

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        verdict = self.decide(self.command, self.path)
        fault = verdict if isinstance(verdict, Fault) else _fault(verdict)
        if fault is not None and fault.kind == "refuse":
            self._refuse(fault.status, fault.code, "asked to")
        elif fault is not None and fault.kind == "reset" and not fault.bytes:
            self._reset()
        elif self.needed is not None and self.headers.get(self.needed[0]) != self.needed[1]:
            self._refuse(403, "AccessDenied", "Access Denied")
        else:
            if fault is not None and fault.kind == "delay":
                self.ended.wait(fault.seconds)
            self._answer(*self._passed_on(body), fault)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one  # noqa: N815 - names of the base class

    def _passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.target, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        request = f"req-{status}"
        error = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request}</RequestId></Error>"
        headers = {"x-amz-request-id": request, "Content-Type": "application/xml"}
        self._answer(status, headers, error.encode(), None)

    def _answer(self, status: int, headers: dict[str, str], data: bytes, fault: Fault | None) -> None:
        if fault is not None and fault.kind == "drop":
            self.close_connection = True
            return
        partial = fault is not None and fault.kind in {"cut", "short", "reset", "stall"}
        sent = data[: fault.bytes] if fault is not None and partial else data
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        length = len(sent) if fault is not None and fault.kind == "short" else len(data)
        said = headers.get("Content-Length", str(length)) if self.command == "HEAD" else str(length)
        self.send_header("Content-Length", said)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)
        if fault is None or not partial:
            return
        self.close_connection = True
        if fault.kind == "stall":
            self.ended.wait(fault.seconds)
        elif fault.kind == "reset":
            self._reset()

    def _reset(self) -> None:
        """RST instead of FIN: whatever is on its way is thrown away at both ends."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The server would shut down first, which is a FIN; both names of the socket must be gone for it to be closed.
        self.rfile.close()
        with contextlib.suppress(OSError):
            self.wfile.flush()
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; tests read the rule's own notes."""


def _fault(verdict: int | None) -> Fault | None:
    """What the short forms of a verdict mean."""
    if verdict is None:
        return None
    return Fault("refuse", verdict) if verdict else Fault("drop")
