"""Every new command of the page for people who come from other systems is understood, and does what it says."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.execute.records.replay import ReplayFile
from pipeline.types import Outcome, Status
from pipeline.write.folder import FolderStore
from tests.adopt.across import (
    CHAPTERS,
    PAGE,
    called,
    make_argo,
    make_events,
    make_glaciers,
    make_trees,
    parsed,
    rows,
    words,
)
from tests.docs.checkout import Checkout, make_checkout
from tests.docs.markdown import SHELL, blocks, commands

ROWS = list(rows())
STAND_INS = {
    "groundswell load": "tests/docs/test_floats.py",
    "groundswell serve": "tests/stores/test_api.py",
    "groundswell redrive": "tests/events/consumer/test_deadletters.py",
    "make local-stack": "tests/events/test_local_stack.py",
    "make tf-": "tests/cloud/test_steps.py",
    "helm ": "tests/helm/test_chart_listener.py",
}
"""What needs a server, a cloud or a cluster, and the tests that run it."""
MAKERS: dict[str, Callable[[Path], None]] = {
    "trees": make_trees,
    "argo": make_argo,
    "events": make_events,
    "glaciers": make_glaciers,
}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_line_has_a_command_that_is_understood(chapter: str) -> None:
    lines = [row for row in ROWS if row.chapter == chapter]
    assert len(lines) >= 8
    for row in lines:
        if not row.commands:
            assert "schema" in row.old or "rules" in row.old, row
        for command in row.commands:
            if command.startswith(("groundswell", "python")):
                parsed(command)


def test_commands_that_are_not_run_here_are_run_elsewhere() -> None:
    root = PAGE.parents[1]
    assert [path for path in STAND_INS.values() if not (root / path).exists()] == []


@pytest.fixture(scope="module")
def checkouts(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkout]:
    """By chapter, a checkout whose configs lead to small worlds on this machine."""

    @cache
    def checkout(chapter: str) -> Checkout:
        made = make_checkout(tmp_path_factory.mktemp(chapter), demo_world)
        MAKERS[chapter](made.folder)
        return made

    return checkout


@pytest.fixture
def checkout(
    request: pytest.FixtureRequest,
    checkouts: Callable[[str], Checkout],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Checkout:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCAL_S3_ROOT", ".")
    made = checkouts(request.param)
    monkeypatch.chdir(made.folder)
    return made


@pytest.mark.long
@pytest.mark.parametrize("checkout", ["trees"], indirect=True)
def test_the_commands_of_the_page_run_in_order(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    """A tile of the old pipeline is adopted, its inputs are not made for it, and explain says where it is from."""
    (block,) = (one for one in blocks(PAGE.relative_to(PAGE.parents[1]).as_posix()) if one.language in SHELL)
    dry, real, explain, run_all = commands(block)
    capsys.readouterr()
    assert called(dry) == 0 and not (checkout.folder / "out").exists()
    assert "1 would be adopted, 0 were before, 0 left out" in capsys.readouterr().out
    assert called(real) == 0
    assert called(explain) == 0
    assert "ttc_ard/1036X724Y/2021: adopted from " in capsys.readouterr().out
    assert called(run_all) == 0
    assert "done, 1 skipped, 0 failed" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize("checkout", [*CHAPTERS], indirect=True)
def test_each_line_does_real_work(
    checkout: Checkout, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the page; what an earlier line made is there for a later one."""
    chapter = request.node.callspec.params["checkout"]
    monkeypatch.setattr(sys, "argv", ["python"])
    if chapter == "trees" and not (checkout.folder / "out").exists():
        assert cli.main(["adopt", "configs/ttc_ard.yaml", "old-tiles", "--layout", "ttc"]) == 0
    for row in (one for one in ROWS if one.chapter == chapter):
        for command in row.commands:
            _do(command, checkout, monkeypatch)


def _do(command: str, checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run it here; of what cannot be run here, see that it is known."""
    if command.startswith("make "):
        shown = command.replace("…", "0")
        assert subprocess.run(["make", "-n", *shown.split()[1:]], cwd=checkout.folder, check=False).returncode == 0
        return
    if command.startswith(tuple(STAND_INS)):
        return
    if " listen " in command:
        _listen(command, checkout)
        return
    if "/runs/ID/" in command:
        command = command.replace("/ID/", f"/{_failed(checkout.folder / 'out' / 'ttc-rwanda')}/")
    if " < " in command:
        given = (checkout.folder / command.rpartition(" < ")[2]).read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert called(command) == 0, command


def _failed(output: Path) -> str:
    """A run that says of one job that it failed."""
    run_id = max(path.name for path in (output / "runs").iterdir())
    with ReplayFile(FolderStore(str(output)), run_id, print) as file:
        file.ended(Outcome("dem/1036X724Y/static", "default", "0" * 32, Status.FAILED, cause="a test"))
    return run_id


def _listen(command: str, checkout: Checkout) -> None:
    """It says where it listens, and ends when it is asked to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    given = [port if word == "8080" else word for word in words(command)]
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *given, "--host", "127.0.0.1"],
        cwd=checkout.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(PAGE.parents[1])},
    ) as listener:
        assert listener.stdout is not None
        said = ""
        for line in listener.stdout:
            said += line
            if f":{port}/sns" in line:
                break
        listener.send_signal(signal.SIGTERM)
        listener.stdout.read()
    assert (listener.returncode, f":{port}/sns" in said) == (0, True), said
