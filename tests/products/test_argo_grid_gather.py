"""Laws of how a grid is gathered: every month once, cut where chunks are, and no more cells held than can be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ops.argo_grid import Cells
from pipeline.products import _argo_grid_gather as gather
from pipeline.products._argo_grid_gather import batches, months_at_once
from tests.products.test_argo_grid import entry, job_of, random_casts, write


def cells(months: int) -> Cells:
    return Cells(0.0, 0.0, 1.0, columns=3, rows=2, first_month=np.datetime64("2024-01", "M"), months=months)


@given(st.integers(1, 30), st.integers(1, 7), st.lists(st.integers(0, 179), max_size=120))
@settings(max_examples=30, deadline=None)
def test_runs_of_months_are_all_months_in_whole_chunks_and_few_cells(
    months: int, together: int, occupied: list[int]
) -> None:
    grid = cells(months)
    together = min(together, months)
    places = np.array([cell for cell in occupied if cell < months * 6], np.int64)
    chosen: Any = [SimpleNamespace(cell=places[::2]), SimpleNamespace(cell=places[1::2])]
    runs = list(months_at_once(chosen, grid, together))
    assert [month for first, stop in runs for month in range(first, stop)] == list(range(months))
    assert all(first % together == 0 for first, _ in runs)
    for first, stop in runs:
        held = {cell for cell in places.tolist() if first * 6 <= cell < stop * 6}
        assert len(held) <= 6 * together


def test_batches_are_all_profiles_once_and_of_bounded_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.products._argo_grid_fill import partition_of, place_of  # noqa: PLC0415 (only here)
    from pipeline.read.access import Access  # noqa: PLC0415 (the same)

    monkeypatch.setattr(gather, "BATCH_LEVELS", 100)
    config, items = entry(), write(tmp_path, random_casts())
    where = partition_of(items[0].assets["levels"], Access())
    chosen = gather.choose(where, items[0].updated or "", config, place_of(job_of(config, items), config))
    lots = [mine for _, mine in batches(chosen, 0, 10**9)]
    assert np.concatenate(lots).tolist() == list(range(len(chosen.cell)))
    for mine in lots:
        rows = chosen.first[chosen.number[mine[-1]] + 1] - chosen.first[chosen.number[mine[0]]]
        assert rows <= 100 or len(mine) == 1
    assert len(lots) > 3 and not list(batches(chosen, 10**9, 10**10))
