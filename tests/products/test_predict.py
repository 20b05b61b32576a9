"""What a model says of a tile is what plain NumPy makes of the same layers, however it is cut, batched and threaded."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.products import _predict_model, _stack_inputs
from pipeline.products._upstream import with_upstream
from pipeline.products.predict import PRODUCT
from pipeline.types import Status
from tests.products import models
from tests.products.derived import DEM, OPTICAL, Run, plan

INPUTS = (OPTICAL, DEM)
RED = "{layer: sentinel2_red}"
CHANNELS = f"[{RED}, {{layer: nir, scale: 2.0e-4, offset: -0.1, clip: [0, 0.4]}}, {{layer: dem_slope, scale: 0.01}}]"
SCORES = "[{layer: red, scale: 1}, {layer: nir, scale: 0.5}]"
VALUE = "results: [{name: value}]"


@pytest.fixture(scope="module")
def inputs(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two months of an optical product, and heights."""
    return plan(demo_world, tmp_path_factory.mktemp("inputs"), INPUTS).made()


class Predict:
    """Entries of `predict` over what the fixture has committed."""

    def __init__(self, world: Path, inputs: Run) -> None:
        self.world, self.inputs = world, inputs

    def plan(self, model: Path | str, keys: str, *sets: str) -> Run:
        entry = f"{{product: predict, inputs: [sentinel2, dem], model: {model}, {keys}}}"
        return plan(self.world, self.inputs.folder, [*INPUTS, entry], *sets)

    def make(self, model: Path, keys: str) -> dict[str, NDArray[Any]]:
        """The layers of June."""
        run = self.plan(model, keys)
        job = run.job("predict", "2024-06")
        outcome = run.make(job)
        assert outcome.status is Status.DONE, outcome.cause
        return run.layers(job)

    def cause(self, model: Path, keys: str) -> str:
        """Why June failed."""
        run = self.plan(model, keys)
        outcome = run.make(run.job("predict", "2024-06"))
        assert outcome.status is Status.FAILED
        return str(outcome.cause)

    def physical(self, key: str, period: str | None = "2024-06") -> NDArray[np.float64]:
        return self.inputs.physical(self.inputs.job("sentinel2" if period else "dem", period), key)

    def channels(self) -> NDArray[np.float64]:
        """(channel, y, x) of CHANNELS, NaN where there is none."""
        nir = np.clip(self.physical("nir") * 2 - 0.1, 0, 0.4)
        return np.stack([self.physical("red"), nir, self.physical("slope", None) * 0.01])


@pytest.fixture
def predict(demo_world: Path, inputs: Run) -> Predict:
    return Predict(demo_world, inputs)


@pytest.mark.parametrize("missing", ["any", "all"])
@pytest.mark.parametrize("cut", ["window_px: 64, overlap_px: 16, batch: 3", "window_px: 300, overlap_px: 0, batch: 1"])
def test_a_model_of_single_pixels_is_plain_numpy(predict: Predict, tmp_path: Path, missing: str, cut: str) -> None:
    """Channels in their order, scaled and clipped; `count` and `qa` say where they are too few."""
    results = (
        "results: [{name: value}, {name: stored, channel: 0, dtype: uint8, scale: 0.002, offset: 0.01, nodata: 7}]"
    )
    keys = f"channels: {CHANNELS}, {cut}, missing: {missing}, {results}"
    made = predict.make(models.mean(tmp_path / "mean.onnx"), keys)
    channels = predict.channels()
    there = (~np.isnan(channels)).sum(axis=0)
    kept = there == 3 if missing == "any" else there > 0
    value = np.nan_to_num(channels).mean(axis=0)
    assert kept.mean() > 0.1 and (kept.mean() < 0.9 or missing == "all")
    np.testing.assert_array_equal(~np.isnan(made["value"]), kept)
    np.testing.assert_allclose(made["value"][kept], value[kept], rtol=1e-5)
    np.testing.assert_array_equal(made["count"], np.where(kept, there, 0))
    np.testing.assert_array_equal(made["qa"], np.where(kept, 0, 1))
    stored = np.rint((value - 0.01) / 0.002)
    assert (made["stored"][~kept] == 7).all()
    assert np.abs(made["stored"][kept] - np.clip(stored[kept], 0, 254)).max() <= 1


