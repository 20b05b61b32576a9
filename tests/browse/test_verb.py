"""The command says where the page is, refuses what cannot be served, and ends when it is told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from pipeline.verbs.browse import _names
from tests.verbs.making import groundswell


@pytest.mark.long
def test_a_taken_port_is_named_with_a_way_out(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert groundswell("browse", tiny, "--port", port) == 3
    said = capsys.readouterr().err
    assert f"127.0.0.1, port {port}: cannot be listened on" in said and "--port 0" in said


def test_a_place_without_results_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert groundswell("browse", tmp_path) == 3
    assert "expected the output of a run" in capsys.readouterr().err
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "note.txt").write_text("begun")
    assert groundswell("browse", tmp_path) == 5
    assert "found no current item" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("package", ["fastapi", "rio_tiler", "uvicorn"])
def test_a_missing_extra_is_named(
    tiny: Path, package: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("pipeline.browse")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that a failure does not serve for ever
        assert groundswell("browse", tiny, "--port", taken.getsockname()[1]) == 3
    assert "pip install 'groundswell[browse]'" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST", "127.0.0.2", "::1", "192.0.2.7"])
def test_a_page_is_called_what_it_was_told_to_be(host: str) -> None:
    """A foreign name that was given its address is none of these."""
    names = _names(host)
    assert {"127.0.0.1", "localhost", "[::1]"} < {*names} and "evil.example" not in names
    assert (f"[{host}]" if ":" in host else host.lower()) in names


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 (nothing listens)
def test_on_all_addresses_it_may_have_any_name(host: str) -> None:
    assert _names(host) == []


@contextmanager
def browsing(
    output: str, *options: str, environment: Mapping[str, str] = {}
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command in a process of its own: where it answers, and the process; ended with the block."""
    command = [sys.executable, "-m", "pipeline.cli", "browse", output, "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            first, second, _ = (process.stdout.readline() for _ in range(3))
            found = re.match(r"http://127\.0\.0\.1:\d+", first)
            assert found is not None, first + process.stderr.read()
            assert second.startswith(f"{found[0]}/stac/catalog.json")
            yield found[0], process
        finally:
            process.kill()


@pytest.mark.long
def test_the_command_serves_until_it_is_interrupted(tiny: Path) -> None:
    with browsing(str(tiny)) as (address, process):
        assert requests.get(f"{address}/api/products", timeout=30).json()["products"][0]["name"] == "sentinel2"
        assert "leaflet.js" in requests.get(address, timeout=30).text
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=30)
    assert (process.returncode, complaints) == (0, "")
    assert said.endswith("browse: ended\n")
