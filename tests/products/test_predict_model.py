"""A model is the one that was planned with, or an error by name; and it takes what the entry gives it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.config import load_config
from pipeline.errors import ConfigError, PermanentAssetError, TransientAssetError
from pipeline.prepare import plan_products
from pipeline.products import _predict_model, product_models
from pipeline.products._predict_config import PredictConfig
from pipeline.products._predict_model import open_model
from pipeline.types import Status
from tests.products import models
from tests.products.derived import OPTICAL, plan
from tests.servers.faulty import Answer, always, run_faulty

KEYS = "channels: [{layer: red}], window_px: 64, overlap_px: 8, results: [{name: value}]"


def entry(model: Path | str, keys: str = KEYS) -> str:
    return f"{{product: predict, inputs: [sentinel2], model: {model}, {keys}}}"


def config(model: str, digest: str | None, **keys: object) -> PredictConfig:
    data = {"inputs": ["sentinel2"], "channels": [{"layer": "red"}], "results": [{"name": "value"}], **keys}
    return PredictConfig.model_validate({"product": "predict", "model": model, "digest": digest, **data})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def scale(path: Path, factor: float) -> Path:
    return models.conv(path, np.full((1, 1, 1, 1), factor, np.float32))


def test_the_fingerprint_holds_what_is_in_the_model_not_where_it_lies(demo_world: Path, tmp_path: Path) -> None:
    def planned(path: Path, factor: float) -> str:
        return plan(demo_world, tmp_path, [OPTICAL, entry(scale(path, factor))]).job("predict", "2024-06").fingerprint

    one = planned(tmp_path / "one.onnx", 2)
    assert planned(tmp_path / "elsewhere.onnx", 2) == one != planned(tmp_path / "one.onnx", 3)


def test_another_model_than_was_planned_with_is_an_error(demo_world: Path, tmp_path: Path) -> None:
    """Both digests are named, and nothing is committed under the fingerprint of the other one."""
    model = scale(tmp_path / "model.onnx", 5)
    run = plan(demo_world, tmp_path, [OPTICAL, entry(model)])
    planned = sha256(model)
    scale(model, 6)
    run.make(run.job("sentinel2", "2024-06"))
    outcome = run.make(run.job("predict", "2024-06"))
    assert outcome.status is Status.FAILED
    assert f"found a model with digest {sha256(model)}, planned was {planned}" in str(outcome.cause)
    model.unlink()
    outcome = run.make(run.job("predict", "2024-06"))
    assert outcome.status is Status.FAILED and "the model cannot be read on this worker" in str(outcome.cause)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (f"{KEYS}, digest: {64 * 'a'}", "products.1.digest: found .*another digest; allowed: [0-9a-f]{64}"),
        (
            KEYS.replace("[{layer: red}]", "[{layer: red}, {layer: nir}]"),
            r"\(-1, 1, -1, -1\), by layout nchw 1 along c; found 2 in channels",
        ),
        (f"{KEYS}, layout: nthwc", "expected 5 axes for layout nthwc"),
        (f"{KEYS}, output: probability", "the outputs y; expected one input, and one output probability"),
        (KEYS.replace("overlap_px: 8", "overlap_px: 33"), "overlap_px up to half of a result"),
        (KEYS.replace("results: [{name: value}]", "batch: 2"), "allowed: results or classes, or both"),
        (KEYS.replace("name: value", "name: count"), "every name once in results, and not class, count or qa"),
        (KEYS.replace("name: value", "name: v, dtype: uint8, nodata: 256"), "a nodata that uint8 holds, 0 to 255"),
        (KEYS.replace("name: value", "name: v, scale: 2"), "only with a whole-number dtype"),
        (KEYS.replace("layer: red", "layer: red, clip: [1, 0]"), "the smaller one first"),
        (KEYS.replace("layer: red", "layer: red, time: soon"), "a date such as 2024-06-01"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(
    demo_world: Path, tmp_path: Path, keys: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        plan(demo_world, tmp_path, [OPTICAL, entry(scale(tmp_path / "model.onnx", 2), keys)])


def test_a_model_elsewhere_needs_its_digest_and_none_needs_a_network(demo_world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"products.1: found .*; allowed: with its digest, as sha256sum prints it"):
        plan(demo_world, tmp_path, [OPTICAL, entry("https://models.invalid/trees.onnx")])
    with pytest.raises(ConfigError, match="found no such file"):
        plan(demo_world, tmp_path, [OPTICAL, entry(tmp_path / "none.onnx")])
    run = plan(
        demo_world, tmp_path, [OPTICAL, entry("https://models.invalid/trees.onnx", f"{KEYS}, digest: {64 * 'b'}")]
    )
    assert len([job for job in run.session.plan.jobs if job.product == "predict"]) == 2


def test_a_model_that_is_none_is_refused_by_name(demo_world: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for body in (b"", b"\xff" * 40, b"II*\x00"):
        path.write_bytes(body)
        with pytest.raises(ConfigError, match=f"product predict: {re.escape(str(path))}: found no ONNX model"):
            plan(demo_world, tmp_path, [OPTICAL, entry(path)])


def test_a_model_cannot_read_other_files(demo_world: Path, tmp_path: Path) -> None:
    """Weights of its own, or of a branch inside of it, that would be taken from wherever it says."""
    far = onnx.helper.make_tensor("weights", onnx.TensorProto.FLOAT, [1, 1, 1, 1], [1.0])
    far.ClearField("float_data")
    far.data_location = onnx.TensorProto.EXTERNAL
    far.external_data.add(key="location", value="../../etc/hostname")
    plain = onnx.load(scale(tmp_path / "plain.onnx", 2))
    branched = onnx.load(tmp_path / "plain.onnx")
    plain.graph.initializer[0].CopyFrom(far)
    branch = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["one"], value=far)], "branch", [], [])
    branched.graph.node.append(onnx.helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch))
    for model in (plain, branched):
        (tmp_path / "far.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ConfigError, match="found weights that lie in other files"):
            plan(demo_world, tmp_path, [OPTICAL, entry(tmp_path / "far.onnx")])


def test_a_model_is_read_over_the_network_with_the_reader_of_scenes(tmp_path: Path) -> None:
    """Whole, by its digest; what a server cannot give now is a passing cause, another model is none."""
    model = scale(tmp_path / "far.onnx", 7)
    body, digest = model.read_bytes(), sha256(model)
    with run_faulty({"/far.onnx": body}) as server:
        address = f"{server.address}/far.onnx"
        found = open_model(config(address, digest))
        np.testing.assert_array_equal(found.run(np.ones((1, 1, 2, 2), np.float32)), np.full((1, 1, 2, 2), 7))
        asked = len(server.requests)
        assert open_model(config(address, digest)) is found and len(server.requests) == asked
        with pytest.raises(PermanentAssetError, match=f"digest {digest}, planned was {64 * 'c'}"):
            open_model(config(address, 64 * "c"))
    with (
        run_faulty({"/far.onnx": body}, always(Answer(503))) as server,
        pytest.raises(TransientAssetError, match="503"),
    ):
        open_model(config(f"{server.address}/far.onnx", 64 * "d"))


def test_few_models_are_kept(tmp_path: Path) -> None:
    paths = [scale(tmp_path / f"{number}.onnx", 10 + number) for number in range(3)]
    opened = [open_model(config(str(path), None)) for path in paths]
    assert len(_predict_model._MODELS) == _predict_model.KEPT
    assert open_model(config(str(paths[2]), None)) is opened[2]
    assert open_model(config(str(paths[0]), None)) is not opened[0]


def test_a_result_of_another_size_is_an_error_that_says_how_large(demo_world: Path, tmp_path: Path) -> None:
    """A model that takes pixels off its window's sides needs crop_px."""
    model = models.conv(tmp_path / "crop.onnx", np.ones((1, 1, 3, 3), np.float32))
    run = plan(demo_world, tmp_path, [OPTICAL, entry(model)])
    run.make(run.job("sentinel2", "2024-06"))
    cause = str(run.make(run.job("predict", "2024-06")).cause)
    assert "results in (4, 1, 62, 62) of a batch; expected 4 windows of 64 x 64 px" in cause
    wrong = KEYS.replace("name: value", "name: value, channel: 3")
    run = plan(demo_world, tmp_path, [OPTICAL, entry(scale(tmp_path / "one.onnx", 2), wrong)])
    cause = str(run.make(run.job("predict", "2024-06")).cause)
    assert "found channel 3 for value; the model results in 1" in cause


