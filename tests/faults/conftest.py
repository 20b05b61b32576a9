"""One small world, and what a run over it makes when nothing disturbs it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.demo import build_world
from tests.faults._runs import JOBS, Case, Tree, check_items

TIMEOUT_S = 600
"""Of a test of several whole runs, of which each has a bound of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="session", autouse=True)
def interruptible_children() -> Iterator[None]:
    """Runs that these tests start react to Ctrl-C as at a terminal, also where this process was told to ignore it."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def faults_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo world on scenes of 256 pixels a side; read only."""
    return build_world(tmp_path_factory.mktemp("faults") / "world", px=256).folder


@pytest.fixture(scope="session")
def calm(faults_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The output of a run never disturbed."""
    case = Case(tmp_path_factory.mktemp("calm") / "case", faults_world)
    finished = case.run()
    assert finished.code == 0, finished.text
    tree = case.tree()
    assert check_items(tree) == JOBS
    return tree


@pytest.fixture
def case(faults_world: Path, tmp_path: Path) -> Case:
    """A config and an empty output of one's own."""
    return Case(tmp_path / "case", faults_world)
