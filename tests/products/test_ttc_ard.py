"""`ttc_ard` by the real command path: a year of two tiles, against NumPy's own numbers, with two months empty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import run
from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.products.ttc_ard import VERSION
from pipeline.types import Outcome, Status
from tests.products.ttc_plain import (
    indices_by_hand,
    median_by_hand,
    months_by_hand,
    radar_by_hand,
    reflectances,
    taken_days,
)
from tests.products.ttc_world import BANDS, EMPTY_MONTHS, TABLE, TreeWorld, layers_of, run_jobs
from tests.worlds import SmallWorld

ARD = [*BANDS, "slope", "vv", "vh"]
LEFT, _ = TABLE


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> TreeWorld:
    """The scenes, once; every test writes configs and outputs of its own."""
    return TreeWorld(tmp_path_factory.mktemp("trees")).fill().on_hills()


@pytest.fixture(scope="module")
def made(trees: TreeWorld) -> tuple[SmallWorld, dict[str, Outcome]]:
    """Everything of the default form, of the left tile."""
    small = trees.world()
    outcomes = run_jobs(small, small.session())
    assert {outcome.status for outcome in outcomes.values()} == {Status.DONE}, outcomes
    return small, outcomes


def ard_of(
    made: tuple[SmallWorld, dict[str, Outcome]], tile: str, product: str = "ttc_ard"
) -> tuple[dict[str, Any], Any]:
    small, outcomes = made
    period = {"ttc_ard": "2021", "sentinel2": "2021", "dem": "static"}[product]
    return layers_of(small, outcomes[f"{product}/{tile}/{period}"])


def test_only_the_tile_years_of_the_list_are_planned(made: tuple[SmallWorld, dict[str, Outcome]]) -> None:
    """2021 of the tile, by every product, though the run's period has 2022 as well."""
    windows = ["2021-01-15_2021-03-16", "2021-04-15_2021-06-16", "2021-07-15_2021-09-16", "2021-10-15_2021-12-16"]
    periods = {"sentinel2": ["2021"], "sentinel1": windows, "dem": ["static"], "ttc_ard": ["2021"]}
    assert {*made[1]} == {f"{name}/{LEFT}/{one}" for name, ones in periods.items() for one in ones}


def test_the_thirteen_channels(trees: TreeWorld, made: tuple[SmallWorld, dict[str, Outcome]]) -> None:
    """Mean of the months of ten bands, slope of 90 degrees, median of the radar; in the order of the model."""
    layers, item = ard_of(made, LEFT)
    assert {*layers} == {*ARD, "count", "months", "qa"}
    assert item["properties"]["groundswell:channels"] == ARD
    days, bands = reflectances(trees, 0)
    assert item["properties"]["groundswell:dates"] == [str(day) for day in days]
    assert item["properties"]["groundswell:empty_months"] == list(EMPTY_MONTHS)
    for band in BANDS:
        assert layers[band].dtype == np.float32
        expected = months_by_hand(bands[band], days).mean(axis=0)
        np.testing.assert_allclose(layers[band], expected, rtol=0, atol=2e-6, err_msg=band)
    for name in ("vv", "vh"):
        expected = np.median(radar_by_hand(trees, name, 0), axis=0)
        np.testing.assert_allclose(layers[name], expected, rtol=0, atol=2e-6, err_msg=name)
    slope, _ = ard_of(made, LEFT, "dem")
    np.testing.assert_allclose(layers["slope"], slope["slope_median"] / 90, rtol=1e-6)


def test_years_without_a_period_are_told(trees: TreeWorld) -> None:
    """2019 is in the list of tiles, but not in the run's period: named for every product, and 2021 is planned."""
    plan = trees.world(years=(2019, 2021)).session(overwrite=True).plan
    assert {job.period.id[:4] for job in plan.jobs} == {"2021", "stat"}
    told = [note for note in plan.notes if "(2019,)" in note]
    assert {note.partition(":")[0] for note in told} == {"sentinel2", "sentinel1", "ttc_ard"}


