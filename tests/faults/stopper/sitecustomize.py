"""Every Python process of a run under test imports this by its name: it acts at one named commit step of the whole run.

The environment says what to do at which step; without the variable nothing is done. Steps are those of a commit, and
`begin <job>`. They are counted over all processes in one file, under a lock that the rest of the run waits for while a
part of it is ended. Number 0 means every time.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import logging
import os
import signal
import time
from pathlib import Path

TASKS = "pipeline.execute.worker.task"
MEET_TIMEOUT_S = 90
HOLD_TIMEOUT_S = 600.0
SLOW_S = 0.5
"""Every job takes at least this long when a run is slowed down."""


class AtStep(logging.Handler):
    """Does one thing just before the step of this name and number."""

    def __init__(self, action: str, step: str, number: int, book: str, seconds: float = SLOW_S) -> None:
        super().__init__()
        self.seconds = seconds
        self.action, self.step, self.number, self.book = action, step, number, Path(book)

    def emit(self, record: logging.LogRecord) -> None:
        step = record.getMessage().removeprefix("commit step ")
        if record.name == TASKS and not step.startswith("begin "):
            return
        with self.book.open("a+") as book:
            fcntl.flock(book, fcntl.LOCK_EX)
            print(step, file=book, flush=True)
            book.seek(0)
            steps = book.read().splitlines()
            if step != self.step or self.number not in {0, steps.count(step)}:
                return
            if self.action in {"run", "worker"}:
                _kill(self.action)
        if self.action == "slow":
            time.sleep(self.seconds)
        elif self.action in {"meet", "hold"}:
            _wait(self.action, self.book)
        else:
            _break(self.action)


def _kill(action: str) -> None:
    """SIGKILL to the whole run at once, as when a machine loses power; or to this worker alone."""
    if action == "run":
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _break(action: str) -> None:
    """What the code of a job may do, by fault or through damaged input."""
    if action == "segfault":
        ctypes.string_at(0)
    elif action == "hog":
        held = []
        while True:
            held.append(os.urandom(2**20) * 32)
            time.sleep(0.01)  # so that who watches it sees it before the machine suffers
    elif action == "spin":  # in C, with the interpreter's lock: no signal, no thread and no heartbeat comes through
        ctypes.PyDLL(None).sleep(MEET_TIMEOUT_S)
    raise RuntimeError("broken on purpose")


def _wait(action: str, book: Path) -> None:
    """`hold`: for longer than any test; `meet`: until the other run has come to the same step."""
    (book.parent / f"{book.name}.here").touch()
    deadline = time.monotonic() + (HOLD_TIMEOUT_S if action == "hold" else MEET_TIMEOUT_S)
    while time.monotonic() < deadline:
        if action == "meet" and len(list(book.parent.glob("*.here"))) == 2:
            (book.parent / f"{book.name}.met").touch()
            return
        time.sleep(0.005)


if order := os.environ.get("GROUNDSWELL_TEST_STEP"):
    handler = AtStep(**json.loads(order))
    for name in ("pipeline.write.commit", TASKS):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
