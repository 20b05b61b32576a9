"""What a product made, what is said of it, and what became of its job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pipeline.types.inputs import Json


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
    source: str = ""
    """Of a layer copied from another product's: the job it comes from and its fingerprint."""


@dataclass(frozen=True)
class DataObject:
    """One object of a folder: its key below the folder, size and digest."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Replaced:
    """The state of a partition that its next one was made from."""

    version: str | None
    """What the store knew it by; None where there was none."""
    generation: int
    """Of the new one: one more than what it replaces, from 1. Its Parquet footer says it too."""


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
    replaces: Replaced | None = None
    """Of a partition: it lies at a fixed key, `<key>.<suffix>`, and replaces what was there; None: its name holds
    fingerprint and content, and it replaces nothing."""


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


def joined_attributions(texts: Iterable[str]) -> str:
    """The attributions of several together, each once, sorted; what was joined before is taken apart first."""
    return _BESIDE.join(sorted({one for text in texts for one in text.split(_BESIDE)}))


_BESIDE = " | "
"""Between attributions: one may hold any other mark."""


@dataclass(frozen=True)
class Rights:
    """Licence and attribution of what an output was made from."""

    license: str
    """SPDX identifier, or `other` with `license_href`."""
    attribution: str
    license_href: str | None = None
    providers: tuple[Mapping[str, Json], ...] = ()
    further_license_hrefs: tuple[str, ...] = ()
    """Of what is under several licences: the addresses of the others."""

    @property
    def license_hrefs(self) -> tuple[str, ...]:
        """The addresses of all licences."""
        first = (self.license_href,) if self.license_href else ()
        return (*first, *self.further_license_hrefs)


@dataclass(frozen=True)
class Made:
    """What a product hands to the commit: files, and what the item says beyond them."""

    files: tuple[DataFile, ...]
    properties: Mapping[str, Json]
    rights: Rights
    losses: tuple[AssetLoss, ...] = ()
    warnings: tuple[str, ...] = ()
    read_bytes: int = 0
    geometry: Json = None
    """GeoJSON, EPSG:4326, of what does not fill its tile; None: the tile's own footprint."""


class Status(StrEnum):
    """What became of a job."""

    DONE = "done"
    RETRY = "retry"
    """Failed for a cause that may pass; the job goes to the back of the queue."""
    FAILED = "failed"
    BLOCKED = "blocked"
    """Never begun: a job that it is made from was not made."""
    CANCELLED = "cancelled"
    CLAIMED = "claimed"
    """Another run that lives is making it; looked at again later, until nothing else is left."""


@dataclass(frozen=True)
class Finding:
    """One limit of the config that a finished tile does not keep."""

    flag: str
    """One word: `few_observations`, `edge_step` ..."""
    level: str
    """`warn` or `fail`."""
    text: str
    """What was found and what was expected."""


@dataclass(frozen=True)
class Quality:
    """How a finished tile compares with the limits of the config."""

    status: str = "pass"
    """`pass`, `warn` or `fail`: the worst of what was found."""
    found: tuple[Finding, ...] = ()
    """Sorted by flag."""

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(sorted({one.flag for one in self.found}))


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
    quality: Quality | None = None
    """None where nothing was finished."""
    worker: str | None = None
    """Name of the worker that had it; None where none did."""
    begun_s: float = 0.0
    """When its attempt began, seconds since 1970 by the worker's clock; 0 where it did not."""
    store_retries: int = 0
    """Requests to the output that had to be sent again, of its whole group where it was made in one."""
