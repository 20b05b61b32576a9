"""STAC items of every version and habit → one plain STAC 1.1 item of fixed types; what cannot be placed is refused.

Reads STAC 0.7 to 1.1: `eo:epsg`, `proj:epsg` and `proj:code`, projection fields on the item or on the asset,
`raster:bands` and `bands`, `eo:bands` names and common names, also by their number in the item's own list. The result
is what the run's snapshot holds; normalised once more it stays what it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely import get_coordinates
from shapely.errors import ShapelyError
from shapely.geometry import shape as to_geometry

from pipeline.errors import CatalogError
from pipeline.search.hrefs import places, unsigned
from pipeline.types import Affine6, Json

FACTS = "groundswell:facts"
"""Property that holds, as JSON text, the catalogue's own properties that products decide by."""
_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}")
_MAX_SIDE = 1_000_000
_PICTURES = {"visual", "overview", "thumbnail"}
"""Roles of assets made to be looked at: their bands have the names of measurements and other numbers."""
_APART_DEG = 0.5
"""Between a declared grid and a footprint, which are often simplified, before they contradict each other."""
_PREFIXES = (
    *("s2:", "sentinel:", "sentinel2:", "earthsearch:", "processing:", "sat:", "sar:", "landsat:", "view:"),
    *("grid:", "mgrs:"),
)
_PLAIN = ("platform", "constellation", "eo:cloud_cover", "gsd", "license", "attribution")


def canonical(raw: Mapping[str, Any], source: str) -> tuple[Json, list[str]]:
    """A plain STAC 1.1 item (hrefs must be absolute already) and notes on what was repaired.

    Raises CatalogError naming the item when it has no id, no usable time or no footprint, or is no STAC.
    """
    name = str(raw.get("id") or "") if isinstance(raw, Mapping) else ""
    if not name:
        raise CatalogError("an item without an id")
    try:
        return _canonical(name, raw, source)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        # A number where a list must be, and so on: whatever is wrong inside costs this one item.
        raise CatalogError(f"item {name}: malformed STAC: {type(error).__name__}: {error}") from error


def _canonical(name: str, raw: Mapping[str, Any], source: str) -> tuple[Json, list[str]]:
    properties = {key: value for key, value in (raw.get("properties") or {}).items() if value is not None}
    if FACTS in properties:
        properties = {**json.loads(properties[FACTS]), **properties}
    if "platform" not in properties and "eo:platform" in properties:
        properties["platform"] = properties["eo:platform"]
    facts = {key: value for key, value in properties.items() if key in _PLAIN or key.startswith(_PREFIXES)}
    facts = {key: value for key, value in _without_nan(facts).items() if value is not None}
    time = _sensed(properties.get("datetime") or properties.get("start_datetime"))
    if time is None:
        found = properties.get("datetime")
        raise CatalogError(f"item {name}: no usable time: datetime is {found!r}; expected RFC 3339")
    notes: list[str] = []
    geometry = _geometry(name, raw, notes)
    bbox = _bbox(geometry)
    assets = {}
    for key, asset in (raw.get("assets") or {}).items():
        if isinstance(asset, dict) and asset.get("href") and _PICTURES.isdisjoint(asset.get("roles") or ()):
            assets[key], problem = _asset(asset, properties, bbox)
            notes += [f"item {name}, asset {key}: {problem}"] if problem else []
    updated = instant(properties.get("updated") or raw.get("updated"))
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "collection": str(raw.get("collection") or ""),
        "geometry": geometry,
        "bbox": bbox,
        "properties": {
            "datetime": time.isoformat(),
            "updated": updated.isoformat() if updated else None,
            "groundswell:source": source,
            FACTS: json.dumps(facts, sort_keys=True),
        },
        "links": [{"rel": "self", "href": href, "type": "application/geo+json"} for href in _self_hrefs(raw)],
        "assets": assets,
    }, notes


