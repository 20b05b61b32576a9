"""One job a bucket of ten floats, whatever else there is; and whole products are made from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import shapely

from pipeline.errors import MemoryRefusedError
from pipeline.plan.argo_jobs import GLOBE, left_buckets
from pipeline.plan.jobs import ProductPlan, Targets, plan_jobs
from pipeline.plan.memory import Holding
from pipeline.plan.periods import STATIC
from pipeline.types import Asset, FloatBucket, Item, Plan
from pipeline.write.stac import item_key
from tests.plan.makers import JULY, JUNE, make_item, make_tile

ARGO = ProductPlan("argo", "argo", 1, {"qc_level": "standard"}, "gdac", "r1", (), Holding(0), afloat=True, alone=True)
GRID = replace(
    ARGO, name="grid", kind="argo_grid", source=None, inputs=("argo",), afloat=False, whole=True, tiles=(make_tile(),)
)
TARGETS = {"argo": Targets((), (STATIC,)), "grid": Targets((make_tile(),), (JUNE, JULY))}


def make_float(wmo: int, versions: Sequence[str] = ("20240601000000",)) -> Item:
    files = {f"incois/{wmo}/profiles/D{wmo}_{number:03}.nc": version for number, version in enumerate(versions, 1)}
    assets = {key: Asset(key, f"/gdac/dac/{key}", checksum=version) for key, version in files.items()}
    time = datetime(2024, 6, 1, tzinfo=UTC)
    return Item(str(wmo), "argo", "gdac", time, time.date(), None, assets, properties={"argo:index": "20240601000000"})


def plan(items: Sequence[Item], *products: ProductPlan, done: Sequence[str] = (), budget: int = 2**40) -> Plan:
    return plan_jobs(products or (ARGO,), TARGETS, items, {"argo": done}, {"r1": budget})


def test_floats_of_one_bucket_are_one_job() -> None:
    """In order of their numbers, whatever the order they come in; a float of five digits is in a bucket too."""
    made = plan([make_float(2902269), make_float(13857), make_float(2902260), make_float(2902270)])
    assert [job.id for job in made.jobs] == ["argo/1385x/static", "argo/290226x/static", "argo/290227x/static"]
    assert [item.id for item in made.jobs[1].items] == ["2902260", "2902269"]
    assert all(isinstance(job.tile, FloatBucket) for job in made.jobs)


def test_a_new_file_makes_one_bucket_again() -> None:
    """And the date of an index, which changes every night, makes none."""
    items = [make_float(2902269), make_float(2902270)]
    done = [job.fingerprint for job in plan(items).jobs]
    later = [replace(item, properties={"argo:index": "20240602000000"}) for item in items]
    assert plan(later, done=done).jobs == ()
    items[0] = make_float(2902269, ("20240601000000", "20240602000000"))
    assert [job.tile.id for job in plan(items, done=done).jobs] == ["290226x"]


def test_a_changed_version_is_a_new_file() -> None:
    done = [job.fingerprint for job in plan([make_float(2902269)]).jobs]
    assert len(plan([make_float(2902269, ("20240602000000",))], done=done).jobs) == 1


@pytest.mark.parametrize(
    ("listed", "complete", "whole", "told"),
    [
        ((2902270,), True, True, ["290226x"]),
        ((2902269, 2902270), True, True, []),
        ((2902270,), False, True, []),
        ((2902270,), True, False, []),
        ((), True, True, []),
    ],
)
def test_a_bucket_of_which_every_float_is_gone_is_told(
    listed: Sequence[int], complete: bool, whole: bool, told: Sequence[str]
) -> None:
    """It has no job that could take it away; only who asks for all that a whole index lists can tell that."""
    keys = [item_key(job) for job in plan([make_float(2902269), make_float(2902270)]).jobs]
    items = [replace(make_float(wmo), properties={"argo:complete": complete, "argo:whole": whole}) for wmo in listed]
    notes = left_buckets(ARGO, items, keys)
    assert len(notes) == len(told)
    assert all(f"they stay: {bucket};" in notes[0] for bucket in told)


def test_a_bucket_that_no_worker_holds_is_refused_by_name() -> None:
    with pytest.raises(MemoryRefusedError, match=r"argo/290226x: 3000 profile files need about"):
        plan([make_float(2902269, ("20240601000000",) * 3000)], budget=2**30)


def test_a_whole_product_is_made_from_every_bucket() -> None:
    """Those that are committed already too: a job a tile of its own and period."""
    items = [make_float(2902269), make_float(13857)]
    done = [plan(items).jobs[0].fingerprint]
    made = plan(items, ARGO, GRID, done=done)
    jobs = [job for job in made.jobs if job.product == "grid"]
    assert [job.id for job in jobs] == ["grid/tile-0/2024-06", "grid/tile-0/2024-07"]
    assert [one.tile_id for one in jobs[0].upstream] == ["1385x", "290226x"]
    assert all(one.afloat for one in jobs[0].upstream)
    assert jobs[0].origins == (("r1", 2 * 60_000),)
    other = plan([make_float(2902269, ("20250101000000",)), make_float(13857)], ARGO, GRID)
    assert {job.fingerprint for job in other.jobs if job.product == "grid"}.isdisjoint(job.fingerprint for job in jobs)


def test_a_whole_product_without_floats_says_so() -> None:
    assert plan([], ARGO, GRID).notes == ("grid: nothing is planned of argo, which it is made from",)


def test_scenes_of_a_whole_product_may_lie_a_little_beyond_its_period() -> None:
    """As far as `around` says, and no further; a period without any is not made, and counted."""
    scenes = replace(GRID, source="s2", around=timedelta(hours=12))
    near = make_item(1, time=datetime(2024, 7, 1, 11, tzinfo=UTC))
    far = make_item(2, time=datetime(2024, 5, 31, 11, tzinfo=UTC))
    made = plan([make_float(2902269), near, far], ARGO, scenes)
    jobs = {job.period.id: job for job in made.jobs if job.product == "grid"}
    assert [item.id for item in jobs["2024-06"].items] == ["scene-1"]
    assert [item.id for item in jobs["2024-07"].items] == ["scene-1"]
    lonely = plan([make_float(2902269), far], ARGO, scenes)
    assert lonely.notes == ("grid: 2 tile-periods have no scene in the catalogue",)


def test_a_bucket_lies_anywhere_on_the_globe() -> None:
    """Its floats drift, so neither its id nor its identity holds a place."""
    bucket = FloatBucket("290226x", GLOBE)
    assert bucket.identity() == {"id": "290226x"}
    assert shapely.box(*bucket.geobox.boundingbox.bbox).equals(shapely.box(-180, -90, 180, 90))
