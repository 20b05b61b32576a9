"""A receiver of webhooks on loopback, which answers as it is told and keeps what it got."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, Mapping[str, str], float]
"""Status, headers, and the seconds that it takes."""
Rule = Callable[[int, bytes], Answer]
"""From the number of the request, from 0, and its body."""


@dataclass(frozen=True)
class Got:
    """One request."""

    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    status: int
    """That was answered."""


@dataclass
class Receiver:
    """Where it listens, and what came."""

    url: str
    got: list[Got] = field(default_factory=list)

    @property
    def taken(self) -> list[bytes]:
        """Bodies of the requests that were answered with success."""
        return [one.body for one in self.got if one.status < 300]


def fine(_number: int, _body: bytes) -> Answer:
    """A rule: everything is taken, at once."""
    return 204, {}, 0.0


@contextmanager
def run_receiver(rule: Rule = fine) -> Iterator[Receiver]:
    """Listens for as long as it is open."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                number = self.server.count = getattr(self.server, "count", -1) + 1  # type: ignore[attr-defined]
            status, headers, seconds = rule(number, body)
            time.sleep(seconds)
            with lock:
                receiver.got.append(Got({key.lower(): text for key, text in self.headers.items()}, body, status))
            self.send_response(status)
            for key, text in headers.items():
                self.send_header(key, text)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook?token=not-to-be-told")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
