"""Laws of the cache: what is kept is found and believed only if it is whole and of this very code; nothing needs it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.compiled import Kernel
from pipeline.compiled.cache import content, folders, save
from tests.compiled import kernels as module

VALUES = np.arange(5)
EXPECTED = 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fresh() -> Kernel[..., int]:
    """The same loop as a new process has it: nothing in memory."""
    return Kernel(module.total.function, ())


def called(kernel: Kernel[..., int]) -> tuple[int, int]:
    """(found, compiled) after one call, which must be right."""
    assert kernel(VALUES) == EXPECTED
    stats = kernel.dispatcher.stats
    return sum(stats.cache_hits.values()), sum(stats.cache_misses.values())


def of_total(folder: Path) -> Path:
    (found,) = folder.glob("tests.compiled.kernels.total.*.kernel")
    return found


def test_what_was_compiled_once_is_found(folder: Path) -> None:
    """Also where nothing can be written any more, and without writing."""
    assert called(fresh()) == (0, 1)
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]}
    folder.chmod(0o555)
    assert called(fresh()) == (1, 0)
    folder.chmod(0o755)
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]} == before
    assert of_total(folder).stat().st_mode & 0o044 == 0o044 & ~_umask(), (
        "an image is filled by one user, used by others"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[:0],
        lambda whole: whole[:100] + bytes(100) + whole[200:],
        lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
    ],
    ids=["cut", "empty", "zeroed", "flipped"],
)
def test_a_damaged_file_is_compiled_anew(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    assert called(fresh()) == (0, 1)
    whole = of_total(folder).read_bytes()
    of_total(folder).write_bytes(damage(whole))
    assert called(fresh()) == (0, 1)
    assert called(fresh()) == (1, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("STEP", 4), ("TABLE", np.array([10, 20, 31])), ("TABLE", np.array([10.0, 20.0, 30.0]))],
    ids=["of a callee", "array", "dtype"],
)
def test_a_constant_that_changes_is_compiled_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    """Though the loop's own file is the same to the byte: numba's cache would give the old machine code."""
    before = content(fresh())
    assert content(fresh()) == before
    monkeypatch.setattr(module, name, value)
    assert content(fresh()) != before


def test_a_loop_of_another_body_is_another(folder: Path) -> None:
    assert content(module.scaled) != content(module.quotient)


@pytest.mark.parametrize("place", ["/dev/null/cache", "/proc/cache"])
def test_without_a_writable_folder_it_compiles_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """Said once, at debug level: a read-only root is no fault."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", place)
    with caplog.at_level(logging.DEBUG, "pipeline.compiled"):
        for _ in range(2):
            assert called(fresh()) == (0, 1)
    said = [record for record in caplog.records if "cannot be kept" in record.message]
    assert len(said) == 1 and said[0].levelno == logging.DEBUG and place in said[0].message


def test_where_it_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The named folder alone; else beside the package, else the user's cache."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert folders() == [tmp_path] and save("x", b"1") == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["x"], "no part of a file is left"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert [folder.name for folder in folders()] == ["__pycache__", "compiled"]


FIRST_CALLS = """
import numpy as np, sys
from tests.compiled.kernels import total
import threading
expected = {np.int64: 60, np.float64: 60.0, np.uint8: 60}
wrong = [dtype for dtype in expected if total(np.arange(5).astype(dtype)) != expected[dtype]]
sys.exit(len(wrong))
"""


@pytest.mark.long
def test_processes_that_start_together_with_an_empty_cache_agree(folder: Path) -> None:
    """Numba numbers its files, so that one process's loop could be read as another's signature."""
    root = Path(__file__).parents[2]
    for _ in range(2):
        running = [subprocess.Popen([sys.executable, "-c", FIRST_CALLS], cwd=root) for _ in range(4)]
        assert [process.wait(timeout=120) for process in running] == [0, 0, 0, 0]
