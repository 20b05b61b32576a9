"""What `search` found, and where and when: items with their assets, tiles, periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Json = Any
"""JSON-shaped data: dict, list, str, int, float, bool, None."""

Affine6 = tuple[float, float, float, float, float, float]
"""GDAL-free affine order, as in STAC `proj:transform`: x = a*col + b*row + c, y = d*col + e*row + f."""


@dataclass(frozen=True)
class Grid:
    """The pixel grid of one raster file."""

    crs: str
    """`EPSG:32633`, or WKT where no code fits."""
    transform: Affine6
    shape: tuple[int, int]
    """(rows, columns)."""


@dataclass(frozen=True)
class Asset:
    """One raster of an item, or one band inside a multi-band file; what the catalogue says of it, unsigned."""

    key: str
    """Key in the item's `assets`."""
    href: str
    """Absolute, never signed: a local path, https:// or s3://."""
    band: int = 1
    """Band number inside the file, from 1."""
    grid: Grid | None = None
    """Declared grid; the file's own header wins when they disagree. None: not declared."""
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    checksum: str | None = None
    """`file:checksum` (multihash, hexadecimal)."""
    size_bytes: int | None = None


@dataclass(frozen=True)
class Item:
    """One normalised STAC item: the same fields whatever version and extensions the catalogue used."""

    id: str
    collection: str
    source: str
    """Name of the source in the config."""
    time: datetime
    """Nominal acquisition, UTC."""
    solar_day: date
    """Local solar date: at the footprint's centre; in a job at the tile's, so that scenes of one pass share it."""
    geometry: Json
    """GeoJSON footprint, EPSG:4326."""
    assets: Mapping[str, Asset]
    """By the band name the product asked for (`red`, `scl`), not by the catalogue's key."""
    updated: str | None = None
    properties: Mapping[str, Json] = field(default_factory=dict)
    """What products decide by: processing baseline, flags, cloud cover, platform."""
    href: str | None = None
    """The item's own address, for `derived_from`."""

    @property
    def key(self) -> str:
        return f"{self.collection}/{self.id}"


class Unit(Protocol):
    """What a job is about: a tile today, a glacier region or a batch of floats tomorrow."""

    @property
    def id(self) -> str:
        """Stable and safe in a path: letters, digits, `-`, `_`."""

    def identity(self) -> Json:
        """What the fingerprint holds of it: equal identity, equal place."""


@dataclass(frozen=True)
class Tile:
    """Unit of the plan on a grid: an id and the exact pixels it stands for."""

    id: str
    geobox: GeoBox
    outline: str | None = None
    """Of a region: its polygon in the tile's CRS, as WKT to the millimetre. Only products that clip look at it."""

    def identity(self) -> Json:
        return {
            "id": self.id,
            "crs": str(self.geobox.crs),
            "transform": list(self.geobox.transform[:6]),
            "shape": list(self.geobox.shape),
        }


@dataclass(frozen=True)
class FloatBucket(Tile):
    """Unit of the plan among floats: those whose WMO numbers differ in the last digit only.

    Floats drift and their profiles are corrected in place and time, so what belongs together is told by what never
    changes. Its geobox is the globe.
    """

    def identity(self) -> Json:
        return {"id": self.id}


@dataclass(frozen=True)
class Period:
    """A named span of time, start included, end excluded; both None for a timeless product (id `static`)."""

    id: str
    start: datetime | None
    end: datetime | None

    def __contains__(self, time: datetime) -> bool:
        return (self.start is None or self.start <= time) and (self.end is None or time < self.end)
