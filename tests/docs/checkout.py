"""A folder like a fresh checkout after its set-up, in which commands of the pages run word for word, offline."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli, run
from tests.docs.markdown import ROOT, Block

PATIENCE_S = 280
"""For one call of bash; pytest gives a test 300."""


@dataclass(frozen=True)
class Checkout:
    """Where somebody stands who has read the README so far."""

    folder: Path

    @property
    def state(self) -> str:
        """Where its runs are remembered: nothing was learned from others'."""
        return str(self.folder / "state")

    def sh(self, *lines: str, **environ: str) -> str:
        """What bash prints, errors too, when it is given these lines."""
        programs = self.folder / ".venv" / "bin"
        done = subprocess.run(
            ["bash", "-ec", "\n".join(lines)],
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "XDG_STATE_HOME": self.state,
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{lines}:\n{done.stdout[-3000:]}"
        return done.stdout

    def say(self, command: str) -> str:
        """What a command prints: this project's own in this process, which has imported it, any other by bash."""
        found = re.fullmatch(r"(?:\.venv/bin/)?(python -m pipeline\.run|groundswell) ([^$&|<>;*]*)", command)
        if found is None:
            return self.sh(command)
        main = run.main if found[1].startswith("python") else cli.main
        told = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(told), redirect_stderr(told):
            patch.chdir(self.folder)
            patch.setenv("XDG_STATE_HOME", self.state)
            code = main(shlex.split(found[2]))
        assert code == 0, f"{command}:\n{told.getvalue()[-3000:]}"
        return told.getvalue()

    def python(self, block: Block, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The names that a block of Python leaves, run here. before: those that an earlier block has left."""
        assert block.language == "python"
        names: dict[str, Any] = {"__name__": "__main__", **(before or {})}
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            for older in (DeprecationWarning, PendingDeprecationWarning):  # as Python does; odc-stac gives some
                warnings.simplefilter("ignore", older)
            patch.chdir(self.folder)
            exec(compile(block.text, block.place, "exec"), names)  # noqa: S102 (that is the point)
        return names

    def edit(self, path: str, *changes: tuple[str, str]) -> None:
        """Replace what leads to the network by what is on this machine. Raises AssertionError where it is not there."""
        text = (self.folder / path).read_text(encoding="utf-8")
        for found, instead in changes:
            assert found in text, f"{path} has no {found!r}"
            text = text.replace(found, instead)
        (self.folder / path).write_text(text, encoding="utf-8")


def make_checkout(folder: Path, world: Path) -> Checkout:
    """Configs and Makefiles are copies; `.venv/bin` leads to the interpreter that runs the tests."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "cluster").mkdir()  # not a package: that of the project is found on the path
    shutil.copy(ROOT / "cluster" / "cloud.mk", folder / "cluster")
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "demo-world").symlink_to(world)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, arguments in {"python": "", "groundswell": " -m pipeline.cli"}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        (programs / name).chmod(0o755)
    (programs.parent / ".ready").touch()  # newer than the pins: make's set-up is done
    return Checkout(folder)
