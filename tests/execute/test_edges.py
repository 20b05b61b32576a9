"""Laws of edges between committed tiles: a seam is found, by the later of the two, and ground without one passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.execute.worker import task as module
from pipeline.execute.worker.task import run_group, run_job
from pipeline.plan.groups import Group
from pipeline.session import Session
from pipeline.types import Job, Outcome, Status
from tests.execute.ground import SIDE, TILES, by_place, ground, texture
from tests.worlds import SmallWorld

SEAM = 1500


def make(session: Session, job: Job) -> Outcome:
    return run_job(job, session.assignments()[job.product], 1)


def plain_ratio(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], behind: tuple[Any, Any]) -> float:
    """Across 64 even places of a line: median step, in median steps to the rows behind, of the whole line."""
    places = ((np.arange(64) + 0.5) / 64 * SIDE).astype(int)

    def step(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
        steps = np.abs(a.astype(float) - b.astype(float))
        return float(np.median(steps[steps > 0]))

    return step(one[places], other[places]) / max(step(one, behind[0]), step(other, behind[1]))


def test_a_seam_made_on_purpose_is_found_and_where_there_is_none_none(tmp_path: Path) -> None:
    """The step between the halves is found by who is made last, as large as NumPy says; lines within a half pass."""
    world = ground(tmp_path).halves(east_by=SEAM)
    session = world.session()
    jobs = by_place(session)
    outcomes = {place: make(session, jobs[place]) for place in ("nw", "sw", "ne", "se")}
    assert [one.quality.flags for one in outcomes.values() if one.quality] == [(), (), ("edge_step",), ("edge_step",)]
    red = texture()
    red[:, SIDE:] += SEAM
    west, east = red[:SIDE, SIDE - 1], red[:SIDE, SIDE]
    expected = plain_ratio(east, west, (red[:SIDE, SIDE + 1], red[:SIDE, SIDE - 2]))
    (step,) = world.quality(outcomes["ne"])["edges"]
    assert step["ratio"] == pytest.approx(expected, rel=1e-3) and expected > 5
    assert (step["side"], step["tile"], step["band"]) == ("left", TILES["nw"], "red")
    assert step["fingerprint"] == jobs["nw"].fingerprint
    steps = {one["side"]: one["ratio"] for one in world.quality(outcomes["se"])["edges"]}
    assert steps["left"] > 5 and steps["top"] < 1.5
    assert world.quality(outcomes["nw"]).get("edges") is None, "nobody was there to be compared with"
    assert steps["top"] == pytest.approx(
        plain_ratio(red[SIDE, SIDE:], red[SIDE - 1, SIDE:], (red[SIDE + 1, SIDE:], red[SIDE - 2, SIDE:])),
        rel=1e-3,
    )


def test_even_ground_passes_on_all_sides(tmp_path: Path) -> None:
    world = ground(tmp_path).halves()
    session = world.session()
    for job in session.plan.jobs:
        quality = make(session, job).quality
        assert quality and (quality.status, quality.found) == ("pass", ())


def test_tiles_committed_at_the_same_moment_are_compared_by_the_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither found the other before it was committed: the item cannot say it, the run's record does."""
    world = ground(tmp_path).halves(east_by=SEAM)
    session = world.session()
    jobs, inner = by_place(session), []
    commit = module._commit

    def meanwhile(job: Job, *arguments: Any) -> Any:
        if job.tile.id == TILES["nw"]:
            inner.append(make(session, jobs["ne"]))
        return commit(job, *arguments)

    monkeypatch.setattr(module, "_commit", meanwhile)
    outer = make(session, jobs["nw"])
    assert outer.quality and outer.quality.flags == ("edge_step",)
    assert inner[0].quality and inner[0].quality.flags == ()
    assert world.quality(outer)["flags"] == world.quality(inner[0])["flags"] == []


DAMAGES = [
    "",
    "{",
    '{"assets": 3}',
    '{"assets": {"red": {"bands": [{"groundswell:edges": 1}]}}}',
    '{"assets": {"red": {"bands": [{"groundswell:edges": {"right": {"inside": NaN, "values": "AA=="}}}]}}}',
    '{"assets": {"red": {"bands": [{"data_type": "uint16", "groundswell:edges": {"right": {"inside": 1'
    + "0" * 400
    + ', "values": "'
    + "AQID" * 42
    + 'AQE="}}}]}}}',
    "[" * 100_000,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_neighbour_that_cannot_be_read_costs_nothing(tmp_path: Path, damage: str) -> None:
    world = ground(tmp_path).halves(east_by=SEAM)
    session = world.session()
    jobs = by_place(session)
    first = make(session, jobs["nw"])
    (world.output / str(first.item_key)).write_text(damage, encoding="utf-8")
    second = make(session, jobs["ne"])
    assert second.status is Status.DONE and second.quality and second.quality.flags == ()


def test_a_group_is_compared_within_itself(tmp_path: Path) -> None:
    world = ground(tmp_path).halves(east_by=SEAM)
    session = world.session()
    jobs = by_place(session)
    group = Group(tuple(jobs[place] for place in ("nw", "ne", "sw", "se")), jobs["nw"].memory)
    outcomes = run_group(group, session.assignments()["sentinel2"], 1)
    assert [one.quality.flags for one in outcomes if one.quality] == [(), ("edge_step",), (), ("edge_step",)]


def test_tiles_of_the_demo_world_meet_without_a_seam(world: SmallWorld) -> None:
    """Clouds, months, two zones and a damaged file: every line between two tiles looks like the lines beside it."""
    session = world.session("grid.tile_px=128")
    ratios = []
    for job in session.plan.jobs:
        outcome = world.run(session, job)
        item = json.loads((world.output / str(outcome.item_key)).read_text(encoding="utf-8"))
        ratios += [step["ratio"] for step in item["properties"]["groundswell:quality"].get("edges", ())]
        assert outcome.quality and "edge_step" not in outcome.quality.flags
    assert len(ratios) > 3 and max(ratios) < 3
