"""A plan on disk is the plan: what is made anew from its rows is what was planned, each time, from any place."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.plan.entries import ProductPlan, Targets, with_bands
from pipeline.plan.fingerprint import Template, fingerprint
from pipeline.plan.jobs import job_document, plan_jobs
from pipeline.plan.made import skipped_counts, skipped_places
from pipeline.plan.memory import project_memory
from pipeline.plan.rows import micros
from pipeline.plan.windows import finest_of, window_px
from pipeline.types import Item, Job, Period
from tests.plan.makers import JULY, JUNE, make_item, make_product, make_tile

BUDGETS = {"us-west-2": 2**33}
TILES = tuple(make_tile(column) for column in range(4))
S2 = make_product("s2")
HALF = replace(make_product("half"), kind="stack", source=None, inputs=("s2",), bands=(), series=True)
TARGETS = {name: Targets(TILES, (JUNE, JULY)) for name in ("s2", "half")}
ENDS = st.lists(st.tuples(st.integers(0, 60), st.floats(0, 3.5), st.floats(0.1, 3)), min_size=1, max_size=8)


def scenes(ends: list[tuple[int, float, float]]) -> list[Item]:
    """Some days after the first of June, at 23:50 UTC, so that the solar day is the next one."""
    return [
        make_item(number, (first, first + size), time=datetime(2024, 6 + day // 30, day % 30 + 1, 23, 50, tzinfo=UTC))
        for number, (day, first, size) in enumerate(ends)
    ]


def plainly(product: ProductPlan, job: Job, budget: int) -> Job:
    """The same job by its own items alone, with nothing shared or remembered."""
    days = len({item.solar_day for item in job.items})
    shape, finest = job.tile.geobox.shape.yx, finest_of(job.items, job.tile)
    read = (sum(window_px(asset.grid, job.tile) for asset in item.assets.values()) for item in job.items)
    return replace(
        job,
        items=tuple(sorted(job.items, key=lambda item: (item.solar_day, item.id, item.collection))),
        fingerprint=fingerprint(job_document(product, job.tile, job.period, job.items)),
        memory=project_memory(shape, len(job.items), days, product.holding, budget, finest),
        read_bytes=sum(int(px * 2 * 0.65) for px in read),
    )


@given(ENDS)
@settings(deadline=None, max_examples=15)
def test_jobs_are_what_their_items_say(ends: list[tuple[int, float, float]]) -> None:
    """What is shared between jobs of one tile changes none of them."""
    items = scenes(ends)
    (region,) = {S2.region}
    for job in plan_jobs([S2], TARGETS, items, {}, BUDGETS).jobs:
        assert job == plainly(S2, job, BUDGETS[region])
        for item in job.items:
            source = next(one for one in items if one.id == item.id)
            assert replace(item, solar_day=source.solar_day) == with_bands(source, S2.bands)
            assert item.time in job.period and item.solar_day == (item.time + timedelta(hours=1)).date()


@given(ENDS, st.sets(st.integers(0, 30)))
@settings(deadline=None, max_examples=15)
def test_jobs_and_skips_are_the_whole_plan_in_its_order(ends: list[tuple[int, float, float]], done: set[int]) -> None:
    items = scenes(ends)
    whole = plan_jobs([S2, HALF], TARGETS, items, {}, BUDGETS)
    everything = list(whole.jobs)
    committed = {name: {job.fingerprint for job in everything if job.product == name} for name in ("s2", "half")}
    some = {name: {one for n, one in enumerate(sorted(known)) if n in done} for name, known in committed.items()}
    plan = plan_jobs([S2, HALF], TARGETS, items, some, BUDGETS)
    left = [job for job in everything if job.fingerprint not in some[job.product]]
    assert list(plan.jobs) == left == [plan.jobs[number] for number in range(len(left))]
    skipped = [job for job in everything if job.fingerprint in some[job.product]]
    assert [(one.job_id, one.fingerprint) for one in plan.skipped] == [(job.id, job.fingerprint) for job in skipped]
    counts = Counter(job.product for job in skipped)
    assert skipped_counts(plan.skipped) == skipped_counts(list(plan.skipped)) == counts
    places = [place for _, place in skipped_places(plan) if place is not None]
    assert [(one.tile, one.scenes, one.read_bytes) for one in places] == [
        (job.tile, len(job.items) or len(job.upstream), job.read_bytes) for job in skipped
    ]
    assert plan.jobs[1:3] == tuple(left[1:3]) and (not left or plan.jobs[-1] == left[-1])


def test_a_fingerprint_of_shared_texts_is_that_of_the_document() -> None:
    """Whatever letters are in it, in any period."""
    product = replace(make_product("p"), parameters={"label": 'ä \\ "', "list": [1, 2.5, None, True]}, facts=("é",))
    items = [replace(make_item(number), properties={"é": f"{number}\n"}) for number in (2, 1)]
    template = Template(product.kind, product.version, product.parameters)
    for period in (JUNE, Period("static", None, None)):
        document = job_document(product, TILES[0], period, items)
        texts = [Template.text(one) for one in document["inputs"]]
        begun, tile = template.begun(period, texts), Template.text(document["tile"])
        assert template.fingerprint(begun, tile) == template.fingerprint(begun, tile) == fingerprint(document)


def test_microseconds_are_exact_before_and_after_1970() -> None:
    for time in (datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)):
        assert datetime.fromtimestamp(0, UTC) + (time - datetime.fromtimestamp(0, UTC)) == time
        assert micros(time) == round(time.timestamp() * 1e6)
