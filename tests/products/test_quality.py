"""Laws of the figures that every product says of its tiles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import load_config
from pipeline.errors import ConfigError
from pipeline.ops.mask import NODATA, OUTSIDE
from pipeline.prepare import plan_products
from pipeline.products import product_models
from pipeline.products._quality import cloud_share, observed
from pipeline.products._ttc_layers import CHANNELS, Form, Recipe, layer_names
from tests.products.scenes import Scenes, plain_scenes
from tests.products.test_glaciers import make, month
from tests.worlds import SmallWorld

__all__ = ["month"]

CONFIGS = Path(__file__).parents[2] / "configs"
RUNS = sorted(path for path in CONFIGS.glob("*.yaml") if "\nproducts:" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_a_count_are_those_of_its_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 5, (40, 30)).astype(np.uint16)
    within = rng.random(count.shape) < 0.4
    for mask in (None, within):
        asked = count.ravel() if mask is None else count[mask]
        found = observed(count, mask)
        assert found["groundswell:valid_fraction"] == pytest.approx((asked > 0).mean(), abs=1e-6)
        assert found["groundswell:observations_mean"] == pytest.approx(asked.mean(), abs=1e-4)
        assert found["groundswell:observations_min"] == asked.min()


def test_none_and_all_are_said_of_none_and_all_alone() -> None:
    """One pixel of a million either way is not rounded away: a tile of it is neither empty nor whole."""
    count = np.zeros((2000, 2000), np.uint16)
    assert observed(count)["groundswell:valid_fraction"] == 0
    count[7, 7] = 1
    assert 0 < observed(count)["groundswell:valid_fraction"] < 1e-5
    assert 1 - 1e-5 < observed(1 - count)["groundswell:valid_fraction"] < 1
    assert observed(count + 1)["groundswell:valid_fraction"] == 1
    seen = np.zeros(256, np.int64)
    seen[[3, 11]] = 1, 10_000_000
    assert 0 < cloud_share(seen, {3})["groundswell:cloud_fraction"] < 1e-5
    assert 1 - 1e-5 < cloud_share(seen, {11})["groundswell:cloud_fraction"] < 1


def test_where_nothing_is_asked_for_nothing_is_valid() -> None:
    count = np.ones((4, 4), np.uint16)
    assert set(observed(count, np.zeros((4, 4), np.bool_)).values()) == {0}


def test_the_cloud_share_is_of_what_was_observed() -> None:
    """No data and places outside of a scene are in neither number."""
    seen = np.zeros(256, np.int64)
    seen[[NODATA, OUTSIDE, 3, 9, 11, 16, 40]] = 1000, 2000, 10, 20, 5, 50, 15
    assert cloud_share(seen, {3, 9}) == {"groundswell:cloud_fraction": 0.3}
    assert cloud_share(seen, ()) == {"groundswell:cloud_fraction": 0.0}
    seen[3:41] = 0
    assert cloud_share(seen, {3, 9}) == {} == cloud_share(None, {3})


@pytest.mark.parametrize("composite", ["median", "least_cloudy"])
def test_the_cloud_share_of_a_tile_by_numpy(tmp_path: Path, composite: str) -> None:
    """Of random scenes with every class: what was dropped as shadow, cloud, cirrus or their margin."""
    scenes = Scenes(tmp_path).add_month(6)
    world = scenes.world()
    session = world.session(f"products.0.composite={composite}")
    outcome = world.run(session, session.plan.jobs[0])
    properties = json.loads((world.output / str(outcome.item_key)).read_text())["properties"]
    plain = plain_scenes(scenes.items, ["red"])
    clouds = sum(1 << code for code in (3, 8, 9, 10, 12))
    cloudy = sum(int(np.count_nonzero(scene.reasons & clouds)) for scene in plain)
    share = cloudy / sum(scene.shown for scene in plain)
    assert 0 < share < 1
    assert properties["groundswell:cloud_fraction"] == pytest.approx(share, abs=1e-6)
    assert properties["groundswell:quality"]["cloud_fraction"] == properties["groundswell:cloud_fraction"]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_limits_are_no_part_of_any_product(path: Path) -> None:
    """Whatever the product: with other limits the same parameters, so the same fingerprints."""
    plain = load_config(path, product_models())
    entries = [f"products.{number}.quality={{empty: fail, on_fail: commit}}" for number in range(len(plain.products))]
    limited = load_config(path, product_models(), ["run.quality={min_valid_fraction: {fail: 0.5}}", *entries])
    one, other = (
        [(each.name, each.version, each.parameters, each.bands, each.facts) for each in plan_products(config)]
        for config in (plain, limited)
    )
    assert one == other
    assert all(limited.quality_of(entry).empty == "fail" for entry in limited.products)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_range_of_a_band_that_nothing_makes_is_refused(path: Path) -> None:
    """Of a product, of the run where no product makes it; and never one whose bands its inputs decide."""
    plain = load_config(path, product_models())
    layers = {one.name: one.layers for one in plan_products(plain)}
    for number, entry in enumerate(plain.products):
        own = f"products.{number}.quality"
        known = layers[entry.name]
        names = {"vv-ascending-44"} if known is None else known
        if names:  # a table has no layer
            plan_products(load_config(path, product_models(), [ranged(own, *names), ranged("run.quality", *names)]))
        if known is not None:
            told = ".*count" if known else ""
            with pytest.raises(ConfigError, match=rf"{entry.name}: quality\.band_ranges: .* rde; allowed: {told}"):
                plan_products(load_config(path, product_models(), [ranged(own, "rde", *names)]))
    if None not in layers.values():
        with pytest.raises(ConfigError, match=r"run\.quality\.band_ranges: no layer is named qa; allowed: "):
            plan_products(load_config(path, product_models(), [ranged("run.quality", "qa")]))


def ranged(key: str, *bands: str) -> str:
    return f"{key}={{band_ranges: {{{', '.join(f'{band}: {{warn: [0, 1]}}' for band in bands)}}}}}"


def test_layers_of_a_region_are_those_that_were_planned(month: tuple[object, SmallWorld]) -> None:
    _, world = month
    (planned,) = world.session().prepared.products
    _, item = make(world)
    assert planned.layers == frozenset(item["properties"]["groundswell:quality"]["ranges"])


@pytest.mark.parametrize("form", ["ard", "months", "model"])
def test_layers_of_a_tree_cover_tile_are_those_that_are_made(form: Form) -> None:
    recipe = Recipe(form, "float32", 100.0, 64)
    made = {layer.band.name for channel in CHANNELS[form] for layer, _ in recipe.statistics(channel, 2024)}
    assert made == {*layer_names(form)}
