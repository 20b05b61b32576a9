"""What a scene touches holds everything that the plan makes of it, and little more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import prepare
from pipeline.config import RunConfig
from pipeline.config.area import GridConfig
from pipeline.errors import ConfigError
from pipeline.events.event import ObjectEvent, SceneEvent
from pipeline.events.rules.ground import Ground
from pipeline.events.rules.templates import OpenTemplates, open_templates
from pipeline.plan.areas import Area, box_region
from pipeline.plan.entries import ProductPlan, Targets
from pipeline.plan.jobs import plan_jobs
from pipeline.plan.periods import plan_periods
from pipeline.plan.tiles import plan_tiles
from pipeline.session import Options, open_session
from pipeline.types import Item
from tests.events.run_world import RULES, RunWorld, run_world
from tests.plan.makers import make_item, make_product


@pytest.fixture(scope="module")
def world(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> RunWorld:
    return run_world(demo_world, tmp_path_factory.mktemp("templates"))


@pytest.fixture(scope="module")
def templates(world: RunWorld) -> OpenTemplates:
    return open_templates(world.config())


def touched(templates: OpenTemplates, world: RunWorld, rule: str, event: SceneEvent | ObjectEvent) -> set[str]:
    return {one.target for one in templates.targets(rule, world.config().rules[rule], event)}


@pytest.mark.long
def test_whatever_a_plan_makes_of_a_scene_is_touched_by_it(world: RunWorld, templates: OpenTemplates) -> None:
    """The plan without the scene differs in jobs that are touched, and in no others: also those made from others."""
    session = open_session(Options(world.run))
    prepared = session.prepared

    def planned(items: tuple[Item, ...]) -> dict[str, str]:
        plan = plan_jobs(prepared.products, prepared.targets, items, {}, prepared.task_bytes)
        return {job.id: job.fingerprint for job in plan.jobs}

    whole = planned(prepared.items)
    seen = set()
    for rule, source in (("s2", "s2"), ("s1", "s1"), ("dem", "dem"), ("landsat", "landsat")):
        for event in world.scenes(source)[::2]:
            less = planned(tuple(item for item in prepared.items if (item.source, item.id) != (source, event.id)))
            changed = {job_id for job_id in whole if whole[job_id] != less.get(job_id)}
            found = touched(templates, world, rule, event)
            assert changed <= found, event.id
            spared = {job_id for job_id in found & whole.keys() if job_id not in changed}
            # Neighbouring tiles that its footprint misses by less than a kilometre, and matches within a day.
            assert len(spared) <= len(changed) or any(job_id.startswith("matchups") for job_id in spared), event.id
            seen |= changed
    assert {job_id.partition("/")[0] for job_id in seen} >= {"sentinel2", "sentinel1", "dem", "landsat", "stack"}


def test_scenes_of_one_month_touch_the_same_tile_under_one_name(world: RunWorld, templates: OpenTemplates) -> None:
    june = [event for event in world.scenes("s2") if event.time and event.time.month == 6 and "32TQQ" in event.id]
    assert len(june) > 1
    common = set.intersection(*(touched(templates, world, "s2", event) for event in june))
    assert any(target.startswith("sentinel2/") and target.endswith("/2024-06") for target in common)
    assert any(target.startswith("stack/") and target.endswith("/2024-06") for target in common)


def test_a_scene_without_a_time_is_of_every_period(world: RunWorld, templates: OpenTemplates) -> None:
    event = replace(world.scenes("s2")[0], time=None, geometry=None)
    periods = {target.rpartition("/")[2] for target in touched(templates, world, "s2", event)}
    assert periods >= {"2024-06", "2024-07"}


def test_a_day_is_allowed_for_only_where_no_item_says_the_time(world: RunWorld, templates: OpenTemplates) -> None:
    event = replace(world.scenes("s2")[0], time=datetime(2024, 6, 30, 12, tzinfo=UTC))
    exact = {t.rpartition("/")[2] for t in touched(templates, world, "s2", event) if t.startswith("sentinel2/")}
    told = replace(event, item=None)
    loose = {t.rpartition("/")[2] for t in touched(templates, world, "s2", told) if t.startswith("sentinel2/")}
    assert (exact, loose) == ({"2024-06"}, {"2024-06", "2024-07"})


def test_a_static_product_reaches_every_month(world: RunWorld, templates: OpenTemplates) -> None:
    found = [
        one for event in world.scenes("dem") for one in templates.targets("dem", world.config().rules["dem"], event)
    ]
    ends = {one.target.rpartition("/")[2]: one.ends_s for one in found}
    assert ends["static"] is None
    assert ends["2024-06"] == datetime(2024, 7, 1, tzinfo=UTC).timestamp()
    assert {one.target.partition("/")[0] for one in found} == {"dem", "stack"}


def test_far_scenes_touch_nothing(world: RunWorld, templates: OpenTemplates) -> None:
    far = shapely.geometry.mapping(shapely.box(20, 44, 21, 45))
    assert not touched(templates, world, "s2", replace(world.scenes("s2")[0], geometry=far))
    early = replace(world.scenes("s2")[0], time=datetime(2023, 6, 1, tzinfo=UTC))
    assert not touched(templates, world, "s2", early)


def test_a_footprint_that_crosses_itself_counts_all_over(world: RunWorld, templates: OpenTemplates) -> None:
    corners = [(11.0, 44.0), (13.0, 46.0), (13.0, 44.0), (11.0, 46.0), (11.0, 44.0)]
    tie = {"type": "Polygon", "coordinates": [corners]}
    assert touched(templates, world, "s2", replace(world.scenes("s2")[0], geometry=tie))


def test_a_file_is_its_floats(world: RunWorld, templates: OpenTemplates) -> None:
    file = ObjectEvent("argo", "pub/dac/aoml/9900101/profiles/R9900101_001.nc")
    assert touched(templates, world, "floats", file) == {"float/9900101"}
    assert not touched(templates, world, "floats", replace(file, key="pub/dac/aoml/9900101/9900101_meta.nc"))


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_changed_config_is_read_again(
    demo_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    """Also one that is changed while it is read."""
    world = run_world(demo_world, tmp_path, rules={"landsat": RULES["landsat"]})
    templates, event = open_templates(world.config()), world.scenes("landsat")[0]

    def change() -> None:
        text = world.run.read_text(encoding="utf-8").replace("every: month", "every: year")
        world.run.write_text(text, encoding="utf-8")
        later = world.run.stat().st_mtime + 5
        os.utime(world.run, (later, later))

    def plan(config: RunConfig, products: Sequence[ProductPlan]) -> dict[str, Targets]:
        monkeypatch.undo()
        change()
        return prepare.plan_targets(config, products)

    def periods() -> set[str]:
        return {target.rpartition("/")[2] for target in touched(templates, world, "landsat", event)}

    if meanwhile:
        monkeypatch.setattr(prepare, "plan_targets", plan)
    assert "2024" not in periods()
    if not meanwhile:
        change()
    assert periods() == {"2024"}


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({"match": {"collection": "x"}, "source": "nothing"}, "found source nothing; allowed: one of its sources, s2"),
        ({"match": {"collection": "x"}, "source": "argo"}, "found source argo, which is a GDAC"),
        ({"match": {"collection": "x"}}, "found no source with collection x; allowed: none, which"),
        ({"match": {"bucket": "argo"}, "source": "s2"}, "found source s2 for objects of bucket argo"),
    ],
)
def test_what_a_rule_asks_of_a_run_that_has_it_not_is_refused(
    demo_world: Path, tmp_path: Path, rule: dict[str, Any], fault: str
) -> None:
    world = run_world(demo_world, tmp_path, rules={"one": {"run": "run.yaml", **rule}})
    with pytest.raises(ConfigError, match=fault) as refused:
        open_templates(world.config()).check()
    assert "rules.one.run" in str(refused.value)


def test_a_run_that_cannot_be_read_is_told_by_its_rule(demo_world: Path, tmp_path: Path) -> None:
    world = run_world(demo_world, tmp_path, rules={"s2": RULES["s2"]})
    world.run.unlink()
    with pytest.raises(ConfigError, match=r"rules.s2.run: .*run.yaml"):
        open_templates(world.config()).check()


def test_the_source_with_its_collection_is_found(demo_world: Path, tmp_path: Path) -> None:
    rules = {"landsat": {"match": {"collection": "landsat-c2-l2"}, "run": "run.yaml"}}
    world = run_world(demo_world, tmp_path, rules=rules)
    text = world.run.read_text(encoding="utf-8").replace(
        "  landsat:\n", "  landsat:\n    collection: landsat-c2-l2\n", 1
    )
    world.run.write_text(text, encoding="utf-8")
    found = touched(open_templates(world.config()), world, "landsat", world.scenes("landsat")[0])
    assert {target.partition("/")[0] for target in found} == {"landsat", "stack"}


PACIFIC = plan_tiles(Area((box_region((179.0, -17.5, -179.0, -16.5)),)), GridConfig(tile_px=2048))
JUNE = Targets(PACIFIC, plan_periods(datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC), "month"))
MEDIAN = make_product()
GROUND = Ground((MEDIAN,), {"median": JUNE}, {"median": ("s2",)})


@settings(max_examples=8, deadline=None)
@given(st.floats(177, 182), st.floats(-18, -16), st.floats(0.01, 1.5), st.sampled_from(["beyond", "split", "around"]))
def test_a_scene_across_180_touches_what_the_plan_has_of_it(west: float, south: float, side: float, how: str) -> None:
    """However its footprint is written: beyond 180, in two parts, or right around the other way."""
    east, north = west + side, south + side
    footprint = {
        "beyond": shapely.box(west, south, east, north),
        "split": shapely.union_all([shapely.box(*sides) for sides in split_at_180(west, south, east, north)]),
        "around": shapely.Polygon([(turned(x), y) for x, y in shapely.box(west, south, east, north).exterior.coords]),
    }[how]
    geometry = shapely.geometry.mapping(footprint)
    item = replace(make_item(1, declared=False), geometry=geometry)
    plan = plan_jobs((MEDIAN,), {"median": JUNE}, (item,), {}, {MEDIAN.region: 2**34})
    event = SceneEvent("sentinel-2-c1-l2a", item.id, item.time, geometry, item={})
    found = {one.target for one in GROUND.touched(frozenset({"s2"}), event)}
    assert {job.id for job in plan.jobs} <= found
    # A kilometre around a tile, of which there are some twenty kilometres.
    assert how == "around" or len(found) <= len(plan.jobs) + 4 * (3 + side / 0.15)


def turned(lon: float) -> float:
    return (lon + 180) % 360 - 180


def split_at_180(west: float, south: float, east: float, north: float) -> list[tuple[float, float, float, float]]:
    if east <= 180:
        return [(west, south, east, north)]
    if west >= 180:
        return [(west - 360, south, east - 360, north)]
    return [(west, south, 180.0, north), (-180.0, south, east - 360, north)]
