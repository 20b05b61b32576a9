"""What a person reads in the terminal, to the letter."""

from __future__ import annotations

from dataclasses import replace

from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.report.text import render_plan, render_summary, size
from pipeline.types import AssetLoss, Finding, Job, MemoryPlan, Outcome, Period, Plan, Quality, Skip, Status, Tile

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
        "product                    jobs     median      total",
        "a                             1     0.00 s      0.0 s",
        "1 done, 7 skipped, 1 failed, 1 not started; 1.5 MB written in 12.3 s",
    ]


def test_what_crosses_regions_has_a_column_where_anything_does() -> None:
    jobs = (replace(job("2024-06", 10**6), crossing_bytes=3 * 10**5), replace(job("2024-07", 0), product="x"))
    assert render_plan(Plan(jobs, ())).splitlines() == [
        "product                  region           period                     jobs    to read  peak memory   crossing",
        "s2                       eu               2024-06                       1     1.0 MB     500.0 MB   300.0 kB",
        "x                        eu               2024-07                       1        0 B     500.0 MB        0 B",
        "between regions: 300.0 kB",
        "plan: 2 jobs to run, 0 skipped",
    ]


def test_blocked_jobs_are_named_and_counted() -> None:
    one = Outcome("stack/t/p", "eu", "0", Status.BLOCKED, error="BlockedError", cause="made from s2/t/p")
    assert render_summary([one], 0, 1).splitlines() == [
        "blocked: stack/t/p: BlockedError: made from s2/t/p",
        "0 done, 0 skipped, 0 failed, 1 blocked, 0 not started; 0 B written in 1.0 s",
    ]


def test_tiles_are_listed_by_flag_and_products_by_time() -> None:
    def done(tile: str, seconds: float, *found: Finding) -> Outcome:
        quality = Quality(max((one.level for one in found), default="pass", key=["warn", "fail"].index), found)
        return Outcome(f"s2/{tile}/p", "eu", "0", Status.DONE, seconds=seconds, quality=quality)

    few, seam = Finding("few_observations", "warn", "f"), Finding("edge_step", "warn", "s")
    worse = Finding("few_observations", "fail", "f")
    outcomes = [done("a", 1, few), done("b", 2, few, seam), done("c", 6, worse), done("d", 7)]
    outcomes += [Outcome(f"dem/{n}/static", "eu", "0", Status.DONE, seconds=0.5) for n in range(3)]
    before = {f"s2/{n}/p": Quality("warn", (few,)) for n in range(12)}
    named = ", ".join(sorted(before)[:10])
    assert render_summary(outcomes, 12, 1, before).splitlines() == [
        "quality: fail: few_observations: 1 tiles: s2/c/p",
        "quality: warn: edge_step: 1 tiles: s2/b/p",
        "quality: warn: few_observations: 2 tiles: s2/a/p, s2/b/p",
        f"quality of what was committed before: warn: few_observations: 12 tiles: {named} and 2 more",
        "product                    jobs     median      total",
        "dem                           3     0.50 s      1.5 s",
        "s2                            4     4.00 s     16.0 s",
        "7 done, 12 skipped, 0 failed, 0 not started; 0 B written in 1.0 s",
    ]


def test_long_lists_are_cut_and_say_where_the_rest_is() -> None:
    outcomes = [Outcome(f"j{n}", "eu", "0", Status.DONE, warnings=(f"w{n}",)) for n in range(30)]
    lines = render_summary(outcomes, 0, 1).splitlines()
    assert lines[9:11] == ["warning: j9: w9", "... and 20 more; the report under runs/ has all of them"]
    letters = "abcdefghijklmnopqrstuvwxyz"
    apart = [Outcome(f"j{n}", "eu", "0", Status.FAILED, error=f"Error{letters[n]}", cause="c") for n in range(20)]
    lines = render_summary(apart, 0, 1).splitlines()
    assert lines[9:11] == [
        "failed: j9: Errorj: c",
        "... and 10 jobs more of 10 causes; the report under runs/ has all of them",
    ]


def test_failures_of_one_cause_are_told_together() -> None:
    """Tiles, addresses and numbers do not make a cause; up to three jobs of a cause are told one by one."""
    many = [
        Outcome(
            f"s2/33N-{n}-1/2024-06", "eu", "0", Status.FAILED, error="AssetError", cause=f"s3://b/{n}.tif: HTTP 404"
        )
        for n in range(30)
    ]
    few = [
        Outcome(f"s2/34N-{n}-1/2024-06", "eu", "0", Status.FAILED, error="AssetError", cause="HTTP 403")
        for n in range(2)
    ]
    lines = render_summary(iter([*many, *few]), 0, 1).splitlines()
    assert lines[:4] == [
        "failed: 30 jobs: AssetError: s3://b/0.tif: HTTP 404",
        "    s2/33N-0-1/2024-06, s2/33N-1-1/2024-06, s2/33N-2-1/2024-06 and 27 more",
        "failed: s2/34N-0-1/2024-06: AssetError: HTTP 403",
        "failed: s2/34N-1-1/2024-06: AssetError: HTTP 403",
    ]


def test_sizes() -> None:
    assert [size(n) for n in (0, 999, 1000, 1_234_567, 10**12)] == ["0 B", "999 B", "1.0 kB", "1.2 MB", "1.0 TB"]
