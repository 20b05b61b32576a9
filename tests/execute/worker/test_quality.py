"""Laws of quality: what is measured stands in the item, limits decide what is marked or refused and change no pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import QualityConfig
from pipeline.execute.worker.quality import judge
from pipeline.execute.worker.task import run_job
from pipeline.results.quality import judge_again
from pipeline.session import Session
from pipeline.types import Job, Outcome, Status
from pipeline.write.catalog import write_catalog
from tests.execute.ground import SIDE, Ground, by_place, ground, texture

SEAM = 1500


def make(session: Session, job: Job) -> Outcome:
    return run_job(job, session.assignments()[job.product], 1)


LIMITS = [
    ("min_valid_fraction", "valid_fraction", "low_valid_fraction", 0.5, 0.499),
    ("min_observations", "observations_mean", "few_observations", 2.0, 1.99),
    ("max_cloud_fraction", "cloud_fraction", "cloudy", 0.5, 0.501),
    ("max_missing_fraction", "missing_fraction", "missing_assets", 0.1, 0.101),
    ("max_edge_difference", "edge_difference", "edge_step", 0.9, 0.901),
]


@pytest.mark.parametrize("level", ["warn", "fail"])
@pytest.mark.parametrize(("name", "figure", "flag", "at", "beyond"), LIMITS)
def test_a_figure_at_its_limit_passes_and_one_beyond_it_does_not(
    name: str, figure: str, flag: str, at: float, beyond: float, level: str
) -> None:
    limits = QualityConfig.model_validate({"empty": "pass", "min_observations": {}, name: {level: at}})
    edges = [{"band": "red", "side": "top", "tile": "t", "fingerprint": "f" * 32}]
    assert judge({figure: at, "edges": edges}, limits).status == "pass"
    found = judge({figure: beyond, "edges": edges}, limits)
    assert (found.status, found.flags) == (level, (flag,))
    assert f"{beyond:g}" in found.found[0].text and f"{name}.{level}" in found.found[0].text


def test_what_a_product_does_not_say_is_not_judged() -> None:
    everything = {name: {"fail": 0.5} for name, *_ in LIMITS}
    assert judge({}, QualityConfig.model_validate(everything)).status == "pass"


def test_the_worst_finding_is_the_status() -> None:
    limits = QualityConfig.model_validate({"min_valid_fraction": {"warn": 0.5}, "offset_in_doubt": "fail"})
    found = judge({"valid_fraction": 0.0, "offsets_in_doubt": 2}, limits)
    assert found.status == "fail"
    levels = [(one.flag, one.level) for one in found.found]
    assert levels == [("empty", "warn"), ("low_valid_fraction", "warn"), ("suspicious_offset", "fail")]


@pytest.mark.parametrize(
    ("range_", "status"),
    [([0.1, 0.4], "pass"), ([0.1, 0.39], "fail"), ([0.11, 0.4], "fail"), ([0.0, 1.0], "pass")],
)
def test_band_ranges_hold_at_both_ends(range_: list[float], status: str) -> None:
    limits = QualityConfig.model_validate_json(f'{{"band_ranges": {{"red": {{"fail": {range_}}}}}}}', strict=True)
    assert judge({"ranges": {"red": [0.1, 0.4], "nir": [-9.0, 9.0]}}, limits).status == status


def test_files_and_keys_depend_on_no_limit_and_no_neighbour(tmp_path: Path) -> None:
    """The same job beside a neighbour, alone, and without any comparison names the same files."""
    found = []
    for number, (quality, company) in enumerate([({}, True), ({}, False), ({"edges": False}, True)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = ground(folder).halves(east_by=SEAM)
        session = world.session(quality)
        jobs = by_place(session)
        if company:
            make(session, jobs["nw"])
        outcome = make(session, jobs["ne"])
        assets = world.item(outcome)["assets"]
        inputs = assets.pop("inputs")["href"].rpartition("/")[2][:19]
        found.append((outcome.item_key, {name: asset["href"] for name, asset in assets.items()}, inputs))
        assert ("edges" in world.quality(outcome)) is (company and quality == {})
    assert found[0] == found[1] == found[2]


def committed(world: Ground) -> list[Path]:
    return [path for top in ("items", "data") for path in (world.output / top).rglob("*.*")]


def holed() -> np.ndarray[Any, Any]:
    """Ground of which the north-west tile lacks three quarters."""
    pixels = texture()
    pixels[:SIDE, : SIDE * 3 // 4] = 0
    return pixels


def test_a_tile_that_fails_leaves_nothing_and_a_lower_limit_makes_it(tmp_path: Path) -> None:
    """By name, as any failed job; a limit is no part of the fingerprint, so one that is raised makes nothing again."""
    world = ground(tmp_path).halves(ground=holed())
    strict = world.session({"min_valid_fraction": {"fail": 0.3}})
    job = by_place(strict)["nw"]
    refused = make(strict, job)
    assert (refused.status, refused.error) == (Status.FAILED, "QualityError")
    words = "low_valid_fraction: valid_fraction 0.25 is below min_valid_fraction.fail 0.3"
    assert f"{job.id}: {words}; nothing is committed" in str(refused.cause)
    assert refused.quality and refused.quality.status == "fail"
    assert committed(world) == []
    loose = world.session({"min_valid_fraction": {"warn": 0.3, "fail": 0.25}})
    again = by_place(loose)["nw"]
    assert again.fingerprint == job.fingerprint
    made = make(loose, again)
    assert made.status is Status.DONE and made.quality and made.quality.status == "warn"
    assert world.quality(made)["status"] == "warn"
    strict = world.session({"min_valid_fraction": {"fail": 0.3}})
    assert "nw" not in by_place(strict)
    write_catalog(strict.prepared.store, "test", {"sentinel2": [str(made.item_key)]})
    ((name, before),) = strict.quality_before().items()
    assert (name, before.status, before.flags) == (job.id, "fail", ("few_observations", "low_valid_fraction"))
    assert world.session({"min_valid_fraction": {"fail": 0.2}, "min_observations": {}}).quality_before() == {}


def test_a_product_has_limits_of_its_own_key_by_key(tmp_path: Path) -> None:
    world = ground(tmp_path).halves(ground=holed())
    session = world.session({"min_valid_fraction": {"fail": 0.9}, "edges": False}, quality={"on_fail": "commit"})
    outcome = make(session, by_place(session)["nw"])
    assert outcome.status is Status.DONE and outcome.quality and outcome.quality.status == "fail"
    assert world.quality(outcome)["status"] == "fail"


def test_an_empty_tile_is_marked(tmp_path: Path) -> None:
    pixels = texture()
    pixels[:SIDE, :SIDE] = 0
    world = ground(tmp_path).halves(ground=pixels)
    session = world.session()
    outcome = make(session, by_place(session)["nw"])
    assert outcome.quality and outcome.quality.flags == ("empty", "few_observations")
    figures = world.quality(outcome)
    assert (figures["valid_fraction"], figures["observations_mean"], figures["observations_min"]) == (0, 0, 0)


def test_lost_inputs_are_counted(tmp_path: Path) -> None:
    """One of two scenes cannot be read."""
    world = ground(tmp_path).halves()
    world.add("2024-06-09", {"red": "/nowhere.tif", "scl": None})
    session = world.session()
    outcome = make(session, by_place(session)["nw"])
    assert outcome.quality and outcome.quality.flags == ("missing_assets",)
    assert world.quality(outcome)["missing_fraction"] == 0.5


def test_what_is_lost_with_its_mask_is_missing_too(tmp_path: Path) -> None:
    """Of two scenes with a band and a mask each, one mask is gone: with it half of everything."""
    world = ground(tmp_path)
    world.add("2024-06-07")
    world.add("2024-06-09", {"scl": "/nowhere.tif"})
    session = world.session({"max_missing_fraction": {"warn": 0.5, "fail": 0.6}}, mask={})
    outcome = make(session, by_place(session)["nw"])
    assert world.quality(outcome)["missing_fraction"] == 0.5
    assert outcome.quality and "missing_assets" not in outcome.quality.flags


def test_figures_are_those_of_the_pixels(tmp_path: Path) -> None:
    """Valid fraction, observations, ranges and statistics of a tile by plain NumPy."""
    pixels = holed()
    world = ground(tmp_path).halves(ground=pixels)
    session = world.session()
    outcome = make(session, by_place(session)["nw"])
    red = pixels[:SIDE, :SIDE]
    valid = red[red > 0]
    figures = world.quality(outcome)
    assert figures["valid_fraction"] == figures["observations_mean"] == 0.25
    assert figures["ranges"]["red"] == pytest.approx([valid.min() * 1e-4, valid.max() * 1e-4], rel=1e-5)
    (band,) = world.item(outcome)["assets"]["red"]["bands"]
    assert band["statistics"] == pytest.approx(
        {
            "minimum": valid.min(),
            "maximum": valid.max(),
            "mean": valid.mean(),
            "stddev": valid.std(),
            "valid_percent": 25.0,
        }
    )


def test_nothing_is_told_of_what_is_not_in_the_table(tmp_path: Path) -> None:
    world = ground(tmp_path).halves()
    session = world.session()
    job = by_place(session)["nw"]
    make(session, job)
    assert list(judge_again(session.prepared.store, {job.id: job.fingerprint}, {})) == []


@pytest.mark.parametrize(("level", "status"), [("pass", Status.DONE), ("warn", Status.DONE), ("fail", Status.FAILED)])
def test_an_offset_in_doubt_is_marked_passed_or_refused(tmp_path: Path, level: str, status: Status) -> None:
    """The catalogue says two things of bright land, where the numbers cannot tell which is true."""
    scenes = ground(tmp_path).halves()
    for item in scenes.items:
        item["properties"]["earthsearch:boa_offset_applied"] = True
        item["assets"]["red"]["raster:bands"] = [{"offset": -0.1, "scale": 0.0001}]
    session = scenes.session({"offset_in_doubt": level})
    outcome = make(session, by_place(session)["nw"])
    assert outcome.status is status
    assert outcome.quality and outcome.quality.flags == (() if level == "pass" else ("suspicious_offset",))
    if status is Status.DONE:
        assert scenes.quality(outcome)["offsets_in_doubt"] == 1
