"""Some jobs by themselves come out as the whole plan has them, and nothing far from them is searched or planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.options import Options
from pipeline.errors import PlanRefusedError
from pipeline.plan.entries import ProductPlan, Targets
from pipeline.plan.jobs import plan_jobs
from pipeline.plan.made import table_of
from pipeline.plan.narrow import narrow
from pipeline.plan.neighbours import with_neighbours
from pipeline.plan.only import Chosen, only
from pipeline.plan.periods import STATIC, plan_periods
from pipeline.session import Session, open_session
from pipeline.types import Job, Period, Plan
from tests.plan.makers import make_item, make_product, make_tile

DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"


def derived(name: str, *inputs: str) -> ProductPlan:
    """A product made from others."""
    return replace(make_product(name), kind="stack", source=None, inputs=inputs)


SUMMER = plan_periods(datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 9, 1, tzinfo=UTC), "month")
WHOLE_SUMMER = (Period("2024-JJA", SUMMER[0].start, SUMMER[-1].end),)
TILES = tuple(make_tile(column) for column in range(6))
PRODUCTS = (
    make_product("median"),
    make_product("relief", "dem"),
    derived("sum", "median", "relief"),
    derived("season", "sum"),
)
TARGETS = {
    "median": Targets(TILES, SUMMER),
    "relief": Targets(TILES, (STATIC,)),
    "sum": Targets(TILES, SUMMER),
    "season": Targets(TILES, WHOLE_SUMMER),
}
ITEMS = tuple(
    make_item(
        number, (number % 5, number % 5 + 2), time=datetime(2024, 6 + number % 3, 1 + number, tzinfo=UTC), source=source
    )
    for number in range(12)
    for source in ("s2", "dem")
)
ROOM = {"us-west-2": 2**34}


def planned(targets: Mapping[str, Targets]) -> Plan:
    products = [one for one in PRODUCTS if one.name in targets]
    return with_neighbours(plan_jobs(products, targets, ITEMS, {}, ROOM), targets)


WHOLE = {job.id: job for job in planned(TARGETS).jobs}


@settings(max_examples=12, deadline=None)
@given(st.sets(st.sampled_from(sorted(WHOLE)), min_size=1, max_size=4))
def test_jobs_are_the_same_in_a_narrowed_plan(ids: set[str]) -> None:
    """Of any of them: inputs, upstream jobs, neighbours and fingerprint."""
    targets = narrow(PRODUCTS, TARGETS, ids)
    found = {job.id: job for job in planned(targets).jobs}
    assert {one: found[one] for one in ids} == {one: WHOLE[one] for one in ids}


def test_what_is_not_needed_is_not_planned() -> None:
    targets = narrow(PRODUCTS, TARGETS, {"median/tile-0/2024-06"})
    assert set(targets) == {"median"}
    assert [tile.id for tile in targets["median"].tiles] == ["tile-0", "tile-1"]
    assert [period.id for period in targets["median"].periods] == ["2024-06"]


def test_what_jobs_are_made_from_is_planned_with_them() -> None:
    """Months of a season, and what has no time; of the tile and the one beside it."""
    targets = narrow(PRODUCTS, TARGETS, {"season/tile-0/2024-JJA", "sum/tile-0/2024-06"})
    assert {name: len(target.periods) for name, target in targets.items()} == {
        "season": 1,
        "sum": 3,
        "median": 3,
        "relief": 1,
    }
    assert all([tile.id for tile in target.tiles] == ["tile-0", "tile-1"] for target in targets.values())
    assert len({id(target.tiles) for target in targets.values()}) == 1


def test_a_period_of_the_same_name_serves_though_they_share_no_moment() -> None:
    """Runs cover calendar periods in part, each product its own part; the plan goes by the name then."""
    early, late = (
        plan_periods(datetime(2024, 6, first, tzinfo=UTC), datetime(2024, 6, last, tzinfo=UTC), "month")
        for first, last in ((1, 10), (20, 25))
    )
    targets = {**TARGETS, "median": Targets(TILES, early), "sum": Targets(TILES, late)}
    whole = {job.id: job for job in planned(targets).jobs}
    (job_id,) = [one for one in whole if one.startswith("sum/tile-0/")]
    assert {job.id: job for job in planned(narrow(PRODUCTS, targets, {job_id})).jobs}[job_id] == whole[job_id]


def test_years_of_single_tiles_are_kept() -> None:
    one = replace(TARGETS["median"], only={"tile-0": frozenset({"2024-06"})})
    targets = narrow(PRODUCTS, {**TARGETS, "median": one}, {"median/tile-0/2024-06", "median/tile-0/2024-07"})
    assert [period.id for period in targets["median"].periods_of(TILES[0])] == ["2024-06"]


def test_what_a_config_has_not_narrows_to_nothing() -> None:
    assert narrow(PRODUCTS, TARGETS, {"other/tile-0/2024-06", ""}) == {}
    far = narrow(PRODUCTS, TARGETS, {"median/tile-9/2024-06"})
    assert far["median"].tiles == ()


def test_inputs_that_are_not_committed_are_chosen_with_a_job() -> None:
    plan = planned(TARGETS)
    done = WHOLE["median/tile-1/2024-06"]
    jobs, skipped = table_of(plan).split({"median": {done.fingerprint}})
    split = replace(plan, jobs=jobs, skipped=skipped)
    wanted = Chosen(frozenset({"sum/tile-1/2024-06"}), inputs=True)
    assert {job.id for job in only(split, wanted).jobs} == {"sum/tile-1/2024-06", "relief/tile-1/static"}
    alone = only(split, replace(wanted, inputs=False))
    assert {job.id for job in alone.jobs} == {"sum/tile-1/2024-06"}
    season = only(plan, Chosen(frozenset({"season/tile-1/2024-JJA"}), inputs=True))
    assert {job.product for job in season.jobs} == {"season", "sum", "median", "relief"}


def test_none_of_the_chosen_jobs_is_refused_only_where_asked() -> None:
    plan = planned(TARGETS)
    assert not len(only(plan, Chosen(frozenset({"no/such/job"}), strict=False)).jobs)
    with pytest.raises(PlanRefusedError, match="of the 1 jobs to replay"):
        only(plan, Chosen(frozenset({"no/such/job"})))


def demo(world: Path, output: Path, chosen: Chosen | None = None) -> Session:
    """The demo's own config on smaller tiles, so that some have neighbours."""
    sources = ("s2", "s1", "dem", "landsat", "s2_c1")
    sets = [f"sources.{name}.items={world}/{name}/collection.json" for name in sources]
    sets += [f"sources.argo.gdac={world}/argo", "grid.tile_px=256"]
    return open_session(Options(DEMO, sets=sets, output=str(output)), chosen)


@pytest.mark.long
def test_every_product_of_the_demo_is_the_same_alone(demo_world: Path, tmp_path: Path) -> None:
    """Also its memory and neighbours: of each product the job with most of them."""
    best: dict[str, Job] = {}
    for job in demo(demo_world, tmp_path).plan.jobs:
        known = best.setdefault(job.product, job)
        if len(job.neighbours) > len(known.neighbours):
            best[job.product] = job
    assert best.keys() > {"sentinel2", "stack", "dem", "argo", "matchups"}
    assert any(job.neighbours for job in best.values())
    for job in best.values():
        session = demo(demo_world, tmp_path, Chosen(frozenset({job.id})))
        assert list(session.plan.jobs) == [job]
        if job.product == "sentinel1":
            sources = {item["properties"]["groundswell:source"] for item in session.prepared.snapshot.items}
            assert sources == {"s1"} and not session.prepared.afloat.items
