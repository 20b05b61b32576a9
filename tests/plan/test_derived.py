"""Jobs made from other jobs: which belong together, what their fingerprint covers, where they run and what crosses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import PlanRefusedError
from pipeline.plan.derived import in_order
from pipeline.plan.entries import ProductPlan, Targets
from pipeline.plan.jobs import plan_jobs
from pipeline.plan.periods import STATIC
from pipeline.types import Item, Job, Period, Plan
from tests.plan.makers import JULY, JUNE, make_item, make_product, make_tile

BUDGETS = {"west": 2**33, "east": 2**33}
SUMMER = Period("2024-06-01_2024-08-01", JUNE.start, JULY.end)
S2 = replace(make_product("s2"), region="west", out_bytes=8)
S1 = replace(make_product("s1", "radar"), region="east", out_bytes=6)
DEM = replace(make_product("dem", "heights"), region="east", out_bytes=4)
STACK = replace(make_product("stack"), source=None, region="west", inputs=("s2", "s1", "dem"), kind="stack")
ITEMS = [
    make_item(1, (0, 2)),
    make_item(2, (0, 1), time=datetime(2024, 7, 3, tzinfo=UTC)),
    make_item(3, (0, 2), source="radar"),
    make_item(4, (0, 2), source="heights", time=datetime(2011, 1, 1, tzinfo=UTC)),
]
WHEN = {"s2": (JUNE, JULY), "s1": (JUNE, JULY), "dem": (STATIC,), "stack": (JUNE, JULY)}


def plan(
    products: Sequence[ProductPlan] = (STACK, S2, S1, DEM),
    items: Sequence[Item] = ITEMS,
    when: dict[str, tuple[Period, ...]] = WHEN,
    done: dict[str, list[str]] | None = None,
    output_region: str | None = None,
) -> Plan:
    targets = {one.name: Targets((make_tile(0), make_tile(1)), when[one.name]) for one in products}
    return plan_jobs(products, targets, items, done or {}, BUDGETS, output_region)


def stacks(found: Plan) -> dict[str, Job]:
    return {job.id: job for job in found.jobs if job.product == "stack"}


def test_a_job_joins_the_same_period_and_what_has_no_time() -> None:
    found = stacks(plan())
    assert {job_id: [one.job_id for one in job.upstream] for job_id, job in found.items()} == {
        "stack/tile-0/2024-06": ["s2/tile-0/2024-06", "s1/tile-0/2024-06", "dem/tile-0/static"],
        "stack/tile-1/2024-06": ["s2/tile-1/2024-06", "s1/tile-1/2024-06", "dem/tile-1/static"],
    }, "July has no radar scene"


def test_what_is_missing_is_named_and_what_may_be_missing_is_not_waited_for() -> None:
    notes = plan().notes
    assert "stack: not made in 2 tile-periods without s1: tile-0/2024-07, tile-1/2024-07" in notes
    assert "stack: not made in 1 tile-periods without s2: tile-1/2024-07" in notes
    lenient = replace(STACK, optional=frozenset({"s1"}))
    found = stacks(plan((lenient, S2, S1, DEM)))
    assert [one.product for one in found["stack/tile-0/2024-07"].upstream] == ["s2", "dem"]
    assert "stack/tile-1/2024-07" not in found


def test_a_longer_period_joins_all_that_share_a_moment_with_it() -> None:
    found = stacks(plan(when={**WHEN, "stack": (SUMMER,)}))
    ids = [one.job_id for one in found[f"stack/tile-0/{SUMMER.id}"].upstream]
    assert ids == ["s2/tile-0/2024-06", "s2/tile-0/2024-07", "s1/tile-0/2024-06", "dem/tile-0/static"]
    beside = Period("later", JULY.end, datetime(2024, 9, 1, tzinfo=UTC))
    assert not stacks(plan(when={**WHEN, "stack": (beside,)})), "ends are excluded"


def test_the_fingerprint_covers_those_of_what_it_is_made_from() -> None:
    first = stacks(plan())
    other = replace(S1, parameters={"composite": "max"})
    second = stacks(plan((STACK, S2, other, DEM)))
    assert {job.fingerprint for job in first.values()}.isdisjoint({job.fingerprint for job in second.values()})
    moved = replace(S1, region="west")
    assert {job.fingerprint for job in stacks(plan((STACK, S2, moved, DEM))).values()} == {
        job.fingerprint for job in first.values()
    }, "where it runs decides no pixel"


def test_what_is_committed_is_joined_though_it_is_not_made_again() -> None:
    first = plan()
    done = {name: [job.fingerprint for job in first.jobs if job.product == name] for name in ("s2", "s1", "dem")}
    second = plan(done=done)
    assert {job.product for job in second.jobs} == {"stack"}
    assert stacks(second) == stacks(first)


def test_a_job_runs_where_the_fewest_bytes_must_move() -> None:
    rows = make_tile().geobox.shape[0] * make_tile().geobox.shape[1]
    (job,) = [one for one in stacks(plan()).values() if one.tile.id == "tile-0"]
    # 8 bytes a pixel in the west, 6 + 4 in the east; 65 % are what is stored of a number.
    assert (job.region, job.crossing_bytes) == ("east", int(rows * 8 * 0.65))
    assert job.origins == (("east", int(rows * 6 * 0.65) + int(rows * 4 * 0.65)), ("west", int(rows * 8 * 0.65)))
    heavy = replace(S2, out_bytes=20)
    (job,) = [one for one in stacks(plan((STACK, heavy, S1, DEM))).values() if one.tile.id == "tile-0"]
    assert (job.region, job.crossing_bytes) == ("west", int(rows * 6 * 0.65) + int(rows * 4 * 0.65))


def test_a_stack_of_several_periods_holds_each_of_them() -> None:
    """So what is made from it reads as many."""
    stack = replace(STACK, inputs=("s2", "dem"), out_bytes=12, series=True)
    model = replace(STACK, name="model", inputs=("stack",))
    when = {**WHEN, "stack": (SUMMER,), "model": (SUMMER,)}
    read = {job.id: job.read_bytes for job in plan((S2, DEM, stack, model), when=when).jobs if job.product == "model"}
    once = 256 * 256 * 12 * 0.65
    assert read == {f"model/tile-0/{SUMMER.id}": int(2 * once), f"model/tile-1/{SUMMER.id}": int(once)}


def test_committed_files_lie_where_the_output_does() -> None:
    (job,) = [one for one in stacks(plan(output_region="west")).values() if one.tile.id == "tile-0"]
    assert (job.region, job.crossing_bytes) == ("west", 0)
    (job,) = [one for one in stacks(plan(output_region="north")).values() if one.tile.id == "tile-0"]
    assert job.crossing_bytes == job.read_bytes > 0, "all of it crosses, wherever it runs"


def test_products_come_after_what_they_are_made_from() -> None:
    deep = replace(STACK, name="model", inputs=("stack",))
    assert [one.name for one in in_order([deep, STACK, S2, S1, DEM])] == ["s2", "s1", "dem", "stack", "model"]
    with pytest.raises(PlanRefusedError, match="made from each other: a, b"):
        in_order([replace(STACK, name="a", inputs=("b",)), replace(STACK, name="b", inputs=("a",))])


def test_a_tile_on_another_grid_is_not_joined() -> None:
    fine = make_tile(0).geobox
    coarse = GeoBox((128, 128), fine.transform @ Affine.scale(2), fine.crs)
    targets = {
        "s2": Targets((make_tile(0),), (JUNE,)),
        "half": Targets((replace(make_tile(0), geobox=coarse),), (JUNE,)),
    }
    half = replace(STACK, name="half", inputs=("s2",))
    assert [job.product for job in plan_jobs((S2, half), targets, ITEMS, {}, BUDGETS).jobs] == ["s2"]


def test_tiles_asked_for_in_some_periods_are_planned_in_those() -> None:
    only = {"tile-0": frozenset({"2024-07"}), "tile-1": frozenset({"2024-06"})}
    targets = {"s2": Targets((make_tile(0), make_tile(1)), (JUNE, JULY), only)}
    found = plan_jobs((S2,), targets, ITEMS, {}, BUDGETS)
    assert [job.id for job in found.jobs] == ["s2/tile-0/2024-07", "s2/tile-1/2024-06"]
