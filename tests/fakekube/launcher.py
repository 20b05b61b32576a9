"""Starts processes by the zygote, from within an event loop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakekube.errors import Json

ROOT = Path(__file__).parents[2]
PRELOAD = (
    "distributed.cli.dask_scheduler",
    "distributed.dashboard.scheduler",
    "distributed.dashboard.worker",
    "distributed.cli.dask_spec",
    "distributed.cli.dask_worker",
    "distributed.http.scheduler.api",
    "dask.cli",
    "kopf.cli",
    "dask_kubernetes.operator.controller.controller",
    "pipeline.execute.driver.drive",
)
"""Imported once for all containers."""


@dataclass(frozen=True)
class Process:
    """A container's first process, and the group of all that it starts."""

    pid: int
    ended: asyncio.Future[int]
    """Its exit code; of one ended by a signal, minus the signal's number."""
    launcher: Launcher

    def signal(self, number: signal.Signals) -> None:
        """To all of its group; nothing where it has ended."""
        self.launcher.tell({"pid": self.pid, "signal": int(number)})


class Launcher:
    """Speaks with the zygote."""

    def __init__(self) -> None:
        self._asked: dict[int, asyncio.Future[Process]] = {}
        self._running: dict[int, asyncio.Future[int]] = {}
        self._count = 0
        self._writer: asyncio.StreamWriter
        self._zygote: asyncio.subprocess.Process
        self._listening: asyncio.Task[None]

    async def start(self, log: Path, preload: Sequence[str]) -> None:
        """Returns when everything is imported."""
        ours, theirs = socket.socketpair()
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OPENBLAS_NUM_THREADS": "1",
        }
        with log.open("ab") as output:
            self._zygote = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.fakekube.zygote",
                str(theirs.fileno()),
                *preload,
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        theirs.close()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        first = await reader.readline()
        if not first:
            raise RuntimeError(f"the process that containers are forked from did not start: see {log}")
        self._listening = asyncio.create_task(self._listen(reader))

    async def stop(self) -> None:
        """End every process that was started."""
        self._writer.close()
        await self._zygote.wait()
        self._listening.cancel()

    def tell(self, message: Mapping[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def launch(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> Process:
        """Start a command with exactly that environment, its output added to a file."""
        self._count += 1
        asked: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._asked[self._count] = asked
        self.tell(
            {
                "id": self._count,
                "arguments": list(arguments),
                "environment": dict(environment),
                "folder": str(folder),
                "output": str(log),
            }
        )
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(lambda made: made.result().signal(signal.SIGKILL))
            raise

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self._hear(json.loads(line))

    def _hear(self, message: Json) -> None:
        pid = message["pid"]
        if "code" in message:
            ended = self._running.pop(pid)
            if not ended.done():
                ended.set_result(message["code"])
            return
        ended = self._running[pid] = asyncio.get_running_loop().create_future()
        asked = self._asked.pop(message["id"])
        if not asked.done():
            asked.set_result(Process(pid, ended, self))

    @property
    def running(self) -> list[int]:
        return sorted(self._running)
