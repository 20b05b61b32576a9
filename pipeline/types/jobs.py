"""What `plan` decided: jobs, what they are made from, what lies beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.types.inputs import Item, Period, Tile


@dataclass(frozen=True)
class Upstream:
    """A job that another one is made from: of the same tile, whatever its product and period."""

    product: str
    kind: str
    tile_id: str
    period: Period
    fingerprint: str
    days: int = 1
    """Solar days that it holds layers of, where it is a series."""
    afloat: bool = False
    """Of a bucket of floats: replaced in place when its inputs change, so only the fingerprint names its state."""

    @property
    def job_id(self) -> str:
        return f"{self.product}/{self.tile_id}/{self.period.id}"


@dataclass(frozen=True)
class Neighbour:
    """A job of the same product and period whose tile shares an edge, pixel by pixel."""

    side: str
    """On which side of this tile's rows and columns it lies: `top`, `right`, `bottom` or `left`."""
    tile_id: str
    fingerprint: str


@dataclass(frozen=True)
class MemoryPlan:
    """How one job fits a worker: rows read at once, and what it is projected to hold at its peak."""

    strip_rows: int
    peak_bytes: int
    reads: int = 16
    """Windows on their way at once, at most."""
    carry_bytes: int = 0
    """Of decoded blocks that may be kept from one strip to the next."""


@dataclass(frozen=True, repr=False)
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
    upstream: tuple[Upstream, ...] = ()
    """Jobs that it is made from; when it runs, their committed items are its items."""
    crossing_bytes: int = 0
    """Estimate of what of that has to come from another region."""
    origins: tuple[tuple[str, int], ...] = ()
    """Of what is made from other jobs: the regions that those run in, and what of `read_bytes` they make; sorted."""
    neighbours: tuple[Neighbour, ...] = ()
    """Of the same plan; with those of them that are committed its edges are compared."""

    def __repr__(self) -> str:
        made_of = f"{len(self.items)} items" if self.items else f"{len(self.upstream)} jobs"
        return f"<Job {self.id}: of {made_of}, region {self.region}, fingerprint {self.fingerprint[:8]}>"

    @property
    def id(self) -> str:
        return f"{self.product}/{self.tile.id}/{self.period.id}"


@dataclass(frozen=True)
class Skip:
    """A planned job that needs no work, and why."""

    job_id: str
    fingerprint: str
    reason: str


@dataclass(frozen=True, repr=False)
class Plan:
    """Everything a run will do, and what it will not do again.

    Both may lie on disk, and each of them is then made anew at every access: go through them once, keep numbers or ids.
    """

    jobs: Sequence[Job]
    skipped: Sequence[Skip]
    notes: tuple[str, ...] = ()
    """Named warnings for the reader: refused items, tiles without any input."""

    def __repr__(self) -> str:
        return f"<Plan: {len(self.jobs)} jobs to run, {len(self.skipped)} committed, {len(self.notes)} notes>"
