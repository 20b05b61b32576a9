"""Items of the demo world's radar, heights and Landsat, in the words of the archives that have the real ones.

Radar speaks like the Planetary Computer's `sentinel-1-rtc`, heights like Earth Search's `cop-dem-glo-90`, Landsat like
the `landsat-c2-l2` of both USGS and the Planetary Computer. Nothing here is taken from a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyproj import Transformer

from pipeline.demo.landsat import FILL, OFFSET, SCALE, LandsatScene
from pipeline.demo.radar import NODATA, RadarScene
from pipeline.demo.rasters import Layer
from pipeline.types import Json

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
COLLECTIONS = {"s1": "sentinel-1-rtc", "dem": "cop-dem-glo-90", "landsat": "landsat-c2-l2"}
"""Collection id of each source."""
TITLES = {
    "s1": "Sentinel-1 terrain-corrected lookalike, both directions of flight",
    "dem": "Copernicus GLO-90 lookalike, tiles of one degree",
    "landsat": "Landsat Collection 2 Level-2 lookalike",
}
SCHEMAS = "https://stac-extensions.github.io/"
_RIGHTS = {"license": "CC0-1.0"}
_OLI: Mapping[str, tuple[str, float]] = {
    "blue": ("OLI_B2", 0.48),
    "green": ("OLI_B3", 0.56),
    "red": ("OLI_B4", 0.65),
    "nir08": ("OLI_B5", 0.87),
}


@dataclass(frozen=True)
class Stored:
    """One written file of a scene."""

    key: str
    size_bytes: int
    sha256: str


def radar_item(scene: RadarScene, layers: Iterable[Layer], stored: Iterable[Stored]) -> Json:
    """One pass of the imitation of Sentinel-1."""
    layers = list(layers)
    properties = {
        "datetime": scene.time,
        "platform": "SENTINEL-1A",
        "constellation": "Sentinel-1",
        "attribution": "Invented by Groundswell's demo world; contains no Copernicus data",
        "sar:product_type": "GRD",
        "sar:instrument_mode": "IW",
        "sar:frequency_band": "C",
        "sar:polarizations": ["VV", "VH"],
        "sar:looks_equivalent_number": 4.4,
        "sat:orbit_state": scene.direction,
        "sat:relative_orbit": scene.relative_orbit,
        **_grid(layers[0]),
    }
    numbers = {"nodata": NODATA, "data_type": "float32", "spatial_resolution": 10.0}
    assets = {
        one.key: {**_asset(one.key, f"{one.key.upper()}: terrain-corrected gamma naught"), "raster:bands": [numbers]}
        for one in stored
    }
    return _item("s1", scene.id, layers[0], properties, assets, ("sar/v1.0.0", "sat/v1.0.0"))


def dem_item(name: str, layer: Layer, stored: Stored) -> Json:
    """One tile of a degree of the imitation of Copernicus' DEM; its footprint is half a pixel off the degree."""
    properties = {
        "datetime": "2021-04-22T00:00:00Z",
        "updated": "2023-04-20T18:14:07Z",
        "platform": "tandem-x",
        "gsd": 90,
        "attribution": "Invented by Groundswell's demo world; contains no data of the Copernicus DEM",
        **_grid(layer),
    }
    numbers = {"sampling": "point", "data_type": "float32", "spatial_resolution": 90, "unit": "meter"}
    assets = {stored.key: {**_asset(stored.key, "Data"), "raster:bands": [numbers]}}
    return _item("dem", name, layer, properties, assets, ())


def landsat_item(scene: LandsatScene, layers: Iterable[Layer], stored: Iterable[Stored]) -> Json:
    """One pass of the imitation of Landsat; its cloud cover is counted in its quality bits."""
    layers = list(layers)
    qa = next(layer.values for layer in layers if layer.key == "qa_pixel")
    seen = qa[qa != FILL]
    properties = {
        "datetime": f"{scene.day}T09:58:{scene.platform:02d}.477296Z",
        "created": f"{scene.day}T20:18:13.395668Z",
        "platform": f"landsat-{scene.platform}",
        "instruments": ["oli", "tirs"],
        "gsd": 30,
        "attribution": "Invented by Groundswell's demo world; contains no Landsat data",
        "eo:cloud_cover": round(100 * float(np.count_nonzero(seen & 8)) / max(1, seen.size), 2),
        "landsat:wrs_path": "192",
        "landsat:wrs_row": "029",
        "landsat:correction": "L2SP",
        "landsat:collection_number": "02",
        "landsat:collection_category": "T1",
        **_grid(layers[0]),
    }
    return _item(
        "landsat", scene.id, layers[0], properties, {one.key: _landsat_asset(one.key) for one in stored}, ("eo/v1.0.0",)
    )


def _landsat_asset(key: str) -> Json:
    if key not in _OLI:
        numbers: dict[str, Any] = {"unit": "bit index", "data_type": "uint16", "spatial_resolution": 30}
        return {**_asset(key, key), "raster:bands": [numbers | ({"nodata": 1} if key == "qa_pixel" else {})]}
    name, wavelength = _OLI[key]
    numbers = {"scale": SCALE, "offset": OFFSET, "nodata": 0, "data_type": "uint16", "spatial_resolution": 30}
    optical = {"name": name, "common_name": key, "center_wavelength": wavelength}
    return {**_asset(key, key), "roles": ["data", "reflectance"], "eo:bands": [optical], "raster:bands": [numbers]}


def _asset(key: str, title: str) -> Json:
    return {"href": f"./{key}.tif", "type": COG, "title": title, "roles": ["data"]}


def _grid(layer: Layer) -> Json:
    return {"proj:epsg": layer.epsg, "proj:shape": list(layer.values.shape), "proj:transform": layer.transform}


def _item(source: str, name: str, layer: Layer, properties: Json, assets: Json, extensions: tuple[str, ...]) -> Json:
    rows, columns = layer.values.shape
    (west, north), (width, height) = layer.corner, layer.pixel
    east, south = west + columns * width, north - rows * height
    to_degrees = Transformer.from_crs(layer.epsg, 4326, always_xy=True)
    corners = ((west, north), (west, south), (east, south), (east, north), (west, north))
    ring = [[round(float(degree), 6) for degree in to_degrees.transform(x, y)] for x, y in corners]
    lon, lat = zip(*ring, strict=True)
    up = [{"rel": rel, "href": "../collection.json", "type": "application/json"} for rel in ("parent", "collection")]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"{SCHEMAS}{extension}/schema.json" for extension in (*extensions, "projection/v1.1.0", "raster/v1.1.0")
        ],
        "id": name,
        "collection": COLLECTIONS[source],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(lon), min(lat), max(lon), max(lat)],
        "properties": {**properties, **_RIGHTS},
        "links": [{"rel": "root", "href": "../../catalog.json", "type": "application/json"}, *up],
        "assets": assets,
    }
