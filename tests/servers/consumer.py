"""Consumers of events as processes of their own, as they run beside a listener or in a pod."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
_START_S, _STOP_S = 60.0, 60.0


@dataclass(frozen=True)
class ConsumerProcess:
    """One that works."""

    process: subprocess.Popen[bytes]
    folder: Path

    def log(self) -> str:
        """What it and its children wrote."""
        return (self.folder / f"consumer-{self.process.pid}.log").read_text(errors="replace")

    def children(self) -> list[psutil.Process]:
        """The processes of its batches, with all that they started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self, *, wait: bool = True) -> None:
        """SIGKILL, as the kernel does where memory ran out; its children end by themselves."""
        children = self.children()
        self.process.kill()
        self.process.wait()
        if wait:
            _, alive = psutil.wait_procs(children, timeout=30)
            assert not alive, f"children outlive a consumer that was killed: {alive}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_STOP_S)

    def wait(self, timeout_s: float = _STOP_S) -> int:
        """Its exit code, when it has ended by itself."""
        return self.process.wait(timeout_s)


@contextlib.contextmanager
def run_consumer(config: Path, *options: str, environ: Mapping[str, str] | None = None) -> Iterator[ConsumerProcess]:
    """`python -m pipeline.events.consumer CONFIG` that works; it and its children have ended after the block.

    Its log is beside the config.
    """
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    read, write = os.pipe()
    with os.fdopen(write, "wb") as output:
        draft = config.parent / f"consumer-{time.monotonic_ns()}.log"
        with draft.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.events.consumer", str(config), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path, **(environ or {})},
                cwd=config.parent,
            )
    draft.rename(config.parent / f"consumer-{process.pid}.log")
    running = ConsumerProcess(process, config.parent)
    with os.fdopen(read, "rb") as answer:
        timer = threading.Timer(_START_S, process.kill)
        timer.start()
        line = answer.readline()
        timer.cancel()
        try:
            assert line == b"consuming\n", f"it did not start: {running.log()[-4000:]}"
            yield running
        finally:
            if process.poll() is None:
                try:
                    running.stop()
                except subprocess.TimeoutExpired:
                    running.kill()


def until(holds: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait until something holds; AssertionError with `what` where it does not within the time."""
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)
