"""The law of the image: once the command has run, a worker that makes tiles compiles nothing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.compiled.__main__ import main
from tests.worlds import SmallWorld

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pipeline.compiled"]
COMPOSITES = ["median", "mean", "min", "max", "p10", "best_pixel", "latest", "least_cloudy", "geomedian", "none"]

WORKER = """
import sys
from pathlib import Path
from pipeline.compiled import kernels
from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session

config, *composites = sys.argv[1:]
for name in composites:
    session = open_session(Options(Path(config), sets=(f"products.0.composite={name}", f"products.0.name={name}")))
    for job in session.plan.jobs:
        outcome = run_job(job, session.assignments()[job.product], 1)
        print(name, outcome.status.name, outcome.cause or "")
for kernel in kernels():
    if "dispatcher" in vars(kernel):
        for signature in kernel.dispatcher.stats.cache_misses:
            print("compiled", kernel.name, signature)
print("loops", sum("dispatcher" in vars(kernel) for kernel in kernels()))
"""


def run(command: list[str], **more: str) -> str:
    environment = {**os.environ, **more}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def make_all(world: SmallWorld, **more: str) -> None:
    """Every composite and mask, by a worker that must compile none of the loops it calls."""
    said = run([sys.executable, "-c", WORKER, str(world.config), *COMPOSITES], **more)
    lines = said.splitlines()
    assert [line for line in lines if line.startswith("compiled ")] == []
    assert {line.split()[1] for line in lines[:-1]} <= {"DONE", "EMPTY"}, said
    assert int(lines[-1].split()[1]) > 10, "the loops of reading and reducing were called"


@pytest.mark.long
def test_after_the_command_a_worker_compiles_nothing(world: SmallWorld) -> None:
    """Where this machine keeps them."""
    run(COMMAND)
    assert ", 0 of them compiled now" in run(COMMAND)
    make_all(world)


@pytest.mark.full
def test_so_it_is_for_a_processor_of_a_fixed_name_with_the_cache_read_only(world: SmallWorld, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    fixed = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(cache)}
    said = run(COMMAND, **fixed)
    assert f"{cache}: " in said and " loops for generic, " in said
    assert " loops for generic, 0 of them compiled now" in run(COMMAND, **fixed)
    files = sorted(cache.iterdir())
    cache.chmod(0o555)
    try:
        make_all(world, **fixed)
    finally:
        cache.chmod(0o755)
    assert sorted(cache.iterdir()) == files


@pytest.mark.long
def test_the_command_says_where_nothing_can_be_kept() -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": "/dev/null/cache"}
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=280, check=False, env=environment, cwd=ROOT)
    assert done.returncode == 1
    assert "/dev/null/cache" in done.stderr and "NUMBA_CACHE_DIR" in done.stderr


def test_only_the_decorator_knows_numba_and_every_loop_stands_where_the_command_looks() -> None:
    """Any other loop would be compiled by every worker, and kept nowhere on a read-only root."""
    faults = []
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            imports = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imports += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(each.partition(".")[0] == "numba" for each in imports) and "/compiled/" not in name:
                faults.append(f"{name} imports numba")
            if "pipeline.compiled" in imports and name.split("/")[1] not in {"compiled", "ops", "read", "write"}:
                faults.append(f"{name} has loops")
    assert faults == []


def test_two_commands_at_once_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file by which one sees that it can write may be taken away by the other."""
    monkeypatch.setattr("pipeline.compiled.cache.save", lambda *_: tmp_path)
    monkeypatch.setattr("pipeline.compiled.__main__.kernels", lambda: ())
    assert main() == 0
    assert str(tmp_path) in capsys.readouterr().out
