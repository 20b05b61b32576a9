"""What one connection may take of the listener: time, bytes and a place; the rest is answered or closed here.

uvicorn leaves these to a proxy in front of it. This protocol has them itself, so that slow and large requests cost
neither memory nor the places of others, whatever stands in front.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 16 * 2**10
"""Greatest head of a request: its line and its headers. SNS sends less than 2 KiB."""
HELD_BYTES = 64 * 2**20
"""Greatest sum of the parts of bodies that have come and are not whole yet."""
PIPELINED = 8
"""Requests of one connection that wait for the answer to an earlier one. SNS sends none before its answer."""
LINGER_S = 2.0
"""What a sender that is refused may go on sending, unread, so that the answer is not lost to a reset."""
_TEXTS = {
    400: b"not a request of HTTP\n",
    408: b"the request did not come in time\n",
    411: b"Content-Length is required\n",
    413: b"the body is too large\n",
    431: b"the head of the request is too large\n",
    503: b"too much at once\n",
}


@dataclass(frozen=True)
class Limits:
    """Of one connection, and of all of them."""

    body_bytes: int
    read_s: float
    """From the connection, or the first byte of a further request, to the last byte of the body."""
    connections: int
    linger_s: float = LINGER_S


@dataclass
class Crowd:
    """All connections of a listener."""

    waiting: dict[Bounded, None] = field(default_factory=dict)
    """Those whose next request has not come as a whole, the one that waits for the longest first."""
    open: set[Bounded] = field(default_factory=set)
    held_bytes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """What was refused before it was a request: by status, or `connections` and `held`."""

    def make_place(self, limits: Limits) -> bool:
        """Whether one more fits; the one that has waited for the longest gives way, since real senders do not wait."""
        if len(self.open) < limits.connections:
            return True
        self.refused["connections"] += 1
        return self.drop_oldest()

    def drop_oldest(self) -> bool:
        """Close the connection that waits for the longest; False where all of them are being answered."""
        for oldest in self.waiting:
            oldest.drop()
            return True
        return False


def bounded(limits: Limits) -> tuple[type[asyncio.Protocol], Crowd]:
    """The protocol of one listener, for uvicorn's `http`, and the connections that it will have."""
    crowd = Crowd()
    return type("BoundedHttp", (Bounded,), {"limits": limits, "crowd": crowd}), crowd


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol with limits. The only class that knows uvicorn's inside; its version is pinned."""

    limits: Limits
    crowd: Crowd

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._abort: asyncio.TimerHandle | None = None
        self._head_bytes = self._header_bytes = self._held_bytes = 0
        self._in_head, self._refused = True, False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if not self.crowd.make_place(self.limits):
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self.crowd.open.add(self)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._deadline, self._abort):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        self._leave()
        if self.flow is not None:  # else it never had a place
            super().connection_lost(exc)

    def drop(self) -> None:
        """Close at once, without an answer; what it holds is free now, not in the next turn of the loop."""
        self._refused = True
        self._leave()
        self._give_up_body()
        self.transport.abort()

    def _leave(self) -> None:
        self.crowd.open.discard(self)
        self.crowd.waiting.pop(self, None)
        self._release()

    def _release(self, kept_bytes: int = 0) -> None:
        self.crowd.held_bytes += kept_bytes - self._held_bytes
        self._held_bytes = kept_bytes

    def _await_request(self) -> None:
        if self._deadline is None:
            # Again the last of those that wait: it was idle until now.
            self.crowd.waiting.pop(self, None)
            self._deadline = self.loop.call_later(self.limits.read_s, self._too_late)
        self.crowd.waiting.setdefault(self)

    def _too_late(self) -> None:
        self._deadline = None
        if self._head_bytes or not self._in_head:
            self._refuse(408)
        else:  # nothing was asked, so nothing is answered: the sender could take it for the answer to what it sends now
            self._close()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._is_idle():  # also of a byte that begins no request, such as an empty line
            self._await_request()
        if self._in_head:
            # Before the parser has it, which keeps an endless line to itself.
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self._refused:
            self._refuse(431)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        if self._refused:
            return
        super().on_message_begin()
        self._in_head, self._header_bytes = True, 0
        self._await_request()

    def on_url(self, url: bytes) -> None:
        if not self._refused:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._refused:  # the rest of what came at once, which could be thousands
            return
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes + len(self.url) > HEAD_BYTES:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._refused:
            return
        status = self._fault()
        if status:
            self._refuse(status)
        else:
            super().on_headers_complete()

    def _fault(self) -> int:
        """Status of what is not to be read; 0 where it is. The parser has refused lengths that are none or differ."""
        headers = dict(self.headers)
        length = headers.get(b"content-length")
        if b"transfer-encoding" in headers or (length is None and self.parser.get_method() == b"POST"):
            return 411
        # By its digits, as a number of thousands of them is refused by `int`.
        if length is not None and (len(length) > 15 or int(length) > self.limits.body_bytes):
            return 413
        return 503 if len(self.pipeline) >= PIPELINED else 0

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        self._held_bytes += len(body)
        self.crowd.held_bytes += len(body)
        while self.crowd.held_bytes > HELD_BYTES and not self._refused:
            self.crowd.refused["held"] += 1
            if not self.crowd.drop_oldest():
                self._refuse(503)
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._head_bytes = 0
        self.crowd.waiting.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._release(sum(len(cycle.body) for cycle, _ in self.pipeline))
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_later()
        elif self._is_idle():
            # Idle until a byte comes, for as long as `timeout_keep_alive` says.
            self._in_head = True
            self.crowd.waiting.setdefault(self)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (of uvicorn, for its own log)
        """The parser understood no more."""
        if not self._refused:
            self._refuse(400)

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing is upgraded, and no log filled by who asks for it."""

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def pause_writing(self) -> None:
        """Somebody does not read what was answered."""
        super().pause_writing()
        self._abort_later(self.limits.read_s)

    def resume_writing(self) -> None:
        if self._abort is not None and not self.transport.is_closing():
            self._abort.cancel()
            self._abort = None
        super().resume_writing()

    def _refuse(self, status: int) -> None:
        """Answer and close: the sender may go on for a while, and nothing of it is kept."""
        self._refused = True
        self.crowd.refused[str(status)] += 1
        self.crowd.waiting.setdefault(self)  # others may have its place
        if self._deadline is not None:
            self._deadline.cancel()
        at_work = self.pipeline or (self.cycle is not None and not self.cycle.more_body and not self._is_idle())
        self._give_up_body()
        self._release()
        if at_work or self.transport.is_closing():  # an answer now would be taken for that of an earlier request
            self._close()
            return
        text = _TEXTS[status]
        head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(text)
        self.transport.write(STATUS_LINE[status] + head + (b"" if self.parser.get_method() == b"HEAD" else text))
        self.flow.resume_reading()
        with suppress(OSError):  # the sender is gone already
            self.transport.write_eof()
        self._deadline = self.loop.call_later(self.limits.linger_s, self._close)

    def _give_up_body(self) -> None:
        """Let the application that waits for the rest of a body go."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
        self._abort_later()

    def _abort_later(self, seconds: float | None = None) -> None:
        """End it whether or not its answer was read."""
        if self._abort is None:
            self._abort = self.loop.call_later(
                self.limits.linger_s if seconds is None else seconds, self.transport.abort
            )
