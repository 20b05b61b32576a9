"""Landsat by region: the scenes' own pixels, whose centres lie on multiples of 30 m, in reflectance, date by date."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import geometry_mask

from tests.products.landsat_scenes import CRS, LandsatScenes, on_grid, plain_scene
from tests.products.regions import Regions, merged
from tests.products.test_glaciers import file_of, grid_of, make, planned, read

SETS = ("products.glaciers.sensor=landsat", "grid.anchor=centre", "area.zone=null")
REGION = shapely.Polygon([(600_700, 4_999_900), (602_300, 4_999_650), (602_950, 4_998_300), (601_100, 4_997_700)])
POLAR = shapely.Polygon([(470e3, 8020e3), (530e3, 8035e3), (545e3, 7985e3), (500e3, 7960e3), (461e3, 7990e3)])
"""On the ice sheet at 72 N."""


def test_dates_of_two_sensors_are_copied_pixel_by_pixel(tmp_path: Path) -> None:
    """Two scenes of one day, one of another; nothing is masked, so saturated and cloudy pixels stay."""
    scenes = LandsatScenes(tmp_path)
    scenes.add(date(2003, 7, 9), "LT05")
    scenes.add(date(2003, 7, 9), "LC08")
    scenes.add(date(2003, 7, 17), "LC08", keys="files")
    world = Regions(tmp_path, metres=30, items=scenes.items).world({"alpine": REGION}, CRS)
    sets = (*SETS, "period.start=2003-07-01", "period.end=2003-08-01", "products.glaciers.bands=[nir, lwir]")
    _, job = planned(world, *sets)
    transform = job.tile.geobox.transform
    assert transform.c % 30 == transform.f % 30 == 15
    for item in scenes.items:
        with rasterio.open(next(iter(item["assets"].values()))["href"]) as source:
            col, row = ~source.transform @ (transform.c, transform.f)
            assert col == round(col) and row == round(row), "the region's grid is not the scene's"
    made = make(world, *sets)
    grid = grid_of(made)
    inside = ~geometry_mask([REGION], grid[2], grid[1])
    plain = [plain_scene(item, ("nir08", "lwir"), (grid[0], grid[1], grid[2]), 0) for item in scenes.items]
    for day in (9, 17):
        found = read(made, f"bands-200307{day:02d}")
        mine = sorted((scene for scene in plain if scene.day.day == day), key=lambda scene: scene.id)
        for number, band in enumerate(("nir08", "lwir")):
            layers = [np.nan_to_num(scene.bands[band]).astype(np.uint16) for scene in mine]
            np.testing.assert_array_equal(found[number], np.where(inside, merged(layers), 0), err_msg=f"{day} {band}")
    assert made[1]["properties"]["constellation"] == "landsat"


@pytest.mark.parametrize("masked", [False, True], ids=["as it is", "masked"])
def test_a_real_scene_of_the_ice_sheet(shared_data: Path, tmp_path: Path, masked: bool) -> None:
    """LC08 005/009, 2015-07-10, at 71 to 73 N: reflectance of the files' numbers within the polygon, and the clouds."""
    folder = shared_data / "raster" / "landsat" / "LC08_L2SP_005009_20150710_20200908_02_T2"
    scene = json.loads((folder / f"{folder.name}_SR_stac.json").read_text())
    assets: dict[str, Any] = {}
    for key, asset in scene["assets"].items():
        local = folder / asset["href"].rpartition("/")[2]
        if local.is_file() and local.suffix == ".TIF":
            assets[key] = {**asset, "href": str(local)}
    items = [{**scene, "assets": assets, "links": []}]
    world = Regions(tmp_path, metres=300, items=items).world({"001_Summit": POLAR}, "EPSG:32624")
    mask = ("products.glaciers.mask={saturated: keep}",) if masked else ()
    period = ("period.start=2015-07-01", "period.end=2015-08-01", "products.glaciers.bands=[nir, red]")
    made = make(world, *SETS, *period, *mask)
    grid = grid_of(made)
    assert grid[0] == "EPSG:32624" and grid[1].c % 300 == grid[1].f % 300 == 150
    inside = ~geometry_mask([POLAR], grid[2], grid[1])
    if masked:
        quality = on_grid(str(folder / f"{folder.name}_QA_PIXEL.TIF"), grid, 1)
        inside &= quality & 0b11111 == 0
    # The catalogue gives the date alone.
    key = "bands-20150710"
    found = read(made, key)
    for number, band in enumerate(("SR_B5", "SR_B4")):
        stored = on_grid(str(folder / f"{folder.name}_{band}.TIF"), grid, 0).astype(np.float64)
        reflectance = np.where(stored == 0, 0, np.clip(np.rint(stored * 0.275 - 2000), 1, 65_534))
        np.testing.assert_array_equal(found[number], np.where(inside, reflectance, 0))
    assert (found != 0).mean() > 0.05
    with rasterio.open(file_of(made, key)) as source:
        assert source.scales == (1e-4, 1e-4) and source.descriptions == ("nir08", "red")
