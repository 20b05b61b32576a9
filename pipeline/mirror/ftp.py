"""A mirror over FTP: a few connections that are kept, binary mode, and proofs beside the end of a stream.

A data connection that is cut looks like one that has ended, so a file has come when the server says so (226) or when it
has the length that SIZE gave. Replies that name another host for data are not followed (ftplib's own rule).
"""

from __future__ import annotations

import asyncio
import ftplib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pipeline.config import mask_credentials
from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.mirror.transports import CHUNK_BYTES, Body, BusyError, MissingFileError, Patience, check_path

CONNECT_S = 30.0
LAST_WORD_S = 5.0
"""For the reply behind data that is complete by its length: some servers never send it."""
T = TypeVar("T")


class FtpMirror:
    """A GDAC below `ftp://[user:password@]host[:port]/folder`; without a user, anonymous."""

    def __init__(self, address: str, patience: Patience) -> None:
        """Connect to nothing yet."""
        parts = urlsplit(address)
        self._server = _Server(
            parts.hostname or "",
            parts.port or ftplib.FTP_PORT,
            unquote(parts.username or "anonymous"),
            unquote(parts.password or "anonymous@"),
            patience.timeout_s,
        )
        self._root = unquote(parts.path).strip("/")
        self._threads = ThreadPoolExecutor(patience.connections, thread_name_prefix="ftp")
        self._idle: list[ftplib.FTP] = []
        self._used, self._limit = 0, patience.connections
        self._freed = asyncio.Condition()
        self.uri = mask_credentials(address).rstrip("/")
        self.patience = patience

    @asynccontextmanager
    async def open(self, path: str, offset: int = 0) -> AsyncIterator[Body]:
        """As `Transport.open`; where the server cannot begin at an offset, from its beginning."""
        remote = f"{self._root}/{check_path(path)}".lstrip("/")
        shown = f"{self.uri}/{path}"
        async with self._turn():
            transfer = await self._begin(remote, offset, shown)
            try:
                yield Body(transfer.size, transfer.version, transfer.offset, self._chunks(transfer, shown))
            finally:
                transfer.end()
                if transfer.whole:
                    self._idle.append(transfer.control)

    async def close(self) -> None:
        for control in self._idle:
            _end(control)
        self._idle.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Room for one more connection; fewer fit once the server has said that there are too many."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._used < self._limit)
            self._used += 1
        try:
            yield
        finally:
            async with self._freed:
                self._used -= 1
                self._freed.notify_all()

    async def _begin(self, remote: str, offset: int, shown: str) -> _Transfer:
        """A transfer that has begun, on a kept connection if one still works."""
        while self._idle:
            # One that nobody has used for a while may have been ended by the server (421).
            with suppress(ftplib.error_temp, ftplib.error_proto, ftplib.error_reply, EOFError, OSError):
                return await self._asked(self._idle.pop(), remote, offset, shown)
        try:
            control = await self._run(self._server.connect, _end)
        except (ftplib.Error, EOFError, OSError) as error:
            raise self._unconnected(error, shown) from None
        try:
            return await self._asked(control, remote, offset, shown)
        except (ftplib.Error, EOFError, OSError) as error:
            raise self._explain(error, shown) from None

    async def _asked(self, control: ftplib.FTP, remote: str, offset: int, shown: str) -> _Transfer:
        """A transfer on this connection, which is kept where the server refuses, and ended by any other failure."""
        try:
            return await self._run(partial(_start, control, remote, offset), _Transfer.end)
        except ftplib.error_perm as error:
            self._idle.append(control)
            raise self._explain(error, shown) from None
        except BaseException:
            _end(control)
            raise

    async def _chunks(self, transfer: _Transfer, shown: str) -> AsyncGenerator[bytes]:
        came = transfer.offset
        try:
            while chunk := await self._run(partial(transfer.data.recv, CHUNK_BYTES)):
                came += len(chunk)
                yield chunk
            await self._run(partial(transfer.finish, complete=came == transfer.size))
        except (ftplib.Error, EOFError, OSError) as error:
            raise self._explain(error, shown) from None

    async def _run(self, work: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
        """`work` in a thread. undo: for what comes of it when nobody waits any more."""
        started = self._threads.submit(work)
        try:
            return await asyncio.wrap_future(started)
        except asyncio.CancelledError:
            started.add_done_callback(partial(_undo, undo))
            raise

    def _unconnected(self, error: Exception, shown: str) -> AssetError:
        """Why there is no connection; one that is one too many means fewer from now on."""
        code = str(error)[:3]
        if code in {"421", "530"} and self._used > 1:
            self._limit = max(1, min(self._limit, self._used) - 1)
            return BusyError(shown, f"FTP {code}: no more than {self._limit} connections")
        if code == "530":
            return PermanentAssetError(shown, "FTP 530: not logged in; check the user and password of the address")
        return self._explain(error, shown)

    def _explain(self, error: Exception, shown: str) -> AssetError:
        """The failure; a server's own words may name what is not ours to show, so only their code is kept."""
        code = str(error)[:3]
        if isinstance(error, ftplib.error_perm):
            kind = MissingFileError if code == "550" else PermanentAssetError
            return kind(shown, f"FTP {code}{': no such file' if code == '550' else ''}")
        if isinstance(error, TimeoutError):
            return TransientAssetError(shown, f"nothing came for {self.patience.timeout_s:g} s")
        if isinstance(error, ftplib.Error):
            return BusyError(shown, f"FTP {code}") if code == "421" else TransientAssetError(shown, f"FTP {code}")
        told = getattr(error, "strerror", None) or "the connection was closed"
        return TransientAssetError(shown, f"{type(error).__name__}: {told}")


@dataclass(frozen=True)
class _Server:
    host: str
    port: int
    user: str
    password: str
    timeout_s: float

    def connect(self) -> ftplib.FTP:
        """Logged in, in binary mode: in the other one, bytes change on the way."""
        control = ftplib.FTP()  # noqa: S321 (of public data, whose length and form are checked)
        try:
            control.connect(self.host, self.port, min(CONNECT_S, self.timeout_s))
            control.login(self.user, self.password)
            control.voidcmd("TYPE I")
            control.timeout = self.timeout_s
            if control.sock is not None:
                control.sock.settimeout(self.timeout_s)
        except (ftplib.Error, EOFError, OSError):
            control.close()
            raise
        return control


@dataclass
class _Transfer:
    """One file on its way."""

    control: ftplib.FTP
    data: socket.socket
    size: int | None
    version: str
    offset: int
    whole: bool = False
    """The server has said that all was sent: the connection can be used again."""
    ended: bool = False

    def finish(self, *, complete: bool) -> None:
        """The server's last word. Without it, only what is complete by its length is."""
        self.data.close()
        if complete and self.control.sock is not None:
            self.control.sock.settimeout(min(LAST_WORD_S, self.control.timeout or LAST_WORD_S))
        try:
            self.control.voidresp()
        except (ftplib.Error, EOFError, OSError):
            if not complete:
                raise
            return
        if self.control.sock is not None:
            self.control.sock.settimeout(self.control.timeout)
        self.whole = True

    def end(self) -> None:
        """Close what is open, and wake a thread that waits for data."""
        with suppress(OSError):
            self.data.shutdown(socket.SHUT_RDWR)
        self.data.close()
        if not self.whole:
            _end(self.control)


def _start(control: ftplib.FTP, remote: str, offset: int) -> _Transfer:
    size, changed = _told(control, f"SIZE {remote}"), _told(control, f"MDTM {remote}")
    begin = offset if size.isdigit() and offset < int(size) else 0
    try:
        data = control.transfercmd(f"RETR {remote}", begin or None)
    except ftplib.error_perm as error:
        if not begin or str(error).startswith("550"):
            raise
        begin, data = 0, control.transfercmd(f"RETR {remote}")
    version = f"{changed} {size}" if changed and size else ""
    return _Transfer(control, data, int(size) if size.isdigit() else None, version, begin)


def _told(control: ftplib.FTP, command: str) -> str:
    """What a server says to a question that it need not understand; empty where it does not."""
    try:
        return control.sendcmd(command)[4:].strip()
    except ftplib.error_perm:
        return ""


def _undo(undo: Callable[[T], None] | None, done: Future[T]) -> None:
    """In the thread itself: the event loop may have ended by then."""
    if not done.cancelled() and done.exception() is None and undo is not None:
        undo(done.result())


def _end(control: ftplib.FTP) -> None:
    """Close a connection, and wake a thread that waits for it."""
    if control.sock is not None:
        with suppress(OSError):
            control.sock.shutdown(socket.SHUT_RDWR)
    control.close()
