"""Reading in a process of its own: what ends it is one object's verdict, or somebody else's doing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio

from pipeline.checks.guard import CheckLostError, Guard
from pipeline.checks.result import Result, Subject
from pipeline.types import Json
from tests.checks.objects import config_of

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard


def run(guard: Guard, path: Path, said: Json) -> Result:
    return guard.run(config_of(said), Subject("r", "b", path.name, path.stat().st_size), path, (), path.parent)


def good(folder: Path) -> Path:
    (path := folder / "good.csv").write_text("a\n1\n")
    return path


def test_objects_are_read_one_after_the_other_by_one_process(guard: Guard, tmp_path: Path) -> None:
    path = good(tmp_path)
    assert run(guard, path, {}).verdict == "pass"
    child = guard._child
    assert run(guard, path, {"table": {"rows": [5, None]}}).verdict == "fail" and guard._child is child


def sparse(path: Path, side: int, block: int) -> Path:
    """A raster that says much and holds nothing: a few bytes, or a minute of reading."""
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(path, "w", tiled=True, blockxsize=block, blockysize=block, compress="deflate", **profile):
        pass
    assert path.stat().st_size < 10 * 2**20
    return path


def test_what_asks_for_more_memory_than_it_may_have_fails_and_the_next_is_read(guard: Guard, tmp_path: Path) -> None:
    result = run(guard, sparse(tmp_path / "bomb.tif", 60_000, 60_000), {"memory": "64MiB"})
    assert result.verdict == "fail" and result.findings[0].check == "readable"
    assert run(guard, good(tmp_path), {}).verdict == "pass"


def test_what_is_not_read_in_time_fails_and_the_next_is_read(guard: Guard, tmp_path: Path) -> None:
    result = run(guard, sparse(tmp_path / "endless.tif", 400_000, 512), {"cpu_s": 2})
    assert result.verdict == "fail" and "2 s of computing" in result.note
    assert run(guard, good(tmp_path), {}).verdict == "pass"


def test_a_process_that_others_end_says_nothing_of_the_object(guard: Guard, tmp_path: Path) -> None:
    endless = sparse(tmp_path / "endless.tif", 400_000, 512)
    run(guard, good(tmp_path), {})
    timer = threading.Timer(0.5, guard.kill)
    timer.start()
    with pytest.raises(CheckLostError, match="SIGKILL"):
        run(guard, endless, {})
    timer.join()
    assert run(guard, good(tmp_path), {}).verdict == "pass"


def test_a_process_that_crashes_gives_the_object_its_verdict(guard: Guard, tmp_path: Path) -> None:
    run(guard, good(tmp_path), {})
    child = guard._child
    assert child is not None
    os.kill(child.pid, signal.SIGSEGV)
    child.wait()
    result = run(guard, good(tmp_path), {})
    assert result.verdict == "fail" and "SIGSEGV" in result.note


def test_nothing_of_the_environment_that_is_secret_goes_there(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("DATABASE_URL", "postgresql://canary@host/db")
    run(guard, good(tmp_path), {})
    child = guard._child
    assert child is not None
    assert b"canary" not in Path(f"/proc/{child.pid}/environ").read_bytes()
