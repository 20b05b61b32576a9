"""A small demo world and the session that plans it, shared by the product tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.worlds import SmallWorld, small_world

from pipeline.demo import build_world


@pytest.fixture(scope="session")
def demo_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo world with 256-pixel scenes: every convention and the broken file, in under a second."""
    folder = tmp_path_factory.mktemp("world")
    build_world(folder, px=256)
    return folder


@pytest.fixture
def world(demo_world: Path, tmp_path: Path) -> Iterator[SmallWorld]:
    """A config over the small world, with an output of its own."""
    yield small_world(demo_world, tmp_path)
