"""What CONTRIBUTING.md says of the code is so, and the product that it shows is one that runs."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from numpy.typing import NDArray

from tests.products.plain import plain_days

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = re.findall(r"^\| ([^|`]+) \| `([\w/.]+)` \| (`[^|]+`) \|$", PAGE, re.MULTILINE)
MASK = ((0, 1, 3, 8, 9, 10), 1, 3)
"""What sentinel2 drops by default."""


def block(language: str) -> str:
    """The only block of a language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def defined(path: Path) -> Iterator[str]:
    """Names that a module makes itself."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize(("what", "path", "names"), PLACES, ids=[what for what, *_ in PLACES])
def test_things_are_where_the_table_says(what: str, path: str, names: str) -> None:
    assert set(re.findall(r"`(\w+)`", names)) <= set(defined(ROOT / path)), what


def test_the_table_answers_what_a_newcomer_asks() -> None:
    asked = {"a cloud mask", "a job's retry", "the commit", "a worker's memory", "a QC rule of Argo"}
    assert asked <= {what for what, *_ in PLACES}
    assert len(PLACES) >= 15


def test_the_product_is_short_and_as_tidy_as_the_others(tmp_path: Path) -> None:
    text = block("python")
    assert len(text.splitlines()) <= 60
    path = tmp_path / "water_range.py"
    path.write_text(text, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    for step in (["format", "--check"], ["check", "--ignore", "INP001"]):
        done = subprocess.run(
            [*ruff, *step, "--config", str(ROOT / "pyproject.toml"), "--no-cache", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, demo_world: Path) -> Path:
    """The packages with one module more, and a config of that product over the scenes of one archive's tile."""
    folder = tmp_path_factory.mktemp("checkout")
    for package in ("pipeline", "cluster"):
        shutil.copytree(ROOT / package, folder / package)
    (folder / "pipeline" / "products" / "water_range.py").write_text(block("python"), encoding="utf-8")
    config = yaml.safe_load(block("yaml"))
    items = []
    for path in june_of_33ttk(demo_world):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = str(path.parent / asset["href"])
        items.append(item)
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    config["sources"]["s2"]["items"] = "items.json"
    config["area"]["bbox"] = [12.0034, 44.8738, 12.0058, 44.8755]  # one tile, on the scenes' own grid
    (folder / "water.yaml").write_text(yaml.safe_dump(config))
    return folder


def june_of_33ttk(world: Path) -> list[Path]:
    return sorted(path for path in (world / "s2").glob("*_33TTK_202406*/*.json"))


def say(checkout: Path, *command: str) -> str:
    """What a command of that checkout prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_one_file_is_a_product(checkout: Path, demo_world: Path, tmp_path: Path) -> None:
    """The schema knows it, the plan, the run and `explain`; its pixels are what plain NumPy makes of the files."""
    assert "water_range" in say(checkout, "pipeline.cli", "schema")
    assert "1 done, 0 skipped, 0 failed" in say(checkout, "pipeline.run", "water.yaml")
    (item_path,) = (checkout / "out" / "water" / "items").rglob("*.json")
    item = json.loads(item_path.read_text())
    tile = item_path.name.split("_")[0]
    assert "committed, nothing to do" in say(checkout, "pipeline.cli", "explain", "water.yaml", tile)
    assert item["properties"]["processing:lineage"] == f"water_range of {len(june_of_33ttk(demo_world))} days"

    layers = {key: rasterio.open(item_path.parent / item["assets"][key]["href"]) for key in ("ndwi_min", "ndwi_max")}
    floods, count = (rasterio.open(item_path.parent / item["assets"][key]["href"]) for key in ("floods", "count"))
    tile_grid = floods

    def layer(path: str) -> NDArray[Any]:
        with rasterio.open(path) as source:
            assert source.crs == tile_grid.crs
            times = round(source.res[0] / tile_grid.res[0])
            scene = source.read(1).repeat(times, axis=0).repeat(times, axis=1)
            down = round((tile_grid.bounds.top - source.bounds.top) / tile_grid.res[0])
            across = round((source.bounds.left - tile_grid.bounds.left) / tile_grid.res[0])
        height, width = tile_grid.shape
        padded = np.pad(scene, ((height, height), (width, width)))
        return np.asarray(padded[height - down :, width - across :][:height, :width])

    green, nir = (plain_days(june_of_33ttk(demo_world), band, layer, tmp_path, MASK) for band in ("green", "nir"))
    ndwi = (green - nir) / (green + nir)
    days = np.isfinite(ndwi).sum(axis=0)
    low, high = (np.where(days >= 2, reduced, np.nan) for reduced in (np.fmin.reduce(ndwi), np.fmax.reduce(ndwi)))
    assert 0 < np.isfinite(low).sum() < low.size, "some pixels have no range"
    np.testing.assert_allclose(layers["ndwi_min"].read(1), low, atol=1e-6)
    np.testing.assert_allclose(layers["ndwi_max"].read(1), high, atol=1e-6)
    clear = np.abs(np.stack([low, high])).min(axis=0) > 1e-6  # no rounding decides on which side of 0 it is
    expected = np.where(days >= 2, (low < 0) & (high > 0), 255)
    np.testing.assert_array_equal(floods.read(1)[clear | (days < 2)], expected[clear | (days < 2)])
    np.testing.assert_array_equal(count.read(1), days)
    for one in (*layers.values(), floods, count):
        one.close()
