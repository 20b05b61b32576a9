"""Laws of a scene's place on a tile: every pixel inside its footprint, none away from it, also where 180 is crossed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.products._footprint import footprint
from pipeline.types import Item

TILE = GeoBox((60, 120), Affine(1000, 0, 240_000, 0, -1000, 5_030_000), "EPSG:32601")
"""120 km wide in zone 1, on both sides of 180."""
WEST, EAST, SOUTH, NORTH = 179.9, 180.3, 45.1, 45.3
SPELLINGS = {
    "around-the-other-way": shapely.box(EAST - 360, SOUTH, WEST, NORTH),
    "beyond-180": shapely.box(WEST, SOUTH, EAST, NORTH),
    "beyond-minus-180": shapely.box(WEST - 360, SOUTH, EAST - 360, NORTH),
    "in-two-parts": shapely.MultiPolygon(
        [shapely.box(WEST, SOUTH, 180, NORTH), shapely.box(-180, SOUTH, EAST - 360, NORTH)]
    ),
}
TIME = datetime(2024, 6, 1, tzinfo=UTC)


def item(geometry: Any) -> Item:
    return Item("scene", "s2", "s2", TIME, TIME.date(), shapely.geometry.mapping(geometry), {})


def inside(margin_deg: float) -> np.ndarray:
    """Pixel centres in the scene's box, widened by so much."""
    x, y = np.meshgrid(240_500 + 1000 * np.arange(120), 5_029_500 - 1000 * np.arange(60))
    lon, lat = Transformer.from_crs(32601, 4326, always_xy=True).transform(x, y)
    across = (lon % 360 > WEST - margin_deg) & (lon % 360 < EAST + margin_deg)
    return np.asarray(across & (lat > SOUTH - margin_deg) & (lat < NORTH + margin_deg))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_scene_across_the_antimeridian_lies_where_it_lies(spelling: str) -> None:
    found = footprint(item(SPELLINGS[spelling]), TILE)
    assert inside(0).any() and not inside(0.05).all()
    assert found[inside(0)].all(), "a pixel of the scene is missing"
    assert not found[~inside(0.05)].any(), "a pixel away from the scene is marked"


@pytest.mark.parametrize(
    "geometry",
    [
        shapely.box(-180, -90, 180, 90),
        shapely.box(-180, -60, 180, 60).segmentize(10),
        shapely.MultiPolygon([shapely.box(-180, -90, 0, 90), shapely.box(0, -90, 180, 90)]),
    ],
    ids=["four-corners", "many-corners", "two-halves"],
)
def test_a_file_of_the_whole_globe_lies_everywhere(geometry: Any) -> None:
    assert footprint(item(geometry), TILE).all()
