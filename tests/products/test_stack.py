"""A stack is its inputs' own numbers on one grid: nothing resampled, nothing lost without a word."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from pipeline.config import DerivedProduct, load_config
from pipeline.errors import ConfigError, MisalignedError
from pipeline.prepare import plan_products
from pipeline.products import _stack_inputs, product_models
from pipeline.products._stack_inputs import input_layers
from pipeline.products._upstream import with_upstream
from pipeline.products.stack import PRODUCT
from pipeline.types import Grid, Status
from tests.products import models
from tests.products.derived import DEM, OPTICAL, OTHER, Run, plan

BOTH = "write: {cog: {}, zarr: {chunk_px: 64}}"
NATIVE = f"{{product: stack, inputs: [sentinel2, other, dem], {BOTH}}}"
SUMMER = "period: {start: 2024-06-01, end: 2024-08-01, every: span}"


@pytest.fixture(scope="module")
def native(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two optical products in two regions, and heights without time, as they are stored."""
    return plan(demo_world, tmp_path_factory.mktemp("native"), [OPTICAL, OTHER, DEM, NATIVE]).made()


def test_layers_are_copied_bit_by_bit(native: Run) -> None:
    """Under the names of their inputs, with what their numbers mean; heights stand in every month."""
    for month in ("2024-06", "2024-07"):
        job = native.job("stack", month)
        stacked = native.layers(job)
        expected = {
            f"{name}_{key}": (native.files(native.job(name, period))[key], values)
            for name, period in (("sentinel2", month), ("other", month), ("dem", None))
            for key, values in native.layers(native.job(name, period)).items()
            if key not in {"count", "qa"}
        }
        assert set(stacked) == {*expected, "count", "qa"} and len(expected) == 7
        for key, (path, values) in expected.items():
            np.testing.assert_array_equal(stacked[key], values, err_msg=key)
            with rasterio.open(path) as source, rasterio.open(native.files(job)[key]) as copy:
                assert (copy.crs, copy.transform, copy.shape) == (source.crs, source.transform, source.shape)
                assert (copy.dtypes, copy.scales, copy.offsets) == (source.dtypes, source.scales, source.offsets)
                np.testing.assert_equal(copy.nodata, source.nodata)
        numbers = [
            ~np.isnan(values) if values.dtype.kind == "f" else values != (-32768 if "ndvi" in key else 0)
            for key, (_, values) in expected.items()
        ]
        np.testing.assert_array_equal(stacked["count"], np.sum(numbers, axis=0))
        np.testing.assert_array_equal(stacked["qa"], np.where(stacked["count"] == 0, 1, 0))


def test_one_store_holds_all_layers_in_equal_chunks(native: Run) -> None:
    """On the tile's own grid, each with the job and fingerprint that it was copied from."""
    job = native.job("stack", "2024-06")
    geobox = job.tile.geobox
    with xr.open_zarr(native.files(job)["zarr"], mask_and_scale=False) as cube:
        layers = {name: cube[name] for name in cube.data_vars}
        assert {layer.encoding["chunks"] for layer in layers.values()} == {(64, 64)}
        assert {layer.shape for layer in layers.values()} == {geobox.shape.yx}
        np.testing.assert_array_equal(cube["x"], geobox.transform.c + 10 * (np.arange(256) + 0.5))
        np.testing.assert_array_equal(cube["y"], geobox.transform.f - 10 * (np.arange(256) + 0.5))
        for name, period in (("sentinel2", "2024-06"), ("other", "2024-06"), ("dem", None)):
            made = native.job(name, period)
            mine = [layer for key, layer in layers.items() if key.startswith(f"{name}_")]
            assert mine and {layer.attrs["source"] for layer in mine} == {f"{made.id} {made.fingerprint}"}
        assert cube["dem_elevation"].attrs["units"] == "m"
        assert cube["sentinel2_red"].attrs["standard_name"] == "surface_bidirectional_reflectance"
        for key, values in native.layers(job).items():
            np.testing.assert_array_equal(layers[key], values, err_msg=key)


