"""The benchmark's world is what it says: two zones, 24 items, Sentinel-2's files, the same numbers every time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.benchmarks.jobs import EPSG, neighbours, read_scenes
from tests.benchmarks.world import make_world, places, widen

SIDE = 512


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of a small world."""
    return make_world(tmp_path_factory.mktemp("world"), SIDE, days=2, processes=1)


def test_a_whole_world_has_24_items_on_16_days_in_two_zones() -> None:
    seen = [(place.epsg, day) for day in range(16) for place in places(4096) if day % 4 != place.skipped]
    assert Counter(epsg for epsg, _ in seen) == {32632: 12, 32633: 12}
    assert len({day for _, day in seen}) == 16


def test_files_are_what_the_items_say(items: Path) -> None:
    for scene in read_scenes(items):
        for band, path in scene.assets.items():
            with rasterio.open(path) as source:
                assert source.crs.to_epsg() == scene.epsg
                assert tuple(source.transform[:6]) == scene.transforms[band]
                assert source.shape == scene.shapes[band]
                assert source.profile["compress"] == "deflate"
                assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
                assert source.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR") == (None if band == "scl" else "2")
                assert source.dtypes[0] == ("uint8" if band == "scl" else "uint16")


def test_clouds_cover_5_to_60_percent_and_are_bright(items: Path) -> None:
    for scene in read_scenes(items):
        with rasterio.open(scene.assets["scl"]) as classes, rasterio.open(scene.assets["blue"]) as blue:
            scl, values = classes.read(1).repeat(2, 0).repeat(2, 1), blue.read(1)
        cloud = np.isin(scl, (8, 9))
        assert 0.03 < cloud.mean() < 0.62
        assert values[cloud].mean() > 1.5 * values[np.isin(scl, (4, 5, 6))].mean()
        np.testing.assert_array_equal(values[::2, ::2] == 0, scl[::2, ::2] == 0)


def test_the_same_world_is_made_twice(items: Path, tmp_path: Path) -> None:
    again = read_scenes(make_world(tmp_path, SIDE, days=1, processes=1))
    before = {scene.id: scene for scene in read_scenes(items)}
    for scene in again:
        for band, path in scene.assets.items():
            assert Path(path).read_bytes() == Path(before[scene.id].assets[band]).read_bytes()


def test_a_wide_world_is_four_copies_side_by_side(items: Path, tmp_path: Path) -> None:
    wide = read_scenes(widen(items, tmp_path / "wide"))
    narrow = {scene.id: scene for scene in read_scenes(items)}
    assert len(wide) == 4 * len(narrow)
    for scene in wide:
        name, _, shift = scene.id.rpartition("_")
        right, down = int(shift[0]), int(shift[1])
        with rasterio.open(scene.assets["red"]) as copy, rasterio.open(narrow[name].assets["red"]) as first:
            side = 10 * SIDE
            assert copy.bounds.left - first.bounds.left == right * side
            assert first.bounds.top - copy.bounds.top == down * side
            assert tuple(copy.transform[:6]) == scene.transforms["red"]
            np.testing.assert_array_equal(copy.read(1), first.read(1))
    tiles = neighbours(wide, SIDE // 2)
    assert len({(tile.left, tile.top) for tile in tiles}) == 16
    assert {scene.epsg for scene in wide} == {EPSG, 32633}
