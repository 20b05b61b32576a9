"""A bucket of NetCDF-4 files: one process reads them all, and when that is lost, the files are, not the job."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.products._argo_gather import _HELD_A_NUMBER
from pipeline.write.store import FolderStore
from tests.argo_files import argo_file, single
from tests.products.argo_world import Listed, partition, publish

VERSION = "20240701000000"


def listed(folder: Path, count: int) -> Listed:
    found = Listed(folder / "gdac")
    for cycle in range(1, count + 1):
        made = replace(single(seed=cycle), wmo="9900101", cycles=(cycle,), container="NETCDF4")
        found = found.with_file(f"incois/9900101/profiles/R9900101_{cycle:03d}.nc", argo_file(made), VERSION)
    return found


def test_one_process_reads_all_files_of_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Counted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            started.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    store = FolderStore(str(tmp_path / "out"))
    publish(listed(tmp_path, 4), store)
    assert partition(store).tables["profiles"].num_rows == 4
    assert len(started) == 1


def test_files_whose_process_is_lost_are_lost_and_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused files are taken for damaged until they change."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    store = FolderStore(str(tmp_path / "out"))
    publish(listed(tmp_path, 2), store)
    footer = partition(store).footer
    assert footer is not None
    assert [one.state for one in footer.inputs] == ["lost", "lost"]


def test_what_is_held_of_a_batch_is_what_its_numbers_take() -> None:
    """Compressed files hold far more than their length: raw, adjusted, error in four bytes each, two flags."""
    values = single(levels=100, parameters=("PRES",)).values
    assert sum(each.nbytes for each in values.values()) == _HELD_A_NUMBER * 100
