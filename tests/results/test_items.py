"""`read_items` gives what is current, with whole addresses, and says what there is where it is asked for more."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError, NothingToDoError
from pipeline.results.items import as_older, read_items
from tests.results.made import make
from tests.worlds import SmallWorld


def test_a_folder_and_a_config_give_the_same(world: SmallWorld) -> None:
    with pytest.raises(NothingToDoError, match="found no finished run"):
        read_items(world.output)
    make(world, "period.end=2024-07-01", "grid.tile_px=128", "area.bbox=[12.006, 44.871, 12.007, 44.872]")
    items = read_items(world.output)
    assert items and items == read_items(world.config, "sentinel2")
    for item in items:
        own = {link["rel"]: link["href"] for link in item["links"]}
        assert all(Path(own[rel]).is_file() for rel in ("self", "parent", "collection"))
        assert all(Path(asset["href"]).is_file() for asset in item["assets"].values())
    with pytest.raises(ConfigError, match=r"found 'sentinel1'.*sentinel2"):
        read_items(world.output, "sentinel1")


def test_a_crs_without_a_code_stays_wkt() -> None:
    """And a time that an item has is kept."""
    asset = {"href": "x.tif", "proj:code": None, "proj:wkt2": "PROJCRS[…]"}
    item = {"stac_extensions": [], "properties": {"datetime": "2024-06-01T00:00:00Z"}, "assets": {"x": asset}}
    old = as_older(item)
    assert old["assets"]["x"] == {"href": "x.tif", "proj:epsg": None, "proj:wkt2": "PROJCRS[…]"}
    assert old["properties"] == item["properties"]
