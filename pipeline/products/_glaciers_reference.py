"""What lies beside the pictures of a region: its grid and outline, and the STAC items that they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.plan.curves import to_lonlat
from pipeline.types import Asset, Band, DataFile, Item, Job, Json, Tile
from pipeline.write.cog import grid_fields
from pipeline.write.files import write_json_file
from pipeline.write.stac import EXTENSIONS

TEMPLATE = Band(
    "template", "uint8", None, description="1 inside the region, 0 outside: the grid of all dates", overview="nearest"
)
REGION, SCENES = "region", "scenes"
"""Keys of the region's outline and of the inputs' STAC items."""
_WITHIN_M = 0.1
_DECIMALS = 7


def template_layer(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(y, x) of the layer `template`."""
    return inside.astype(np.uint8)


def write_reference(job: Job, folder: Path) -> tuple[DataFile, DataFile]:
    """The region as GeoJSON, and the scenes as a STAC item collection with unsigned addresses."""
    return (
        write_json_file(_region(job.tile), folder / "region.json", REGION, title="Region: outline and grid"),
        write_json_file(_collection(job.items), folder / "scenes.json", SCENES, title="STAC items of the scenes"),
    )


def _region(tile: Tile) -> Json:
    """A GeoJSON feature in degrees; the outline in the region's own CRS beside it, to the millimetre."""
    outline = np.array([shapely.from_wkt(str(tile.outline))], dtype=object)
    (degrees,) = to_lonlat(outline, str(tile.geobox.crs), _WITHIN_M)
    rounded = shapely.transform(degrees, lambda xy: np.round(xy, _DECIMALS) + 0.0)
    return {
        "type": "Feature",
        "id": tile.id,
        "geometry": _listed(shapely.geometry.mapping(shapely.orient_polygons(rounded))),
        "properties": {"name": tile.id, "outline": tile.outline, **grid_fields(tile.geobox)},
    }


def _collection(items: Sequence[Item]) -> Json:
    return {"type": "FeatureCollection", "features": [_feature(item) for item in items]}


def _feature(item: Item) -> Json:
    """What the catalogue said of a scene, as far as it was used.

    Its collection is a property: STAC wants a link to what an item names as such, and there is none in this output.
    """
    time = item.time.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [EXTENSIONS["proj"]] if any(asset.grid for asset in item.assets.values()) else [],
        "id": item.id,
        "geometry": item.geometry,
        "bbox": list(shapely.geometry.shape(item.geometry).bounds),
        "properties": {
            **item.properties,
            "datetime": time,
            "groundswell:collection": item.collection,
            "groundswell:solar_day": item.solar_day.isoformat(),
        },
        "assets": {name: _asset(asset) for name, asset in item.assets.items()},
        "links": [{"rel": "self", "href": item.href}] if item.href else [],
    }


def _asset(asset: Asset) -> Json:
    grid: Json = {}
    if asset.grid is not None:
        code = {"proj:code": asset.grid.crs} if asset.grid.crs.startswith("EPSG:") else {"proj:wkt2": asset.grid.crs}
        grid = {**code, "proj:transform": list(asset.grid.transform), "proj:shape": list(asset.grid.shape)}
    return {"href": asset.href, "title": asset.key, "roles": ["data"], **grid}


def _listed(value: Json) -> Json:
    """GeoJSON with lists for tuples, as it reads back from a file."""
    if isinstance(value, dict):
        return {key: _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, (list, tuple)) else value