def test_bytes_do_not_depend_on_strips_or_threads(native: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = native.job("stack", "2024-06")
    assignment = native.session.assignments()["stack"]
    ready = with_upstream(job, assignment.store)

    def digests(rows: int, threads: int) -> set[str]:
        folder = tmp_path / f"{rows}-{threads}"
        folder.mkdir()
        monkeypatch.setattr(_stack_inputs, "READ_ROWS", rows)
        context = replace(assignment.context, threads=threads)
        (made,) = PRODUCT.make([ready], assignment.entry, context, [folder], job.memory)
        return {file.sha256 for file in made.files}

    assert digests(512, 1) == digests(16, 4) == digests(100, 2)


def test_lazily_the_numbers_are_those_committed(native: Run) -> None:
    job = native.job("stack", "2024-07")
    lazy = native.session.composite(job).compute(scheduler="threads")
    for key, values in native.layers(job).items():
        np.testing.assert_array_equal(lazy[key], values, err_msg=key)


def test_the_rights_of_all_inputs_are_in_the_item(native: Run) -> None:
    item = native.item(native.job("stack", "2024-06"))
    for name, period in (("sentinel2", "2024-06"), ("dem", None)):
        assert native.item(native.job(name, period))["properties"]["attribution"] in item["properties"]["attribution"]


def test_periods_within_the_stacks_own_are_steps_in_time(demo_world: Path, tmp_path: Path) -> None:
    """What covers the whole summer has no time axis, what has no time has none; decoded, all is float32 and NaN."""
    dekads = OTHER.replace("}", ", period: {start: 2024-06-01, end: 2024-08-01, every: dekad}}")
    layers = "layers: {sentinel2: [red], other: [green], dem: [slope], whole: [nir]}"
    whole = OPTICAL.replace("product: sentinel2", "product: sentinel2, name: whole").replace("}", f", {SUMMER}}}")
    entry = f"{{product: stack, inputs: [sentinel2, other, dem, whole], {layers}, dtype: float32, {BOTH}, {SUMMER}}}"
    run = plan(demo_world, tmp_path, [OPTICAL, dekads, whole, DEM, entry]).made()
    job = run.job("stack")
    others = {one.period.start: one for one in run.session.plan.jobs if one.product == "other" and one.period.start}
    months = {one.period.start: one for one in run.session.plan.jobs if one.product == "sentinel2" and one.period.start}
    starts = sorted({*others, *months})
    assert len(months) == 2 <= len(others) and {*others} - {*months}
    with xr.open_zarr(run.files(job)["zarr"]) as cube:
        assert {name: layer.dims for name, layer in cube.data_vars.items() if name not in {"count", "qa"}} == {
            "sentinel2_red": ("time", "y", "x"),
            "other_green": ("time", "y", "x"),
            "dem_slope": ("y", "x"),
            "whole_nir": ("y", "x"),
        }
        assert [str(step)[:10] for step in cube["time"].values] == [f"{start:%Y-%m-%d}" for start in starts]
        for number, start in enumerate(starts):
            for name, layer, made in (("sentinel2", "red", months), ("other", "green", others)):
                found = cube[f"{name}_{layer}"].values[number]
                assert found.dtype == np.float32
                if start in made:
                    expected = run.physical(made[start], layer).astype(np.float32)
                    np.testing.assert_array_equal(found, expected)
                    assert np.isnan(expected).any() and not np.isnan(expected).all()
                else:
                    assert np.isnan(found).all()
        np.testing.assert_array_equal(cube["dem_slope"], run.physical(run.job("dem"), "slope").astype(np.float32))
    lazy = run.session.composite(job).compute(scheduler="threads")
    for key, values in run.layers(job).items():
        band, dash, day = key.rpartition("-")
        found = lazy[band].sel(time=f"{day[:4]}-{day[4:6]}-{day[6:]}") if dash else lazy[key]
        np.testing.assert_array_equal(found, values, err_msg=key)


def test_days_of_a_series_are_steps_in_time(demo_world: Path, tmp_path: Path) -> None:
    series = OPTICAL.replace("indices: [ndvi]", "composite: none").replace("[red, nir]", "[nir]")
    run = plan(demo_world, tmp_path, [series, DEM, f"{{product: stack, inputs: [dem, sentinel2], {BOTH}}}"]).made()
    job = run.job("stack", "2024-06")
    days = run.layers(run.job("sentinel2", "2024-06"))
    stacked = run.layers(job)
    keys = [key for key in days if key.startswith("nir-")]
    assert len(keys) > 2 and {key for key in stacked if "nir" in key} == {f"sentinel2_{key}" for key in keys}
    for key in keys:
        np.testing.assert_array_equal(stacked[f"sentinel2_{key}"], days[key])


def test_an_input_that_is_not_there_blocks_or_is_empty(demo_world: Path, tmp_path: Path) -> None:
    """As the entry says: no stack, with a note of the plan; or empty layers, named in the item and marked in `qa`."""
    earlier = OTHER.replace("}", ", period: {start: 2023-06-01, end: 2023-08-01, every: month}}")
    optical = OPTICAL.replace("s2,", "c1,")
    fail = f"{{product: stack, inputs: [sentinel2, other], {BOTH}}}"
    run = plan(demo_world, tmp_path, [optical, earlier, fail])
    assert not [job for job in run.session.plan.jobs if job.product == "stack"]
    assert any(note.startswith("stack: not made in 2 tile-periods without other") for note in run.session.plan.notes)
    fill = fail.replace(
        "write", "missing_inputs: fill, dtype: float32, layers: {sentinel2: [red], other: [green]}, write"
    )
    run = plan(demo_world, tmp_path, [optical, earlier, fill]).made()
    job = run.job("stack", "2024-06")
    stacked, properties = run.layers(job), run.item(job)["properties"]
    assert set(stacked) == {"sentinel2_red", "other_green", "count", "qa"}
    assert np.isnan(stacked["other_green"]).all() and not np.isnan(stacked["sentinel2_red"]).all()
    np.testing.assert_array_equal(stacked["qa"], np.where(np.isnan(stacked["sentinel2_red"]), 3, 2))
    assert properties["groundswell:missing_inputs"] == ["other"]
    assert any("no other" in warning for warning in properties["groundswell:warnings"])


def test_a_layer_that_cannot_be_read_is_lost_alone(demo_world: Path, tmp_path: Path) -> None:
    """Named in the ledger, empty, and marked in `qa`; with policy fail, the job fails by its name."""
    entry = f"{{product: stack, inputs: [sentinel2, dem], {BOTH}}}"
    run = plan(demo_world, tmp_path, [OPTICAL, DEM, entry])
    stack = run.job("stack", "2024-06")
    run.make(*(job for job in run.session.plan.jobs if job.product != "stack"))
    path = run.files(run.job("sentinel2", "2024-06"))["nir"]
    path.write_bytes(path.read_bytes()[:-4000])
    outcome = run.make(stack)
    assert outcome.status is Status.DONE, outcome.cause
    assert [(loss.item, loss.asset) for loss in outcome.losses] == [(f"sentinel2_{stack.tile.id}_2024-06", "nir")]
    stacked = run.layers(stack)
    assert not stacked["sentinel2_nir"].any() and stacked["sentinel2_red"].any()
    assert (stacked["qa"] & 2 == 2).all()
    assert run.item(stack)["properties"]["groundswell:quality"]["missing_fraction"] == 1 / len(
        stacked.keys() - {"count", "qa"}
    )
    again = plan(
        demo_world, tmp_path, [OPTICAL, DEM, entry], "run.missing_assets={policy: fail}", "products.stack.dtype=float32"
    )
    outcome = again.make(again.job("stack", "2024-06"))
    assert outcome.status is Status.FAILED and f"asset nir: {path.resolve()}" in str(outcome.cause)


@pytest.mark.parametrize("what", ["declared", "file"])
def test_another_grid_is_an_error_by_name(demo_world: Path, tmp_path: Path, what: str) -> None:
    """Of the item or of the file itself: half a pixel aside is aside."""
    run = plan(demo_world, tmp_path, [OPTICAL, f"{{product: stack, inputs: [sentinel2], {BOTH}}}"])
    optical, stack = run.job("sentinel2", "2024-06"), run.job("stack", "2024-06")
    run.make(optical)
    if what == "file":
        with rasterio.open(run.files(optical)["red"], "r+", IGNORE_COG_LAYOUT_BREAK="YES") as source:
            source.transform = source.transform @ type(source.transform).translation(0.5, 0)
        outcome = run.make(stack)
        assert (outcome.status, outcome.error) == (Status.FAILED, "MisalignedError")
        assert re.search(
            rf"{optical.id}, layer red, .*red.*\.tif: found EPSG:32633 .*tile's own grid", str(outcome.cause)
        )
        return
    ready = with_upstream(stack, run.session.prepared.store)
    (item,) = ready.items
    asset = item.assets["red"]
    entry = run.session.assignments()["stack"].entry
    assert asset.grid is not None and isinstance(entry, DerivedProduct)
    for grid in (
        replace(asset.grid, crs="EPSG:32632"),
        replace(asset.grid, shape=(256, 255)),
        Grid(asset.grid.crs, (*asset.grid.transform[:5], asset.grid.transform[5] + 1e-9 * 2**20), asset.grid.shape),
    ):
        moved = replace(item, assets={**item.assets, "red": replace(asset, grid=grid)})
        with pytest.raises(MisalignedError, match=f"{optical.id}, layer red: found"):
            input_layers(replace(ready, items=(moved,)), entry)


def test_only_what_an_input_changes_is_made_again(native: Run, demo_world: Path) -> None:
    """Everything committed is skipped; another mask of one input is another stack, and the other inputs stay."""
    entries = [OPTICAL, OTHER, DEM, NATIVE]
    assert not plan(demo_world, native.folder, entries).session.plan.jobs
    again = plan(demo_world, native.folder, entries, "products.other.mask.dilate_px=4").session.plan
    assert {job.product for job in again.jobs} == {"other", "stack"}
    assert {skip.job_id.split("/")[0] for skip in again.skipped} == {"sentinel2", "dem"}
    old = {native.job("stack", month).fingerprint for month in ("2024-06", "2024-07")}
    assert not old & {job.fingerprint for job in again.jobs}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("layers: {dem: [slope]}", "found dem in layers; allowed: inputs (sentinel2)"),
        ("missing_inputs: fill", "missing_inputs: fill only with dtype: float32 and every input in layers"),
        ("layers: {sentinel2: [red, red]}", "every layer once"),
    ],
)
def test_keys_that_do_not_fit_are_refused(demo_world: Path, tmp_path: Path, keys: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        plan(demo_world, tmp_path, [OPTICAL, f"{{product: stack, inputs: [sentinel2], {keys}}}"])


def test_a_layer_that_there_is_none_of_is_named(demo_world: Path, tmp_path: Path) -> None:
    run = plan(demo_world, tmp_path, [OPTICAL, "{product: stack, inputs: [sentinel2], layers: {sentinel2: [blue]}}"])
    outcome = run.make()
    assert outcome.status is Status.FAILED
    assert "sentinel2 has no blue; it has count, ndvi, nir, qa, red" in str(outcome.cause)


def test_the_example_is_planned() -> None:
    config = load_config(Path(__file__).parents[2] / "configs" / "stack.yaml", product_models())
    plans = {product.name: product for product in plan_products(config)}
    assert plans["stack"].inputs == ("sentinel2", "sentinel1", "landsat", "dem") and not plans["stack"].optional
    assert plans["summer"].optional == {"sentinel2", "sentinel1", "dem"}
    assert all(config.write_of(entry).zarr for entry in config.products if entry.product == "stack")


def test_two_layers_of_one_name_are_an_error(demo_world: Path, tmp_path: Path) -> None:
    """`a` with `b_v` and `a_b` with `v` would both be `a_b_v`: neither replaces the other in silence."""
    model = models.mean(tmp_path / "mean.onnx")
    keys = f"inputs: [sentinel2], model: {model}, window_px: 64, overlap_px: 16, channels: [{{layer: red}}]"
    entries = [
        f"{{product: predict, name: {product}, {keys}, results: [{{name: {layer}}}]}}"
        for product, layer in (("a", "b_v"), ("a_b", "v"))
    ]
    run = plan(demo_world, tmp_path, [OPTICAL, *entries, "{product: stack, inputs: [a, a_b], write: {cog: {}}}"])
    run.make(*(job for job in run.session.plan.jobs if job.period.id == "2024-06"))
    outcome = run.outcomes[run.job("stack", "2024-06").id]
    assert outcome.error == "JobError"
    assert "a_b_v: found it in a and a_b; give one of them another `name`" in str(outcome.cause)
