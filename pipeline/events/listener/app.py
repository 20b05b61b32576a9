"""The listener as an ASGI application: which path takes what, health, readiness and numbers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Generic, TypeVar

from pipeline.errors import GroundswellError
from pipeline.events.listener.numbers import ListenerNumbers
from pipeline.events.listener.posts import Posts
from pipeline.events.listener.sink import Sink

PATH = "/sns"
RETRY_AFTER_S = 20
"""What SNS waits between its first attempts anyway."""
_CHECK_S = 5.0
"""Of a store that answers neither yes nor no."""
_FRESH_S = 1.0
"""For which an answer of the store is given again, so that nobody can wear it out by asking."""

_T = TypeVar("_T")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_Page = Callable[[], Awaitable[tuple[int, bytes, str]]]
_TEXT = "text/plain; charset=utf-8"


class App:
    """Answers one request at a time for each connection; see the README for paths and statuses."""

    def __init__(self, posts: Posts, sink: Sink, numbers: ListenerNumbers) -> None:
        self._posts, self._sink, self._numbers = posts, sink, numbers
        self._ready = _Fresh(self._check)
        self._counts = _Fresh(self._count)
        self._pages: Mapping[str, _Page] = {"/healthz": _health, "/readyz": self._readiness, "/metrics": self._metrics}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        began_s = time.perf_counter()
        # Of all, also of what is refused: an answer before the end of its request could be taken for the next one's.
        body = await _whole(receive)
        if body is None:
            return
        page = self._pages.get(path)
        if page is None and path not in {PATH, "/"}:
            await _answer(send, 404, b"not found\n")
        elif page is not None and method in {"GET", "HEAD"}:
            status, body, kind = await page()
            await _answer(send, status, body, {"content-type": kind})
        elif page is None and method == "POST":
            outcome, verdicts = await self._posts.take(_named(scope["headers"]), body)
            await _answer(send, outcome.status, outcome.text.encode() + b"\n")
            self._numbers.answered(outcome, verdicts, time.perf_counter() - began_s)
        else:
            await _answer(send, 405, b"not allowed\n", {"allow": "POST" if page is None else "GET, HEAD"})

    async def _readiness(self) -> tuple[int, bytes, str]:
        ready = await self._ready.get()
        return (200, b"ready\n", _TEXT) if ready else (503, b"not ready\n", _TEXT)

    async def _metrics(self) -> tuple[int, bytes, str]:
        body, kind = self._numbers.page(await self._counts.get())
        return 200, body, kind

    def _check(self) -> bool:
        self._sink.check()
        return True

    def _count(self) -> Mapping[str, int]:
        return self._sink.counts()


class _Fresh(Generic[_T]):
    """What a store says, asked in a thread, by one at a time; None where it did not answer well, or in time."""

    def __init__(self, ask: Callable[[], _T]) -> None:
        self._ask, self._lock = ask, asyncio.Lock()
        self._answer: _T | None = None
        self._until_s = 0.0

    async def get(self) -> _T | None:
        async with self._lock:
            if time.monotonic() >= self._until_s:
                try:
                    self._answer = await asyncio.wait_for(asyncio.to_thread(self._ask), _CHECK_S)
                except (GroundswellError, TimeoutError):
                    self._answer = None
                self._until_s = time.monotonic() + _FRESH_S
            return self._answer


async def _health() -> tuple[int, bytes, str]:
    return 200, b"ok\n", _TEXT


def _named(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


async def _whole(receive: Receive) -> bytes | None:
    """The body, whose size the protocol has bounded; None where the sender is gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


async def _answer(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    told = {"content-type": _TEXT, "content-length": str(len(body)), "cache-control": "no-store", **(headers or {})}
    if status == 503:
        told["retry-after"] = str(RETRY_AFTER_S)
    raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})
