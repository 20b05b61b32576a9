"""Every composite is what plain NumPy makes of the files; lazily, in chunks or in strips, the pixels are the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from numpy.typing import NDArray

import pipeline.products._lazy as lazy
from pipeline.read.lazy import open_layers
from pipeline.types import Status
from tests.products.scenes import CLOUD, TILE_PX, PlainScene, Scenes, plain_days, plain_scenes
from tests.products.test_sentinel2 import written
from tests.worlds import SmallWorld

MIDDLE = datetime(2024, 6, 16, tzinfo=UTC)
"""Of the period."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    """Ten scenes on seven days, read by every test of this file."""
    return Scenes(tmp_path_factory.mktemp("scenes")).add_month(10)


@pytest.fixture(scope="module")
def plains(scenes: Scenes) -> dict[bool, list[PlainScene]]:
    """The scenes in plain NumPy, masked or not."""
    bands = ["red", "nir", "blue"]
    return {True: plain_scenes(scenes.items, bands, distances=True), False: plain_scenes(scenes.items, bands, None)}


@pytest.fixture
def world(scenes: Scenes, tmp_path: Path) -> SmallWorld:
    """Over the scenes, with an output of its own."""
    return replace(scenes.world(), output=tmp_path / "output")


def make(world: SmallWorld, *sets: str, rows: int | None = None) -> dict[str, NDArray[Any]]:
    """Every raster of the one job, committed and read back."""
    session = world.session(f"output={world.output}", *(f"products.sentinel2.{each}" for each in sets), overwrite=True)
    (job,) = session.plan.jobs
    if rows is not None:
        job = replace(job, memory=replace(job.memory, strip_rows=rows))
    outcome = world.run(session, job)
    assert outcome.status is Status.DONE, outcome.cause
    assert not outcome.losses
    return written(world, outcome)


def rounded(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.nan_to_num(np.rint(values), nan=0).astype(np.uint16)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning", "ignore:Mean of empty:RuntimeWarning")
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize(
    ("name", "reduce"),
    [
        ("median", partial(np.nanmedian, axis=0)),
        ("mean", partial(np.nanmean, axis=0)),
        ("min", partial(np.nanmin, axis=0)),
        ("max", partial(np.nanmax, axis=0)),
        *((f"p{percent}", partial(np.nanpercentile, q=percent, axis=0)) for percent in (10, 25, 75, 90)),
    ],
)
def test_a_reduced_composite_is_numpys(
    plains: dict[bool, list[PlainScene]],
    world: SmallWorld,
    name: str,
    reduce: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    masked: bool,
) -> None:
    made = make(world, f"composite={name}", *(() if masked else ("mask=null",)))
    counts = []
    for band in ("red", "nir"):
        days = plain_days(plains[True], band, masked=masked)
        counts.append((~np.isnan(days)).sum(axis=0))
        exact = reduce(days)
        if name.startswith("p"):
            # NumPy's floats may miss an exact half by a hair; the kernel's own test is in fractions.
            half = np.abs(np.abs(exact - np.floor(exact)) - 0.5) < 1e-6
            exact = np.where(half, np.rint(np.floor(exact) + 0.5), exact)
        np.testing.assert_array_equal(made[band], rounded(exact))
    count = np.minimum(*counts)
    np.testing.assert_array_equal(made["count"], count)
    np.testing.assert_array_equal(made["qa"], count == 0)


def best_score(scene: PlainScene) -> NDArray[np.float64]:
    """Griffiths et al. 2013 with a required distance of 50 pixels; a month's ends are two sigmas away."""
    distance = np.minimum(np.floor(scene.distance_px + 1e-9), 50)
    far = 1 / (1 + np.exp(-0.2 * (distance - 25)))
    noon = datetime(scene.day.year, scene.day.month, scene.day.day, 12, tzinfo=UTC)
    near = math.exp(-0.5 * (((noon - MIDDLE) / timedelta(days=1)) / 7.5) ** 2)
    return np.rint(1e6 * (far + near) / 2)


SCORES: dict[str, Callable[[PlainScene], NDArray[np.float64] | float]] = {
    "best_pixel": best_score,
    "latest": lambda scene: scene.day.toordinal(),
    "least_cloudy": lambda scene: scene.clear.sum() / max(1, scene.shown),
}


