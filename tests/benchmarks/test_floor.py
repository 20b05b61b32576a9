"""The floor makes what the product makes: otherwise it would be no measure of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session
from tests.benchmarks.floor import Floor, aligned, write_cog
from tests.benchmarks.jobs import BANDS, EPSG, Square, read_scenes, squares, write_config
from tests.benchmarks.kernels import exchanges, median
from tests.benchmarks.world import make_world

PX = 256


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world of four days."""
    return make_world(tmp_path_factory.mktemp("world"), 2 * PX, days=4, processes=1)


def committed(items: Path, tile: Square, folder: Path) -> NDArray[np.uint16]:
    """(band, y, x) of the tile as the product commits it."""
    config = folder / "run.yaml"
    write_config(config, str(items), str(folder / "output"), [tile], {})
    session = open_session(Options(config))
    (job,) = session.plan.jobs
    outcome = run_job(job, session.assignments()[job.product], 1)
    assert outcome.error is None
    assert not outcome.losses
    layers = []
    for band in BANDS:
        (path,) = (folder / "output").rglob(f"{band}_*.tif")
        with rasterio.open(path) as source:
            layers.append(source.read(1))
    return np.stack(layers)


@pytest.mark.long
def test_on_the_scenes_own_pixels_floor_and_product_agree_to_the_bit(items: Path, tmp_path: Path) -> None:
    document = json.loads(items.read_text())
    document["features"] = [item for item in document["features"] if item["properties"]["proj:epsg"] == EPSG]
    west = tmp_path / "west.json"
    west.write_text(json.dumps(document))
    scenes = read_scenes(west)
    for tile in squares(scenes, PX)[1][:2]:
        assert all(aligned(tile, scene, "red") for scene in scenes)
        made = Floor(scenes).make(tile)
        assert (made.image != 0).mean() > 0.5
        (tmp_path / tile.name).mkdir()
        np.testing.assert_array_equal(made.image, committed(west, tile, tmp_path / tile.name))


def test_across_zones_they_differ_at_most_where_two_source_pixels_tie(items: Path, tmp_path: Path) -> None:
    scenes = read_scenes(items)
    tile = squares(scenes, PX)[1][3]
    made = Floor(scenes).make(tile)
    assert (made.image != committed(items, tile, tmp_path)).mean() < 0.002


def test_every_tile_meets_both_zones_and_none_is_whole_blocks(items: Path) -> None:
    scenes = read_scenes(items)
    warm_up, tiles = squares(scenes, PX)
    assert len({(tile.left, tile.top) for tile in [warm_up, *tiles]}) == 9
    for tile in tiles:
        for zone in (True, False):
            made = Floor([scene for scene in scenes if (scene.epsg == EPSG) is zone]).make(tile)
            assert (made.image != 0).mean() > 0.25
        assert (tile.left - tiles[0].left) / 10 % (PX // 2) or (tile.left - scenes[0].transforms["red"][2]) % 1280


def test_the_floor_counts_what_it_reads(items: Path) -> None:
    """One tile of 256 px, off the blocks of 128 px: 3 x 3 of them in each band of each western scene."""
    scenes = [scene for scene in read_scenes(items) if scene.epsg == EPSG]
    tile = Square("off", scenes[0].transforms["red"][2] + 10 * 100, scenes[0].transforms["red"][5] - 10 * 100, PX)
    made = Floor(scenes).make(tile)
    assert made.objects == 5 * len(scenes)
    assert made.blocks == 9 * 5 * len(scenes)
    assert 0 < made.bytes < 9 * len(scenes) * (4 * 2 * 128**2 + 64**2)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 16, 17])
def test_the_floors_median_is_numpys(count: int) -> None:
    rng = np.random.default_rng(count)
    stack = rng.integers(1, 65535, (count, 5, 700), np.uint16)
    stack[rng.random(stack.shape) < 0.4] = 0
    out = np.empty(stack.shape[1:], np.uint16)
    median(stack, exchanges(count), out)
    masked = np.ma.median(np.ma.masked_equal(stack, 0).astype(np.float64), axis=0)  # type: ignore[no-untyped-call]
    np.testing.assert_array_equal(out, np.rint(np.ma.filled(masked, 0)).astype(np.uint16))


def test_the_floors_file_is_a_cog_of_all_bands(items: Path, tmp_path: Path) -> None:
    scenes = read_scenes(items)
    tile = squares(scenes, PX)[1][0]
    image = Floor(scenes).make(tile).image
    write_cog(image, tile, tmp_path / "floor.tif")
    with rasterio.open(tmp_path / "floor.tif") as source:
        assert source.count == len(BANDS)
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert tuple(source.bounds) == tile.bounds
        np.testing.assert_array_equal(source.read(), image)
