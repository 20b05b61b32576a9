"""One GET that ends: so many seconds for all of it, so many bytes, and never to another place than the one named."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from pipeline.errors import GroundswellError

_AGENT = "groundswell"
_LOOK_S = 0.02


class UnreachableError(GroundswellError):
    """There was no answer, or not all of it, or one that says that the server has a fault."""


class AnswerError(GroundswellError):
    """There was an answer, and not the one that was needed."""


def read(url: str, seconds: float, most_bytes: int) -> bytes:
    """What is at an address of HTTP or HTTPS, over the proxy of the environment where there is one.

    seconds: for each address of the server to take the connection, and for all of the rest.
    Raises UnreachableError where another attempt may succeed, AnswerError for all other statuses than 200 (redirects
    among them: none is followed) and for more bytes than allowed.
    """
    ends = time.monotonic() + seconds
    parts = urlsplit(url)
    connection, target, further = _way(parts, seconds)
    try:
        with _cut_at(ends, lambda: connection.sock):  # a proxy may send a byte now and then as well
            connection.connect()
        line = connection.sock
        with _cut_at(ends, lambda: line):
            headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity", "Connection": "close", **further}
            connection.request("GET", target, headers=headers)
            with connection.getresponse() as answer:
                body = _body(answer, url, most_bytes)
    except (OSError, http.client.HTTPException) as error:
        late = isinstance(error, TimeoutError) or time.monotonic() >= ends
        cause = f"no whole answer within {seconds:g} s" if late else error or type(error).__name__
        raise UnreachableError(f"{url}: {cause}") from error
    finally:
        connection.close()
    if time.monotonic() >= ends:  # it was cut, which looks like an end
        raise UnreachableError(f"{url}: no whole answer within {seconds:g} s")
    return body


def _body(answer: http.client.HTTPResponse, url: str, most_bytes: int) -> bytes:
    if answer.status >= 500 or answer.status in {408, 429}:
        raise UnreachableError(f"{url}: answered with HTTP status {answer.status}")
    if answer.status != 200:
        raise AnswerError(f"{url}: answered with HTTP status {answer.status}; required: 200")
    body = answer.read(most_bytes + 1)
    if len(body) > most_bytes:
        raise AnswerError(f"{url}: found more than {most_bytes} bytes; allowed: {most_bytes}")
    if answer.length:
        raise http.client.IncompleteRead(body, answer.length)
    return body


def _way(parts: SplitResult, seconds: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """A connection that is not open yet, what is asked for over it, and with which further headers."""
    host, target = parts.hostname or "", parts.path or "/"
    proxy = None if proxy_bypass(host) else getproxies().get(parts.scheme)
    if proxy is None:
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=seconds), target, {}
        return http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=_context()), target, {}
    by = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    place, port, rights = by.hostname or "", _proxy_port(by), _proxy_rights(by)
    if parts.scheme == "http":
        return http.client.HTTPConnection(place, port, timeout=seconds), parts.geturl(), rights
    tunnel = http.client.HTTPSConnection(place, port, timeout=seconds, context=_context())
    tunnel.set_tunnel(host, parts.port or 443, rights)
    return tunnel, target, {}


def _proxy_port(by: SplitResult) -> int:
    """Of a proxy that is spoken to in the clear: no other is, and what it is sent has its password."""
    try:
        port = by.port or 80
    except ValueError:
        port = 0
    if by.scheme != "http" or not by.hostname or not port:
        raise UnreachableError("found a proxy in the environment of another form than http://<host>:<port>")
    return port


def _proxy_rights(by: SplitResult) -> dict[str, str]:
    if by.username is None:
        return {}
    said = f"{unquote(by.username)}:{unquote(by.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(said.encode()).decode()}"}


def _context() -> ssl.SSLContext:
    """This machine's authorities (SSL_CERT_FILE among them), and those that come with the package certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


@contextlib.contextmanager
def _cut_at(ends: float, line: Callable[[], socket.socket | None]) -> Iterator[None]:
    """End a connection at a time of the monotonic clock: a server that sends a byte now and then meets no time-out.

    line: the connection as it is then, which may come into being only later.
    """
    done = threading.Event()

    def watch() -> None:
        done.wait(max(0.0, ends - time.monotonic()))
        while not done.wait(_LOOK_S):
            with contextlib.suppress(OSError):  # it ended by itself
                if (found := line()) is not None:
                    found.shutdown(socket.SHUT_RDWR)

    watcher = threading.Thread(target=watch, name="cut", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
