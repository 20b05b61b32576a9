"""Landsat composites are what plain NumPy makes of the files: units, bits, sensors, gaps."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from pipeline.products.landsat import VERSION
from pipeline.session import Session
from pipeline.types import Job, Outcome, Status
from tests.products.landsat_scenes import (
    CLEAR,
    CLOUD,
    FILL,
    NUMBERS,
    SCENE_PX,
    TILE,
    TILE_PX,
    LandsatScenes,
    on_grid,
    plain_days,
    plain_scene,
)
from tests.products.test_sentinel2 import written
from tests.worlds import SmallWorld

DROP = 0b11110
"""Dilated cloud, cirrus, cloud and shadow."""
GRID = ("EPSG:32633", TILE, (TILE_PX, TILE_PX))


def planned(world: SmallWorld, *sets: str) -> tuple[Session, Job]:
    session = world.session(*(f"products.landsat.{each}" for each in sets), overwrite=True)
    (job,) = session.plan.jobs
    return session, job


def make(world: SmallWorld, *sets: str) -> tuple[dict[str, NDArray[Any]], Outcome]:
    session, job = planned(world, *sets)
    outcome = world.run(session, job)
    assert outcome.status is Status.DONE, outcome.cause
    return written(world, outcome), outcome


def item_of(world: SmallWorld, outcome: Outcome) -> Any:
    return json.loads((world.output / str(outcome.item_key)).read_text())


def median(stack: NDArray[np.float64]) -> NDArray[np.uint16]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nan_to_num(np.rint(np.nanmedian(stack, axis=0)), nan=0).astype(np.uint16)


@pytest.fixture
def mixed(tmp_path: Path) -> LandsatScenes:
    return LandsatScenes(tmp_path).mixed()


def test_a_period_of_three_sensors_equals_plain_numpy(mixed: LandsatScenes) -> None:
    """The same number of a file is another band on another sensor; stripes and fill are no observations."""
    world = mixed.world()
    bands = ["red", "nir08", "swir22", "lwir"]
    made, outcome = make(world, f"bands=[{','.join(bands)}]", "indices=[ndvi]")
    scenes = [plain_scene(item, bands, GRID, DROP) for item in mixed.items]
    counts = []
    for band in bands:
        days = plain_days(scenes, band)
        np.testing.assert_array_equal(made[band], median(days))
        counts.append((~np.isnan(days)).sum(axis=0))
    count = np.minimum.reduce(counts)
    np.testing.assert_array_equal(made["count"], count)
    np.testing.assert_array_equal(made["qa"], (count == 0).astype(np.uint8))
    assert not outcome.losses, "a missing scan line is nothing that was lost"
    red, nir = made["red"].astype(float), made["nir08"].astype(float)
    both = (red > 0) & (nir > 0)
    ratio = np.divide(1e4 * (nir - red), nir + red, out=np.zeros_like(red), where=both)
    np.testing.assert_array_equal(made["ndvi"], np.where(both, np.rint(ratio), -32768))
    item = item_of(world, outcome)
    properties = item["properties"]
    assert properties["groundswell:platforms"] == {"landsat-5": 2, "landsat-7": 2, "landsat-8": 2}
    assert properties["instruments"] == ["etm+", "oli", "tirs", "tm"]
    assert "platform" not in properties
    assert "U.S. Geological Survey" in properties["attribution"]
    (lwir,) = item["assets"]["lwir"]["bands"]
    assert (lwir["raster:scale"], lwir["unit"], lwir["nodata"]) == (0.01, "K", 0)
    (red_band,) = item["assets"]["red"]["bands"]
    assert (red_band["raster:scale"], red_band["eo:common_name"]) == (1e-4, "red")


def test_stored_numbers_are_reflectance_and_kelvins_to_half_a_unit(tmp_path: Path) -> None:
    """Of every number that there is: DN * 0.0000275 - 0.2 in units of 1e-4, DN * 0.00341802 + 149 in units of 0.01."""
    scenes = LandsatScenes(tmp_path)
    item = scenes.add(date(2003, 6, 2), qa=np.full((SCENE_PX, SCENE_PX), CLEAR, np.uint16))
    made, _ = make(scenes.world(), "bands=[blue,lwir]", "mask.saturated=keep")
    for band, key, scale, offset, unit in (
        ("blue", "blue", 2.75e-5, -0.2, 1e-4),
        ("lwir", "lwir11", 0.00341802, 149.0, 0.01),
    ):
        with rasterio.open(item["assets"][key]["href"]) as source:
            left, top = (round(value) for value in ~source.transform @ (TILE.c + 15, TILE.f - 15))
            number = source.read(1)[top : top + TILE_PX, left : left + TILE_PX].astype(float)
        physical = number * scale + offset
        seen = (number > 0) & (physical > unit)
        assert seen.sum() > 3000
        assert np.abs(made[band][seen] * unit - physical[seen]).max() <= unit / 2 * (1 + 1e-6)
        assert (made[band][number == 0] == 0).all()
        assert (made[band][(number > 0) & (physical <= unit)] == 1).all(), "a dark pixel is a pixel"


@pytest.mark.parametrize(
    ("sets", "drop", "radsat"),
    [
        (("mask.drop=[]", "mask.saturated=keep"), 0, 0),
        (("mask.drop=[snow,water,cloud]",), 0b10101000, 0xFFFF),
        (("mask.drop=[cloud]", "mask.saturated=made"), 0b1000, {"LC08": 0b11000 | 1 << 11, "other": 0b1100 | 1 << 9}),
    ],
)
def test_flags_drop_what_they_name(
    mixed: LandsatScenes, sets: tuple[str, ...], drop: int, radsat: int | dict[str, int]
) -> None:
    """Fill always; saturation by any bit, by those of the bands that are made on each sensor, or not at all."""
    made, _ = make(mixed.world(), *sets)
    scenes = []
    for item in mixed.items:
        bits = radsat if isinstance(radsat, int) else radsat.get(item["id"][:4], radsat["other"])
        scenes.append(plain_scene(item, ["red"], GRID, drop, bits))
    np.testing.assert_array_equal(made["red"], median(plain_days(scenes, "red")))


@pytest.mark.parametrize(
    ("name", "least", "shift"), [("cloud_medium", 2, 8), ("cloud_high", 3, 8), ("snow_high", 3, 12)]
)
def test_confidences_drop_from_their_degree_on(tmp_path: Path, name: str, least: int, shift: int) -> None:
    scenes = LandsatScenes(tmp_path)
    qa = (64 | np.arange(SCENE_PX * SCENE_PX).reshape(SCENE_PX, SCENE_PX) % 4 << shift).astype(np.uint16)
    item = scenes.add(date(2003, 6, 2), qa=qa)
    made, _ = make(scenes.world(), f"mask.drop=[{name}]", "mask.saturated=keep", "bands=[red]")
    with rasterio.open(item["assets"]["qa_pixel"]["href"]) as source:
        left, top = (round(value) for value in ~source.transform @ (TILE.c + 15, TILE.f - 15))
    clear = (qa >> shift & 3)[top : top + TILE_PX, left : left + TILE_PX] < least
    scene = plain_scene(item, ["red"], GRID, 0, 0)
    np.testing.assert_array_equal(made["red"], np.where(clear, median(scene.bands["red"][None]), 0))


def test_reasons_and_the_grown_margin_are_told_by_their_words(tmp_path: Path) -> None:
    scenes = LandsatScenes(tmp_path)
    qa = np.full((SCENE_PX, SCENE_PX), CLEAR, np.uint16)
    rows, cols = np.indices(qa.shape)
    qa[np.hypot(rows - 40, cols - 40) <= 5] = CLOUD
    qa[80:] = FILL
    scenes.add(date(2003, 6, 2), qa=qa)
    world = scenes.world()
    made, outcome = make(world, "layers=[reasons]", "mask.dilate_px=3", "mask.saturated=keep")
    cloud, margin, fill = (made["reasons"] == 1 << code for code in (2, 12, 0))
    assert cloud.sum() == (np.hypot(rows - 40, cols - 40) <= 5).sum()
    assert cloud.sum() + margin.sum() == (np.hypot(rows - 40, cols - 40) <= 8).sum()
    assert (made["count"][cloud | margin | fill] == 0).all()
    item = item_of(world, outcome)
    (band,) = item["assets"]["reasons"]["bands"]
    assert "2 cloud, 3 cloud shadow" in band["description"]
    cloudy = (cloud.sum() + margin.sum()) / (TILE_PX**2 - fill.sum())
    assert item["properties"]["groundswell:cloud_fraction"] == pytest.approx(cloudy, abs=1e-6)


def test_a_cloud_that_saturates_the_sensor_is_a_cloud(tmp_path: Path) -> None:
    """Thick clouds are what saturates: their share would be told too small where they counted as saturated."""
    scenes = LandsatScenes(tmp_path)
    qa = np.full((SCENE_PX, SCENE_PX), CLEAR, np.uint16)
    qa[:, ::3] = CLOUD
    item = scenes.add(date(2003, 6, 2), qa=qa)
    world = scenes.world()
    made, outcome = make(world, "layers=[reasons]")
    cloudy = on_grid(item["assets"]["qa_pixel"]["href"], GRID, FILL) == CLOUD
    saturated = on_grid(item["assets"]["qa_radsat"]["href"], GRID, 0) != 0
    assert (cloudy & saturated).any()
    properties = item_of(world, outcome)["properties"]
    assert properties["groundswell:cloud_fraction"] == pytest.approx(cloudy.mean(), abs=1e-6)
    np.testing.assert_array_equal(made["reasons"], np.where(cloudy, 1 << 2, np.where(saturated, 1 << 1, 0)))


@pytest.mark.parametrize("composite", ["median", "best_pixel", "latest", "none", "geomedian"])
def test_the_lazy_cube_gives_the_committed_pixels(mixed: LandsatScenes, composite: str) -> None:
    world = mixed.world()
    session, job = planned(world, f"composite={composite}", "layers=[reasons]", "mask.dilate_px=2")
    lazy = session.composite(job)
    made = written(world, world.run(session, job))
    if composite == "none":
        for key, raster in made.items():
            band, _, day = key.partition("-")
            if day:
                time = f"{day[:4]}-{day[4:6]}-{day[6:]}"
                np.testing.assert_array_equal(lazy[band].sel(time=time).compute(scheduler="threads"), raster)
    else:
        for key, raster in made.items():
            np.testing.assert_array_equal(lazy[key].compute(scheduler="threads").values, raster)
        assert lazy["red"].attrs["scale_factor"] == 1e-4


def test_strips_change_nothing(mixed: LandsatScenes) -> None:
    world = mixed.world()
    session, job = planned(world, "bands=[red,lwir]")
    whole = written(world, world.run(session, job))
    again, _ = planned(world, "bands=[red,lwir]")
    narrow = replace(job, memory=replace(job.memory, strip_rows=16))
    for key, raster in written(world, world.run(again, narrow)).items():
        np.testing.assert_array_equal(raster, whole[key])


def test_a_lost_quality_file_takes_the_scene_along(tmp_path: Path) -> None:
    """What is saturated cannot be known without QA_RADSAT, nor what is cloud without QA_PIXEL."""
    scenes = LandsatScenes(tmp_path)
    kept = scenes.add(date(2003, 6, 9))
    for day, key in ((2, "qa_radsat"), (16, "qa_pixel")):
        item = scenes.add(date(2003, 6, day))
        Path(item["assets"][key]["href"]).unlink()
    made, outcome = make(scenes.world(), "bands=[red]")
    assert [loss.asset for loss in outcome.losses] == ["qa_radsat", "qa_pixel"]
    alone = plain_scene(kept, ["red"], GRID, DROP)
    np.testing.assert_array_equal(made["red"], median(plain_days([alone], "red")))
    assert (made["qa"] & 2).all()


def test_what_scenes_lack_is_told_before_anything_is_read(tmp_path: Path) -> None:
    """Temperature is not made of every scene; a number means nothing where nobody says which sensor it was."""
    scenes = LandsatScenes(tmp_path)
    scenes.add(date(2003, 6, 2))
    item = scenes.add(date(2003, 6, 9))
    del item["assets"]["lwir11"]
    unknown = scenes.add(date(2003, 6, 16), keys="files", platform=None)
    session, _ = planned(scenes.world(), "bands=[red,lwir]")
    told = [note for note in session.plan.notes if note.startswith("landsat: ") and " of 3 " in note]
    assert told == [
        f"landsat: 1 of 3 scenes of ls have no red, as {unknown['id']}",
        f"landsat: 1 of 3 scenes of ls have no lwir, as {item['id']}",
    ]


def test_coefficients_are_those_of_the_platform(mixed: LandsatScenes) -> None:
    """Reflectance times gain plus offset, before anything is composited; of one sensor and not of the others."""
    made, _ = make(mixed.world(), "bands=[red]", "harmonise={landsat-7: {red: [0.9, 0.01]}}")
    scenes = []
    for item in mixed.items:
        scene = plain_scene(item, ["red"], GRID, DROP)
        if item["id"].startswith("LE07"):
            with_gain = np.clip(np.rint(0.9 * (_number(item, "red") * 0.275 - 2000) + 100), 1, 65_534)
            scene = replace(scene, bands={"red": np.where(np.isnan(scene.bands["red"]), np.nan, with_gain)})
        scenes.append(scene)
    expected = median(plain_days(scenes, "red"))
    assert np.abs(made["red"].astype(int) - expected).max() <= 1
    assert np.mean(made["red"] == expected) > 0.999


def _number(item: Any, band: str) -> NDArray[np.float64]:
    (href,) = (
        asset["href"] for asset in item["assets"].values() if f"SR_B{NUMBERS[item['id'][:4]][band]}." in asset["href"]
    )
    return on_grid(href, GRID, 0).astype(np.float64)


def test_pixels_are_pinned_to_the_product_version(mixed: LandsatScenes) -> None:
    """Golden: whoever changes these pixels raises VERSION, so that users' tiles are made again."""
    made, _ = make(mixed.world(), "bands=[red,nir08,lwir]", "composite=best_pixel", "mask.dilate_px=1")
    digest = hashlib.sha256()
    for key, raster in sorted(made.items()):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(raster).tobytes())
    assert (VERSION, digest.hexdigest()[:16]) == (1, "c0a55ed051709370")
