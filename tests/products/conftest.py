"""A small demo world and the session that plans it, shared by the product tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.demo import build_world
from tests.worlds import SmallWorld, small_world


@pytest.fixture(scope="session")
def demo_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo world with 256-pixel scenes: every convention and the broken file, in under a second."""
    folder = tmp_path_factory.mktemp("world")
    build_world(folder, px=256)
    return folder


@pytest.fixture
def world(demo_world: Path, tmp_path: Path) -> SmallWorld:
    """A config over the small world, with an output of its own."""
    return small_world(demo_world, tmp_path)
