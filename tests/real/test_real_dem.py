"""The real DEM files: a whole Copernicus tile with land and sea, and a projected one in whole metres with nodata."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.warp import transform_bounds

from pipeline.types import Status
from tests.products.dem_world import horn, run_all, steepness, world
from tests.worlds import SmallWorld

TILE = "Copernicus_DSM_COG_10_N00_00_E006_00_DEM"


def item_of(path: Path, collection: str) -> dict[str, Any]:
    """As Earth Search lists it."""
    with rasterio.open(path) as source:
        left, bottom, right, top = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
        declared = {
            "proj:epsg": source.crs.to_epsg(),
            "proj:transform": list(source.transform)[:6],
            "proj:shape": list(source.shape),
        }
    ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": path.stem,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [left, bottom, right, top],
        "properties": {"datetime": "2021-04-22T00:00:00Z", "updated": "2023-04-20T18:14:07Z", **declared},
        "links": [],
        "assets": {"data": {"href": str(path), "type": "image/tiff; application=geotiff", "roles": ["data"]}},
    }


def mean_of_four(data: NDArray[Any], row: NDArray[Any], col: NDArray[Any]) -> NDArray[Any]:
    """Bilinear at fractional pixel coordinates, 0 being the first pixel's centre; NaN spreads."""
    r, c = np.floor(row).astype(int), np.floor(col).astype(int)
    down, along = row - r, col - c
    upper = data[r, c] * (1 - along) + data[r, c + 1] * along
    lower = data[r + 1, c] * (1 - along) + data[r + 1, c + 1] * along
    mixed: NDArray[Any] = upper * (1 - down) + lower * down
    return mixed


def places(layer: NDArray[Any], transform: Affine, to: tuple[str, str]) -> tuple[NDArray[Any], NDArray[Any]]:
    cols, rows = np.meshgrid(np.arange(layer.shape[1]) + 0.5, np.arange(layer.shape[0]) + 0.5)
    x, y = transform @ (cols, rows)
    there = Transformer.from_crs(*to, always_xy=True).transform(x, y)
    return np.asarray(there[0]), np.asarray(there[1])


@pytest.fixture
def sao_tome(shared_data: Path, tmp_path: Path) -> SmallWorld:
    """The coast of Sao Tome, and the sea beside the tile: 7 E is open sea, and no tile."""
    items = [item_of(shared_data / f"raster/dem/{TILE}.tif", "cop-dem-glo-30")]
    grid = "{kind: utm, tile_px: 256, resolution_m: 30}"
    return world(tmp_path, items, "{bbox: [6.74, 0.12, 6.77, 0.15]}", grid)


def test_the_coast_of_sao_tome(sao_tome: SmallWorld, shared_data: Path) -> None:
    """Heights are NumPy's bilinear of the file to a centimetre, slopes Horn's of the heights; the sea is level."""
    tiles, outcomes = run_all(sao_tome)
    assert all(outcome.status is Status.DONE and not outcome.losses for outcome in outcomes)
    with rasterio.open(shared_data / f"raster/dem/{TILE}.tif") as source:
        data = source.read(1).astype(float)
    heights = []
    for tile, layers in tiles.layers.items():
        lon, lat = places(layers["elevation"], tiles.transforms[tile], (tiles.crs[tile], "EPSG:4326"))
        expected = mean_of_four(data, (1 - lat) * 3600, (lon - 6) * 3600)
        np.testing.assert_allclose(layers["elevation"], expected, rtol=0, atol=0.01)
        slopes = steepness(*horn(layers["elevation"], 30.0, 30.0))
        np.testing.assert_allclose(layers["slope"][1:-1, 1:-1], slopes, rtol=0, atol=1e-5)
        heights.append(layers["elevation"])
    assert max(layer.max() for layer in heights) > 50, "the island is in it"
    assert any((layer == 0).any() for layer in heights), "and the sea"


def test_gdaldem_agrees(sao_tome: SmallWorld, need_binary: Callable[[str], str], tmp_path: Path) -> None:
    """Slope, aspect and hillshade of the committed heights, by a program that shares no code with this one."""
    program = need_binary("gdaldem")
    tiles, _ = run_all(sao_tome)
    tile, layers = max(tiles.layers.items(), key=lambda pair: float(pair[1]["elevation"].max()))
    heights = next(sao_tome.output.glob(f"data/dem/{tile}/static/elevation_*.tif"))
    for layer, within in (("slope", 0.002), ("hillshade", 1), ("aspect", 0.5)):
        out = tmp_path / f"{layer}.tif"
        subprocess.run([program, layer, str(heights), str(out), "-q"], check=True, timeout=60)
        with rasterio.open(out) as source:
            theirs = source.read(1).astype(float)[1:-1, 1:-1]
        ours = layers[layer][1:-1, 1:-1].astype(float)
        # Where the ground is all but level, their 32 bits do not know which way it falls.
        known = layers["slope"][1:-1, 1:-1] > 0.5 if layer == "aspect" else np.ones(ours.shape, np.bool_)
        off = np.abs(ours - theirs)[known]
        assert np.minimum(off, 360 - off).max() <= within, layer


def test_whole_metres_in_another_zone(shared_data: Path, tmp_path: Path) -> None:
    """A file of 30 m pixels in EPSG:26912 with nodata 32767, which stays away; nothing is called sea or missing."""
    path = shared_data / "raster/dem/storml_elev_orig.tif"
    small = world(
        tmp_path,
        [item_of(path, "local")],
        "{bbox: [-113.3, 46.05, -113.26, 46.07]}",
        "{kind: utm, tile_px: 128, resolution_m: 20}",
    )
    tiles, outcomes = run_all(small)
    assert all(outcome.status is Status.DONE and not outcome.losses for outcome in outcomes)
    with rasterio.open(path) as source:
        data, transform = source.read(1).astype(float), source.transform
    data[data == 32767] = np.nan
    compared = 0
    for tile, layers in tiles.layers.items():
        x, y = places(layers["elevation"], tiles.transforms[tile], (tiles.crs[tile], "EPSG:26912"))
        col, row = (~transform) @ (x, y)
        inside = (row > 0.5) & (row < data.shape[0] - 1) & (col > 0.5) & (col < data.shape[1] - 1)
        expected = np.full(row.shape, np.nan)
        expected[inside] = mean_of_four(data, row[inside] - 0.5, col[inside] - 0.5)
        whole = ~np.isnan(expected)
        np.testing.assert_allclose(layers["elevation"][whole], expected[whole], rtol=0, atol=0.02)
        held = np.zeros(row.shape, np.bool_)
        near = (row >= 0) & (row < data.shape[0]) & (col >= 0) & (col < data.shape[1])
        held[near] = ~np.isnan(data[row[near].astype(int), col[near].astype(int)])
        tie = (np.abs(row - np.round(row)) < 1e-3) | (np.abs(col - np.round(col)) < 1e-3)
        np.testing.assert_array_equal(~np.isnan(layers["elevation"])[~tie], held[~tie])
        compared += int(whole.sum())
    assert compared > 10_000
    assert "DLR" not in json.dumps(tiles.items), "it is not Copernicus'"
