"""Values at a place."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from pipeline.browse.points import ask_series, pixel_of
from pipeline.browse.shelf import Kept
from pipeline.read.access import Access
from pipeline.types import Band, Grid
from pipeline.write.outputs import Layer, Output, Source
from tests.browse.test_table import items_at

GRID = Grid("EPSG:4326", (0.25, 0.0, 10.0, 0.0, -0.25, 41.0), (4, 4))


def kept(path: Path, number: int) -> Kept:
    """An item of one number everywhere."""
    profile = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint16", "nodata": 0}
    with rasterio.open(path, "w", crs=GRID.crs, transform=Affine(*GRID.transform), **profile) as file:
        file.write(np.full((1, 4, 4), number, np.uint16))
    layer = Layer(Band("red", "uint16", 0, 0.1), None, {"cog": Source(str(path))})
    output = Output("x", path.stem, "x", None, None, "f", "", "", GRID, (layer,))
    return Kept(path.stem, {"id": path.stem, "properties": {}, "assets": {}}, output)


def test_where_tiles_overlap_a_series_has_the_first_number_as_a_point_has(tmp_path: Path) -> None:
    there = [kept(tmp_path / "a.tif", 0), kept(tmp_path / "b.tif", 7), kept(tmp_path / "c.tif", 9)]
    shelf: Any = SimpleNamespace(access=Access(), kept=lambda _, rows: [there[row] for row in rows])
    (step,) = ask_series(shelf, items_at([(10.0, 40.0, 11.0, 41.0)] * 3), "x", "red", (10.5, 40.5))
    assert step["value"] == 0.7


def test_a_grid_whose_longitudes_go_on_beyond_180_is_found_from_either_side() -> None:
    grid = Grid("EPSG:4326", (1.0, 0.0, 0.0, 0.0, -1.0, 90.0), (180, 360))
    assert pixel_of(grid, (-154.5, 10.5)) == (79, 205)
    assert pixel_of(grid, (154.5, 10.5)) == (79, 154)
    assert pixel_of(GRID, (10.1, 40.9)) == (0, 0) and pixel_of(GRID, (-10.1, 40.9)) is None
