"""What a table of jobs consists of: rows of numbers, and for each product what the numbers mean."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipeline.plan.entries import ProductPlan, Targets
from pipeline.types import Item, Job, Tile

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
FIRST_DAY = EPOCH.date().toordinal()


def micros(time: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (time - EPOCH) // timedelta(microseconds=1)


class Row(NamedTuple):
    """What a job is, in numbers."""

    product: int
    tile: int
    period: int
    fingerprint: str
    memory: tuple[int, int, int, int]
    read_bytes: int
    items: bytes
    """Numbers of its items, in order: an array of `I`."""
    ahead_us: int | None
    """By how much solar time is ahead of UTC at the tile; None: items keep their own days."""
    days: int
    """Solar days that it holds layers of, for those who are made from it."""
    region: str
    upstream: bytes = b""
    """Rows that it is made from: an array of `I`."""
    crossing_bytes: int = 0
    origins: tuple[tuple[str, int], ...] = ()


SIDES = ("bottom", "left", "right", "top")


@dataclass(frozen=True)
class Beside:
    """Which tiles lie beside which, as numbers."""

    ends: array[int]
    """By tile, where its part of `links` ends."""
    links: array[int]
    """Four times the number of a tile, and on which of the SIDES it lies; by side and id."""

    def of(self, tile: int) -> Iterator[tuple[str, int]]:
        """Side and number of each tile beside this one."""
        for link in self.links[self.ends[tile - 1] if tile else 0 : self.ends[tile]]:
            yield SIDES[link % len(SIDES)], link // len(SIDES)


@dataclass
class Block:
    """All jobs of one product: rows in a row."""

    product: ProductPlan
    target: Targets
    first: int
    tiles: dict[str, int]
    """Number of a tile by its id; products on one grid share it."""
    periods: dict[str, int]
    rows: array[int]
    """By tile and period, 1 + the row; 0: no job."""
    beside: Beside | None = None
    views: dict[tuple[int, int], Item] = field(default_factory=dict)
    """Item as this product sees it, by number and solar day."""


class Place(NamedTuple):
    """What a plan's record says of a job beside its name."""

    tile: Tile
    kind: str
    region: str
    scenes: int
    read_bytes: int

    @classmethod
    def of(cls, job: Job) -> Place:
        """That of a job."""
        return cls(job.tile, job.kind, job.region, len(job.items) or len(job.upstream), job.read_bytes)
