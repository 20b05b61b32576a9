"""What an `argo_grid` entry takes, and where its cells lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.products._argo_grid_config import RegionConfig, region_tile
from pipeline.products._argo_grid_fill import place_of
from tests.products.test_argo_grid import entry, job_of


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"regions": {"a": {}}}, "exactly one of bbox and polygon"),
        ({"regions": {"a": {"bbox": [0, 10, 1, 5]}}}, "south below north"),
        ({"regions": {"a": {"polygon": [[0, 0], [2, 2], [2, 0], [0, 2]]}}}, "sides do not cross"),
        ({"cell_deg": 0.7}, "divides 180 degrees"),
        ({"levels_dbar": [10, 5]}, "ascending order"),
        ({"heat_content": [[700, 0]]}, "top above bottom"),
        ({"variables": ["CT"]}, "in lower case"),
        ({"inputs": ["argo", "other"]}, "at most 1 item"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        entry(**changes)


def test_cells_lie_on_multiples_of_their_side_whatever_the_region() -> None:
    tile = region_tile("a", RegionConfig(bbox=(60.3, -10.1, 61.9, 3.0)), 0.5)
    assert tile.geobox.shape.yx == (27, 4)
    assert tile.geobox.transform[:6] == (0.5, 0, 60, 0, -0.5, 3)
    globe = region_tile("b", RegionConfig(bbox=(-180, -90, 180, 90)), 1)
    assert globe.geobox.shape.yx == (180, 360)


@pytest.mark.parametrize(
    ("box", "longitude", "columns"),
    [
        ((0.3, 0.3, 0.6, 0.6), [0.3, 0.5, 0.6], [0, 2, -1]),
        ((170.1, 0.3, -160.35, 0.6), [-160.35, 170.1, -160.34], [295, 0, -1]),
    ],
)
def test_what_lies_on_the_edges_of_a_region_is_in_it(
    box: tuple[float, ...], longitude: list[float], columns: list[int]
) -> None:
    """Unless it belongs to the next cell, which is not there."""
    config = entry(regions={"sea": {"bbox": box}}, cell_deg=0.1)
    found = place_of(job_of(config, []), config).cell_of(
        np.full(3, np.datetime64("2024-06-15", "us")), np.full(3, 0.3), np.array(longitude)
    )
    assert found.tolist() == columns
