"""A file server with a signing service beside it, as the Planetary Computer has: without a live token, 403."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit


@dataclass
class TokenServer:
    """One folder over HTTP; `life_s` None: files are open, and there is no signing service."""

    folder: Path
    life_s: float | None
    delay_s: float
    """Every answer that carries a raster is held back so long."""
    address: str = ""
    """With a slash at its end."""
    signatures: dict[str, float] = field(default_factory=dict)
    """Every signature given out, and the time until which it is live."""
    used: set[str] = field(default_factory=set)
    """Signatures that opened a file."""
    refused: int = 0
    """Requests answered with 403."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def service(self) -> str:
        """What PC_SDK_SAS_URL is set to."""
        return f"{self.address}token"

    def issue(self) -> dict[str, str]:
        """A new token, in the words of the real service."""
        signature = secrets.token_hex(16)
        ends = time.time() + (self.life_s or 0)
        with self.lock:
            self.signatures[signature] = ends
        expiry = datetime.fromtimestamp(ends, UTC).isoformat().replace("+00:00", "Z")
        return {"msft:expiry": expiry, "token": f"se={quote(expiry)}&sp=rl&sv=2021-06-08&sr=c&sig={signature}%3D"}

    def admits(self, path: str, query: str) -> bool:
        """Whether a request may see the file: catalogues are open to all."""
        if self.life_s is None or path.endswith(".json"):
            return True
        signature = parse_qs(query).get("sig", [""])[0].removesuffix("=")
        with self.lock:
            live = self.signatures.get(signature, 0.0) > time.time()
            self.refused += not live
            if live:
                self.used.add(signature)
        return live

    def revoke(self) -> None:
        """End every token now, whatever its expiry said."""
        with self.lock:
            self.signatures = dict.fromkeys(self.signatures, 0.0)


@contextlib.contextmanager
def run_token_server(folder: Path, life_s: float | None = None, delay_s: float = 0.0) -> Iterator[TokenServer]:
    """A server on a free loopback port while the block runs; tokens live `life_s` seconds."""
    state = TokenServer(folder, life_s, delay_s)

    class Handler(_Handler):
        tokens = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tokens: TokenServer

    def handle_one(self) -> None:
        parts = urlsplit(self.path)
        name = parts.path.removeprefix("/")
        if name.startswith("token/") and self.tokens.life_s is not None:
            self._answer(200, json.dumps(self.tokens.issue()).encode())
        elif not self.tokens.admits(parts.path, parts.query):
            self._answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>")
        elif "/" in name or not (self.tokens.folder / name).is_file():
            self._answer(404, b"")
        else:
            if not name.endswith(".json"):
                time.sleep(self.tokens.delay_s)
            self._send_range((self.tokens.folder / name).read_bytes())

    do_GET = do_HEAD = handle_one  # noqa: N815 - names of the base class

    def _send_range(self, data: bytes) -> None:
        unit, _, span = self.headers.get("Range", "").partition("=")
        if unit != "bytes" or not data:
            self._answer(200, data)
            return
        first, _, last = span.partition("-")
        start, stop = int(first), min(int(last or len(data)), len(data) - 1) + 1
        if start >= len(data):
            self._answer(416, b"")
        else:
            self._answer(206, data[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; tests read the state."""
