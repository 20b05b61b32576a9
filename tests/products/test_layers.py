"""What stands beside the bands, what is read and what is not, and sensors made alike."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import PermanentAssetError
from pipeline.execute.worker.task import run_job
from pipeline.products.sentinel2 import QA_EMPTY, QA_LOST
from pipeline.read import layer
from pipeline.session import Session
from pipeline.types import Asset, Job, Outcome, Status
from tests.products.scenes import CLEAR, CLOUD, TILE_PX, Scenes, on_tile, plain_days, plain_scenes
from tests.products.test_sentinel2 import whole_jobs, written
from tests.worlds import SmallWorld

CHOSEN = ("best_pixel", "latest", "least_cloudy")


def planned(world: SmallWorld, *sets: str) -> tuple[Session, Job]:
    session = world.session(*(f"products.sentinel2.{each}" for each in sets), overwrite=True)
    (job,) = session.plan.jobs
    return session, job


def make(world: SmallWorld, *sets: str) -> tuple[dict[str, NDArray[Any]], Outcome]:
    session, job = planned(world, *sets)
    outcome = world.run(session, job)
    assert outcome.status is Status.DONE, outcome.cause
    return written(world, outcome), outcome


def item_of(world: SmallWorld, outcome: Outcome) -> Any:
    return json.loads((world.output / str(outcome.item_key)).read_text())


def filled(code: int) -> NDArray[np.uint8]:
    return np.full((80, 80), code, np.uint8)


@pytest.mark.parametrize("composite", ["median", "best_pixel", "geomedian", "none"])
def test_reasons_are_the_classes_of_what_was_dropped(tmp_path: Path, composite: str) -> None:
    """Bit n for class n, bit 12 for the grown margin; of scenes that do not reach a pixel nothing is said."""
    scenes = Scenes(tmp_path).add_month(5)
    made, outcome = make(scenes.world(), f"composite={composite}", "layers=[reasons]", "mask.classes=[1, 2, 8, 9, 11]")
    plain = plain_scenes(scenes.items, ["red"], ((0, 1, 2, 8, 9, 11), 1, 3))
    expected = np.bitwise_or.reduce([scene.reasons for scene in plain])
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(made["reasons"], expected)
    (band,) = item_of(scenes.world(), outcome)["assets"]["reasons"]["bands"]
    assert "9 cloud high" in band["description"] and "12 margin" in band["description"]


@pytest.mark.parametrize("composite", CHOSEN)
def test_sources_are_named_in_the_item(tmp_path: Path, composite: str) -> None:
    """`source` counts from 1 in the order of `groundswell:sources`, which is that of solar day and id."""
    scenes = Scenes(tmp_path).add_month(6)
    world = scenes.world()
    made, outcome = make(world, f"composite={composite}")
    item = item_of(world, outcome)
    named = item["properties"]["groundswell:sources"]
    ordered = sorted(scenes.items, key=lambda item: (item["properties"]["datetime"], item["id"]))
    assert named == [item["id"] for item in ordered]
    assert "groundswell:sources" in item["assets"]["source"]["bands"][0]["description"]
    shifts = {one["id"]: -1000 if one["properties"]["s2:processing_baseline"] == "05.10" else 0 for one in scenes.items}
    for number, name in enumerate(named, start=1):
        here = made["source"] == number
        stored = on_tile(next(one for one in scenes.items if one["id"] == name)["assets"]["nir"]["href"]).astype(int)
        expected = np.where(stored == 0, 0, np.clip(stored + shifts[name], 1, 65_534))
        np.testing.assert_array_equal(made["nir"][here], expected[here])
        doy = date.fromisoformat(ordered[number - 1]["properties"]["datetime"][:10]).timetuple().tm_yday
        assert (made["doy"][here] == doy).all()


@pytest.mark.parametrize(
    ("composite", "layers", "expected"),
    [
        ("median", None, set()),
        ("median", "[reasons]", {"reasons"}),
        ("latest", None, {"source", "doy"}),
        ("latest", "[doy]", {"doy"}),
        ("latest", "[]", set()),
        ("none", "[reasons]", {"reasons"}),
    ],
)
def test_layers_are_those_asked_for_and_count_and_qa_always(
    tmp_path: Path, composite: str, layers: str | None, expected: set[str]
) -> None:
    world = Scenes(tmp_path).add_month(2).world()
    made, _ = make(world, "bands=[red]", f"composite={composite}", *([f"layers={layers}"] if layers else []))
    assert {name.partition("-")[0] for name in made} == {"red", "count", "qa"} | expected


def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(item, asset) of every window of a band that is read from now on."""
    seen = []
    original = layer.read_wanted

    def spy(asset: Any, access: Any, item: str, *wanted: Any) -> Any:
        seen.append((item, asset.key))
        return original(asset, access, item, *wanted)

    monkeypatch.setattr("pipeline.products._bands.read_wanted", spy)
    return seen


