"""What `dem` makes of tiles that are not there: open sea is 0 m, land is a loss, and a coarser DEM may stand in."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from pipeline.config import load_config
from pipeline.execute.worker.task import run_job
from pipeline.products import product_models
from pipeline.products._dem_tiles import read_heights
from pipeline.read.access import Access
from pipeline.types import Asset, Outcome, Status
from tests.products.dem_world import ROWS, Ground30, Tiles, bilinear, hills, run_all, world

GRID = "{kind: utm, tile_px: 128, resolution_m: 100}"
COAST = "{bbox: [5.97, 0.4, 6.03, 0.45]}"
"""Across the western edge of the tile N00E006; the cell beside it is open sea."""
INLAND = "{bbox: [10.97, 44.4, 11.03, 44.45]}"
"""Across 11 E in northern Italy: land on both sides."""
EMPTY, LOST = 1, 2


def only(tiles: Tiles) -> str:
    """The tile that lies on both sides of the edge."""
    found = [tile for tile in tiles.layers if np.unique(np.floor(tiles.places(tile)[0])).size == 2]
    assert found
    return found[0]


def run(folder: Path, ground: Ground30, area: str, *sets: str) -> tuple[Tiles, list[Outcome]]:
    return run_all(world(folder, ground.items, area, GRID), *sets)


def beside(tiles: Tiles, tile: str, edge: float, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Pixels whose nearest source pixel lies west of a meridian, and those that rest on such pixels alone."""
    lon = tiles.places(tile)[0]
    return np.floor(lon * rows + 0.5) < edge * rows, lon < edge - 1 / rows