@pytest.mark.parametrize(("side", "cut"), [(3, "window_px: 66, overlap_px: 10"), (9, "window_px: 72, overlap_px: 32")])
def test_a_convolution_sees_around_every_pixel(predict: Predict, tmp_path: Path, side: int, cut: str) -> None:
    """Across windows as if there were none, and beyond the tile's edge the tile's mirror image."""
    weights = np.random.default_rng(side).normal(size=(1, 2, side, side)).astype(np.float32)
    channels = f"channels: [{{layer: red, fill: 0.5}}, {RED}]"
    model = models.conv(tmp_path / "conv.onnx", weights)
    made = predict.make(model, f"{channels}, {cut}, crop_px: {side // 2}, {VALUE}")["value"]
    red = predict.physical("red")
    padded = [
        np.pad(np.where(np.isnan(red), fill, red), side // 2, mode="reflect").astype(np.float32) for fill in (0.5, 0)
    ]
    around = sliding_window_view(np.stack(padded), (side, side), axis=(1, 2))
    expected = np.einsum("cyxij,cij->yx", around, weights[0], dtype=np.float64)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(red))
    np.testing.assert_allclose(made[~np.isnan(red)], expected[~np.isnan(red)], atol=2e-5)


@pytest.mark.parametrize("blend", ["linear", "cosine", "none"])
def test_windows_pass_into_each_other(predict: Predict, tmp_path: Path, blend: str) -> None:
    """Windows of 100 px in steps of 60 from 20 px before the tile, the last ending 20 px after it."""
    keys = f"channels: [{{layer: dem_elevation}}], window_px: 100, overlap_px: 40, blend: {blend}, {VALUE}"
    made = predict.make(models.window_mean(tmp_path / "window.onnx"), keys)["value"]
    heights = np.pad(predict.physical("elevation", None), 100, mode="reflect")
    starts = [-20, 40, 100, 160, 176]
    near = (np.minimum(np.arange(100), np.arange(100)[::-1]) + 0.5) / 40
    linear = np.minimum(near, 1)
    ramp = {"linear": linear, "cosine": 0.5 - 0.5 * np.cos(np.pi * linear), "none": near}[blend]
    along = np.zeros((5, 476))
    for number, start in enumerate(starts):
        along[number, start + 100 : start + 200] = ramp
    along = along[:, 100:356]
    if blend == "none":
        along = (along.argmax(axis=0) == np.arange(5)[:, None]).astype(float)
    along /= along.sum(axis=0)
    means = np.array([[heights[y + 100 : y + 200, x + 100 : x + 200].mean() for x in starts] for y in starts])
    np.testing.assert_allclose(made, along.T @ means @ along, rtol=2e-6)
    assert np.ptp(means) > 1


def test_classes_are_the_greatest_channel_after_blending(predict: Predict, tmp_path: Path) -> None:
    weights = np.array([[1, 0], [0, 1], [0.6, 0.5]], np.float32)[:, :, None, None]
    model = models.conv(tmp_path / "classes.onnx", weights)
    keys = f"channels: {SCORES}, window_px: 64, overlap_px: 8, classes: [dark, green, other]"
    made = predict.make(model, keys)
    red, nir = predict.physical("red") * 1e4, predict.physical("nir") * 5e3
    scores = np.einsum("oi,iyx->oyx", weights[:, :, 0, 0].astype(np.float64), np.stack([red, nir]))
    expected = np.where(np.isnan(red), 255, np.argmax(np.nan_to_num(scores), axis=0))
    top = np.sort(scores, axis=0)
    clear = np.isnan(red) | (top[2] - top[1] > 1e-3)
    assert set(made) == {"class", "count", "qa"} and len(np.unique(expected)) == 4 and clear.mean() > 0.99
    np.testing.assert_array_equal(made["class"][clear], expected[clear])


