"""Laws of a run's pictures: of the floats with the most profiles, among the run's records, and of nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.read.access import Access
from pipeline.results import argo_report
from pipeline.results.argo_report import write_argo_plots
from pipeline.results.float_years import refresh_float_years
from pipeline.write.store import Store, open_store
from tests.argo_partitions import Cast, water, write_partition

COLUMN = water(np.array([5.0, 50.0, 100.0]))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is drawn, without the second that a picture takes."""
    floats: list[Any] = []

    def draw(one: Any) -> bytes:
        floats.append(one)
        return b"picture"

    for name in ("draw_section", "draw_ts"):
        monkeypatch.setattr(argo_report, name, draw)
    return floats


def begin(store: Store, run_id: str, jobs: list[dict[str, str]]) -> None:
    """A run's plan, as its records have it."""
    lines = [json.dumps({"format": 1, "fingerprint": "0", **job}) for job in jobs]
    store.put_bytes("\n".join(lines).encode(), f"runs/{run_id}/plan.jsonl")


def test_the_floats_with_the_most_profiles_are_drawn(tmp_path: Path, drawn: list[Any]) -> None:
    store = open_store(str(tmp_path))
    for number in range(7):
        casts = [Cast(2900000 + 10 * number, cycle, 1.0, 2.0, values=COLUMN) for cycle in range(number)]
        write_partition(tmp_path, f"{290000 + number}x", casts)
    refresh_float_years(store, "argo", Access())
    made = [{"job": f"argo/{290000 + number}x/static", "state": "run"} for number in range(6)]
    skipped = [{"job": "argo/290006x/static", "state": "already committed"}, {"job": "grid/290006x/p", "state": "run"}]
    begin(store, "run", [*made, *skipped])
    keys = write_argo_plots(store, "argo", "run", Access())
    assert [key.split("_")[1] for key in keys[::2]] == ["2900050", "2900040", "2900030", "2900020"]
    assert keys[:2] == ["runs/run/plots/argo_2900050_section.png", "runs/run/plots/argo_2900050_ts.png"]
    assert all(store.get_bytes(key) == b"picture" for key in keys)


def test_a_float_is_its_primary_core_profiles_in_order_of_time(tmp_path: Path, drawn: list[Any]) -> None:
    moments = [datetime(2024, month, 1, tzinfo=UTC) for month in (5, 3, 4)]
    casts = [Cast(2900001, n, 1.0, 2.0, when, COLUMN) for n, when in enumerate(moments)]
    casts += [Cast(2900001, 0, 1.0, 2.0, moments[0], COLUMN, kind="bgc"), Cast(2900002, 0, 1.0, 2.0, values=COLUMN)]
    casts += [Cast(2900001, 0, 1.0, 2.0, moments[0], COLUMN, profile_index=1)]
    write_partition(tmp_path, "290000x", casts)
    write_argo_plots(open_store(str(tmp_path)), "argo", "run", Access(), floats=(2900001, 2900009))
    assert len(drawn) == 2 and drawn[0].name == "2900001"  # one that is not there is not drawn
    assert drawn[0].time.astype("M8[M]").astype(str).tolist() == ["2024-03", "2024-04", "2024-05"]
    np.testing.assert_allclose(drawn[0].pressure, [[5, 50, 100]] * 3)


def test_a_run_that_made_no_float_draws_none(tmp_path: Path, drawn: list[Any]) -> None:
    store = open_store(str(tmp_path))
    write_partition(tmp_path, "290000x", [Cast(2900001, 1, 1.0, 2.0, values=COLUMN)])
    refresh_float_years(store, "argo", Access())
    begin(store, "run", [{"job": "argo/290000x/static", "state": "already committed"}])
    assert write_argo_plots(store, "argo", "run", Access()) == [] and not drawn