def test_an_absent_cell_of_open_sea_is_zero(tmp_path: Path) -> None:
    """A tile half at sea: 0 m there, the coast's own heights on land, and between them one line from 0 to the coast."""
    ground = Ground30(tmp_path, hills)
    ground.add((0, 6))
    tiles, outcomes = run(tmp_path, ground, COAST)
    assert all(outcome.status is Status.DONE and not outcome.losses for outcome in outcomes)
    tile = only(tiles)
    layers, (_, far) = tiles.layers[tile], beside(tiles, only(tiles), 6)
    assert (layers["elevation"][far] == 0).all() and (layers["slope"][:, :5][far[:, :5]] == 0).all()
    assert np.isnan(layers["aspect"][:, :5][far[:, :5]]).all(), "level ground has no aspect"

    def with_sea(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        return np.where(lon < 6 - 1e-9, 0.0, hills(lon, lat))

    np.testing.assert_allclose(layers["elevation"], bilinear(with_sea, *tiles.places(tile)), rtol=0, atol=0.05)
    assert (layers["qa"] == 0).all() and (layers["count"] == 1).all()
    share = tiles.items[tile]["properties"]["groundswell:sea_fraction"]
    assert share == pytest.approx(beside(tiles, tile, 6)[0].mean(), abs=1e-4)


def test_an_absent_cell_with_land_is_lost(tmp_path: Path) -> None:
    """It is no data with both bits of `qa`, and a loss by the name of the cell; the rest is as it is with it."""
    ground = Ground30(tmp_path, hills)
    ground.add((44, 10))
    tiles, outcomes = run(tmp_path, ground, INLAND, "run.missing_assets.max_fraction=0.9")
    tile = only(tiles)
    layers, (west, near) = tiles.layers[tile], beside(tiles, tile, 11)
    assert np.isnan(layers["elevation"][~west]).all() and not np.isnan(layers["elevation"][west]).any()
    np.testing.assert_array_equal(layers["qa"], np.where(west, 0, EMPTY | LOST))
    np.testing.assert_array_equal(layers["count"], west)
    expected = bilinear(hills, *tiles.places(tile))
    np.testing.assert_allclose(layers["elevation"][near], expected[near], rtol=0, atol=0.05)
    losses = [loss for outcome in outcomes for loss in outcome.losses]
    assert {(loss.item, loss.asset) for loss in losses} == {("N44E011", "elevation")}
    assert "0 m" in losses[0].cause and "cop-dem-glo-90" in losses[0].cause


def test_the_policy_decides_on_absent_land(tmp_path: Path) -> None:
    """By default more than a fifth may not be lost; the failure names the cell. What wholly lies elsewhere is made."""
    ground = Ground30(tmp_path, hills)
    ground.add((44, 10))
    tiles, outcomes = run(tmp_path, ground, INLAND)
    failed = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
    assert failed and all("N44E011" in str(outcome.cause) for outcome in failed)
    assert {outcome.error for outcome in failed} == {"MissingAssetsError"}
    assert len(failed) + len(tiles.layers) == len(outcomes)


@pytest.mark.parametrize(("absent", "height", "qa"), [("sea", 0.0, 0), ("nodata", np.nan, EMPTY)])
def test_absent_says_what_it_is(tmp_path: Path, absent: str, height: float, qa: int) -> None:
    """Whoever knows better than the table says so, and then nothing is a loss."""
    ground = Ground30(tmp_path, hills)
    ground.add((44, 10))
    tiles, outcomes = run(tmp_path, ground, INLAND, f"products.0.absent={absent}")
    tile = only(tiles)
    west, _ = beside(tiles, tile, 11)
    far = tiles.places(tile)[0] > 11.001
    np.testing.assert_array_equal(tiles.layers[tile]["elevation"][far], height)
    assert (tiles.layers[tile]["qa"][~west] == qa).all()
    assert not any(outcome.losses for outcome in outcomes)


def test_the_sea_at_a_pole_is_not_laid_out_in_full(tmp_path: Path) -> None:
    """A tile from land to the pole sees every longitude: rows of zeros around the earth take no memory to speak of."""
    ground = Ground30(tmp_path, hills, rows=600)
    ground.add((83, -40))
    grid = (
        "{kind: geobox, crs: EPSG:3413, transform: [12000, 0, -384000, 0, -12000, 12000], shape: [64, 64], tile_px: 64}"
    )
    small = world(tmp_path, ground.items, "{bbox: [-180, 80, 180, 90]}", grid)
    tracemalloc.start()
    try:
        tiles, outcomes = run_all(small, "products.0.absent=sea")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [outcome.status for outcome in outcomes] == [Status.DONE], outcomes
    (tile,) = tiles.layers
    assert (tiles.layers[tile]["elevation"][tiles.places(tile)[1] > 84.3] == 0).all()
    assert peak_bytes < 100e6


def test_a_coarser_collection_fills_what_is_absent(tmp_path: Path) -> None:
    """GLO-90 beside GLO-30 in one source: where the fine tile is missing its heights stand, and nowhere else."""
    fine, coarse = Ground30(tmp_path, hills), Ground30(tmp_path, hills, rows=40, arc=30)
    fine.add((44, 10))
    coarse.add((44, 10), (44, 11))
    tiles, outcomes = run_all(world(tmp_path, [*fine.items, *coarse.items], INLAND, GRID))
    assert all(outcome.status is Status.DONE and not outcome.losses for outcome in outcomes)
    tile = only(tiles)
    layers, (west, near) = tiles.layers[tile], beside(tiles, tile, 11)
    np.testing.assert_allclose(layers["elevation"][near], bilinear(hills, *tiles.places(tile))[near], rtol=0, atol=0.05)
    coarse_heights = bilinear(hills, *tiles.places(tile), rows=40)
    np.testing.assert_allclose(layers["elevation"][~west], coarse_heights[~west], rtol=0, atol=0.05)
    assert (layers["qa"] == 0).all()


def test_a_damaged_file_is_not_taken_for_the_sea(tmp_path: Path) -> None:
    """A tile that is listed and cannot be read is no data with the bit of a loss, though its neighbour is open sea."""
    ground = Ground30(tmp_path, hills)
    ground.add((0, 6), (-1, 6))
    path = Path(ground.items[1]["assets"]["data"]["href"])
    path.write_bytes(path.read_bytes()[:300])
    area = "{bbox: [5.98, -0.03, 6.03, 0.03]}"
    tiles, _ = run(tmp_path, ground, area, "run.missing_assets.max_fraction=0.9")
    for tile, layers in tiles.layers.items():
        lon, lat = tiles.places(tile)
        lost = (lat < -0.01) & (lon > 6.01)
        assert np.isnan(layers["elevation"][lost]).all() and (layers["qa"][lost] == EMPTY | LOST).all()
        sea = lon < 5.98
        assert (layers["elevation"][sea] == 0).all() and (layers["qa"][sea] == 0).all()


def test_what_is_lost_of_a_file_is_lost_to_the_whole_tile(tmp_path: Path) -> None:
    """A file whose last rows are damaged counts as lost wherever strips begin: the same bytes, in one or in many."""
    ground = Ground30(tmp_path, hills)
    ground.add((43, 11), (44, 11))
    path = Path(ground.items[1]["assets"]["data"]["href"])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    grid = "{kind: utm, tile_px: 512, resolution_m: 100}"
    small = world(tmp_path, ground.items, "{bbox: [11.3, 44.3, 11.31, 44.31]}", grid)
    digests = []
    for rows in (32, 512):
        session = small.session(f"output={tmp_path}/rows-{rows}", "run.missing_assets.max_fraction=0.9")
        (job,) = session.plan.jobs
        job = replace(job, memory=replace(job.memory, strip_rows=rows))
        outcome = run_job(job, session.assignments()["dem"], 1)
        assert outcome.status is Status.DONE, outcome
        assert [loss.item for loss in outcome.losses] == [ground.items[1]["id"]]
        files = sorted((tmp_path / f"rows-{rows}").glob("data/**/*.tif"))
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert len(digests[0]) == 6 and digests[0] == digests[1]


def test_web_mercator_is_called_doubtful(tmp_path: Path) -> None:
    """Slopes in its metres are too gentle away from the equator: the item says so, and the heights are right."""
    ground = Ground30(tmp_path, hills)
    ground.add((44, 11))
    grid = (
        "{kind: geobox, crs: EPSG:3857, transform: [100, 0, 1270000, 0, -100, 5530000], shape: [64, 64], tile_px: 64}"
    )
    tiles, (outcome,) = run_all(world(tmp_path, ground.items, "{bbox: [11.3, 44.3, 11.6, 44.6]}", grid))
    assert any("EPSG:3857" in warning and "0.71 m" in warning for warning in outcome.warnings), outcome
    (tile,) = tiles.layers
    expected = bilinear(hills, *tiles.places(tile))
    np.testing.assert_allclose(tiles.layers[tile]["elevation"], expected, rtol=0, atol=0.05)


def test_the_shipped_config_loads() -> None:
    """`configs/dem.yaml` is a sound run of this product."""
    config = load_config(Path(__file__).parents[2] / "configs" / "dem.yaml", product_models())
    assert [entry.product for entry in config.products] == ["dem"]


def test_whole_numbers_with_nodata_and_scale(tmp_path: Path) -> None:
    """A DEM in decimetres with its own nodata, in a projection, of no cells: nothing is filled, nothing is missing."""
    random = np.random.default_rng(1)
    data = random.integers(0, 20_000, (40, 40)).astype(np.int16)
    data[10:14, 20:30] = -32767
    ground = Ground30(tmp_path, hills)
    transform = Affine(100, 0, 660_013, 0, -100, 4_920_037)
    item = ground.write(44, 11, data, transform, crs="EPSG:32632", nodata=-32767, predictor=2)
    item["assets"]["data"]["raster:bands"] = [{"scale": 0.1, "nodata": -32767}]
    item["properties"].update({"proj:epsg": 32632})
    ring = [[10.9, 44.3], [11.2, 44.3], [11.2, 44.5], [10.9, 44.5], [10.9, 44.3]]
    item.update(geometry={"type": "Polygon", "coordinates": [ring]}, bbox=[10.9, 44.3, 11.2, 44.5])
    tiles, outcomes = run(tmp_path, ground, "{bbox: [11.03, 44.39, 11.05, 44.41]}")
    assert all(outcome.status is Status.DONE and not outcome.losses for outcome in outcomes)
    for tile, layers in tiles.layers.items():
        cols, rows = np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5)
        x, y = tiles.transforms[tile] @ (cols, rows)
        col, row = (x - 660_013) / 100, (4_920_037 - y) / 100
        inside = (col >= 0) & (col < 40) & (row >= 0) & (row < 40)
        nearest = np.where(inside, data[np.clip(row, 0, 39).astype(int), np.clip(col, 0, 39).astype(int)], -32767)
        np.testing.assert_array_equal(np.isnan(layers["elevation"]), nearest == -32767)
        total, weight = np.zeros((128, 128)), np.zeros((128, 128))
        for down in (0, 1):
            for along in (0, 1):
                r, c = np.floor(row - 0.5).astype(int) + down, np.floor(col - 0.5).astype(int) + along
                there = (r >= 0) & (r < 40) & (c >= 0) & (c < 40)
                value = np.where(there, data[np.clip(r, 0, 39), np.clip(c, 0, 39)], -32767)
                share = (1 - abs(row - 0.5 - r)) * (1 - abs(col - 0.5 - c)) * (value != -32767)
                total, weight = total + share * value, weight + share
        known = ~np.isnan(layers["elevation"])
        np.testing.assert_allclose(
            layers["elevation"][known], (total / np.where(known, weight, 1))[known] / 10, rtol=1e-5
        )
    assert any(tile_layers["count"].any() for tile_layers in tiles.layers.values())


