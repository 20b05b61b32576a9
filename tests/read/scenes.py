"""The five real scenes of one Sentinel-2 tile, as raw STAC with absolute hrefs and as frozen items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.search.canonical import canonical
from pipeline.search.normalise import to_item
from pipeline.types import Item

BANDS = ("red", "nir", "scl")
GRID_CRS, GRID_WEST, GRID_NORTH, GRID_M, GRID_PX = "EPSG:32633", 523_980.0, 5_076_000.0, 120.0, 480
"""The grid of all their files."""


def raw_scenes(shared_data: Path) -> list[dict[str, Any]]:
    """Five STAC items in the order of their dates."""
    items = []
    for path in sorted((shared_data / "raster/s2/e84v1_33TWL_cog").glob("*/*.json"), key=lambda one: one.name[10:18]):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = str(path.parent / asset["href"])
        items.append(item)
    return items


def scenes(shared_data: Path) -> list[Item]:
    return [to_item(canonical(raw, "s2")[0], dict.fromkeys(BANDS, ())) for raw in raw_scenes(shared_data)]
