"""Committed tiles are judged again from the table alone, and only those that a limit may concern are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import QualityConfig
from pipeline.execute.worker.quality import PROPERTY, judge
from pipeline.results import quality as judging
from pipeline.results.quality import judge_again
from pipeline.types import Json
from pipeline.write.catalog import TABLE_KEY
from pipeline.write.store import open_store

FIGURES: tuple[Json, ...] = (
    None,
    {"valid_fraction": 1.0, "observations_mean": 5.0, "missing_fraction": 0.0},
    {"valid_fraction": 0.0, "observations_mean": 5.0},
    {"valid_fraction": 0.4},
    {"observations_mean": 0.1},
    {"cloud_fraction": 0.95},
    {"missing_fraction": 0.01},
    {"offsets_in_doubt": 2},
    {"edge_difference": 9.0, "edges": [{"band": "red", "side": "left", "tile": "t", "fingerprint": "f" * 32}]},
    {"ranges": {"red": [0.0, 0.7]}},
    {"valid_fraction": float("nan")},
)
LIMITS: tuple[dict[str, Json], ...] = (
    {},
    {"min_valid_fraction": {"warn": 0.5, "fail": 0.1}},
    {"max_cloud_fraction": {"fail": 0.9}, "min_observations": {}, "empty": "pass"},
    {"band_ranges": {"red": {"warn": [0, 0.5]}}, "max_missing_fraction": {}, "offset_in_doubt": "pass"},
)


def _table(output: Path, figures: Sequence[Json]) -> dict[str, str]:
    """A row a tile; fingerprint by job id."""
    named = [(f"{number:032x}", one) for number, one in enumerate(figures)]
    rows = [{"groundswell:fingerprint": fingerprint, PROPERTY: one} for fingerprint, one in named]
    pq.write_table(pa.Table.from_pylist(rows), output / TABLE_KEY)
    return {f"p/t{number}/2024": fingerprint for number, (fingerprint, _) in enumerate(named)}


@pytest.mark.parametrize("limits", LIMITS)
def test_every_tile_that_a_limit_concerns_is_told_of(tmp_path: Path, limits: dict[str, Json]) -> None:
    """As many as `judge` tells of when it is asked for each; another product's limits change nothing."""
    store, quality = open_store(str(tmp_path)), QualityConfig.model_validate(limits)
    committed = _table(tmp_path, FIGURES)
    each = {f"p/t{number}/2024": judge(one, quality) for number, one in enumerate(FIGURES) if one is not None}
    expected = {job_id: found for job_id, found in each.items() if found.status != "pass"}
    assert dict(judge_again(store, committed, {"p": quality, "q": QualityConfig()})) == expected


def test_what_no_limit_concerns_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"groundswell:fingerprint": f"{number:032x}", PROPERTY: {"valid_fraction": 1.0}} for number in range(9)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / TABLE_KEY)
    monkeypatch.delattr(judging, "judge")
    committed = {f"p/t{number}/2024": str(row["groundswell:fingerprint"]) for number, row in enumerate(rows)}
    assert dict(judge_again(open_store(str(tmp_path)), committed, {"p": QualityConfig()})) == {}