@pytest.mark.parametrize("composite", CHOSEN)
def test_only_chosen_scenes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, composite: str) -> None:
    """Clear skies everywhere: one scene has every pixel."""
    scenes = Scenes(tmp_path)
    classes = {1: CLEAR, 12: CLEAR, 16: CLEAR, 28: CLEAR, 29: CLOUD}
    ids = {day: scenes.add(date(2024, 6, day), filled(code))["id"] for day, code in classes.items()}
    seen = reads(monkeypatch)
    make(scenes.world(), f"composite={composite}")
    best = ids[{"best_pixel": 16, "latest": 28, "least_cloudy": 1}[composite]]
    assert sorted(seen) == [(best, "nir"), (best, "red")]


def test_bands_of_a_masked_scene_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is its doubtful offset asked of its pixels, which nobody will see."""
    scenes = Scenes(tmp_path)
    clear = scenes.add(date(2024, 6, 1), filled(CLEAR))["id"]
    doubtful = {"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": False}
    dark = scenes.add(date(2024, 6, 2), filled(CLOUD), **doubtful)
    for band in ("red", "nir"):
        dark["assets"][band]["href"] = str(tmp_path / "gone.tif")
    seen = reads(monkeypatch)
    _, outcome = make(scenes.world())
    assert not outcome.losses and not outcome.warnings
    assert {item for item, _ in seen} == {clear}


def test_no_more_than_the_rectangle_that_is_needed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = Scenes(tmp_path)
    classes = filled(CLOUD)
    classes[40:50, 30:45] = CLEAR
    scenes.add(date(2024, 6, 1), classes)
    sizes = []
    original = layer.read_wanted

    def spy(*arguments: Any) -> Any:
        (found,) = original(*arguments)
        assert found is not None
        sizes.append(found.data.shape)
        return (found,)

    monkeypatch.setattr("pipeline.products._bands.read_wanted", spy)
    make(scenes.world(), "mask.dilate_px=0", "mask.open_px=0")
    assert sizes == [(20, 30), (20, 30)]


@pytest.mark.parametrize("composite", CHOSEN)
def test_a_lost_band_of_a_chosen_scene_is_a_named_hole(tmp_path: Path, composite: str) -> None:
    """Another scene's number there would break the law that all bands come from one."""
    scenes = Scenes(tmp_path)
    for day in (1, 16, 28):
        item = scenes.add(date(2024, 6, day), filled(CLEAR))
        item["assets"]["red"]["href"] = str(tmp_path / "gone.tif")
    made, outcome = make(scenes.world(), f"composite={composite}")
    assert len(outcome.losses) == 1
    assert not made["red"].any() and made["nir"].any()
    np.testing.assert_array_equal(made["qa"], QA_EMPTY | QA_LOST * (made["source"] > 0))


