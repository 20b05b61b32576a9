"""Committed outputs of every product, made once; and whoever reads them leaves them as they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interfaces.committed import Committed, commit_further
from tests.outputs.every import make_every


@pytest.fixture(scope="session")
def committed(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Committed:
    further = commit_further(demo_world, tmp_path_factory.mktemp("further"))
    return Committed((make_every(demo_world).output, *further))


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind(committed: Committed) -> Iterator[None]:
    """No reader needs, or leaves, a note beside a file: no .aux.xml, no index, no lock."""
    before = committed.files()
    yield
    assert committed.files() == before
