"""The small worlds beside the demo's: made once, read by any reader, and as their notebooks say they are."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pystac
import rasterio

from pipeline.demo import glacier, trees
from pipeline.demo.noise import Field
from pipeline.demo.rasters import Layer
from pipeline.demo.small import Scene, write_source


def a_scene(name: str = "one") -> Scene:
    numbers = np.arange(12, dtype=np.uint16).reshape(3, 4)
    return Scene(
        name, "tests", "2024-06-01T10:00:00Z", [Layer("red", numbers, 32622, (300_000, 7_600_000), (30, 30))], {}
    )


def places(reach_m: int, step_m: int) -> tuple[Field, Field]:
    along = np.arange(-reach_m, reach_m, step_m).astype(np.float32)
    x, y = np.meshgrid(along, -along)
    return x, y


def test_a_source_is_written_once_and_its_list_last(tmp_path: Path) -> None:
    listed = write_source(tmp_path, "s2", [a_scene()])
    before = listed.read_bytes()
    assert write_source(tmp_path, "s2", [a_scene("another")]) == listed
    assert listed.read_bytes() == before
    assert not list(tmp_path.rglob("*another*")) and not list(tmp_path.glob(".*"))


def test_an_item_says_where_its_pixels_lie(tmp_path: Path) -> None:
    (item,) = json.loads(write_source(tmp_path, "s2", [a_scene()]).read_text())["features"]
    pystac.Item.from_dict(item)
    with rasterio.open(tmp_path / item["assets"]["red"]["href"]) as source:
        assert source.read(1).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
        assert list(source.transform)[:6] == item["assets"]["red"]["proj:transform"]
        assert item["assets"]["red"]["proj:code"] == f"EPSG:{source.crs.to_epsg()}"


def test_the_glacier_melts_and_its_front_goes_back() -> None:
    x, y = places(8000, 400)
    ground = glacier.survey(x, y)
    fronts = [glacier.front_m(one.day, y).mean() for one in glacier.PASSES]
    assert fronts == sorted(fronts) and 1100 < fronts[-1] - fronts[0] < 1400
    bright = {one.day: glacier.glacier_truth(ground, one.day)[3].mean() for one in glacier.PASSES}
    assert bright[date(2024, 8, 20)] < 0.75 * bright[date(2024, 6, 4)]
    assert bright[date(2024, 9, 22)] > 0.9 * bright[date(2024, 6, 4)], "new snow"


def test_the_hillside_is_covered_whatever_the_day() -> None:
    land = trees.survey(*places(3000, 150))
    wet, dry = (trees.covers(land, date(2021, month, 15)) for month in (4, 8))
    for shares in (wet, dry):
        np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
        assert shares.min() >= 0
    assert wet[2].sum() > 3 * dry[2].sum(), "crops grow in the rains"
    np.testing.assert_array_equal(wet[0], dry[0])
    assert 0.2 < wet[0].mean() < 0.7, "forest"
