"""`groundswell listen` is the listener's program under another name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.events.listening import write_rules
from tests.servers.sns import run_sns


def test_its_options_come_before_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with run_sns(tmp_path) as sns, socket.create_server(("127.0.0.2", 0)) as taken:
        path, port = write_rules(tmp_path, sns), taken.getsockname()[1]
        assert main(["listen", str(path), "--host", "127.0.0.2", "--port", str(port), "--no-work"]) == 3
    assert f"127.0.0.2:{port} cannot be listened on" in capsys.readouterr().err