def test_a_stack_of_classes_keeps_what_they_are(demo_world: Path, tmp_path: Path) -> None:
    """Overviews of classes are their majority, here and wherever they are copied to."""
    model = models.conv(tmp_path / "classes.onnx", np.array([[[[1.0]]], [[[-1.0]]]], np.float32))
    entry = (
        f"{{product: predict, inputs: [sentinel2], model: {model}, window_px: 64, overlap_px: 8, "
        "channels: [{layer: red, offset: -0.1}], classes: [bright, dark]}"
    )
    run = plan(demo_world, tmp_path, [OPTICAL, entry, "{product: stack, inputs: [predict], write: {cog: {}}}"])
    jobs = [run.job(product, "2024-06") for product in ("sentinel2", "predict", "stack")]
    assert run.make(*jobs).status is Status.DONE
    for job, key in zip(jobs[1:], ("class", "predict_class"), strict=True):
        (band,) = run.item(job)["assets"][key]["bands"]
        assert (band["groundswell:overview"], band["nodata"], band["data_type"]) == ("mode", 255, "uint8")
    made, copied = run.layers(jobs[1])["class"], run.layers(jobs[2])["predict_class"]
    np.testing.assert_array_equal(copied, made)
    assert set(np.unique(made)) == {0, 1, 255}


def test_labels_of_a_model_are_taken_as_they_are(predict: Predict, tmp_path: Path) -> None:
    """Of the window that is nearest; never blended, and never beyond the names of the classes."""
    model = models.labels(tmp_path / "labels.onnx")
    keys = f"channels: {SCORES}, window_px: 64, overlap_px: 8, classes: [a, b]"
    made = predict.make(model, f"{keys}, blend: none")["class"]
    red, nir = predict.physical("red") * 1e4, predict.physical("nir") * 5e3
    np.testing.assert_array_equal(made, np.where(np.isnan(red), 255, (nir > red + 1e-6) * 1))
    assert "whole numbers are not blended; expected blend: none" in predict.cause(model, keys)
    assert "expected whole numbers below 1" in predict.cause(model, keys.replace("[a, b]", "[a], blend: none"))


@pytest.mark.parametrize(("layout", "axes"), [("ntchw", (1, 2)), ("nthwc", (1, 4))])
def test_a_layout_of_time_gives_every_step(
    predict: Predict, tmp_path: Path, layout: str, axes: tuple[int, int]
) -> None:
    """What has no time stands at each; a month more and it is another model's."""
    shape: dict[str, int | str] = {"n": "n", "t": 2, "c": 2, "h": "h", "w": "w"}
    model = models.mean(tmp_path / "time.onnx", axes, [shape[axis] for axis in layout])
    summer = "period: {start: 2024-06-01, end: 2024-08-01, every: span}"
    run = predict.plan(
        model,
        f"channels: [{RED}, {{layer: dem_slope}}], layout: {layout}, window_px: 64, overlap_px: 8, {VALUE}, {summer}",
    )
    job = run.job("predict")
    assert run.make(job).status is Status.DONE
    red = [predict.physical("red", month) for month in ("2024-06", "2024-07")]
    expected = (red[0] + red[1] + 2 * predict.physical("slope", None)) / 4
    made = run.layers(job)["value"]
    np.testing.assert_array_equal(np.isnan(made), np.isnan(expected))
    np.testing.assert_allclose(made, expected, rtol=1e-5)
    assert run.item(job)["properties"]["groundswell:steps"] == ["2024-06-01", "2024-07-01"]


def test_one_step_of_several_is_chosen_by_its_day(predict: Predict, tmp_path: Path) -> None:
    model = models.mean(tmp_path / "mean.onnx")
    keys = f"window_px: 64, overlap_px: 8, {VALUE}, period: {{start: 2024-06-01, end: 2024-08-01, every: span}}"
    run = predict.plan(model, f"channels: [{{layer: red, time: 2024-07-01}}], {keys}")
    job = run.job("predict")
    assert run.make(job).status is Status.DONE
    np.testing.assert_allclose(run.layers(job)["value"], predict.physical("red", "2024-07"), rtol=1e-5)
    run = predict.plan(model, f"channels: [{RED}], {keys}")
    assert "found steps 2024-06-01, 2024-07-01; expected its `time`" in str(run.make(run.job("predict")).cause)


