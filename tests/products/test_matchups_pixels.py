"""Which profiles lie on a scene's grid, and what lies around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from pipeline.products._matchups_pixels import _windows
from pipeline.types import Asset, Grid, Item
from tests.argo_partitions import Cast
from tests.products.test_matchups import NOON, entry, floats_in, made_of, rows_of


def test_longitudes_of_a_grid_may_go_on_beyond_180() -> None:
    """As those of sea surface fields from 0 to 360 degrees; what lies off the grid has no window."""
    places = np.array([[-30.5, 10.5], [20.5, 10.5], [20.5, -10.5]])
    north = Grid("EPSG:4326", (1.0, 0.0, 0.0, 0.0, -1.0, 90.0), (90, 360))
    number, targets = _windows(north, places, 1)
    assert number.tolist() == [0, 1]
    assert [target.geobox.boundingbox.left for target in targets] == [329.0, 20.0]
    west = Grid("EPSG:4326", (1.0, 0.0, -180.0, 0.0, -1.0, 90.0), (90, 180))
    number, targets = _windows(west, places, 1)
    assert (number.tolist(), targets[0].geobox.boundingbox.left) == ([0], -31.0)


@pytest.mark.parametrize(("width", "whole"), [(360, True), (358, False)])
@pytest.mark.parametrize("west", [0.0, -180.0])
def test_a_window_goes_on_behind_the_seam_of_a_grid_all_around_the_globe(
    tmp_path: Path, width: int, west: float, *, whole: bool
) -> None:
    """Beside the seam, on it and away from it a window is what the rolled field has there."""
    values = np.random.default_rng(5).normal(size=(180, width)).astype(np.float32)
    path = tmp_path / "sst.tif"
    profile = {"driver": "GTiff", "count": 1, "crs": "EPSG:4326", "dtype": "float32", "nodata": -9999}
    with rasterio.open(
        path, "w", height=180, width=width, transform=Affine(1, 0, west, 0, -1, 90), **profile
    ) as target:
        target.write(values, 1)
    ring = [[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    item = Item("sst-1", "sst", "s2", NOON, NOON.date(), shape, {"sst": Asset("sst", str(path), nodata=-9999)})
    columns = [0, 1, 2, width - 3, width - 2, width - 1]
    turned = [(west + column + 0.5 + 180) % 360 - 180 for column in columns]
    casts = [Cast(2900001, number, 30.5, lon, NOON) for number, lon in enumerate(turned)]
    config = entry(sensor=None, bands=["sst"], window_px=5, regions={"here": {"bbox": [-180, 20, 180, 40]}})
    _, made = made_of(config, [item, floats_in(tmp_path / "out", casts)], tmp_path)
    found = {row["cycle"]: row["s2_sst_window"] for row in rows_of(made)}
    for number, column in enumerate(columns):
        expected = np.full((5, 5), np.nan)
        for place, at in enumerate(range(column - 2, column + 3)):
            if whole or 0 <= at < width:
                expected[:, place] = values[57:62, at % width]
        np.testing.assert_array_equal(np.array(found[number], float).reshape(5, 5), expected)
