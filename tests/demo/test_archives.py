"""Radar, heights and Landsat of the demo world: files as their archives have them, and one ground in all of them."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.demo import World, demo_backscatter, demo_heights, demo_truth
from pipeline.demo.landsat import landsat_layers, landsat_scenes
from pipeline.demo.radar import radar_layers, radar_scenes
from pipeline.demo.relief import CELLS, tile

Json = Any
LAYERS_DIGEST = "7df318385d767204"


def _items(world: World, source: str) -> list[tuple[Path, Json]]:
    return [(path.parent, json.loads(path.read_text())) for path in sorted(world.folder.glob(f"{source}/*/*.json"))]


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64], str]:
    """Pixels, x and y of their centres, and the CRS."""
    with rasterio.open(path) as file:
        cols, rows = np.meshgrid(np.arange(file.width) + 0.5, np.arange(file.height) + 0.5)
        x, y = file.transform @ (cols, rows)
        return file.read(1), x, y, file.crs.to_string()


def test_layers_are_the_same_on_every_machine() -> None:
    """Pinned: fails when the world changes (raise world.VERSION then) and on a machine that rounds differently."""
    digest = hashlib.sha256()
    layers = [layer for scene in radar_scenes(64) for layer in radar_layers(scene)]
    layers += [layer for scene in landsat_scenes(64) for layer in landsat_layers(scene)]
    for layer in (*layers, *map(tile, CELLS)):
        digest.update(layer.values.astype(layer.values.dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest()[:16] == LAYERS_DIGEST


@pytest.mark.parametrize("source", ["s1", "dem", "landsat"])
def test_items_declare_what_their_files_are(small_world: World, source: str) -> None:
    for folder, item in _items(small_world, source):
        assert item["properties"]["license"] == "CC0-1.0" and "Invented" in item["properties"]["attribution"]
        for key, asset in item["assets"].items():
            with rasterio.open(folder / asset["href"]) as file:
                assert file.crs.to_epsg() == item["properties"]["proj:epsg"]
                assert list(file.shape) == item["properties"]["proj:shape"]
                assert list(file.transform[:6]) == item["properties"]["proj:transform"]
                declared = asset["raster:bands"][0]
                assert file.dtypes == (declared["data_type"],)
                assert file.nodata == declared.get("nodata"), key
                assert (file.scales, file.offsets) == ((1.0,), (0.0,))


def test_radar_is_linear_power_on_a_grid_of_its_own(small_world: World) -> None:
    """About the truth once speckle is averaged, in both directions; below zero only where there is nothing."""
    directions = set()
    for folder, item in _items(small_world, "s1"):
        facts = item["properties"]
        directions.add((facts["sat:orbit_state"], facts["sat:relative_orbit"], facts["proj:epsg"]))
        assert all(number % 10 not in (0, 5) for number in facts["proj:transform"][2::3])
        day = date.fromisoformat(facts["datetime"][:10])
        for number, key in enumerate(("vv", "vh")):
            values, x, y, crs = _read(folder / f"{key}.tif")
            seen = values != -32768
            assert (values[seen] > 0).all() and (values[seen] < 3).all()
            assert seen.all() == (day != date(2024, 6, 15))
            truth = demo_backscatter(x, y, crs, day, facts["sat:orbit_state"])[number]
            ratio = values[seen] / truth[seen]
            assert ratio.mean() == pytest.approx(1, abs=0.01) and ratio.std() == pytest.approx(0.29, abs=0.03)
    assert directions == {("ascending", 117, 32632), ("descending", 95, 32633)}


def test_radar_tells_water_from_land() -> None:
    """Water is darkest in both polarisations; crops differ by direction and nothing else does."""
    x, y = np.random.default_rng(7).uniform(-4000, 4000, (2, 4000))
    crs = "+proj=tmerc +lon_0=12 +lat_0=44.88 +k=1 +datum=WGS84 +units=m"
    one, other = (demo_backscatter(x, y, crs, date(2024, 7, 1), way) for way in ("ascending", "descending"))
    _, green, _, nir = demo_truth(x, y, crs, date(2024, 7, 1))
    water = nir < green
    assert one[:, water].max(axis=1)[0] < np.median(one[0][~water])
    assert ((one >= other - 1e-7).all()) and 0.2 < (one > other + 1e-4).any(axis=0).mean() < 0.95


def test_heights_are_the_relief_and_tiles_share_no_pixel(small_world: World) -> None:
    """First centres lie on the degree, last ones a step before the next; no nodata is said; hills are hills."""
    for folder, item in _items(small_world, "dem"):
        west, north = item["bbox"][0], item["bbox"][3]
        step = item["properties"]["proj:transform"][0]
        corner = np.array([west + step / 2, north - step / 2])
        np.testing.assert_allclose(corner, np.round(corner), rtol=0, atol=1e-6)
        values, lon, lat, crs = _read(folder / "data.tif")
        rows, cols = slice(None, None, 5), slice(None, None, 5)
        truth = demo_heights(lon[rows, cols], lat[rows, cols], crs)
        # Places are rounded to a millimetre where the tiles are made.
        assert np.abs(values[rows, cols] - truth).max() < 0.01
        assert values.min() == 2 and values.max() > 200


def test_water_is_level() -> None:
    """River and lake lie in the plain, and the ground rises slowly from them."""
    x, y = np.random.default_rng(3).uniform(-4000, 4000, (2, 20_000))
    crs = "+proj=tmerc +lon_0=12 +lat_0=44.88 +k=1 +datum=WGS84 +units=m"
    _, green, _, nir = demo_truth(x, y, crs, date(2024, 7, 1))
    heights = demo_heights(x, y, crs)
    assert heights[nir < green].max() < 3 and np.quantile(heights, 0.95) > 50
    steep = np.hypot(demo_heights(x + 10, y, crs) - heights, demo_heights(x, y + 10, crs) - heights) / 10
    assert np.degrees(np.arctan(steep)).max() < 60


def test_landsat_is_the_same_ground_in_its_own_numbers(small_world: World) -> None:
    """DN * 0.0000275 - 0.2 of clear pixels is the truth; fill is 0; corners lie 15 m beside multiples of 30 m."""
    for folder, item in _items(small_world, "landsat"):
        left, top = item["properties"]["proj:transform"][2::3]
        assert left % 30 == top % 30 == 15
        qa, x, y, crs = _read(folder / "qa_pixel.tif")
        fill, clear = qa == 1, (qa & 0b11111) == 0
        assert fill.any() and clear.mean() > 0.2 and ((qa & 0b1000) > 0).any()
        assert item["properties"]["eo:cloud_cover"] == pytest.approx(100 * ((qa & 8) > 0)[~fill].mean(), abs=0.01)
        truth = demo_truth(x, y, crs, date.fromisoformat(item["properties"]["datetime"][:10]))
        for number, band in enumerate(("blue", "green", "red", "nir08")):
            stored, *_ = _read(folder / f"{band}.tif")
            np.testing.assert_array_equal(stored == 0, fill)
            off = np.abs(stored * 0.0000275 - 0.2 - truth[number])[clear]
            assert np.median(off) < 0.0004 and np.quantile(off, 0.9) < 0.02


def test_the_tiles_meet_where_the_zones_do(small_world: World) -> None:
    """The area of the world lies on both degree tiles: 12 E is the edge of the zones, and of the tiles."""
    lon, _ = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(263_060, 4_974_080)
    assert lon == pytest.approx(12, abs=1e-4)
    assert [item["bbox"][0] < 12 < item["bbox"][2] + 0.001 for _, item in _items(small_world, "dem")] == [True, True]
