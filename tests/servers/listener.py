"""The listener itself for tests: in a thread, with a clock of the test's own, or as the program that users start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.events import EventsConfig
from pipeline.events.listener.serve import bind, serving

START_S = 60.0
STOP_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What came back on one connection, as it was."""

    status: int
    """0: nothing came, or the connection was cut."""
    head: str
    body: bytes


@dataclass(frozen=True)
class LocalListener:
    """A listener that answers."""

    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What SNS posts to."""
        return f"{self.base}/sns"

    def connect(self, timeout_s: float = 20.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)

    def ask(self, request: bytes, timeout_s: float = 20.0) -> Answer:
        """The answer to these bytes, sent on a connection of their own; they should ask for its end."""
        with self.connect(timeout_s) as connection:
            connection.sendall(request)
            return read_answer(connection)

    def post(self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/sns") -> Answer:
        told = {"Host": "localhost", "Connection": "close", "Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return self.ask(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)

    def get(self, path: str, method: str = "GET") -> Answer:
        return self.ask(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())


def read_answer(connection: socket.socket) -> Answer:
    """All that comes until the other side is done."""
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    return Answer(int(words[1]) if len(words) > 1 else 0, head.decode("latin-1"), body)


@contextmanager
def serve_listener(config: EventsConfig, *, now_s: Callable[[], float] = time.time) -> Iterator[LocalListener]:
    """In a thread of this process, for as long as it is open; the port is a free one where the config says 0."""
    answers = threading.Event()
    with closing(bind(config)) as listening, serving(config, now_s=now_s, ready=answers.set) as server:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), name="listener")
        port = listening.getsockname()[1]
        thread.start()
        try:
            assert answers.wait(START_S), "the listener did not start"
            yield LocalListener(port)
        finally:
            server.should_exit = True
            thread.join(STOP_S)
            assert not thread.is_alive(), "the listener did not end"


@dataclass(frozen=True)
class ListenerProcess(LocalListener):
    """A listener in a process of its own."""

    process: subprocess.Popen[str]
    errors: Path

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def log(self) -> str:
        return self.errors.read_text()


@contextmanager
def run_listener(
    config: Path | None, environ: Mapping[str, str] | None = None, *options: str
) -> Iterator[ListenerProcess]:
    """The program on a config; its port is as the config says, or a free one by `environ={"PORT": "0"}`."""
    named = [] if config is None else [str(config)]
    with tempfile.TemporaryDirectory(prefix="listener-") as folder:
        errors = Path(folder) / "log"
        with errors.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.events.listener", *named, *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(environ or {})},
                cwd=Path(__file__).parents[2],
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://"), f"the listener did not start: {errors.read_text()[-2000:]}"
            yield ListenerProcess(int(line.rpartition(":")[2].partition("/")[0]), process, errors)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
