"""Frozen values that cross stages: what `search` found, what `plan` decided, what a product made, what became of it.

Plain data only: no I/O, no Dask, no heavy import. Times are UTC; order is (y, x); bare numbers carry their unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
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

    def identity(self) -> Json:
        return {
            "id": self.id,
            "crs": str(self.geobox.crs),
            "transform": list(self.geobox.transform[:6]),
            "shape": list(self.geobox.shape),
        }


@dataclass(frozen=True)
class Period:
    """A named span of time, start included, end excluded; both None for a timeless product (id `static`)."""

    id: str
    start: datetime | None
    end: datetime | None

    def __contains__(self, time: datetime) -> bool:
        return (self.start is None or self.start <= time) and (self.end is None or time < self.end)


@dataclass(frozen=True)
class MemoryPlan:
    """How one job fits a worker: rows read at once, and what it is projected to hold at its peak."""

    strip_rows: int
    peak_bytes: int
    reads: int = 16
    """Windows on their way at once, at most."""
    carry_bytes: int = 0
    """Of decoded blocks that may be kept from one strip to the next."""


@dataclass(frozen=True)
class Job:
    """One product, tile and period with its inputs: one task up to and including its commit."""

    product: str
    """Unique name in the run (default: the kind)."""
    kind: str
    """Which file under `pipeline/products` makes it."""
    tile: Tile
    period: Period
    region: str
    """Where its source lies, so where it runs; `default` when the source names none."""
    items: tuple[Item, ...]
    """Sorted by (solar day, id): earlier ones win where scenes of one day overlap."""
    fingerprint: str
    """Hexadecimal digest of everything the pixels depend on."""
    memory: MemoryPlan
    read_bytes: int
    """Estimate of what will be read, from declared grids."""

    @property
    def id(self) -> str:
        return f"{self.product}/{self.tile.id}/{self.period.id}"


@dataclass(frozen=True)
class Skip:
    """A planned job that needs no work, and why."""

    job_id: str
    fingerprint: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Everything a run will do, and what it will not do again."""

    jobs: tuple[Job, ...]
    skipped: tuple[Skip, ...]
    notes: tuple[str, ...] = ()
    """Named warnings for the reader: refused items, tiles without any input."""


@dataclass(frozen=True)
class Band:
    """One output band: what readers need to know of its numbers."""

    name: str
    dtype: str
    nodata: float | None
    scale: float = 1.0
    offset: float = 0.0
    """Physical value = stored * scale + offset."""
    unit: str = "1"
    description: str = ""
    common_name: str | None = None
    """STAC `eo:common_name` where there is one."""
    center_wavelength_um: float | None = None
    overview: str = "average"
    """Resampling of overviews: `average` for measurements, `nearest` for codes and counts, `mode` for classes."""
    role: str = "data"
    flags: tuple[tuple[int, str], ...] = ()
    """Of a band of bits: (mask, its meaning in one word)."""


@dataclass(frozen=True)
class DataObject:
    """One object of a folder: its key below the folder, size and digest."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class DataFile:
    """One finished, validated local file, or folder of objects, waiting to be committed."""

    key: str
    """Asset key in the item."""
    path: Path
    media_type: str
    roles: tuple[str, ...]
    title: str
    sha256: str
    size_bytes: int
    fields: Mapping[str, Json] = field(default_factory=dict)
    """Further STAC asset fields: `bands`, `proj:*`, `raster:*`."""
    objects: tuple[DataObject, ...] = ()
    """Of a folder: everything in it; `sha256` is that of the manifest that lists them, `size_bytes` their sum."""


@dataclass(frozen=True)
class AssetLoss:
    """A ledger row: an input that could not be read."""

    item: str
    asset: str
    href: str
    error: str
    """Class of the error."""
    cause: str
    attempts: int


@dataclass(frozen=True)
class Rights:
    """Licence and attribution of what an output was made from."""

    license: str
    """SPDX identifier, or `other` with `license_href`."""
    attribution: str
    license_href: str | None = None
    providers: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True)
class Made:
    """What a product hands to the commit: files, and what the item says beyond them."""

    files: tuple[DataFile, ...]
    properties: Mapping[str, Json]
    rights: Rights
    losses: tuple[AssetLoss, ...] = ()
    warnings: tuple[str, ...] = ()
    read_bytes: int = 0


class Status(StrEnum):
    """What became of a job."""

    DONE = "done"
    RETRY = "retry"
    """Failed for a cause that may pass; the job goes to the back of the queue."""
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Outcome:
    """What became of one job; the small record that travels back to the client and into the journal."""

    job_id: str
    region: str
    fingerprint: str
    status: Status
    item_key: str | None = None
    seconds: float = 0.0
    read_bytes: int = 0
    written_bytes: int = 0
    attempts: int = 1
    losses: tuple[AssetLoss, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None
    """Class of the error, for grouping."""
    cause: str | None = None
    """One line naming tile, item, href or key."""
