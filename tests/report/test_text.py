"""What a person reads in the terminal, to the letter."""

from __future__ import annotations

from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.report.text import render_plan, render_summary, size
from pipeline.types import AssetLoss, Job, MemoryPlan, Outcome, Period, Plan, Skip, Status, Tile

TILE = Tile("33N-1-2", GeoBox((4, 4), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"))


def job(period: str, read_bytes: int) -> Job:
    return Job(
        "s2", "sentinel2", TILE, Period(period, None, None), "eu", (), "0" * 32, MemoryPlan(4, 5 * 10**8), read_bytes
    )


def test_the_plan() -> None:
    plan = Plan(
        (job("2024-06", 10**6), job("2024-06", 2 * 10**6), job("2024-07", 0)),
        (Skip("s2/33N-1-2/2024-05", "0" * 32, "already committed"),),
        ("item x: left out",),
    )
    assert render_plan(plan).splitlines() == [
        "product                  region           period                     jobs    to read  peak memory",
        "s2                       eu               2024-06                       2     3.0 MB     500.0 MB",
        "s2                       eu               2024-07                       1        0 B     500.0 MB",
        "skipped: 1 jobs, already committed",
        "note: item x: left out",
        "plan: 3 jobs to run, 1 skipped",
    ]


def test_the_summary_names_every_loss_and_failure() -> None:
    loss = AssetLoss("S2A", "red", "/x/red.tif", "PermanentAssetError", "no such file", 1)
    outcomes = [
        Outcome("a", "eu", "0", Status.DONE, written_bytes=1_500_000, losses=(loss,), warnings=("S2B: doubtful",)),
        Outcome("b", "eu", "1", Status.FAILED, error="MissingAssetsError", cause="2 of 4 assets lost"),
        Outcome("c", "eu", "2", Status.CANCELLED),
    ]
    assert render_summary(outcomes, 7, 12.34).splitlines() == [
        "warning: a: lost S2A/red (/x/red.tif): no such file",
        "warning: a: S2B: doubtful",
        "failed: b: MissingAssetsError: 2 of 4 assets lost",
        "1 done, 7 skipped, 1 failed, 1 not started; 1.5 MB written in 12.3 s",
    ]


def test_long_lists_are_cut_and_say_where_the_rest_is() -> None:
    outcomes = [Outcome(f"j{n}", "eu", "0", Status.FAILED, error="E", cause="c") for n in range(30)]
    lines = render_summary(outcomes, 0, 1).splitlines()
    assert len(lines) == 12
    assert lines[10] == "... and 20 more; the journal under runs/ has all of them"


def test_sizes() -> None:
    assert [size(n) for n in (0, 999, 1000, 1_234_567, 10**12)] == ["0 B", "999 B", "1.0 kB", "1.2 MB", "1.0 TB"]
