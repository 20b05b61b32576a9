"""An item alone is enough to make its files again, to the byte; where sources have changed, it says which differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipeline.execute.records.recipe import Inputs, read_inputs
from tests.faults._worlds import World, write_tif
from tests.verbs.making import BOTH_STORES, files, groundswell, make_output, make_world

JUNE = "sentinel2_33N-469-3906_2024-06"


@pytest.fixture
def small(tmp_path: Path) -> tuple[World, Path]:
    """A world of its own and its output, both stores: (world, output)."""
    world, config = make_world(tmp_path / "world", **BOTH_STORES)
    make_output(config)
    return world, tmp_path / "world" / "output"


def test_the_item_and_its_files_are_enough(
    small: tuple[World, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither catalogue, config nor runs: an output that was moved, with nothing but one item and its files."""
    world, output = small
    (item,) = output.glob("items/*/*_2024-06_*.json")
    key = item.relative_to(output)
    for part in (key.parent, Path("data/sentinel2/33N-469-3906/2024-06")):
        (tmp_path / "moved" / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(output / part, tmp_path / "moved" / part)
    for path in (world.folder / "items.json", world.folder / "run.yaml"):
        path.unlink()
    shutil.rmtree(output)
    assert groundswell("reproduce", tmp_path / "moved", key) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"reproduce: {key}: all equal"
    assets = json.loads((tmp_path / "moved" / key).read_text())["assets"]
    assert {"red", "zarr", "zarr-manifest", "inputs", "thumbnail"} <= assets.keys()
    assert lines[:-1] == [f"{name}: equal" for name in sorted(assets)]


def test_inputs_that_were_changed_are_named(small: tuple[World, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, output = small
    (inputs,) = output.glob("data/*/*/2024-06/inputs_*.json")
    inputs.write_bytes(inputs.read_bytes()[:-20])
    assert groundswell("reproduce", output, JUNE) == 3
    told = capsys.readouterr().err
    assert inputs.name in told and "found checksum 1220" in told and "put it back" in told


def test_the_files_can_be_kept(small: tuple[World, Path], tmp_path: Path) -> None:
    """In an empty folder: the same pixels as the output's."""
    _, output = small
    before = files(output)
    assert groundswell("reproduce", output, JUNE, "--to", tmp_path / "kept") == 0
    (red,) = output.glob("data/*/*/2024-06/red_*.tif")
    assert (tmp_path / "kept" / "red.tif").read_bytes() == red.read_bytes()
    assert files(output) == before
    assert groundswell("reproduce", output, JUNE, "--to", tmp_path / "kept") == 2


def test_a_source_that_was_changed_gives_other_files(
    small: tuple[World, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind the catalogue's back, so with the same fingerprint: one pixel is enough."""
    world, output = small
    source = world.folder / "2024-06-01-0-red.tif"
    with rasterio.open(source) as opened:
        pixels = opened.read(1)
    pixels[5, 7] += np.uint16(100)
    write_tif(source, pixels, world.grid)
    assert groundswell("reproduce", output, JUNE, "--to", tmp_path / "kept") == 1
    told = capsys.readouterr().out
    assert "red: different: sha256 " in told
    assert "count: equal" in told and "inputs: equal" in told
    with (
        rasterio.open(tmp_path / "kept" / "red.tif") as made,
        rasterio.open(*output.glob("data/*/*/2024-06/red*")) as old,
    ):
        assert np.argwhere(made.read(1) != old.read(1)).tolist() == [[5, 7]]


def test_a_source_that_is_gone_is_named(small: tuple[World, Path], capsys: pytest.CaptureFixture[str]) -> None:
    world, output = small
    (world.folder / "2024-06-01-0-red.tif").unlink()
    assert groundswell("reproduce", output, JUNE) == 1
    assert "lost: scene-0-2024-06-01/red (" in capsys.readouterr().out


def test_inputs_of_a_newer_version_are_refused(
    small: tuple[World, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.execute.records.recipe.FORMAT", 0)
    assert groundswell("reproduce", small[1], JUNE) == 3
    assert "`inputs` has format 1, expected at most 0; upgrade to read it" in capsys.readouterr().err


def test_a_version_that_makes_other_pixels_is_refused(
    small: tuple[World, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the fingerprint, which holds the product's version: what differs is named."""
    monkeypatch.setattr("pipeline.verbs.reproduce.read_inputs", older)
    assert groundswell("reproduce", small[1], JUNE) == 3
    assert "this version plans another job" in capsys.readouterr().err


def older(document: dict[str, object]) -> Inputs:
    """As if its fingerprint had been made by another version."""
    return read_inputs({**document, "fingerprint": "0" * 32})


def test_an_unknown_item_is_named(small: tuple[World, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert groundswell("reproduce", small[1], "sentinel2_x_2024-06") == 2
    assert JUNE in capsys.readouterr().err
    assert groundswell("reproduce", small[1], "items/sentinel2/x.json") == 2