@pytest.mark.long
def test_exported_under_a_template(
    trees: TreeWorld,
    made: tuple[SmallWorld, dict[str, Outcome]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every layer at the path that the template says, the committed bytes; again, nothing is copied."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    small, _ = made
    assert run.main([str(trees.world().config)]) == 0  # finds everything committed: its end makes that current
    export = ["export", str(small.output), "--product", "ttc_ard", "--to", str(tmp_path)]
    template = "{year}/ard/{x}/{y}/{x}X{y}Y_{layer}.tif"
    assert main([*export, "--template", template]) == 0 == main([*export, "--template", template])
    assert "16 files" in capsys.readouterr().out
    assert main(["reproduce", str(small.output), f"ttc_ard_{LEFT}_2021"]) == 0
    _, item = ard_of(made, LEFT)
    for layer in (*ARD, "count", "months", "qa"):
        committed = (small.output / "items/ttc_ard" / item["assets"][layer]["href"]).read_bytes()
        assert (tmp_path / f"2021/ard/1036/724/1036X724Y_{layer}.tif").read_bytes() == committed
    for wrong, said in (("{x}.tif", "{layer}"), ("{z}/{layer}", "{z}"), ("/a/{layer}", "below"), ("{layer", "allowed")):
        assert main([*export, "--template", wrong]) == 2
        assert said in capsys.readouterr().err
    dem = [*export[:3], "dem", *export[4:], "--template", "{tile}/{layer}.tif"]
    assert main(dem) == 0 and (tmp_path / LEFT / "slope_median.tif").exists()


def test_pixels_only_change_with_the_version(made: tuple[SmallWorld, dict[str, Outcome]]) -> None:
    """Whoever changes these numbers raises VERSION: tiles that are committed would otherwise stay as they were."""
    layers, _ = ard_of(made, LEFT)
    means = {
        name: round(float(np.nanmean(layers[name], dtype=np.float64)), 5) for name in ("blue", "swir22", "slope", "vv")
    }
    assert VERSION == 1
    assert means == pytest.approx({"blue": 0.09265, "swir22": 0.28154, "slope": 0.00233, "vv": 0.49035}, abs=2e-5)


def test_what_is_observed_and_when(trees: TreeWorld, made: tuple[SmallWorld, dict[str, Outcome]]) -> None:
    """Counts and months with an observation; a pixel that is never seen is no data, one that is seen once is level."""
    layers, item = ard_of(made, LEFT)
    days, bands = reflectances(trees, 0)
    seen = ~np.isnan(bands["blue"])
    assert np.array_equal(layers["count"], seen.sum(axis=0))
    bits = np.zeros(seen.shape[1:], int)
    for day, there in zip(days, seen, strict=True):
        bits |= there * (1 << (day.month - 1)) * (day.year == 2021)
    assert np.array_equal(layers["months"], bits)
    assert all(bits.max() & (1 << (month - 1)) == 0 for month in EMPTY_MONTHS)
    assert layers["count"][5, 7] == 0 and layers["qa"][5, 7] == 1 and np.isnan(layers["red"][5, 7])
    assert layers["count"][6, 7] <= 1
    assert item["properties"]["groundswell:valid_fraction"] == round(
        np.count_nonzero(layers["count"]) / seen[0].size, 6
    )
    assert np.isnan(layers["vv"][30, 30]) and not np.isnan(layers["vv"][21, 21])
    assert item["properties"]["groundswell:empty_channels"]["vv"] == round(1 / seen[0].size, 6)


def test_days_are_few_and_of_the_wider_box(trees: TreeWorld, made: tuple[SmallWorld, dict[str, Outcome]]) -> None:
    """Two a month at most, by the cloud of whole scenes; the neighbour is planned with the same ones."""
    small, outcomes = made
    series, _ = layers_of(small, outcomes[f"sentinel2/{LEFT}/2021"])
    days = {key.removeprefix("red-") for key in series if key.startswith("red-")}
    assert days == {f"{day:%Y%m%d}" for day in taken_days(trees)}
    assert len(days) == 2 * 14 and len(trees.images) > 55
    both = trees.world(table=TABLE).session(overwrite=True).plan.jobs
    one, other = ({item.id for item in job.items} for job in both if job.product == "sentinel2")
    assert one == other == {f"image-{day}" for day in taken_days(trees)}


def test_slopes_agree_across_the_edge_of_tiles(trees: TreeWorld, made: tuple[SmallWorld, dict[str, Outcome]]) -> None:
    """The median over 5 x 5 pixels looks over the edge: it is that of both tiles' slopes side by side."""
    small = trees.world(table=TABLE)
    session = small.session(overwrite=True)
    jobs = sorted((job for job in session.plan.jobs if job.product == "dem"), key=lambda job: job.tile.id)
    left, right = (layers_of(small, small.run(session, job))[0] for job in jobs)
    slopes = np.concatenate([left["slope"], right["slope"]], axis=1)
    medians = np.concatenate([left["slope_median"], right["slope_median"]], axis=1)
    np.testing.assert_array_equal(medians[2:-2, 2:-2], median_by_hand(slopes))


@pytest.mark.parametrize(
    "dtype",
    ["float32", pytest.param("uint16", marks=pytest.mark.long), pytest.param("int16", marks=pytest.mark.long)],
)
def test_the_models_input(trees: TreeWorld, made: tuple[SmallWorld, dict[str, Outcome]], dtype: str) -> None:
    """Seventeen channels: medians of three months and of the year; 16 bits are cut off towards zero."""
    small = trees.world(f"form: model, dtype: {dtype}")
    session = small.session()
    (job,) = [job for job in session.plan.jobs if job.tile.id == LEFT]
    layers, item = layers_of(small, small.run(session, job))
    assert item["properties"]["groundswell:channels"] == [*ARD, "evi", "bi", "msavi2", "grndvi"]
    days, bands = reflectances(trees, 0)
    months = {name: months_by_hand(series, days) for name, series in (bands | indices_by_hand(bands)).items()}
    months |= {name: radar_by_hand(trees, name, 0) for name in ("vv", "vh")}
    lows = {
        "evi": -0.1409399364817101,
        "bi": -0.4973397113668104,
        "msavi2": -0.09731556326714398,
        "grndvi": -0.7193834232943873,
    }
    highs = {
        "evi": 0.8177635298774327,
        "bi": 0.35768999002433816,
        "msavi2": 0.7545951919107605,
        "grndvi": 0.7602693339366691,
    }
    for name, values in months.items():
        steps = {f"{name}-2021{month:02d}01": values[month - 1 : month + 2] for month in (1, 4, 7, 10)}
        for key, some in {**steps, f"{name}_annual": values}.items():
            expected = np.median(some, axis=0)
            found = layers[key]
            assert found.dtype == dtype
            if dtype == "float32":
                np.testing.assert_allclose(found, expected, rtol=0, atol=5e-6, err_msg=key)
                continue
            if dtype == "int16":
                exact = np.clip(expected * 10_000, -32_000, 32_000)
                nodata = -32_768
            else:
                low, high, span = lows.get(name, 0.0), highs.get(name, 1.0), 2.0 if name == "grndvi" else 1.0
                exact = np.minimum((np.clip(expected, low, high) - low) / span * 65_535, 65_534)
                nodata = 65_535
            assert np.array_equal(found == nodata, np.isnan(expected)), key
            there = ~np.isnan(expected)
            off = found[there] - exact[there]
            # Cut off towards zero, within the rounding of single precision.
            assert np.abs(off).max() < 1.35 and (np.abs(found[there]) <= np.abs(exact[there]) + 0.35).all(), key


def test_a_lazy_tile_has_the_committed_pixels(trees: TreeWorld, made: tuple[SmallWorld, dict[str, Outcome]]) -> None:
    """In every form, also in strips of few rows."""
    layers, _ = ard_of(made, LEFT)
    small = trees.world()
    session = small.session(overwrite=True)
    (job,) = [job for job in session.plan.jobs if job.id == f"ttc_ard/{LEFT}/2021"]
    low = replace(job, memory=replace(job.memory, strip_rows=32))
    for one in (job, low):
        lazy = session.composite(one).compute()
        for key, data in layers.items():
            np.testing.assert_array_equal(lazy[key].values, data, err_msg=key)
    monthly = trees.world("form: months").session()
    (job,) = [job for job in monthly.plan.jobs if job.tile.id == LEFT]
    lazy = monthly.composite(job)
    assert lazy["evi"].dims == ("time", "y", "x") and lazy["evi"].shape[0] == 12 and lazy["slope"].dims == ("y", "x")


def test_a_lost_image_costs_itself(trees: TreeWorld, made: tuple[SmallWorld, dict[str, Outcome]]) -> None:
    """One file of the series is gone: the tile is made without that band's day, and says so everywhere."""
    small, outcomes = made
    series, item = layers_of(small, outcomes[f"sentinel2/{LEFT}/2021"])
    key = next(key for key in series if key.startswith("red-2021"))
    path = (small.output / str(outcomes[f"sentinel2/{LEFT}/2021"].item_key)).parent / item["assets"][key]["href"]
    whole, there = path.read_bytes(), path.resolve()
    there.unlink()
    try:
        session = trees.world().session("products.3.smoothing=99")
        (job,) = [job for job in session.plan.jobs if job.tile.id == LEFT]
        outcome = small.run(session, job)
        layers, lossy = layers_of(small, outcome)
    finally:
        there.write_bytes(whole)
    assert [(loss.asset, outcome.status) for loss in outcome.losses] == [(key, Status.DONE)]
    days, bands = reflectances(trees, 0)
    bands["red"][[f"red-{day:%Y%m%d}" == key for day in days]] = np.nan
    for band in ("red", "nir"):
        expected = months_by_hand(bands[band], days, 99.0).mean(axis=0)
        np.testing.assert_allclose(layers[band], expected, rtol=0, atol=2e-6)
    assert (layers["qa"] & 2).all()
    share = lossy["properties"]["groundswell:quality"]["missing_fraction"]
    assert 0 < share < 1 / (10 * len(days)), "of all layers that are read, not of the items that they lie in"


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["products.3.inputs=[sentinel2, sentinel1]"], "one entry each of sentinel2, sentinel1, dem"),
        (["products.2.layers=[slope]"], "slope_median"),
        (["products.1.scale=db"], "scale: power"),
        (["products.1.kind=grd"], "sentinel1 is of ground range .* allow_not_terrain_corrected: true in ttc_ard"),
    ],
)
def test_inputs_of_another_kind_are_refused(trees: TreeWorld, sets: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        trees.world().session(*sets)
