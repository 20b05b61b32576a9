"""Raw STAC items: small ones made here, and every real one of the shared data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Raw = dict[str, Any]
SQUARE = {"type": "Polygon", "coordinates": [[[12, 45], [13, 45], [13, 46], [12, 46], [12, 45]]]}


def raw_item(**changes: Any) -> Raw:
    """A plain item of one band; the keywords replace its fields."""
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "scene-1",
        "collection": "s2",
        "geometry": SQUARE,
        "bbox": [12, 45, 13, 46],
        "properties": {"datetime": "2024-06-10T10:00:00Z", "updated": "2024-06-11T00:00:00Z"},
        "links": [],
        "assets": {"red": {"href": "/data/red.tif", "type": "image/tiff"}},
    }
    return {**item, **changes}


def raw_with(properties: Raw | None = None, asset: Raw | None = None) -> Raw:
    """The plain item with further properties, and further fields of its one asset."""
    item = raw_item()
    item["properties"] = {**item["properties"], **(properties or {})}
    item["assets"] = {"red": {**item["assets"]["red"], **(asset or {})}}
    return item


def features(document: Any) -> Iterator[Raw]:
    """Items of a Feature, a FeatureCollection or a list, however old: before STAC 0.8 an item may lack its type."""
    if isinstance(document, list):
        for one in document:
            yield from features(one)
    elif isinstance(document, dict):
        if "features" in document:
            yield from document["features"]
        elif document.get("type") == "Feature" or ("assets" in document and "geometry" in document):
            yield document


def real_items(shared_data: Path) -> list[tuple[str, Raw]]:
    """(file name, item) of every item JSON beside the rasters and under `stac`."""
    folder = shared_data / "raster"
    paths = [path for part in ("stac", "s2", "landsat", "s1") for path in sorted((folder / part).rglob("*.json"))]
    return [(path.name, item) for path in paths for item in features(json.loads(path.read_text()))]
