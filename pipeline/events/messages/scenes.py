"""Scenes that are told of: whole STAC items, and the messages of public topics, which name a product and little more.

What a topic tells has no STAC collection; it gets the name of a constant below, and a rule may ask for it by any name
that catalogues give the same products (`collections_of`). Shapes of the messages: Sentinel-2 at
https://roda.sentinel-hub.com/sentinel-s2-l1c/readme.html (NewSentinel2Product), Landsat at
https://www.usgs.gov/landsat-missions/landsat-commercial-cloud-data-access (public-c2-notify), Copernicus at
https://documentation.dataspace.copernicus.eu/APIs/Subscriptions.html.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.events.event import SceneEvent
from pipeline.events.messages.footprints import mgrs_area, wrs2_area
from pipeline.events.refusals import MessageError
from pipeline.types import Json

SENTINEL2_L1C = "sentinel-2-l1c"
SENTINEL2_L2A = "sentinel-2-l2a"
SENTINEL1_GRD = "sentinel-1-grd"
LANDSAT_L1 = "landsat-c2-l1"
LANDSAT_L2 = "landsat-c2-l2"
NAMES: Mapping[str, frozenset[str]] = {
    SENTINEL2_L1C: frozenset({"sentinel-2-l1c", "sentinel-2-c1-l1c"}),
    SENTINEL2_L2A: frozenset({"sentinel-2-l2a", "sentinel-2-c1-l2a", "sentinel-2-pre-c1-l2a"}),
    SENTINEL1_GRD: frozenset({"sentinel-1-grd"}),
    LANDSAT_L1: frozenset({"landsat-c2-l1", "landsat-c2l1"}),
    LANDSAT_L2: frozenset({"landsat-c2-l2", "landsat-c2l2-sr", "landsat-c2l2-st"}),
}
"""What Earth Search, the Planetary Computer, USGS and the Copernicus Data Space call the products of public topics."""

_SENTINEL2 = re.compile(r"S2[A-Z]_MSIL(1C|2A)_(\d{8}T\d{6})_N\d{4}_R\d{3}_T(\d\d[A-Z]{3})_(\d{8}T\d{6})")
_SENTINEL1 = re.compile(r"S1[A-Z]_[A-Z0-9]{2}_GRD[A-Z]_\w{4}_(\d{8}T\d{6})_\w+")
_LANDSAT = re.compile(r"L[A-Z]0\d_L([12])[A-Z]{2}_(\d{3})(\d{3})_(\d{8})_(\d{8})_02_[A-Z0-9]{2}")
_LONGEST = 256
_REACH_DEG = 360.0
"""Of longitudes: catalogues write scenes across 180 as 179 to 181, and worse."""
_SHOWN = 120


def collections_of(event: SceneEvent) -> frozenset[str]:
    """Names by which a rule may ask for a scene: a STAC item's own collection, of a public topic all it goes by."""
    own = frozenset({event.collection})
    return own if event.item is not None else own | NAMES.get(event.collection, frozenset())


def stac_event(item: Mapping[str, Any]) -> SceneEvent:
    """The scene of a STAC item of any version.

    Its collection is `collection`, else the product that Open Data Cube gives it. Raises MessageError for what search
    would leave out too: no id, no time, no collection, nothing to place it by.
    """
    name = _text(item.get("id"), "id of a STAC item")
    properties = item.get("properties")
    if not isinstance(properties, dict):
        raise MessageError(f"STAC item {name!r}: found no properties; expected an object")
    collection = item.get("collection") or properties.get("odc:product")
    if not isinstance(collection, str):
        raise MessageError(f"STAC item {name!r}: found no collection; a rule is for scenes of one")
    time = _instant(properties.get("datetime") or properties.get("start_datetime"))
    if time is None:
        raise MessageError(f"STAC item {name!r}: found no time; expected datetime or start_datetime by RFC 3339")
    geometry = _footprint(item.get("geometry")) or _box(item.get("bbox"))
    if geometry is None:
        raise MessageError(f"STAC item {name!r}: found neither a geometry nor a bbox of degrees to place it by")
    updated = properties.get("updated") or properties.get("odc:processing_datetime") or properties.get("created")
    return SceneEvent(
        collection=_text(collection, f"collection of STAC item {name!r}"),
        id=name,
        time=time,
        geometry=geometry,
        updated=_edition(updated),
        item=dict(item),
    )


def sentinel2_event(message: Mapping[str, Any]) -> SceneEvent | None:
    """The product of a message of NewSentinel2Product; None where it is none of level 1C or 2A."""
    name = _text(message.get("name"), "name of a Sentinel-2 product")
    found = _SENTINEL2.match(name)
    level = found[1] if found else "1C" if "MSIL1C" in name else "2A" if "MSIL2A" in name else ""
    if not level:
        return None
    return SceneEvent(
        collection=SENTINEL2_L1C if level == "1C" else SENTINEL2_L2A,
        id=name,
        time=_instant(message.get("timestamp")) or _compact(found[2] if found else "", name),
        geometry=_joined([mgrs_area(square) for square in _squares(message.get("tiles"), name)]),
        updated=found[4] if found else _edition(message.get("s3Ingestion")),
    )