def test_a_band_that_two_strips_lose_is_lost_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of nine assets, whatever the height of the strips and the number of threads."""
    scenes = Scenes(tmp_path)
    for day in (1, 16, 28):
        scenes.add(date(2024, 6, day), filled(CLEAR))
    world, original = scenes.world(), layer.read_wanted

    def gone(asset: Asset, access: Any, item: str, *wanted: Any) -> Any:
        if asset.key == "red":
            raise PermanentAssetError(asset.href, "gone", item=item, asset=asset.key)
        return original(asset, access, item, *wanted)

    monkeypatch.setattr("pipeline.products._bands.read_wanted", gone)
    session, job = planned(world, "composite=latest")
    job = replace(job, memory=replace(job.memory, strip_rows=-(-TILE_PX // 2)))
    assignment = session.assignments()[job.product]
    context = replace(assignment.context, threads=2, max_missing_fraction=0.12)
    outcome = run_job(job, replace(assignment, context=context), 1)
    assert outcome.status is Status.DONE, outcome.cause
    assert len(outcome.losses) == 1


@pytest.mark.parametrize("composite", CHOSEN)
def test_a_scene_whose_classification_is_lost_is_not_chosen(tmp_path: Path, composite: str) -> None:
    scenes = Scenes(tmp_path)
    for day in (1, 2, 16, 28, 29):
        item = scenes.add(date(2024, 6, day), filled(CLEAR))
        if day in {1, 16, 29}:
            item["assets"]["scl"]["href"] = str(tmp_path / "gone.tif")
    made, outcome = make(scenes.world(), f"composite={composite}")
    assert {loss.asset for loss in outcome.losses} == {"scl"}
    assert set(np.unique(made["source"])) - {0} <= {2, 4}
    assert (made["qa"] & QA_LOST).any()


@pytest.mark.parametrize("composite", CHOSEN)
def test_without_a_mask_a_scene_of_other_numbers_is_lost_and_not_chosen(tmp_path: Path, composite: str) -> None:
    scenes = Scenes(tmp_path)
    for day in (1, 10, 16, 22, 28):
        item = scenes.add(date(2024, 6, day))
        if day in {1, 16, 28}:
            item["assets"]["red"]["raster:bands"] = [{"scale": 0.001}]
    made, outcome = make(scenes.world(), f"composite={composite}", "mask=null")
    assert {(loss.asset, loss.item) for loss in outcome.losses} == {("red", scenes.items[n]["id"]) for n in (0, 2, 4)}
    assert set(np.unique(made["source"])) - {0} <= {2, 4}


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")
@pytest.mark.parametrize(
    ("keys", "coefficients"),
    [
        (
            "{sentinel-2a: {red: [1.03, -0.0021], nir: [0.5, 0.01]}}",
            {"sentinel-2a": {"red": (1.03, -0.0021), "nir": (0.5, 0.01)}},
        ),
        ("{Sentinel-2B: {red: [1, 0.0015]}}", {"sentinel-2b": {"red": (1.0, 0.0015)}}),
        ("{sentinel-2a: {red: [1, 0.00005]}}", {"sentinel-2a": {"red": (1.0, 0.00005)}}),
        (
            "{s2: {red: [2, 0]}, sentinel-2a: {nir: [2, 0]}}",
            {"sentinel-2a": {"nir": (2.0, 0.0)}, "sentinel-2b": {"red": (2.0, 0.0)}},
        ),
    ],
    ids=["gain", "whole-shift", "half-unit", "most-specific-wins"],
)
def test_sensors_are_harmonised_before_they_are_composited(
    tmp_path: Path, keys: str, coefficients: dict[str, dict[str, tuple[float, float]]]
) -> None:
    scenes = Scenes(tmp_path).add_month(7)
    world = scenes.world()
    made, _ = make(world, f"harmonise={keys}")
    plain = plain_scenes(scenes.items, ["red", "nir"], harmonise=coefficients)
    for band in ("red", "nir"):
        expected = np.rint(np.nanmedian(plain_days(plain, band), axis=0))
        np.testing.assert_array_equal(made[band], np.nan_to_num(expected))


def test_coefficients_and_platforms_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    scenes = Scenes(tmp_path).add_month(2)
    world = scenes.world()
    plain = planned(world)[1].fingerprint
    first = planned(world, "harmonise={sentinel-2a: {red: [1.03, 0]}}")[1].fingerprint
    assert len({plain, first, planned(world, "harmonise={sentinel-2a: {red: [1.04, 0]}}")[1].fingerprint}) == 3
    scenes.items[0]["properties"]["platform"] = "sentinel-2c"
    world = scenes.world()
    assert planned(world)[1].fingerprint == plain
    assert planned(world, "harmonise={sentinel-2a: {red: [1.03, 0]}}")[1].fingerprint != first


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("best_pixel={distance_px: 9}",), (), True),
        (("composite=best_pixel",), ("composite=best_pixel", "best_pixel={distance_px: 9}"), False),
        (("composite=latest",), ("composite=latest", "layers=[doy, source]"), True),
        (("composite=latest",), ("composite=latest", "layers=[doy]"), False),
        (("composite=median",), ("composite=p50",), False),
        (("indices=[ndvi]",), ("indices=[ndvi, msavi]",), False),
    ],
)
def test_a_fingerprint_holds_what_changes_pixels_and_no_more(
    tmp_path: Path, one: tuple[str, ...], other: tuple[str, ...], same: bool
) -> None:
    world = Scenes(tmp_path).add_month(1).world()
    assert (planned(world, *one)[1].fingerprint == planned(world, *other)[1].fingerprint) is same


@pytest.mark.parametrize("composite", ["median", "p25", "best_pixel", "latest", "least_cloudy", "geomedian", "none"])
def test_a_tile_across_a_zone_edge_is_the_same_lazily(world: SmallWorld, composite: str) -> None:
    """The demo world: scenes of two UTM zones over one tile, some of them reprojected."""
    session = world.session(f"products.sentinel2.composite={composite}")
    job = whole_jobs(session)[0]
    assert len({item.assets["red"].grid.crs for item in job.items if item.assets["red"].grid}) == 2
    made = written(world, world.run(session, job))
    lazy = session.composite(job).compute(scheduler="threads")
    for key, raster in made.items():
        band, _, day = key.partition("-")
        np.testing.assert_array_equal((lazy[band].sel(time=day) if day else lazy[band]).values, raster, err_msg=key)
