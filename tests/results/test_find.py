"""What is current is found in whole documents only; a damaged one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.demo import build_world
from pipeline.errors import StoreError
from pipeline.results.open import open_results
from tests.results.made import make
from tests.worlds import small_world


def test_a_damaged_document_is_named(tmp_path: Path) -> None:
    """The table; and, where there is none, an item."""
    build_world(tmp_path / "world", px=256)
    world = small_world(tmp_path / "world", tmp_path)
    store = make(world, "period.end=2024-07-01").prepared.store
    store.put_bytes(b"{", "items.parquet")
    with pytest.raises(StoreError, match=r"items\.parquet: found no table.*groundswell catalog"):
        open_results(str(world.output))
    store.delete("items.parquet")
    assert open_results(str(world.output)).sizes["time"] == 1
    (damaged, *_) = [key for key, _ in store.list_objects("items/")]
    store.put_bytes(b"{", damaged)
    with pytest.raises(StoreError, match=damaged):
        open_results(str(world.output))