def chosen(
    plain: Sequence[PlainScene], score: Callable[[PlainScene], NDArray[np.float64] | float]
) -> NDArray[np.int64]:
    """The place of each pixel's scene, from 1; 0: none is clear. The first of equal scores."""
    ranked = np.stack([np.where(scene.clear, score(scene), -np.inf) for scene in plain])
    return np.where(np.isinf(ranked).all(axis=0), 0, ranked.argmax(axis=0) + 1)


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize("name", SCORES)
def test_a_choosing_composite_takes_every_band_from_one_scene(
    plains: dict[bool, list[PlainScene]], world: SmallWorld, name: str, masked: bool
) -> None:
    made = make(world, f"composite={name}", *(() if masked else ("mask=null",)))
    plain = plains[masked]
    source = chosen(plain, SCORES[name])
    assert len(np.unique(source)) > 3 or not masked
    np.testing.assert_array_equal(made["source"], source)
    doy = np.array([0, *(scene.day.timetuple().tm_yday for scene in plain)])
    np.testing.assert_array_equal(made["doy"], doy[source])
    valid = np.ones(source.shape, bool)
    for band in ("red", "nir"):
        values = np.stack([np.zeros(source.shape), *(np.nan_to_num(scene.bands[band]) for scene in plain)])
        expected = np.take_along_axis(values, source[None], axis=0)[0]
        np.testing.assert_array_equal(made[band], expected)
        valid &= expected > 0
    days = sorted({scene.day for scene in plain})
    clear = [np.logical_or.reduce([scene.clear for scene in plain if scene.day == day]) for day in days]
    count = np.where(valid, np.sum(clear, axis=0), 0)
    np.testing.assert_array_equal(made["count"], count)
    np.testing.assert_array_equal(made["qa"], count == 0)


@pytest.mark.parametrize(
    ("keys", "target", "sigma", "weights", "required"),
    [
        ("{day_weight: 0}", None, 7.5, (1, 0), 50),
        ("{distance_weight: 0}", None, 7.5, (0, 1), 50),
        ("{distance_px: 10, target_doy: 155, sigma_days: 3, day_weight: 2}", 155, 3, (1, 2), 10),
        ("{distance_px: 200, target_doy: 1}", 1, 7.5, (1, 1), 200),
    ],
)
def test_the_best_pixel_follows_its_keys(  # noqa: PLR0913 (the keys)
    plains: dict[bool, list[PlainScene]],
    world: SmallWorld,
    keys: str,
    target: int | None,
    sigma: float,
    weights: tuple[float, float],
    required: int,
) -> None:
    def score(scene: PlainScene) -> NDArray[np.float64]:
        distance = np.minimum(np.floor(scene.distance_px + 1e-9), required)
        far = 1 / (1 + np.exp(-10 / required * (distance - required / 2)))
        noon = datetime(2024, 6, scene.day.day, 12, tzinfo=UTC)
        doy = scene.day.timetuple().tm_yday
        away = (
            (noon - MIDDLE) / timedelta(days=1) if target is None else min(abs(doy - target), 365 - abs(doy - target))
        )
        near = math.exp(-0.5 * (away / sigma) ** 2)
        return np.rint(1e6 * (weights[0] * far + weights[1] * near) / sum(weights))

    made = make(world, "composite=best_pixel", f"best_pixel={keys}")
    source = chosen(plains[True], score)
    np.testing.assert_array_equal(made["source"], source)


def test_the_geomedian_is_the_spectrum_nearest_to_the_complete_days(
    plains: dict[bool, list[PlainScene]], world: SmallWorld
) -> None:
    """No spectrum around it is nearer, but for rounding; its kernel is tested against an optimiser."""
    made = make(world, "composite=geomedian", "bands=[red, nir, blue]")
    days = np.stack([plain_days(plains[True], band) for band in ("red", "nir", "blue")])
    complete = np.logical_and.reduce(~np.isnan(days))
    np.testing.assert_array_equal(made["count"], complete.sum(axis=0))
    found = np.stack([made[band].astype(np.float64) for band in ("red", "nir", "blue")])
    assert (found[:, made["count"] == 0] == 0).all()

    def total(place: NDArray[np.float64]) -> NDArray[np.float64]:
        distances = np.sqrt(((days - place[:, None]) ** 2).sum(axis=0))
        return np.asarray(np.where(complete, distances, 0).sum(axis=0))

    days, complete, found = days[:, :, ::5, ::5], complete[:, ::5, ::5], found[:, ::5, ::5]
    best = total(found)
    for move in np.ndindex(3, 3, 3):
        for length in (3.0, 100.0):
            step = length * (np.array(move) - 1)[:, None, None]
            assert (best <= total(found + step) * (1 + 1e-5)).all()


