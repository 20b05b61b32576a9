"""The static STAC catalogue of the demo world, in the words of two archives.

One speaks STAC 1.0 with `proj:epsg` and flags like Earth Search's `sentinel-2-l2a`, the other STAC 1.1 with
`proj:code`, `bands` and checksums. Links and hrefs are relative; times are made up from the day, never from a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.demo import archives
from pipeline.demo.archives import COG, SCHEMAS, Stored
from pipeline.demo.scenes import PIXEL_M, Offset, Scene, outline
from pipeline.types import Json

BROKEN_BECAUSE = "Cut short on purpose: a reader must survive it and name it."
_GEOJSON, _JSON = "application/geo+json", "application/json"
_BAND_FACTS: Mapping[str, tuple[str, float, float]] = {
    "blue": ("B02", 0.49, 0.098),
    "green": ("B03", 0.56, 0.045),
    "red": ("B04", 0.665, 0.038),
    "nir": ("B08", 0.842, 0.145),
}
"""ESA's name, centre and full width at half maximum (µm), as Earth Search states them."""
_EXTENSIONS = {
    "1.0.0": ("eo/v1.1.0", "grid/v1.0.0", "mgrs/v1.0.0", "projection/v1.1.0", "raster/v1.1.0"),
    "1.1.0": ("eo/v2.0.0", "file/v2.1.0", "grid/v1.1.0", "mgrs/v1.0.0", "projection/v2.0.0", "raster/v2.0.0"),
}
_TITLES = {
    "s2": "Sentinel-2 Level-2A lookalike, mixed baselines, STAC 1.0",
    "s2_c1": "Sentinel-2 Level-2A lookalike, one baseline, STAC 1.1",
    **archives.TITLES,
}
COLLECTIONS = {"s2": "sentinel-2-l2a", "s2_c1": "sentinel-2-c1-l2a", **archives.COLLECTIONS}
"""Collection id of each source."""


def root() -> Json:
    """The catalogue above the collections."""
    children = [{"rel": "child", "href": f"./{source}/collection.json", "type": _JSON} for source in COLLECTIONS]
    return {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": "groundswell-demo",
        "title": "Demo world",
        "description": "An invented landscape on the edge of UTM zones 32 and 33. Nothing here was measured.",
        "links": [{"rel": "root", "href": "./catalog.json", "type": _JSON}, *children],
    }