def instant(text: object) -> datetime | None:
    """A time as UTC; a time without a zone is UTC already; None for what is no RFC 3339 time."""
    try:
        time = datetime.fromisoformat(str(text))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _sensed(text: object) -> datetime | None:
    """When a scene was taken; of a date alone its noon, which is on that day at every longitude, as midnight is not."""
    time = instant(text)
    return time.replace(hour=12) if time is not None and _DATE.fullmatch(str(text)) else time


def _asset(asset: Mapping[str, Any], properties: Mapping[str, Any], bbox: Sequence[float]) -> tuple[Json, str | None]:
    """The canonical asset, and what was wrong with its declared grid."""
    own = {field: value for field, value in asset.items() if value is not None}
    grid: Json = {}
    problem = None
    try:
        grid = _declared_grid({**properties, **own}, bbox)
    except ValueError as error:
        problem = f"declared grid ignored: {error}; the file's own header is used"
    size, checksum = own.get("file:size"), own.get("file:checksum")
    return {
        **places(own, properties),
        "type": str(own.get("type", "")),
        "bands": _bands(own, properties.get("eo:bands")),
        "file:checksum": None if checksum is None else str(checksum),
        "file:size": size if isinstance(size, int) else None,
        "proj:code": grid.get("code"),
        "proj:shape": grid.get("shape"),
        "proj:transform": grid.get("transform"),
    }, problem


def _bands(asset: Mapping[str, Any], listed: Json) -> Json:
    """One entry a band inside the file: its names, nodata, scale and offset.

    listed: the item's own `eo:bands`, which assets name by number before STAC 0.9.
    """
    optical, raster, merged = (asset.get(field) or [] for field in ("eo:bands", "raster:bands", "bands"))
    if isinstance(listed, list):
        numbers = range(len(listed))
        optical = [listed[one] if isinstance(one, int) and one in numbers else one for one in optical]
    count = max(1, len(optical), len(raster), len(merged))

    def part(parts: Sequence[Any], number: int) -> Mapping[str, Any]:
        return parts[number] if number < len(parts) and isinstance(parts[number], dict) else {}

    bands = []
    for number in range(count):
        facts = {**asset, **part(optical, number), **part(raster, number), **part(merged, number)}
        known = facts.get("names")
        names = (
            known
            if isinstance(known, list)
            else [facts.get("eo:common_name"), facts.get("common_name"), facts.get("name")]
        )
        bands.append(
            {
                "names": [str(one) for one in names if one],
                "nodata": _number(facts.get("nodata")),
                "scale": _number(facts.get("raster:scale", facts.get("scale"))),
                "offset": _number(facts.get("raster:offset", facts.get("offset"))),
            }
        )
    return bands


def _declared_grid(fields: Mapping[str, Any], bbox: Sequence[float]) -> Json:
    """code, shape and transform that projection fields declare; empty when they say too little.

    Raises ValueError when what they say is absurd, or lies elsewhere than the item's own footprint.
    """
    code, epsg = fields.get("proj:code"), fields.get("proj:epsg", fields.get("eo:epsg"))
    crs = str(code).upper() if code else f"EPSG:{epsg}" if epsg else fields.get("proj:wkt2")
    shape, transform = fields.get("proj:shape"), fields.get("proj:transform")
    if not crs or shape is None or transform is None:
        return {}
    try:
        sides = [int(side) for side in shape]
        a, b, c, d, e, f = numbers = [float(number) for number in transform[:6]]
    except (LookupError, OverflowError, TypeError, ValueError):
        raise ValueError(f"proj:shape {shape!r}, proj:transform {transform!r} are not numbers") from None
    if len(sides) != 2 or not all(0 < side <= _MAX_SIDE for side in sides):
        raise ValueError(f"proj:shape {sides}; expected two sides of 1..{_MAX_SIDE} pixels")
    if not all(map(math.isfinite, numbers)) or a * e - b * d == 0:
        raise ValueError(f"proj:transform {numbers} cannot be inverted")
    said = str(crs)
    crs = _crs_name(said)
    if crs is None:
        raise ValueError(f"PROJ knows no map projection {said[:60]!r}")
    west, south, east, north = _lonlat_bounds(crs, (sides[0], sides[1]), (a, b, c, d, e, f))
    if max(west - bbox[2], bbox[0] - east, south - bbox[3], bbox[1] - north) > _APART_DEG:
        raise ValueError(f"{crs} with proj:transform {numbers} is far from the item's footprint")
    return {"code": crs, "shape": sides, "transform": [a, b, c, d, e, f]}