def test_bytes_do_not_depend_on_strips_or_threads(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = np.random.default_rng(1).normal(size=(4, 3, 5, 5)).astype(np.float32)
    model = models.conv(tmp_path / "conv.onnx", weights)
    cut = "window_px: 68, overlap_px: 32, crop_px: 2, missing: all"
    run = predict.plan(model, f"channels: {CHANNELS}, {cut}, classes: [a, b, c, d], {VALUE}")
    job, assignment = run.job("predict", "2024-06"), run.session.assignments()["predict"]
    ready = with_upstream(job, assignment.store)

    def digests(rows: int, threads: int) -> set[str]:
        folder = tmp_path / f"{threads}-{rows}"
        folder.mkdir()
        monkeypatch.setattr(_stack_inputs, "READ_ROWS", rows)
        context = replace(assignment.context, threads=threads)
        (made,) = PRODUCT.make([ready], assignment.entry, context, [folder], job.memory)
        return {file.sha256 for file in made.files}

    assert digests(512, 1) == digests(16, 2) == digests(100, 8)


def test_lazily_the_numbers_are_those_committed(predict: Predict, tmp_path: Path) -> None:
    run = predict.plan(
        models.mean(tmp_path / "mean.onnx"),
        f"channels: {CHANNELS}, window_px: 64, overlap_px: 8, results: [{{name: value, dtype: int16, scale: 0.001}}]",
    )
    job = run.job("predict", "2024-06")
    run.make(job)
    lazy = run.session.composite(job).compute(scheduler="threads")
    layers = run.layers(job)
    assert set(layers) == {*lazy.data_vars} == {"value", "count", "qa"}
    for key, values in layers.items():
        np.testing.assert_array_equal(lazy[key], values, err_msg=key)
    assert "sentinel2_red" in run.session.open(job) and "dem_slope" in run.session.open(job)


def test_the_item_says_which_model_it_was(predict: Predict, tmp_path: Path) -> None:
    model = models.mean(tmp_path / "mean.onnx")
    run = predict.plan(model, f"channels: {CHANNELS}, window_px: 64, overlap_px: 8, {VALUE}")
    job = run.job("predict", "2024-06")
    run.make(job)
    said = run.item(job)["properties"]
    found = said["groundswell:model"]
    assert found["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (found["file"], found["opset"], found["producer"]) == ("mean.onnx", {"ai.onnx": 18}, "tests 1")
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": [-1, -1, -1, -1]}]
    assert found["outputs"] == [{"name": "y", "dtype": "float32", "shape": [-1, -1, -1]}]
    assert said["groundswell:channels"] == ["sentinel2/red", "sentinel2/nir", "dem/slope"]


def test_a_model_is_loaded_once_for_all_tiles(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = _predict_model._session

    def counted(body: bytes, name: str) -> Any:
        loaded.append(name)
        return load(body, name)

    monkeypatch.setattr(_predict_model, "_session", counted)
    weights = np.full((1, 1, 1, 1), 3.25, np.float32)
    run = predict.plan(
        models.conv(tmp_path / "once.onnx", weights), f"channels: [{RED}], window_px: 64, overlap_px: 8, {VALUE}"
    )
    run.make()
    assert len(run.outcomes) == 2 and len(loaded) == 1


def test_a_lost_channel_is_missing_everywhere(predict: Predict, demo_world: Path, tmp_path: Path) -> None:
    """Named in the ledger; the model is given its `fill`, and `qa` marks the tile."""
    model = models.mean(tmp_path / "mean.onnx")
    entry = (
        f"{{product: predict, inputs: [sentinel2, dem], model: {model}, window_px: 64, overlap_px: 8, missing: all, "
        f"channels: [{RED}, {{layer: dem_slope, fill: 9}}], {VALUE}}}"
    )
    run = plan(demo_world, tmp_path, [*INPUTS, entry])
    run.make(run.job("sentinel2", "2024-06"), run.job("dem"))
    path = run.files(run.job("dem"))["slope"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    job = run.job("predict", "2024-06")
    outcome = run.make(job)
    assert outcome.status is Status.DONE, outcome.cause
    assert [loss.asset for loss in outcome.losses] == ["slope"]
    assert run.item(job)["properties"]["groundswell:quality"]["missing_fraction"] == 0.5
    made, red = run.layers(job), run.physical(run.job("sentinel2", "2024-06"), "red")
    np.testing.assert_allclose(made["value"], (red + 9) / 2, rtol=1e-5)
    np.testing.assert_array_equal(made["qa"], np.where(np.isnan(red), 3, 2))