def collection(source: str, items: Iterable[Json]) -> Json:
    """One source's collection with links to its items."""
    members = list(items)
    west, south, east, north = zip(*(item["bbox"] for item in members), strict=True)
    times = sorted(item["properties"]["datetime"] for item in members)
    up = [{"rel": rel, "href": "../catalog.json", "type": _JSON} for rel in ("root", "parent")]
    return {
        "type": "Collection",
        "stac_version": _version(source),
        "stac_extensions": [],
        "id": COLLECTIONS[source],
        "title": _TITLES[source],
        "description": "Invented by a program; laid out like the real archive. Contains no data of it.",
        "license": "CC0-1.0",
        "providers": [{"name": "Groundswell demo world", "roles": ["producer", "host"]}],
        "extent": {
            "spatial": {"bbox": [[min(west), min(south), max(east), max(north)]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": up
        + [{"rel": "item", "href": f"./{item['id']}/{item['id']}.json", "type": _GEOJSON} for item in members],
    }


def item(scene: Scene, scl: NDArray[np.uint8], files: Iterable[Stored]) -> Json:
    """One scene's item; its cloud cover and nodata share are counted in its classification."""
    old = scene.source == "s2"
    ring = _lonlat(scene)
    lon, lat = zip(*ring, strict=True)
    day, tile = scene.seen_by.day, scene.place.tile
    up = [{"rel": rel, "href": "../collection.json", "type": _JSON} for rel in ("parent", "collection")]
    return {
        "type": "Feature",
        "stac_version": _version(scene.source),
        "stac_extensions": [f"{SCHEMAS}{name}/schema.json" for name in _EXTENSIONS[_version(scene.source)]],
        "id": scene.id,
        "collection": COLLECTIONS[scene.source],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(lon), min(lat), max(lon), max(lat)],
        "properties": {
            "datetime": _sensed(scene),
            "created": f"{day}T18:30:00Z",
            "updated": f"{day}T18:30:00Z",
            "platform": f"sentinel-{scene.seen_by.satellite[1:].lower()}",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "license": "CC0-1.0",
            "attribution": "Invented by Groundswell's demo world; contains no Copernicus data",
            **_grid(scene, old=old),
            "mgrs:utm_zone": int(tile[:2]),
            "mgrs:latitude_band": tile[2],
            "mgrs:grid_square": tile[3:],
            "grid:code": f"MGRS-{tile}",
            **_quality(scl),
            **_processing(scene, old=old),
        },
        "links": [{"rel": "root", "href": "../../catalog.json", "type": _JSON}, *up],
        "assets": {stored.key: _asset(scene, stored, old=old) for stored in files},
    }


def _version(source: str) -> str:
    return "1.1.0" if source == "s2_c1" else "1.0.0"


def _sensed(scene: Scene) -> str:
    """Scenes of one pass are seconds apart; each orbit passes at its own time."""
    minute = "10:16" if scene.seen_by.orbit == 22 else "10:06"
    return f"{scene.seen_by.day}T{minute}:{'59' if scene.place.epsg == 32632 else '52'}.024000Z"


def _grid(scene: Scene, *, old: bool) -> Json:
    return {"proj:epsg": scene.place.epsg} if old else {"proj:code": f"EPSG:{scene.place.epsg}"}


def _quality(scl: NDArray[np.uint8]) -> Json:
    count = np.bincount(scl.ravel(), minlength=12)
    valid = max(1, int(count[1:].sum()))

    def percent(*codes: int) -> float:
        return round(100 * sum(int(count[code]) for code in codes) / valid, 6)

    return {
        "eo:cloud_cover": percent(8, 9, 10),
        "s2:nodata_pixel_percentage": round(100 * int(count[0]) / scl.size, 6),
        "s2:cloud_shadow_percentage": percent(3),
        "s2:vegetation_percentage": percent(4),
        "s2:not_vegetated_percentage": percent(5),
        "s2:water_percentage": percent(6),
        "s2:unclassified_percentage": percent(7),
        "s2:medium_proba_clouds_percentage": percent(8),
        "s2:high_proba_clouds_percentage": percent(9),
        "s2:thin_cirrus_percentage": percent(10),
    }


def _processing(scene: Scene, *, old: bool) -> Json:
    """The baseline in words and in the product's name; the first archive also says what became of the offset."""
    seen_by, baseline = scene.seen_by, scene.offset.baseline
    start = f"{seen_by.day:%Y%m%d}T{'100559' if seen_by.orbit == 22 else '095549'}"
    number = baseline.replace(".", "")
    facts: Json = {
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": baseline,
        "s2:product_uri": f"{seen_by.satellite}_MSIL2A_{start}_N{number}_R{seen_by.orbit:03d}_T{scene.place.tile}_"
        f"{seen_by.day:%Y%m%d}T150000.SAFE",
    }
    return {**facts, "earthsearch:boa_offset_applied": scene.offset is Offset.REMOVED} if old else facts


def _asset(scene: Scene, stored: Stored, *, old: bool) -> Json:
    key = stored.key
    pixel = 20 if key == "scl" else PIXEL_M
    side = scene.px * PIXEL_M // pixel
    west, north = scene.corner
    band = _BAND_FACTS.get(key)
    numbers: dict[str, Any] = {"nodata": 0, "data_type": "uint8" if band is None else "uint16"}
    scaling = {} if band is None else {"scale": 0.0001, "offset": 0 if scene.offset is Offset.NONE else -0.1}
    asset: Json = {
        "href": f"./{key}.tif",
        "type": COG,
        "title": "Scene classification map (SCL)" if band is None else f"{key} (band {int(band[0][1:])})",
        "roles": ["data", "reflectance"] if band is not None else ["data"],
        "gsd": pixel,
        "proj:shape": [side, side],
        "proj:transform": [pixel, 0, west, 0, -pixel, north],
    }
    if key == scene.broken:
        asset["description"] = BROKEN_BECAUSE
    if old:
        asset["raster:bands"] = [{**numbers, "spatial_resolution": pixel, **scaling}]
        if band is not None:
            optical = {"center_wavelength": band[1], "full_width_half_max": band[2]}
            asset["eo:bands"] = [{"name": key, "common_name": key, **optical}]
        return asset
    asset |= numbers | {f"raster:{name}": value for name, value in scaling.items()}
    asset |= {"raster:spatial_resolution": pixel}
    asset |= {"file:size": stored.size_bytes, "file:checksum": f"1220{stored.sha256}"}
    if band is not None:
        optical = {"eo:center_wavelength": band[1], "eo:full_width_half_max": band[2]}
        asset["bands"] = [{"name": band[0], "eo:common_name": key, **optical}]
    return asset


def _lonlat(scene: Scene) -> list[list[float]]:
    """The valid footprint as a closed counter-clockwise ring in degrees, to six decimals (0.1 m)."""
    to_degrees = Transformer.from_crs(scene.place.epsg, 4326, always_xy=True)
    ring = [[round(float(degree), 6) for degree in to_degrees.transform(x, y)] for x, y in outline(scene)]
    return [*ring, ring[0]]