@pytest.mark.parametrize("void", [-9999, -32767, -32768])
def test_the_usual_voids_of_a_file_that_says_none_are_no_heights(tmp_path: Path, void: int) -> None:
    data = np.arange(64, dtype=np.int16).reshape(8, 8)
    data[2, 3] = void
    place = {"crs": "EPSG:32632", "transform": Affine(100, 0, 0, 0, -100, 0)}
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=8, height=8, count=1, dtype="int16", **place
    ) as sink:
        sink.write(data, 1)
    found = read_heights(Asset("data", str(tmp_path / "a.tif")), Access(), "item", (slice(0, 8), slice(0, 8)))
    assert np.argwhere(np.isnan(found)).tolist() == [[2, 3]]
    assert (np.delete(found.ravel(), 19) == np.delete(data.ravel(), 19)).all()


def test_an_item_says_whose_heights_they_are(tmp_path: Path) -> None:
    """Licence, attribution and what heights count from stand in the item and in the files."""
    ground = Ground30(tmp_path, hills)
    ground.add((44, 10), (44, 11))
    small = world(tmp_path, ground.items, INLAND, GRID)
    tiles, _ = run_all(small)
    item = next(iter(tiles.items.values()))
    assert "DLR" in item["properties"]["attribution"] and "Airbus" in item["properties"]["attribution"]
    bands = json.dumps(item["assets"]["elevation"]["bands"])
    assert "EGM2008" in bands and '"unit": "m"' in bands
    path = next(small.output.glob("data/**/elevation_*.tif"))
    with rasterio.open(path) as source:
        assert "Airbus" in json.dumps(source.tags()) and np.isnan(source.nodata) and source.dtypes == ("float32",)
