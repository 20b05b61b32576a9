"""No input gives a plausible, wrong pixel without a word: it is read right, or lost by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from pipeline.errors import PermanentAssetError
from pipeline.execute.worker.task import run_job
from pipeline.ops.offset import OffsetDecision
from pipeline.products import _sentinel2_numbers
from pipeline.read.access import Access
from pipeline.session import Session
from pipeline.types import Asset, Item, Job, Status
from tests.products.test_sentinel2 import whole_jobs, written
from tests.worlds import SmallWorld

NO_SERVER = "http://127.0.0.1:9/red.tif"


def retagged(source: str, target: Path, **profile: object) -> str:
    """The same pixels in a file that says something else about them."""
    with rasterio.open(source) as before, rasterio.open(target, "w", **{**before.profile, **profile}) as after:
        after.write(before.read())
    return str(target)


def with_href(item: Item, band: str, href: str) -> Item:
    return replace(item, assets={**item.assets, band: replace(item.assets[band], href=href)})


def first_replaced(job: Job, band: str, href: str) -> Job:
    return replace(job, items=(with_href(job.items[0], band, href), *job.items[1:]))


@pytest.fixture
def planned(world: SmallWorld) -> tuple[Session, Job]:
    session = world.session()
    return session, whole_jobs(session)[0]


def test_zero_is_no_observation_whatever_the_file_calls_nodata(world: SmallWorld, tmp_path: Path) -> None:
    session = world.session("products.sentinel2.mask=null")
    job = whole_jobs(session)[0]
    usual = written(world, world.run(session, job))
    items = tuple(
        with_href(item, "red", retagged(item.assets["red"].href, tmp_path / f"{item.id}.tif", nodata=65535))
        for item in job.items
    )
    again = world.session("products.sentinel2.mask=null", overwrite=True)
    np.testing.assert_array_equal(written(world, world.run(again, replace(job, items=items)))["red"], usual["red"])


def test_a_file_that_lies_elsewhere_is_lost_by_name(
    world: SmallWorld, planned: tuple[Session, Job], tmp_path: Path
) -> None:
    session, job = planned
    href = retagged(job.items[0].assets["red"].href, tmp_path / "elsewhere.tif", crs="EPSG:32601")
    outcome = world.run(session, first_replaced(job, "red", href))
    assert [(loss.item, loss.asset) for loss in outcome.losses] == [(job.items[0].id, "red")]
    assert "not on the tile" in outcome.losses[0].cause
    assert "EPSG:32601" in outcome.losses[0].cause


@pytest.mark.parametrize("code", [12, 200, 255])
def test_what_is_no_class_is_no_clear_pixel(
    world: SmallWorld, planned: tuple[Session, Job], tmp_path: Path, code: int
) -> None:
    session, job = planned
    without = replace(job, items=job.items[1:])
    expected = written(world, world.run(session, without))["count"]
    with rasterio.open(job.items[0].assets["scl"].href) as source:
        profile, classes = source.profile, np.full(source.shape, code, np.uint8)
    with rasterio.open(tmp_path / "scl.tif", "w", **profile) as target:
        target.write(classes, 1)
    again = world.session(overwrite=True)
    outcome = world.run(again, first_replaced(job, "scl", str(tmp_path / "scl.tif")))
    np.testing.assert_array_equal(written(world, outcome)["count"], expected)


@pytest.mark.parametrize(("policy", "fraction"), [("skip", 0.5), ("skip", 0.0), ("fail", 0.5)])
def test_a_passing_fault_is_tried_again_before_anything_is_given_up(
    world: SmallWorld, planned: tuple[Session, Job], policy: str, fraction: float
) -> None:
    """Small outages and large ones alike, under both policies; only the last attempt decides."""
    sets = (f"run.missing_assets={{policy: {policy}, max_fraction: {fraction}}}", "run.retries=1")
    session = world.session(*sets)
    _, job = planned
    assignment = session.assignments()[job.product]
    access = replace(assignment.context.access, attempts=1)
    assignment = replace(assignment, context=replace(assignment.context, access=access))
    lost = first_replaced(job, "red", NO_SERVER)
    assert run_job(lost, assignment, 1).status is Status.RETRY
    last = run_job(lost, assignment, 2)
    assert last.status is (Status.DONE if (policy, fraction) == ("skip", 0.5) else Status.FAILED)


def test_a_doubtful_offset_is_not_guessed_during_an_outage(world: SmallWorld, planned: tuple[Session, Job]) -> None:
    session, job = planned
    doubtful = next(item for item in job.items if item.properties["earthsearch:boa_offset_applied"])
    dark = with_href(with_href(doubtful, "red", NO_SERVER), "nir", NO_SERVER)
    assignment = session.assignments()[job.product]
    access = replace(assignment.context.access, attempts=1)
    assignment = replace(assignment, context=replace(assignment.context, access=access), retries=0)
    outcome = run_job(replace(job, items=(dark,)), assignment, 1)
    assert outcome.status is Status.FAILED
    assert outcome.cause is not None
    assert "offset not checked on pixels" in outcome.cause


def test_the_lazy_cube_refuses_what_a_run_refuses(planned: tuple[Session, Job]) -> None:
    session, job = planned
    first = job.items[0]
    other = replace(first, assets={**first.assets, "red": replace(first.assets["red"], scale=1e-5)})
    cube = session.open(replace(job, items=(other, *job.items[1:])))
    with pytest.raises(PermanentAssetError, match="declares scale 1e-05"):
        cube["red"].compute(scheduler="synchronous")


@pytest.mark.parametrize(
    ("stated", "found"),
    [("\n  © Somebody,\n  2024\x07 ", "© Somebody, 2024"), (" \n", None), ({"name": "Somebody"}, None)],
    ids=["in lines", "blank", "no text"],
)
def test_rights_are_told_in_one_line_however_a_catalogue_states_them(
    world: SmallWorld, planned: tuple[Session, Job], stated: object, found: str | None
) -> None:
    """What no tag of a file could hold costs no tile; what says nothing leaves the product's own."""
    session, job = planned
    rights = {"license": "CC-BY-4.0", "attribution": stated}
    items = tuple(replace(item, properties={**item.properties, **rights}) for item in job.items)
    outcome = world.run(session, replace(job, items=items))
    assert outcome.status is Status.DONE, outcome.cause
    assert outcome.item_key is not None
    properties = json.loads((world.output / outcome.item_key).read_text())["properties"]
    assert properties["license"] == ("CC-BY-4.0" if found else "other")
    assert properties["attribution"].startswith(found or "Contains modified Copernicus Sentinel data")


@pytest.mark.parametrize("nodata", [0, None])
def test_zeros_mixed_into_overviews_do_not_prove_that_the_offset_is_gone(tmp_path: Path, nodata: int | None) -> None:
    """A scene that is all swath edges, in a file that may not say what nodata is: no pixel of it is below 1200."""
    data = np.full((2048, 2048), 1200, np.uint16)
    data[:, np.arange(2048) % 62 < 20] = 0
    path, corner = tmp_path / "red.tif", Affine(10, 0, 500_000, 0, -10, 5_000_000)
    profile = {"driver": "GTiff", "count": 1, "height": 2048, "width": 2048, "dtype": "uint16", "tiled": True}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=corner, nodata=nodata, **profile) as file:
        file.write(data, 1)
        file.build_overviews([2, 4], rasterio.enums.Resampling.average)
    said = OffsetDecision(-1000, "said", doubtful=True)
    asked = _sentinel2_numbers._ask_pixels(said, Asset("red", str(path), nodata=0), Access(), "scene")
    assert (asked.shift, asked.doubtful) == (-1000, False)
