"""Every Python process of a run under test imports this by its name: it acts at one named commit step of the whole run.

The environment says what to do at which step; without the variable nothing is done. The steps are counted over all
processes in one file, under a lock that the rest of the run waits for while a part of it is ended.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import time
from pathlib import Path

MEET_TIMEOUT_S = 90
SLOW_S = 0.5
"""Every job takes at least this long when a run is slowed down."""


class AtStep(logging.Handler):
    """Does one thing just before the step of this name and number."""

    def __init__(self, action: str, step: str, number: int, book: str) -> None:
        super().__init__()
        self.action, self.step, self.number, self.book = action, step, number, Path(book)

    def emit(self, record: logging.LogRecord) -> None:
        step = record.getMessage().removeprefix("commit step ")
        with self.book.open("a+") as book:
            fcntl.flock(book, fcntl.LOCK_EX)
            print(step, file=book, flush=True)
            book.seek(0)
            steps = book.read().splitlines()
            if step != self.step or (steps.count(step) != self.number and self.action != "slow"):
                return
            if self.action in {"run", "worker"}:
                _kill(self.action)
        if self.action == "slow":
            time.sleep(SLOW_S)
        else:
            _wait(self.action, self.book)


def _kill(action: str) -> None:
    """SIGKILL to the whole run at once, as when a machine loses power; or to this worker alone."""
    if action == "run":
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _wait(action: str, book: Path) -> None:
    """`hold`: for longer than any test; `meet`: until the other run has come to the same step."""
    (book.parent / f"{book.name}.here").touch()
    deadline = time.monotonic() + MEET_TIMEOUT_S
    while time.monotonic() < deadline:
        if action == "meet" and len(list(book.parent.glob("*.here"))) == 2:
            (book.parent / f"{book.name}.met").touch()
            return
        time.sleep(0.005)


if order := os.environ.get("GROUNDSWELL_TEST_STEP"):
    logger = logging.getLogger("pipeline.write.commit")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(AtStep(**json.loads(order)))
