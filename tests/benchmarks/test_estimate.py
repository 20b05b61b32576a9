"""Real runs one after the other: each is told before it begins, from those before it, and says what it took."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.estimate import DEM, LANDSAT, S1, S2, WITHIN, Asked, compare, compare_here

RUNS = (Asked("first", (S2,), 256, "month", 0.3), Asked("second", (DEM, LANDSAT), 128, "span", 0.4))


@pytest.mark.full
def test_a_run_of_other_products_and_tiles_is_told_from_the_one_before_it(demo_world: Path, tmp_path: Path) -> None:
    """Nothing of the second run's kinds is in the history.

    How near it comes is for a quiet machine to show, by `make bench-estimate`; here it must not be as far off as the
    first one may be, which knew nothing.
    """
    told = list(compare(demo_world, tmp_path, RUNS))
    first, second = ({one.what: one for one in told if one.run == run.name} for run in RUNS)
    assert "nothing was learned" in first["job_s"].basis
    assert "learned from 1 earlier run" in second["job_s"].basis
    assert first["job_s"].jobs != second["job_s"].jobs
    for what in ("job_s", "hours", "usd"):
        assert first[what].low < first[what].told < first[what].high
        assert 1 / 4 < second[what].ratio < 4


@pytest.mark.full
def test_a_later_run_comes_within_three_tenths_by_the_clock_of_the_processor(
    demo_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real tasks, each told from runs of other products and other numbers of tiles; whatever else this machine does."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    runs = (RUNS[0], Asked("second", (S1, LANDSAT), 128, "span", 0.4), Asked("third", (DEM,), 192, "month", 0.6))
    first, *later = compare_here(demo_world, tmp_path, runs)
    assert "nothing was learned" in first.basis
    assert len({one.jobs for one in (first, *later)}) == len(runs)
    for one in later:
        assert one.ratio == pytest.approx(1.0, abs=WITHIN), one
        assert one.low < one.actual < one.high, one
