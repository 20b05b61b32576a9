"""Terraform and its files, for the tests of this folder: no provider, no account, no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import pytest

ROOT = Path(__file__).parents[2]
HERE = ROOT / "cluster" / "terraform"
MODULES = HERE / "modules"


@cache
def blocks(path: Path) -> Mapping[str, Any]:
    """One file, parsed."""
    parsed: Mapping[str, Any] = _bare(hcl2.loads(path.read_text()))
    return parsed


def files(folder: Path = HERE) -> list[Path]:
    return sorted(folder.glob("*.tf"))


def each(kind: str, folder: Path = HERE) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(type, name, body) of every `resource` or `data` block of a module."""
    for path in files(folder):
        for block in blocks(path).get(kind, ()):
            for type_, named in block.items():
                for name, body in named.items():
                    yield type_, name, body


def variables(folder: Path = HERE) -> Mapping[str, Mapping[str, Any]]:
    return {
        name: body
        for path in files(folder)
        for block in blocks(path).get("variable", ())
        for name, body in block.items()
    }


def _bare(value: Any) -> Any:
    """Without the quotes that the parser keeps around words, and what it notes for itself."""
    if isinstance(value, dict):
        return {_bare(name): _bare(one) for name, one in value.items() if not name.startswith("__")}
    if isinstance(value, list):
        return [_bare(one) for one in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def terraform(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder; skips where it is not installed, except in CI."""
    program = shutil.which("terraform")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("terraform is not installed", pytrace=False)
        pytest.skip("needs terraform")
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", **environ}
    environment.pop("TF_CLI_CONFIG_FILE", None)
    command = [program, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def applied(folder: Path, main: Mapping[str, Any]) -> Mapping[str, Any]:
    """The outputs of a configuration in JSON that needs no provider. Raises AssertionError with Terraform's words."""
    (folder / "main.tf.json").write_text(json.dumps(main))
    steps = [["apply", "-auto-approve"]]
    if "module" in main and not (folder / ".terraform").exists():
        steps.insert(0, ["init"])
    for step in steps:
        done = terraform(folder, *step, "-input=false", "-no-color")
        assert done.returncode == 0, done.stderr
    outputs = json.loads((folder / "terraform.tfstate").read_text())["outputs"]
    return {name: output["value"] for name, output in outputs.items()}
