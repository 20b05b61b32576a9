"""What tests of clusters share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.demo import Demo
from tests.cluster.processes import Processes


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Schedulers and workers of this test; all are ended with it."""
    folder = tmp_path / "processes"
    folder.mkdir()
    started = Processes(folder)
    yield started
    started.end()


@pytest.fixture(scope="session")
def calm_demo(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo's run on this machine's own cluster: what every other must equal."""
    demo = Demo(tmp_path_factory.mktemp("calm"), demo_world, {"default": {"backend": "local"}}, {})
    demo.run()
    return demo
