"""What tests of events share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.events.buckets.buckets import LOCAL_ROOT
from tests.events.by_hand import Place, make_place
from tests.stores.conftest import postgres

__all__ = ["postgres"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A file of rules over a folder that stands in for its bucket."""
    made = make_place(tmp_path)
    monkeypatch.setenv(LOCAL_ROOT, str(made.root))
    return made
