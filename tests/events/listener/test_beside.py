"""A process that is kept going."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipeline.events.listener.beside import Beside, consumer_command

ENDS = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text() + 'x'); sys.exit(3)"
STAYS = """
import signal, sys, pathlib, time
p = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (p.write_text('ended well'), sys.exit(0)))
p.write_text('at work')
for _ in range(6000):  # short ones, as a signal just before a long one would wait for its end
    time.sleep(0.01)
"""
HANGS = STAYS.replace("lambda *_: (p.write_text('ended well'), sys.exit(0))", "signal.SIG_IGN")


@pytest.fixture
def told(tmp_path: Path) -> Path:
    path = tmp_path / "told"
    path.write_text("")
    return path


def program(code: str, told: Path) -> list[str]:
    return [sys.executable, "-S", "-c", code, str(told)]


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def real_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pytest's own has no descriptor to hand to a process."""
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)


def test_what_ends_is_begun_again_later_each_time(told: Path, caplog: pytest.LogCaptureFixture) -> None:
    beside = Beside(program(ENDS, told), pause_s=0.02)
    until(lambda: len(caplog.records) >= 3)
    beside.close()
    assert len(told.read_text()) >= 3
    assert [record.getMessage() for record in caplog.records][:3] == [
        f"the consumer ended with 3 and is begun again in {seconds} s" for seconds in ("0.02", "0.04", "0.08")
    ]
    assert all(record.levelno == logging.ERROR for record in caplog.records)


def test_what_cannot_be_begun_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "program"
    beside = Beside([str(path)], pause_s=0.02)
    until(lambda: len(caplog.records) >= 2)
    assert beside.pid is None and "cannot be begun" in caplog.records[0].getMessage()
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o700)
    until(lambda: beside.pid is not None)
    beside.close()


def test_closing_ends_it_gently_and_nothing_is_begun_again(told: Path) -> None:
    beside = Beside(program(STAYS, told), pause_s=0.01)
    until(lambda: told.read_text() == "at work")
    pid = beside.pid
    beside.close()
    assert told.read_text() == "ended well"
    assert pid is not None and beside.pid == pid and not psutil.pid_exists(pid)


def test_what_does_not_end_is_killed(told: Path) -> None:
    beside = Beside(program(HANGS, told), pause_s=0.01)
    until(lambda: told.read_text() == "at work")
    beside.close(grace_s=0.1)
    assert beside.pid is not None and not psutil.pid_exists(beside.pid)


@pytest.mark.long
def test_the_consumer_knows_its_command_line() -> None:
    command = consumer_command(Path("events.yaml"), ["jobs.parallel=1"])
    assert command[1:4] == ["-m", "pipeline.events.consumer", "events.yaml"]
    told = subprocess.run([*command[:3], "--help"], capture_output=True, text=True, check=True).stdout
    assert all(word.partition("=")[0] in told for word in command if word.startswith("--"))
    assert command[-1] == f"--with-parent={os.getpid()}"
