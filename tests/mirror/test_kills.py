"""A sync that is killed at any moment leaves whole files, a manifest that is right, and little to do again."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.mirror.manifest import read_manifest
from tests.mirror.ftpd import run_ftp
from tests.mirror.gdacs import files_below, path_of, profile_bytes
from tests.servers.faulty import Answer, always, run_faulty

COUNT, KILLS = 60, 25
OLD, NEW = "20240102030405", "20250102030405"


def contents(version: str) -> dict[str, bytes]:
    """Every tenth is large enough that its parts are resumed."""
    return {path_of(k): profile_bytes(k, updated=version, levels=40 if k % 10 else 100_000) for k in range(COUNT)}


class Child:
    """The process that forks one after the other."""

    def __init__(self, root: Path, address: str) -> None:
        here = Path(__file__)
        self._process = subprocess.Popen(
            [sys.executable, str(here.with_name("killed.py")), str(root), address, str(COUNT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(here.parents[2])},
        )

    def ask(self, line: str) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


def check(root: Path, remote: dict[str, bytes], older: dict[str, bytes]) -> None:
    """Every file is one that a mirror gave, whole; what the manifest says of it is so, but for the last ones."""
    here = {path: data for path, data in files_below(root).items() if path.endswith(".nc")}
    assert all(data in (remote[path], older.get(path)) for path, data in here.items())
    rows = {row["path"]: row for row in read_manifest(root).to_pylist()}
    assert rows.keys() <= here.keys()
    wrong = [path for path, row in rows.items() if row["sha256"] != hashlib.sha256(here[path]).digest()]
    # One that has its new name already, while the word about it was not yet written; as many as are in flight.
    assert all(rows[path]["version"] != NEW for path in wrong)
    assert len(wrong) <= 8


@pytest.mark.long
@pytest.mark.parametrize("kind", ["http", "ftp"])
def test_kills_at_random_points_cost_no_file_and_no_second_download(tmp_path: Path, kind: str) -> None:
    chance = random.Random(kind)  # noqa: S311 (of moments, not a secret)
    root, served = tmp_path / "here", tmp_path / "there"
    before, after = contents(OLD), contents(NEW)
    files = {f"/{path}": data for path, data in before.items()}
    for path, data in before.items():
        (served / path).parent.mkdir(parents=True, exist_ok=True)
        (served / path).write_bytes(data)
    with run_faulty(files, always(Answer(delay_s=0.01)), etags=True) as web, run_ftp(served) as ftp:
        child = Child(root, web.address if kind == "http" else ftp.address)
        try:
            assert [child.ask(OLD) > 0, child.ask("")] == [True, 0]
            check(root, before, {})
            assert len(read_manifest(root)) == COUNT
            files.update({f"/{path}": data for path, data in after.items()})
            for path, data in after.items():
                (served / path).with_suffix(".new").write_bytes(data)
                (served / path).with_suffix(".new").replace(served / path)
            asked = ftp.count("RETR"), len(web.requests)
            deaths = 0
            for _ in range(KILLS):
                number = child.ask(NEW)
                time.sleep(chance.uniform(0.0, 0.12))
                os.kill(number, signal.SIGKILL)
                deaths += child.ask("") == -signal.SIGKILL
                check(root, after, before)
            assert deaths > 3
            assert [child.ask(NEW) > 0, child.ask("")] == [True, 0]
            asked = ftp.count("RETR") - asked[0], len(web.requests) - asked[1]
            again = ftp.count("RETR"), len(web.requests)
            assert [child.ask(NEW) > 0, child.ask("")] == [True, 0]
            assert (ftp.count("RETR"), len(web.requests)) == again
        finally:
            child.end()
    assert files_below(root) == after
    assert {row["version"] for row in read_manifest(root).to_pylist()} == {NEW}
    # Each death costs at most what was in flight.
    assert COUNT <= max(asked) <= COUNT + 8 * deaths
