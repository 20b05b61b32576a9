"""One sound output, made once, and a copy of it for each test to spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.verbs.making import BOTH_STORES, make_output, make_world


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a sound output: one tile, two months, as COG and as Zarr; read only."""
    folder = tmp_path_factory.mktemp("verbs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        _, config = make_world(folder, **BOTH_STORES)
        make_output(config)
    return config


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    """A copy of that output, with the times of its files."""
    copy = tmp_path / "output"
    shutil.copytree(made.parent / "output", copy)
    return copy
