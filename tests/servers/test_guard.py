"""A server whose tests are killed is ended by its guard."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

TESTS = """
import subprocess, sys, time
from pathlib import Path
from tests.servers.guard import PID, guarded
folder = Path(sys.argv[1])
with guarded(folder):
    server = subprocess.Popen(["sleep", "600"], start_new_session=True)
    (folder / PID).write_text(str(server.pid))
    print(server.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_does_not_outlive_its_tests(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    command = [sys.executable, "-c", TESTS, str(folder)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as tests:
        assert tests.stdout is not None
        server = psutil.Process(int(tests.stdout.readline()))
        assert server.is_running() and server.status() != psutil.STATUS_ZOMBIE
        tests.send_signal(number)
    deadline = time.monotonic() + 30
    while folder.exists() or (server.is_running() and server.status() != psutil.STATUS_ZOMBIE):
        assert time.monotonic() < deadline
        time.sleep(0.05)
