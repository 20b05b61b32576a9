"""A canonical STAC item → the frozen `Item` that stages share, with assets by the band names a product asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from pipeline.config import SourceConfig
from pipeline.errors import CatalogError
from pipeline.search.canonical import FACTS, instant, points
from pipeline.search.hrefs import preferred
from pipeline.types import Asset, Grid, Item, Json


def to_item(item: Json, aliases: Mapping[str, Sequence[str]], source: SourceConfig | None = None) -> Item:
    """The same item as a frozen value; a band the item does not have is left out.

    aliases: logical band → asset keys or band names that mean it, best first; `name@platform` means it only in items of
    that platform. source: which address of a file it reads.
    """
    properties = item["properties"]
    time = instant(properties["datetime"])
    if time is None:
        raise CatalogError(f"item {item['id']}: no usable time in the snapshot: {properties['datetime']!r}")
    found = _bands(item, aliases)
    return Item(
        id=item["id"],
        collection=item.get("collection") or "",
        source=properties["groundswell:source"],
        time=time,
        solar_day=solar_time(time, item["geometry"]).date(),
        geometry=item["geometry"],
        assets={band: _asset(key, item["assets"][key], number, source) for band, (key, number) in found.items()},
        updated=_canonical_time(properties.get("updated")),
        properties=json.loads(properties[FACTS]),
        href=next((link["href"] for link in item.get("links") or () if link.get("rel") == "self"), None),
    )


def solar_time(time: datetime, geometry: Json) -> datetime:
    """Mean solar time at the footprint's middle: 15 degrees an hour; across the antimeridian where it crosses."""
    lons = [float(point[0]) for point in points(geometry.get("coordinates"))]
    if lons and max(lons) - min(lons) > 180:
        lons = [lon + 360 if lon < 0 else lon for lon in lons]
    middle = (min(lons) + max(lons)) / 2 if lons else 0.0
    return time + timedelta(hours=(middle - 360 if middle > 180 else middle) / 15)


def wanted_keys(item: Json, aliases: Mapping[str, Sequence[str]]) -> set[str]:
    """Keys of the assets that `to_item` would take."""
    return {key for key, _ in _bands(item, aliases).values()}


def _bands(item: Json, aliases: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, int]]:
    """Logical band → (asset key, band number inside the file), of those the item has."""
    platform = _platform(item) if any("@" in name for names in aliases.values() for name in names) else ""
    found = {
        band: next(_candidates(item["assets"], [band, *_meant(names, platform)]), None)
        for band, names in aliases.items()
    }
    return {band: place for band, place in found.items() if place is not None}


def _platform(item: Json) -> str:
    """In one spelling, whoever wrote it: LANDSAT_8 is landsat-8."""
    name = json.loads(item["properties"][FACTS]).get("platform")
    return str(name or "").lower().replace("_", "-").replace(" ", "-")


def _meant(names: Sequence[str], platform: str) -> Iterator[str]:
    """The names that hold on a platform: a number may be another band on another one."""
    for name in names:
        plain, _, only = name.partition("@")
        if only in {"", platform}:
            yield plain


def _candidates(assets: Mapping[str, Json], names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Everything that goes by one of the names: asset keys first, then band names, files with the fewest bands first.

    Previews and true-colour images name their bands as the measurements do. The order of the assets in the catalogue
    decides nothing: a snapshot does not keep it.
    """
    yield from ((name, 1) for name in names if assets.get(name))
    named = sorted(
        (len(asset["bands"]), names.index(name), key, number)
        for key, asset in assets.items()
        for number, band in enumerate((asset or {}).get("bands") or (), start=1)
        for name in band.get("names") or ()
        if name in names
    )
    yield from ((key, number) for *_, key, number in named)


def _asset(key: str, asset: Json, number: int, source: SourceConfig | None) -> Asset:
    bands = asset.get("bands") or [{}]
    facts = bands[number - 1] if number <= len(bands) else {}
    code, shape, transform = (asset.get(f"proj:{field}") for field in ("code", "shape", "transform"))
    grid = None
    if code and shape and transform:
        a, b, c, d, e, f = (float(value) for value in transform)
        grid = Grid(code, (a, b, c, d, e, f), (int(shape[0]), int(shape[1])))
    return Asset(
        key=key,
        href=preferred(asset, source),
        band=number,
        grid=grid,
        nodata=facts.get("nodata"),
        scale=facts.get("scale"),
        offset=facts.get("offset"),
        checksum=asset.get("file:checksum"),
        size_bytes=asset.get("file:size"),
    )


def _canonical_time(text: object) -> str | None:
    time = instant(text) if text is not None else None
    return time.isoformat() if time else None
