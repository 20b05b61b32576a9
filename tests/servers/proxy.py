"""A loopback HTTP proxy that spoils chosen answers: what a network does on a bad day, on demand."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Rule = Callable[[str, str], int | None]
"""(method, path) → None: pass on; 0: pass on, then cut the connection unanswered; a status: answer it at once."""


@contextlib.contextmanager
def run_proxy(upstream: str, rule: Rule, needs: tuple[str, str] | None = None) -> Iterator[str]:
    """Address of a proxy in front of `upstream`. The Host header is passed on, so that signatures stay right.

    needs: a header and its value without which every request is refused, once the rule has let it pass.
    """

    class Handler(_Handler):
        target = urlsplit(upstream).netloc
        decide = staticmethod(rule)
        needed = needs

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: str
    decide: Rule
    needed: tuple[str, str] | None

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        verdict = self.decide(self.command, self.path)
        if verdict:
            request = f"req-{verdict}"
            error = f"<Error><Code>SlowDown</Code><Message>asked to</Message><RequestId>{request}</RequestId></Error>"
            self._answer(verdict, {"x-amz-request-id": request}, error.encode())
            return
        if self.needed is not None and self.headers.get(self.needed[0]) != self.needed[1]:
            error = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self._answer(403, {"Content-Type": "application/xml"}, error.encode())
            return
        connection = http.client.HTTPConnection(self.target, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        if verdict == 0:
            self.close_connection = True
            return
        self._answer(response.status, dict(response.getheaders()), data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one  # noqa: N815 - names of the base class

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        length = headers.get("Content-Length", str(len(data))) if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; tests read the rule's own notes."""
