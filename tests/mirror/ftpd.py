"""A real FTP server (pyftpdlib) on loopback whose answers a test may spoil."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # Python 3.11 warns of its own asyncore; later ones have it from a package.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import DTPHandler, FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer


@dataclass
class FtpServer:
    """What is served, what goes wrong, and what was asked; all may be changed while it runs."""

    root: Path
    address: str = ""
    cut_bytes: int | None = None
    """The next transfer's data connection is closed after so many bytes, as if all had been sent or not."""
    cut_code: str = "426"
    """What is said after that."""
    silent_end: bool = False
    """Nothing is said after the data."""
    refuse: set[str] = field(default_factory=set)
    """Commands this server does not know."""
    drop_idle: bool = False
    """Say 421 to the first command after each transfer, as to somebody who was idle."""
    before: Any = None
    """Called with the path before a transfer begins."""
    commands: list[str] = field(default_factory=list)
    logins: int = 0
    most_connections: int = 0

    def count(self, command: str) -> int:
        return sum(each == command for each in self.commands)


@contextlib.contextmanager
def run_ftp(
    root: Path, *, most: int = 64, user: tuple[str, str] | None = None, sends_to: str | None = None
) -> Iterator[FtpServer]:
    """A server of the files below `root`, to anybody or to one user, while the block runs.

    most: connections it takes before it says 421. sends_to: the host it names for data connections.
    """
    state = FtpServer(root)
    authorizer = DummyAuthorizer()
    if user is None:
        authorizer.add_anonymous(str(root))
    else:
        authorizer.add_user(*user, str(root), perm="elr")
    own = {"state": state, "authorizer": authorizer, "banner": "ready", "masquerade_address": sends_to}
    handler = type("Handler", (_Handler,), own)
    loop = IOLoop()
    server = FTPServer(("127.0.0.1", 0), handler, ioloop=loop)
    server.max_cons = most
    state.address = f"ftp://127.0.0.1:{server.address[1]}"
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            server.serve_forever(timeout=0.01, blocking=False)
            time.sleep(0.001)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        ending.set()
        thread.join()
        server.close_all()


class _Data(DTPHandler):  # type: ignore[misc]
    def push_with_producer(self, producer: Any) -> None:
        state: FtpServer = self.cmd_channel.state
        if state.cut_bytes is not None:
            data = producer.file.read(state.cut_bytes)
            state.cut_bytes = None
            self.socket.settimeout(10)
            self.socket.sendall(data)
            self._resp = (f"{state.cut_code} that was it.", lambda *_: None)
            self.close()
            return
        super().push_with_producer(producer)

    def close(self) -> None:
        if self.cmd_channel.state.silent_end and self._resp:
            self._resp = None  # type: ignore[assignment]
        super().close()


class _Handler(FTPHandler):  # type: ignore[misc]
    state: FtpServer
    dtp_handler = _Data
    use_sendfile = False
    auth_failed_timeout = 0

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        self.state.commands.append(cmd)
        self.state.most_connections = max(self.state.most_connections, len(self.server.ip_map))
        if self.state.drop_idle and getattr(self, "served", False):
            self.respond("421 idle for too long.")
            self.close_when_done()
        elif cmd in self.state.refuse:
            self.respond(f'502 Command "{cmd}" not implemented.')
        else:
            super().pre_process_command(line, cmd, arg)

    def ftp_RETR(self, file: str) -> Any:  # noqa: N802 (a name of the library)
        if self.state.before is not None:
            self.state.before(Path(file))
        self.served = True
        return super().ftp_RETR(file)

    def on_login(self, username: str) -> None:  # noqa: ARG002 (a name of the library)
        self.state.logins += 1

    def log(self, *_args: Any, **_options: Any) -> None:
        """Tests read the state."""

    logline = logerror = log