@pytest.mark.parametrize(
    ("dtype", "channel", "words"),
    [
        ("UINT8", "scale: 1", "takes uint8, 0 to 255; found 0 to"),
        ("UINT16", "scale: 1, offset: -5000", "takes uint16, 0 to 65535; found -4"),
        ("FLOAT16", "scale: 1000", "takes float16, -65504 to 65504; found 0 to"),
        ("UINT16", "scale: 0.001", None),
    ],
)
def test_numbers_that_a_model_cannot_take_are_an_error(
    demo_world: Path, tmp_path: Path, dtype: str, channel: str, words: str | None
) -> None:
    """They never wrap around; and whole numbers are the nearest ones."""
    kind = getattr(onnx.TensorProto, dtype)
    model = models.cast(tmp_path / "cast.onnx", kind)
    keys = KEYS.replace("layer: red", f"layer: red, {channel}")
    run = plan(demo_world, tmp_path, [OPTICAL, entry(model, keys)])
    source, job = run.job("sentinel2", "2024-06"), run.job("predict", "2024-06")
    run.make(source)
    outcome = run.make(job)
    if words is not None:
        assert outcome.status is Status.FAILED and words in str(outcome.cause), outcome.cause
        return
    there = ~np.isnan(run.physical(source, "red"))
    nearest = np.rint(run.layers(source)["red"][there] * 0.001)
    np.testing.assert_allclose(run.layers(job)["value"][there], nearest, atol=1e-5)
    assert {0, 1} <= {*nearest}


