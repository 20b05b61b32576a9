"""Real reflectances and real heights of one valley in Montana, stacked, and a model on them: values by plain NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session
from pipeline.types import Status
from tests.products import models

LANDSAT = "raster/landsat/gdalraster_30m_fullres"
HEIGHTS = "raster/dem/storml_elev_orig.tif"
CONFIG = """\
name: montana
output: {folder}/out
area: {{bbox: [-113.256, 46.062, -113.254, 46.063]}}
grid: {{kind: utm, tile_px: 128, resolution_m: 30}}
period: {{start: 2020-08-01, end: 2020-09-01, every: month}}
sources:
  landsat: {{items: landsat.json, region: us-west-2}}
  dem: {{items: dem.json, region: eu-central-1}}
products:
  - {{product: landsat, source: landsat, bands: [red, nir08], mask: null, resampling: nearest}}
  - {{product: dem, source: dem, layers: [elevation]}}
  - {{product: stack, inputs: [landsat, dem], dtype: float32, write: {{cog: {{}}, zarr: {{}}}}}}
  - product: predict
    inputs: [stack]
    model: difference.onnx
    channels: [{{layer: landsat_nir08}}, {{layer: landsat_red}}, {{layer: dem_elevation}}]
    window_px: 64
    overlap_px: 16
    results: [{{name: index}}]
"""


def item(name: str, day: str, assets: dict[str, Path]) -> Any:
    """A list of one item whose footprint is that of its files."""
    with rasterio.open(next(iter(assets.values()))) as source:
        left, bottom, right, top = source.bounds
        to_degrees = Transformer.from_crs(source.crs, 4326, always_xy=True)
    corners = ((left, bottom), (right, bottom), (right, top), (left, top), (left, bottom))
    one = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": name,
        "geometry": {"type": "Polygon", "coordinates": [[to_degrees.transform(*corner) for corner in corners]]},
        "properties": {"datetime": f"{day}T18:00:00Z", "updated": f"{day}T18:00:00Z", "platform": "landsat-8"},
        "links": [],
        "assets": {key: {"href": str(path)} for key, path in assets.items()},
    }
    return {"type": "FeatureCollection", "features": [one]}


@pytest.fixture(scope="module")
def made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Layers by product, and the transform of the tile."""
    folder = tmp_path_factory.mktemp("montana")
    bands = {"red": shared_data / LANDSAT / "sr_b4_20200829.tif", "nir08": shared_data / LANDSAT / "sr_b5_20200829.tif"}
    (folder / "landsat.json").write_text(json.dumps(item("scene", "2020-08-29", bands)))
    (folder / "dem.json").write_text(json.dumps(item("heights", "2020-01-01", {"data": shared_data / HEIGHTS})))
    (folder / "run.yaml").write_text(CONFIG.format(folder=folder))
    models.difference(folder / "difference.onnx")
    session = open_session(Options(folder / "run.yaml"))
    found: dict[str, Any] = {"files": bands}
    for job in session.plan.jobs:
        outcome = run_job(job, session.assignments()[job.product], 1)
        assert outcome.status is Status.DONE, outcome.cause
        path = folder / "out" / str(outcome.item_key)
        assets = json.loads(path.read_text())["assets"]
        found[job.product] = {}
        for key, asset in assets.items():
            if asset["type"].startswith("image/tiff"):
                with rasterio.open(path.parent / asset["href"]) as source:
                    found[job.product][key] = source.read(1)
                    found["transform"] = source.transform
    return found


def places(made: dict[str, Any], path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[Any]]:
    """Of every pixel of the tile: row and column in a file, as fractions; and the file's pixels.

    The files are on NAD83, the tile on WGS84: in the same zone the same metres, as pyproj's null transformation has it.
    """
    with rasterio.open(path) as source:
        data, inverse = source.read(1), ~source.transform
    columns, rows = np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5)
    x, y = made["transform"] @ (columns, rows)
    column, row = inverse @ (x, y)
    return np.asarray(row), np.asarray(column), data


def test_reflectances_are_those_of_the_scene(made: dict[str, Any]) -> None:
    """Nearest; DN * 2.75e-5 - 0.2 to the half step of 1e-4 that the product stores."""
    for band, path in made["files"].items():
        row, column, data = places(made, path)
        inside = (row >= 0) & (column >= 0) & (row < data.shape[0]) & (column < data.shape[1])
        # Away from edges between pixels, where a rounding may decide.
        clear = inside & (np.abs(row % 1 - 0.5) < 0.49) & (np.abs(column % 1 - 0.5) < 0.49)
        assert clear.sum() > 4000
        expected = data[row[clear].astype(int), column[clear].astype(int)] * 2.75e-5 - 0.2
        np.testing.assert_allclose(made["stack"][f"landsat_{band}"][clear], expected, atol=0.51e-4)
        assert np.isnan(made["stack"][f"landsat_{band}"][~inside]).sum() >= (~inside).sum() * 0.98


def test_heights_lie_between_those_around_them(made: dict[str, Any], shared_data: Path) -> None:
    row, column, data = places(made, shared_data / HEIGHTS)
    top, left = np.floor(row - 0.5).astype(int), np.floor(column - 0.5).astype(int)
    inside = (top >= 0) & (left >= 0) & (top < data.shape[0] - 1) & (left < data.shape[1] - 1)
    around = np.stack([data[top[inside] + down, left[inside] + across] for down in (0, 1) for across in (0, 1)])
    there = (around != 32767).all(axis=0)
    found, around = made["stack"]["dem_elevation"][inside][there], around[:, there].astype(float)
    assert there.sum() > 4000
    assert ((found >= around.min(axis=0) - 1) & (found <= around.max(axis=0) + 1)).all()


def test_a_model_says_of_the_stack_what_numpy_says(made: dict[str, Any]) -> None:
    red, nir, heights = (made["stack"][key].astype(float) for key in ("landsat_red", "landsat_nir08", "dem_elevation"))
    expected = np.where(np.isnan(heights), np.nan, (nir - red) / (nir + red))
    np.testing.assert_array_equal(np.isnan(made["predict"]["index"]), np.isnan(expected))
    np.testing.assert_allclose(made["predict"]["index"], expected, rtol=1e-4, atol=1e-6)
    assert np.isfinite(expected).sum() > 4000 and np.nanstd(expected) > 0.05
