"""A plan as a table, and in sums: what is to be made, where and when, and what is there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.plan.areas import BBox
from pipeline.plan.made import rows_of
from pipeline.plan.outlines import lonlat_boxes
from pipeline.types import FloatBucket, Job, Plan, Tile

TO_RUN, COMMITTED = "to run", "committed"
SCHEMA = pa.schema(
    [
        ("product", pa.string()),
        ("tile", pa.string()),
        ("period", pa.string()),
        ("start", pa.timestamp("us", "UTC")),
        ("end", pa.timestamp("us", "UTC")),
        ("region", pa.string()),
        ("state", pa.string()),
        ("scenes", pa.int64()),
        ("read_bytes", pa.int64()),
        ("peak_bytes", pa.int64()),
        ("crossing_bytes", pa.int64()),
        ("west", pa.float64()),
        ("south", pa.float64()),
        ("east", pa.float64()),
        ("north", pa.float64()),
        ("fingerprint", pa.string()),
        ("job", pa.string()),
    ]
)


def plan_table(plan: Plan) -> pa.Table:
    """A row a job, in the order of the plan, what is committed among the others.

    start, end: UTC, end excluded; None of a timeless product. state: `to run` or `committed`. scenes: items, or jobs
    that it is made from. read_bytes, crossing_bytes: estimates of what is read, and of what of it comes from other
    regions; peak_bytes: what it is projected to hold. west, south, east, north: of its tile, degrees, west > east
    across 180; None for a bucket of floats, which has no place.
    """
    boxes = tile_boxes({job.tile.id: job.tile for job, _ in jobs_of(plan)})
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    for job, state in jobs_of(plan):
        west, south, east, north = boxes.get(job.tile.id, (None,) * 4)
        row = (
            *(job.product, job.tile.id, job.period.id, job.period.start, job.period.end, job.region, state),
            *(len(job.items) or len(job.upstream), job.read_bytes, job.memory.peak_bytes, job.crossing_bytes),
            *(west, south, east, north, job.fingerprint, job.id),
        )
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return pa.table(columns, SCHEMA)


def jobs_of(plan: Plan) -> Iterator[tuple[Job, str]]:
    """Every job of a plan of `plan_jobs` with its state, in order; each made anew."""
    left, done = rows_of(plan)
    to_run = set(left.numbers)
    for number in sorted((*left.numbers, *done.numbers)):
        yield left.table.job(number), TO_RUN if number in to_run else COMMITTED


def tile_boxes(tiles: Mapping[str, Tile]) -> dict[str, BBox]:
    """West, south, east, north in degrees of the tiles that have a place, by id; those of one CRS at once."""
    systems: dict[str, list[Tile]] = {}
    for tile in tiles.values():
        if not isinstance(tile, FloatBucket):
            systems.setdefault(str(tile.geobox.crs), []).append(tile)
    found: dict[str, BBox] = {}
    for crs, each in systems.items():
        found |= zip((tile.id for tile in each), lonlat_boxes([tile.geobox for tile in each], crs), strict=True)
    return found


@dataclass
class Sum:
    """The jobs of one product in one region and period."""

    to_run: int = 0
    committed: int = 0
    scenes: int = 0
    """Of the jobs to run, as what follows."""
    read_bytes: int = 0
    peak_bytes: int = 0
    crossing_bytes: int = 0

    def add(self, job: Job, state: str) -> None:
        """Count a job."""
        if state == COMMITTED:
            self.committed += 1
            return
        self.to_run += 1
        self.scenes += len(job.items) or len(job.upstream)
        self.read_bytes += job.read_bytes
        self.crossing_bytes += job.crossing_bytes
        self.peak_bytes = max(self.peak_bytes, job.memory.peak_bytes)


@dataclass
class Sums:
    """A plan in sums."""

    rows: dict[tuple[str, str, str], Sum] = field(default_factory=dict)
    """By product, region and period, sorted by product as planned."""
    tiles: dict[str, Tile] = field(default_factory=dict)
    """By id, those that have a place."""
    states: dict[str, dict[str, Sum]] = field(default_factory=dict)
    """By tile and product."""

    @property
    def to_run(self) -> int:
        return sum(row.to_run for row in self.rows.values())

    @property
    def committed(self) -> int:
        return sum(row.committed for row in self.rows.values())


def sum_plan(plan: Plan) -> Sums:
    """A plan of `plan_jobs` in sums; goes through it once."""
    sums = Sums()
    for job, state in jobs_of(plan):
        sums.rows.setdefault((job.product, job.region, job.period.id), Sum()).add(job, state)
        if not isinstance(job.tile, FloatBucket):
            sums.tiles.setdefault(job.tile.id, job.tile)
            sums.states.setdefault(job.tile.id, {}).setdefault(job.product, Sum()).add(job, state)
    return sums
