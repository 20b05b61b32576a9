"""Awkward places end to end: zone edges, the antimeridian, 84 N and the pole have the pixels that pyproj puts there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session
from tests.faults._worlds import World

SIDE = 900
"""Edge of the one scene, in pixels of 10 m."""
PLACES = {
    "zone-edge": (32633, (12.0, 45.0), [11.99, 44.995, 12.01, 45.005], {"32N", "33N"}),
    "equator": (32636, (33.0, 0.0), [32.99, -0.01, 33.01, 0.01], {"36N", "36S"}),
    "antimeridian": (32601, (-180.0, 52.0), [179.99, 51.995, -179.99, 52.005], {"60N", "01N"}),
    "84-north": (32633, (15.0, 84.0), [14.95, 83.995, 15.05, 84.005], {"33N", "00N"}),
    "pole": (3413, (0.0, 90.0), [-180.0, 89.99, 180.0, 90.0], {"00N"}),
}
"""Name → scene's EPSG code, its middle (lon, lat), the area, the zones its tiles lie in."""


def expected(scene: GeoBox, pixels: NDArray[np.uint16], path: Path) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Nearest neighbour by pyproj alone, and where a pixel's centre is too near to an edge to say which it is."""
    with rasterio.open(path) as source:
        rows, cols = np.mgrid[: source.height, : source.width] + 0.5
        x, y = source.transform @ (cols, rows)
        there = Transformer.from_crs(source.crs, str(scene.crs), always_xy=True)
    col, row = ~scene.transform @ there.transform(x, y)
    inside = (col >= 0) & (col < scene.shape[1]) & (row >= 0) & (row < scene.shape[0])
    found = np.zeros(col.shape, np.uint16)
    found[inside] = pixels[np.floor(row[inside]).astype(int), np.floor(col[inside]).astype(int)]
    doubtful = (np.abs(col - np.rint(col)) < 0.125) | (np.abs(row - np.rint(row)) < 0.125)
    return found, doubtful


@pytest.mark.parametrize("place", PLACES)
def test_a_tile_at_an_awkward_place_has_its_pixels(place: str, tmp_path: Path) -> None:
    epsg, middle, area, zones = PLACES[place]
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(*middle)
    corner = Affine(10, 0, round(x, -1) - SIDE * 5, 0, -10, round(y, -1) + SIDE * 5)
    world = World(tmp_path, GeoBox((SIDE, SIDE), corner, f"EPSG:{epsg}"))
    world.add("2024-06-07")
    config = world.config(area={"bbox": area})
    session = open_session(Options(config))
    assert {job.tile.id[:3] for job in session.plan.jobs} == zones
    seen = 0
    for job in session.plan.jobs:
        outcome = run_job(job, session.assignments()[job.product], 1)
        item_path = world.output / str(outcome.item_key)
        item = json.loads(item_path.read_text())
        cog = item_path.parent / item["assets"]["red"]["href"]
        wanted, doubtful = expected(world.grid, world.pixels(0), cog)
        with rasterio.open(cog) as source:
            red = source.read(1)
        np.testing.assert_array_equal(red[~doubtful], wanted[~doubtful])
        assert np.mean(red == wanted) > 0.99
        assert ((red != 0) | (wanted == 0) | doubtful).all(), "nothing that the scene covers is lost"
        west, south, east, north = item["bbox"]
        assert south >= -90 and north <= 90 and (north - south) < 1
        assert (east - west) % 360 < 1 or place == "pole", "no footprint goes round the globe"
        seen += int(np.count_nonzero(red))
    assert seen > 0
