"""Schedulers and workers as processes of their own, started by Dask's own commands, as a computing centre would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster.tls import Credentials, Role, pod_environ, secret_items

_START_S = 60.0
_END_S = 15.0


class Processes:
    """Starts them, and ends each by its id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, environ: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """A process in a folder of its own, with the packages of this checkout; what it logs is in a file there."""
        log = self._folder / f"{len(self._started)}.log"
        path = os.pathsep.join((str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")))
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": path, **(environ or {})},
                cwd=self._folder,
                stderr=stream,
                **options,
            )
        self._started.append(process)
        return process

    def scheduler(
        self, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> tuple[str, subprocess.Popen[bytes]]:
        """(its address, its process): on a port that nobody else has."""
        file = self._folder / f"scheduler-{len(self._started)}.json"
        # Without its dashboard it still serves HTTP: by default on 8787 of all addresses, pods' on this machine too.
        http = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
        where = ("--host", "127.0.0.1", "--port", "0", *http, "--scheduler-file", str(file))
        process = self.start(sys.executable, "-m", "dask", "scheduler", *where, *arguments, environ=environ)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            assert process.poll() is None, self.logs()
            with suppress(FileNotFoundError, json.JSONDecodeError):
                return json.loads(file.read_text())["address"], process
            time.sleep(0.05)
        raise AssertionError(self.logs())

    def worker(
        self, address: str, name: str, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """One with a single thread, named as pods are."""
        own = ("--host", "127.0.0.1", "--name", name, "--nthreads", "1", "--no-dashboard", "--death-timeout", "60")
        described = {"DASK_SCHEDULER_ADDRESS": address, "DASK_WORKER_NAME": name, **(environ or {})}
        return self.start(sys.executable, "-m", "dask", "worker", address, *own, *arguments, environ=described)

    def tls(self, credentials: Credentials, role: Role) -> dict[str, str]:
        """The environment of a pod of this role, with its files in a folder of its own."""
        folder = self._folder / f"{role}-{len(self._started)}"
        folder.mkdir(exist_ok=True)
        secret = credentials.secret()
        for name in secret_items(role):
            (folder / name).write_text(secret[name])
        return pod_environ(role, str(folder))

    def logs(self) -> str:
        """What they wrote, for the message of a test that fails."""
        return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in sorted(self._folder.glob("*.log")))

    def end(self) -> None:
        """Ask each to go, workers before their scheduler, then make it."""
        for process in reversed(self._started):
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
