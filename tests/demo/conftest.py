"""The demo world, small: the same ground, skies, conventions and faults on scenes of 256 pixels a side."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.demo import World, build_world

SMALL_PX = 256


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("demo") / "world", px=SMALL_PX)


@pytest.fixture
def spare(tmp_path: Path) -> World:
    """A world of one's own to damage."""
    return build_world(tmp_path / "world", px=64)