def _squares(tiles: Json, name: str) -> Iterator[str]:
    """Each once; products of 2015 and 2016 had several tiles, later ones name theirs themselves."""
    found = _SENTINEL2.match(name)
    squares = {found[3]} if found else set()
    for tile in tiles if isinstance(tiles, list) else ():
        if isinstance(tile, dict):
            squares.add(f"{tile.get('utmZone')}{tile.get('latitudeBand')}{tile.get('gridSquare')}".zfill(5))
    if not squares:
        raise MessageError(f"Sentinel-2 product {name!r}: found no tiles; expected utmZone, latitudeBand, gridSquare")
    yield from sorted(squares)


def landsat_event(message: Mapping[str, Any]) -> SceneEvent | None:
    """The product of a message of public-c2-notify; None where it is no scene of collection 2, level 1 or 2.

    The product's name holds the day and no time of it: `time` is noon of that day, at most half a day off.
    """
    name = _text(message.get("landsat_product_id"), "landsat_product_id")
    found = _LANDSAT.fullmatch(name)
    if found is None:
        return None
    return SceneEvent(
        collection=LANDSAT_L1 if found[1] == "1" else LANDSAT_L2,
        id=name,
        time=_compact(f"{found[4]}T120000", name),
        geometry=wrs2_area(int(found[2]), int(found[3])),
        updated=found[5],
    )


def copernicus_event(message: Mapping[str, Any]) -> SceneEvent | None:
    """The product of a push of the Copernicus Data Space; None where it is none that this project reads."""
    name = _text(message.get("ProductName"), "ProductName").removesuffix(".SAFE")
    sentinel2, sentinel1 = _SENTINEL2.fullmatch(name), _SENTINEL1.fullmatch(name)
    kind = _text(message.get("SubscriptionEvent"), "SubscriptionEvent")
    if (sentinel2 is None and sentinel1 is None) or kind not in {"created", "modified", "deleted"}:
        return None
    value = message.get("value")
    value = value if isinstance(value, dict) else {}
    taken = value.get("ContentDate")
    geometry = _footprint(value.get("GeoFootprint"))
    if geometry is None and sentinel2 is not None:
        geometry = mgrs_area(sentinel2[3])
    if geometry is None:
        raise MessageError(f"product {name!r}: found no GeoFootprint; expected GeoJSON in degrees")
    named = sentinel2[2] if sentinel2 else sentinel1[1] if sentinel1 else ""
    changed = value.get("ModificationDate") or message.get("NotificationDate")
    return SceneEvent(
        collection=SENTINEL1_GRD if sentinel2 is None else SENTINEL2_L1C if sentinel2[1] == "1C" else SENTINEL2_L2A,
        id=name,
        time=_instant(taken.get("Start") if isinstance(taken, dict) else None) or _compact(named, name),
        geometry=geometry,
        updated=_edition(changed),
        removed=kind == "deleted",
    )


def _text(value: Json, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        raise MessageError(f"{what}: found {repr(value)[:_SHOWN]}; expected a text of up to {_LONGEST} characters")
    return value


def _edition(value: Json) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST else ""


def _instant(value: Json) -> datetime | None:
    """In UTC, as which a time without a zone counts; of a date alone its noon, as search takes it."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is not None and len(str(value)) <= len("2020-01-01"):
            time = time.replace(hour=12)
        return time and (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _compact(text: str, name: str) -> datetime:
    """Of 20190115T145721, as names of products have it."""
    time = _instant(text)
    if time is None:
        raise MessageError(f"product {name!r}: found no time in the message or in the name")
    return time


def _footprint(geometry: Json) -> Json:
    """Polygons in degrees as GeoJSON; None for all else, such as null, points, or numbers that are no degrees."""
    if not isinstance(geometry, dict) or not isinstance(geometry.get("coordinates"), list):
        return None
    kind, coordinates = geometry.get("type"), geometry["coordinates"]
    polygons = {"Polygon": [coordinates], "MultiPolygon": coordinates}.get(str(kind), [])
    fits = bool(polygons) and all(
        isinstance(rings, list) and bool(rings) and all(_is_ring(ring) for ring in rings) for rings in polygons
    )
    return {"type": kind, "coordinates": coordinates} if fits else None


def _is_ring(ring: Json) -> bool:
    """Whether it is one: nobody makes a polygon of positions of which only some have a height."""
    flat = isinstance(ring, list) and len(ring) >= 4 and all(_is_position(one) for one in ring)
    return flat and len({len(one) for one in ring}) == 1


def _is_position(one: Json) -> bool:
    return (
        isinstance(one, list)
        and len(one) in {2, 3}
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in one)
        and all(math.isfinite(number) for number in one)
        and abs(one[0]) <= _REACH_DEG
        and abs(one[1]) <= 90
    )


def _box(bbox: Json) -> Json:
    """A bounding box of four or six numbers as a polygon; in two parts where it crosses 180; None for anything else."""
    if not isinstance(bbox, list) or len(bbox) not in {4, 6}:
        return None
    west, south, east, north = bbox[0], bbox[1], bbox[len(bbox) // 2], bbox[len(bbox) // 2 + 1]
    if not (_is_position([west, south]) and _is_position([east, north]) and south <= north):
        return None
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    rings = [[[[w, south], [e, south], [e, north], [w, north], [w, south]]] for w, e in spans]
    return {"type": "MultiPolygon", "coordinates": rings}


def _joined(areas: list[Json]) -> Json:
    """Several areas as one."""
    if len(areas) == 1:
        return areas[0]
    parts = [[one["coordinates"]] if one["type"] == "Polygon" else one["coordinates"] for one in areas]
    return {"type": "MultiPolygon", "coordinates": [polygon for some in parts for polygon in some]}