def test_without_a_composite_every_day_is_a_layer(plains: dict[bool, list[PlainScene]], world: SmallWorld) -> None:
    made = make(world, "composite=none", "indices=[ndvi]")
    plain = plains[True]
    days = [f"{day:%Y%m%d}" for day in sorted({scene.day for scene in plain})]
    stacks = {band: plain_days(plain, band) for band in ("red", "nir")}
    keys = {f"{name}-{day}" for name in ("red", "nir", "ndvi") for day in days}
    assert made.keys() == keys | {"count", "qa"}
    for number, day in enumerate(days):
        for band, stack in stacks.items():
            np.testing.assert_array_equal(made[f"{band}-{day}"], np.nan_to_num(stack[number]))
        red, nir = (np.nan_to_num(stacks[band][number]) for band in ("red", "nir"))
        both = (red > 0) & (nir > 0)
        ratio = np.divide(1e4 * (nir - red), nir + red, out=np.zeros_like(red), where=both)
        np.testing.assert_array_equal(made[f"ndvi-{day}"], np.where(both, np.rint(ratio), -32768))
    count = np.logical_and(*(~np.isnan(stack) for stack in stacks.values())).sum(axis=0)
    np.testing.assert_array_equal(made["count"], count)


ALL = ("median", "mean", "min", "max", "p10", "p25", "p75", "p90", *SCORES, "geomedian", "none")
KINDS = ("median", "best_pixel", "least_cloudy", "geomedian", "none")
EVERYTHING = ("bands=[red, nir, blue, swir16]", "indices=[ndvi, ndmi, evi]")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "masked"),
    [
        *(pytest.param(name, True, marks=() if name in KINDS else pytest.mark.full) for name in ALL),
        *(pytest.param(name, False, marks=pytest.mark.full if name in SCORES else ()) for name in KINDS),
    ],
)
def test_the_lazy_composite_gives_every_committed_pixel(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, name: str, masked: bool
) -> None:
    """In small chunks whose edges cut masks and lanes; nothing is computed while the graph is built."""
    layers = ["reasons"] if masked else []
    layers += ["source", "doy"] if name in SCORES else []
    sets = (*EVERYTHING, f"composite={name}", f"layers={layers}", *(() if masked else ("mask=null",)))
    sets = (*sets, "harmonise={sentinel-2a: {red: [1.02, -0.003], nir: [1, 0.0021]}}")
    made = make(world, *sets)
    monkeypatch.setattr(lazy, "open_layers", partial(open_layers, chunk_px=50))
    session = world.session(*(f"products.sentinel2.{each}" for each in sets), overwrite=True)
    (job,) = session.plan.jobs

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was computed while the graph was built")

    with dask.config.set(scheduler=refuse):
        cube = session.composite(job)
    computed = cube.compute(scheduler="threads")
    assert {key.partition("-")[0] for key in made} == set(computed.data_vars)
    for key, raster in made.items():
        band, _, day = key.partition("-")
        layer = computed[band].sel(time=day) if day else computed[band]
        assert layer.dtype == raster.dtype
        np.testing.assert_array_equal(layer.values, raster, err_msg=key)


@pytest.mark.parametrize("name", KINDS)
def test_strips_change_nothing(world: SmallWorld, name: str) -> None:
    whole, narrow = (make(world, f"composite={name}", rows=rows) for rows in (None, 48))
    assert narrow.keys() == whole.keys()
    for key, raster in whole.items():
        np.testing.assert_array_equal(narrow[key], raster, err_msg=key)


@pytest.mark.parametrize("name", ALL)
def test_a_month_of_clouds_is_empty_in_every_layer(tmp_path: Path, name: str) -> None:
    scenes = Scenes(tmp_path)
    for day in (1, 2, 2):
        scenes.add(date(2024, 6, day), np.full((80, 80), CLOUD, np.uint8))
    made = make(scenes.world(), *EVERYTHING, f"composite={name}")
    for key, raster in made.items():
        band = key.partition("-")[0]
        if band == "evi":
            assert np.isnan(raster).all()
        else:
            expected = {"ndvi": -32768, "ndmi": -32768, "qa": 1}.get(band, 0)
            assert (raster == expected).all(), key


@pytest.mark.parametrize("count", [1, 2, 64, 65])
@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")
def test_any_number_of_scenes(tmp_path: Path, count: int) -> None:
    """Around the sizes of bit planes and sorting networks."""
    scenes = Scenes(tmp_path)
    for number in range(count):
        scenes.add(date(2024, 6, 1) + timedelta(days=number % 30))
    world = scenes.world()
    plain = plain_scenes(scenes.items, ["red"])
    days = plain_days(plain, "red")
    np.testing.assert_array_equal(make(world, "bands=[red]")["red"], rounded(np.nanmedian(days, axis=0)))
    made = make(world, "bands=[red]", "composite=latest")
    np.testing.assert_array_equal(made["source"], chosen(plain, SCORES["latest"]))
    assert made["red"].shape == (TILE_PX, TILE_PX)
