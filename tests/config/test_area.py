"""Laws of `area:` and `grid:`: one kind of area, keys that fit the kind of grid, and words that say what does."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.area import AreaConfig, GridConfig

GEOBOX: dict[str, Any] = {"kind": "geobox", "crs": "EPSG:3413"}


def words(model: type[AreaConfig | GridConfig], keys: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        model(**keys)
    return str(raised.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"bbox": (10.0, 44.0, 11.0, 45.0)},
        {"bbox": (179.0, -90.0, -179.0, 90.0)},
        {"vector": "kenya.gpkg"},
        {
            "vector": "kenya.gpkg",
            "select": {"name": ("Nakuru", 2, True, 1.5)},
            "layer": "a",
            "id": "b",
            "index": "0:23",
        },
        {"tiles": "tiles.csv"},
        {"mgrs": ("37MBU", "1WCQ", "60XWG")},
    ],
    ids=["bbox", "whole", "vector", "selected", "tiles", "mgrs"],
)
def test_an_area_is_one_of_four(keys: dict[str, Any]) -> None:
    assert AreaConfig(**keys).model_dump(exclude_none=True) == keys


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "found none of them; allowed: exactly one of bbox, vector, tiles, mgrs"),
        ({"bbox": (0.0, 0.0, 1.0, 1.0), "mgrs": ("37MBU",)}, "found bbox and mgrs; allowed: exactly one"),
        ({"tiles": "a.csv", "index": "0:2"}, "found index without vector"),
        ({"bbox": (0.0, 0.0, 1.0, 1.0), "select": {"a": (1,)}}, "found select without vector"),
        ({"vector": "a.gpkg", "index": "3:3"}, "the first below the last"),
        ({"vector": "a.gpkg", "index": "-1:3"}, "index"),
        ({"vector": "a.gpkg", "index": "7"}, "index"),
        ({"vector": "a.gpkg", "select": {"name": ()}}, "select.name"),
        ({"vector": "s3://bucket/a.gpkg"}, "vector"),
        ({"mgrs": ("37IBU",)}, "mgrs.0"),
        ({"mgrs": ("61MBU",)}, "mgrs.0"),
        ({"mgrs": ()}, "mgrs"),
    ],
)
def test_an_area_that_is_none_is_refused(keys: dict[str, Any], text: str) -> None:
    assert text in words(AreaConfig, keys)


@pytest.mark.parametrize(
    ("index", "rows"), [("0:23", (0, 23)), ("10:", (10, None)), (":5", (0, 5)), (":", (0, None)), (None, (0, None))]
)
def test_a_range_of_rows_is_half_open(index: str | None, rows: tuple[int, int | None]) -> None:
    assert AreaConfig(vector="a.gpkg", index=index).rows == rows


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"bbox": (10.0, 44.0, 11.0, 45.0)}, "bbox west 10, south 44, east 11, north 45"),
        ({"vector": "a.gpkg", "select": {"name": ("Nakuru",)}}, "vector a.gpkg, select {'name': ['Nakuru']}"),
        ({"mgrs": ("37MBU",)}, "mgrs ['37MBU']"),
    ],
)
def test_an_area_in_words(keys: dict[str, Any], text: str) -> None:
    assert str(AreaConfig(**keys)) == text


@pytest.mark.parametrize(
    ("keys", "edge_px", "needs_area"),
    [
        ({}, 2048, True),
        ({"kind": "utm", "tile_px": 512, "resolution_m": 20}, 512, True),
        ({"kind": "mgrs"}, 10980, True),
        ({"kind": "mgrs", "tile_px": 1830}, 1830, True),
        ({"kind": "mgrs", "resolution_m": 60}, 1830, True),
        ({"kind": "region", "crs": "EPSG:3413"}, 2048, True),
        ({**GEOBOX, "origin": (0.0, 0.0)}, 2048, True),
        ({**GEOBOX, "transform": (30, 0, 0, 0, -30, 0), "tile_px": 64}, 64, True),
        ({**GEOBOX, "transform": (30, 0, 0, 0, -30, 0), "shape": (10, 10)}, 2048, False),
        ({"kind": "geobox", "crs": "EPSG:4326", "transform": (0.1, 0, -180, 0, -0.1, 90)}, 2048, True),
    ],
)
def test_every_kind_of_grid(keys: dict[str, Any], edge_px: int, needs_area: bool) -> None:
    grid = GridConfig(**keys)
    assert (grid.edge_px, grid.needs_area) == (edge_px, needs_area)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"kind": "hexagons"}, "kind"),
        ({"tile_px": 100}, "at least 64, a multiple of 16"),
        ({"crs": "EPSG:3413"}, "found crs with kind utm; allowed: crs with kind geobox or region"),
        ({"kind": "region", "tile_px": 512}, "found tile_px with kind region"),
        ({"kind": "region", "crs": "EPSG:4326"}, "allowed: a crs in metres"),
        ({"kind": "region", "crs": "EPSG:2263"}, "allowed: a crs in metres"),
        ({"kind": "mgrs", "tile_px": 2048}, "a tile_px that divides the tile"),
        ({"kind": "mgrs", "resolution_m": 7}, "a resolution_m that divides 109800 m"),
        ({"kind": "mgrs", "crs": "EPSG:32633"}, "found crs with kind mgrs"),
        ({"kind": "geobox"}, "crs and either transform, or origin and resolution_m"),
        (GEOBOX, "crs and either transform, or origin and resolution_m"),
        ({**GEOBOX, "origin": (0.0, 0.0), "transform": (30, 0, 0, 0, -30, 0)}, "crs and either transform, or origin"),
        ({**GEOBOX, "transform": (30, 0, 0, 0, -30, 0), "resolution_m": 30}, "found resolution_m beside transform"),
        ({**GEOBOX, "transform": (30, 1, 0, 0, -30, 0)}, "allowed: [a, 0, c, 0, e, f]"),
        ({**GEOBOX, "transform": (30, 0, 0, 0, 30, 0)}, "allowed: [a, 0, c, 0, e, f]"),
        ({**GEOBOX, "origin": (0.0, 0.0), "shape": (0, 5)}, "shape.0"),
        ({"kind": "geobox", "crs": "EPSG:4326", "origin": (0.0, 0.0)}, "origin and resolution_m with a crs in metres"),
        ({"kind": "geobox", "crs": "EPSG:1", "origin": (0.0, 0.0)}, "a projected or geographic CRS such as EPSG:3413"),
        ({"kind": "geobox", "crs": "EPSG:4978", "origin": (0.0, 0.0)}, "a projected or geographic CRS"),
        ({"kind": "geobox", "crs": "EPSG:32633+5773", "origin": (0.0, 0.0)}, "a projected or geographic CRS"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(keys: dict[str, Any], text: str) -> None:
    assert text in words(GridConfig, keys)
