"""Small invented worlds beside the demo's: one source each, a list of items and their files, made once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pyproj import Transformer

from pipeline.demo.archives import COG
from pipeline.demo.rasters import Layer, cog
from pipeline.types import Json

_VERSION = 1
"""Raised whenever other bytes are written: a list of another version is made again."""
_RIGHTS = {"license": "CC0-1.0", "attribution": "Invented by Groundswell; contains no data of any satellite"}


@dataclass(frozen=True, eq=False)
class Scene:
    """One item to be made: its layers share a footprint, and each becomes a file."""

    id: str
    collection: str
    time: str
    layers: Sequence[Layer]
    said: Json
    """Further properties of its item."""


def write_source(folder: Path, source: str, scenes: Iterable[Scene]) -> Path:
    """The scenes' files below `folder`, then `<source>.json`, a GeoJSON list of their items, which is given back.

    The list is put last, so where it is there, so is all it names, and nothing is made again.
    """
    listed = folder / f"{source}.json"
    if listed.is_file() and json.loads(listed.read_text(encoding="utf-8")).get("version") == _VERSION:
        return listed
    with ThreadPoolExecutor() as pool:
        items = [_written(folder, source, scene, pool) for scene in scenes]
    content = {"type": "FeatureCollection", "version": _VERSION, "features": items}
    part = folder / f".{listed.name}.{os.getpid()}"
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(listed)
    return listed


def _written(folder: Path, source: str, scene: Scene, pool: ThreadPoolExecutor) -> Json:
    """The item of a scene, once its files are there."""
    place = folder / source / scene.id
    place.mkdir(parents=True, exist_ok=True)
    for layer, content in zip(scene.layers, pool.map(cog, scene.layers), strict=True):
        (place / f"{layer.key}.tif").write_bytes(content)
    first = scene.layers[0]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": scene.id,
        "collection": scene.collection,
        "geometry": {"type": "Polygon", "coordinates": [_ring(first)]},
        "properties": {"datetime": scene.time, "updated": "2024-12-01T00:00:00Z", **_RIGHTS, **scene.said},
        "links": [],
        "assets": {
            layer.key: {
                "href": f"./{source}/{scene.id}/{layer.key}.tif",
                "type": COG,
                "roles": ["data"],
                **_grid(layer),
            }
            for layer in scene.layers
        },
    }


def _grid(layer: Layer) -> Json:
    return {
        "proj:code": f"EPSG:{layer.epsg}",
        "proj:shape": list(layer.values.shape),
        "proj:transform": layer.transform,
    }


def _ring(layer: Layer) -> list[list[float]]:
    """The layer's corners in degrees, counter-clockwise and closed."""
    rows, columns = layer.values.shape
    (west, north), (width, height) = layer.corner, layer.pixel
    east, south = west + columns * width, north - rows * height
    to_degrees = Transformer.from_crs(layer.epsg, 4326, always_xy=True)
    corners = ((west, north), (west, south), (east, south), (east, north), (west, north))
    return [[round(float(degree), 6) for degree in to_degrees.transform(x, y)] for x, y in corners]
