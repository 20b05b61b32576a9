"""Match-ups hold what they were planned to hold: windows that are too large or too many are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import JobError
from pipeline.types import Item
from tests.argo_partitions import Cast
from tests.products.test_matchups import NOON, entry, floats_in, made_of

RING = [[15, 44], [18, 44], [18, 46], [15, 46], [15, 44]]


def test_windows_that_a_worker_cannot_hold_are_refused_before_any_is_read(tmp_path: Path) -> None:
    everywhere = {"type": "Polygon", "coordinates": [RING]}
    items = [Item(f"scene-{k}", "s2", "s2", NOON, NOON.date(), everywhere, {}) for k in range(3)]
    items.append(floats_in(tmp_path / "out", [Cast(2900001, cycle, 45.0, 16.0, NOON) for cycle in range(2000)]))
    with pytest.raises(JobError, match=r"up to 6000 match-ups .* make regions or periods smaller, or window_px"):
        made_of(entry(window_px=101), items, tmp_path)