def test_what_a_model_has_no_number_for_is_told(demo_world: Path, tmp_path: Path) -> None:
    """The logarithm of a negative number is none: such pixels are empty, and the item says how many there are."""
    shape = ("n", "c", "h", "w")
    model = models.save(tmp_path / "log.onnx", [models.NODE("Log", ["x"], ["y"])], (shape, shape), {})
    run = plan(demo_world, tmp_path, [OPTICAL, entry(model, KEYS.replace("layer: red", "layer: red, offset: -0.05"))])
    source, job = run.job("sentinel2", "2024-06"), run.job("predict", "2024-06")
    run.make(source)
    outcome = run.make(job)
    none = int((run.physical(source, "red") < 0.05).sum())
    assert none > 100
    assert outcome.warnings == (f"the model results in NaN for {none} pixels of value, which are empty",)


def test_a_layer_that_there_is_none_of_is_named(demo_world: Path, tmp_path: Path) -> None:
    model = scale(tmp_path / "one.onnx", 2)
    run = plan(demo_world, tmp_path, [OPTICAL, entry(model, KEYS.replace("layer: red", "layer: blue"))])
    run.make(run.job("sentinel2", "2024-06"))
    cause = str(run.make(run.job("predict", "2024-06")).cause)
    assert "channel blue: found no such layer; expected one of sentinel2_count, sentinel2_ndvi" in cause


def test_the_model_of_the_example_says_what_its_config_says(tmp_path: Path) -> None:
    """And is the one that is made here."""
    configs = Path(__file__).parents[2] / "configs"
    run = load_config(configs / "predict.yaml", product_models())
    assert [product.kind for product in plan_products(run)] == ["sentinel2", "dem", "predict"]
    model = open_model(config(str(configs / "difference.onnx"), None))
    made = models.difference(tmp_path / "difference.onnx")
    assert onnx.load(configs / "difference.onnx").graph == onnx.load(made).graph
    x = np.random.default_rng(0).random((4, 3, 4, 5), np.float32)
    np.testing.assert_allclose(model.run(x)[:, 0], (x[:, 0] - x[:, 1]) / (x[:, 0] + x[:, 1]), rtol=1e-5, atol=1e-7)


def test_steps_in_time_are_as_many_as_the_model_takes(demo_world: Path, tmp_path: Path) -> None:
    """Each is named; and a layout of time without any step is a fault of the entry."""
    model = models.mean(tmp_path / "time.onnx", (1, 2), ("n", 3, 1, "h", "w"))
    keys = f"{KEYS}, layout: ntchw, period: {{start: 2024-06-01, end: 2024-08-01, every: "
    for every, words in (
        ("span", "takes 3 steps in time; found 2 for this tile and period: 2024-06-01, 2024-07-01"),
        ("month", "layout ntchw: no channel has a time axis"),
    ):
        run = plan(demo_world, tmp_path, [OPTICAL, entry(model, f"{keys}{every}}}")])
        run.make(*(job for job in run.session.plan.jobs if job.product == "sentinel2"))
        job = next(job for job in run.session.plan.jobs if job.product == "predict")
        assert words in str(run.make(job).cause)