@lru_cache(maxsize=256)
def _crs_name(text: str) -> str | None:
    """A horizontal CRS by its code, where PROJ knows one that is exactly it, else as it is told; None for none."""
    try:
        crs = CRS.from_user_input(text)
    except ProjError:
        return None
    if not (crs.is_projected or crs.is_geographic):
        return None
    code = None if re.fullmatch(r"\w+:\w+", text) else crs.to_epsg(min_confidence=100)
    return f"EPSG:{code}" if code else text


@lru_cache(maxsize=4096)
def _lonlat_bounds(crs: str, shape: tuple[int, int], transform: Affine6) -> tuple[float, float, float, float]:
    """West, south, east, north of a grid by a few of its points; an inside-out box where it leaves the projection."""
    a, b, c, d, e, f = transform
    cols, rows = np.meshgrid(np.linspace(0, shape[1], 5), np.linspace(0, shape[0], 5))
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = a * cols + b * rows + c, d * cols + e * rows + f
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    inside = np.isfinite(lon) & np.isfinite(lat)
    if not inside.any():
        return math.inf, math.inf, -math.inf, -math.inf
    return float(lon[inside].min()), float(lat[inside].min()), float(lon[inside].max()), float(lat[inside].max())


def _without_nan(facts: Json) -> Json:
    """JSON has no NaN and no infinity, but tables do, and so have files of those who did not look: null for each."""
    return json.loads(json.dumps(facts), parse_constant=lambda _: None)


def _geometry(name: str, raw: Mapping[str, Any], notes: list[str]) -> Json:
    geometry: Json = raw.get("geometry")
    bbox = raw.get("bbox")
    if _is_footprint(geometry):
        return {"type": geometry["type"], "coordinates": geometry["coordinates"]}
    if isinstance(bbox, list) and len(bbox) in {4, 6}:
        west, south, east, north = bbox[0], bbox[1], bbox[len(bbox) // 2], bbox[len(bbox) // 2 + 1]
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        box = {"type": "Polygon", "coordinates": [ring]}
        if _is_footprint(box):
            if geometry is not None:
                notes.append(f"item {name}: geometry ignored, it is no GeoJSON footprint; its bbox is used")
            return box
    raise CatalogError(f"item {name}: neither geometry nor bbox can be used, so it cannot be placed on a tile")


def _is_footprint(geometry: Json) -> bool:
    """Whether shapely can make degrees of it; a footprint is positions, so no collection of geometries."""
    try:
        with np.errstate(invalid="ignore"):  # coordinates that are no numbers are judged below
            shape = to_geometry(geometry)
    except (ShapelyError, AttributeError, LookupError, OverflowError, TypeError, ValueError):
        return False
    return "coordinates" in geometry and not shape.is_empty and bool((np.abs(get_coordinates(shape)) <= 360).all())


def points(coordinates: Json) -> Iterator[Sequence[float]]:
    """Every position of GeoJSON coordinates, however deeply nested."""
    if isinstance(coordinates, list | tuple) and coordinates:
        if isinstance(coordinates[0], int | float):
            yield coordinates
        else:
            for part in coordinates:
                yield from points(part)


def _bbox(geometry: Json) -> list[float]:
    lon, lat = zip(*((float(point[0]), float(point[1])) for point in points(geometry["coordinates"])), strict=True)
    return [min(lon), min(lat), max(lon), max(lat)]


def _self_hrefs(raw: Mapping[str, Any]) -> list[str]:
    links = [link for link in raw.get("links") or () if link.get("rel") == "self" and link.get("href")]
    return [unsigned(str(link["href"])) for link in links[:1]]


def _number(value: object) -> float | None:
    """A number, also from text ("nan", "-9999" occur); None for anything else."""
    try:
        return None if value is None or isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
