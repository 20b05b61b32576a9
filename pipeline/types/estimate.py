"""What a run is likely to take and to cost, told before it; and what it took and cost, told after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from pipeline.types.inputs import Json


@dataclass(frozen=True)
class Range:
    """A number that is not known: the likely one, and where it lies in about nine of ten cases."""

    low: float
    mid: float
    high: float

    def __add__(self, other: Range) -> Range:
        """Both together, where what makes one large makes the other large too."""
        return Range(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.mid * factor, self.high * factor)

    @classmethod
    def exact(cls, value: float) -> Range:
        """A number that is known."""
        return cls(value, value, value)


def total(ranges: Iterable[Range]) -> Range:
    """All of them together; nothing is 0."""
    return sum(ranges, Range.exact(0.0))


@dataclass(frozen=True)
class Row:
    """The jobs of one product in one region."""

    product: str
    kind: str
    region: str
    jobs: int
    tasks: int
    """That they are made in: neighbours share one."""
    scenes: int
    """Of all jobs; what several read counts as often."""
    declared_bytes: int
    """What lies under the tiles, as their jobs' `read_bytes` tell."""
    read_bytes: int
    """What will be asked for: whole blocks of files, once for each task."""
    requests: int
    """That read."""
    puts: int
    """Requests that write or list."""
    written_bytes: int
    egress_bytes: int
    """What of that leaves the region it lies in."""
    peak_bytes: int
    """The most that one task is projected to hold."""
    job_s: Range
    """Of all jobs, by the clock of their workers' threads."""
    usd_requests: float
    usd_egress: float
    """What of it this account pays."""


@dataclass(frozen=True)
class Place:
    """One region's cluster, or its clusters."""

    region: str
    backend: str
    located: str | None
    """The cloud region where it stands."""
    machine: str | None
    """What its workers are priced as."""
    workers: int
    """At once, at most, of all its clusters."""
    threads: int
    """Of one worker."""
    shards: int
    worker_memory_bytes: int
    first_s: float
    """What the first task of each thread is told to take longer."""
    usd_per_worker_hour: Range | None
    """None where no price is known."""
    usd_per_cluster_hour: float
    """Of each scheduler."""
    price: str
    """Where the prices are from."""
    hours: Range
    """From its opening to its end."""
    worker_hours: Range
    usd: Range | None
    """Of workers and schedulers."""


@dataclass(frozen=True)
class Estimate:
    """What a plan is likely to take and to cost."""

    rows: tuple[Row, ...]
    places: tuple[Place, ...]
    hours: Range
    """From the first cluster's opening to the last task's end."""
    basis: str
    """What durations are told from."""
    notes: tuple[str, ...] = ()
    """What is not known, and so not in it."""

    @property
    def usd(self) -> Range:
        """All that has a price."""
        return total([self.usd_clusters, Range.exact(self.usd_requests + self.usd_egress)])

    @property
    def usd_clusters(self) -> Range:
        return total(place.usd for place in self.places if place.usd is not None)

    @property
    def usd_requests(self) -> float:
        return sum(row.usd_requests for row in self.rows)

    @property
    def usd_egress(self) -> float:
        return sum(row.usd_egress for row in self.rows)

    @property
    def job_s(self) -> Range:
        return total(row.job_s for row in self.rows)

    def document(self) -> Json:
        """As JSON, for `runs/<id>/estimate.json`."""
        sums = {"usd": asdict(self.usd), "hours": asdict(self.hours), "job_s": asdict(self.job_s)}
        parts = {"clusters": asdict(self.usd_clusters), "requests": self.usd_requests, "egress": self.usd_egress}
        return {"format": 1, **sums, "usd_parts": parts, "basis": self.basis, "notes": list(self.notes)} | {
            "rows": [asdict(row) for row in self.rows],
            "places": [asdict(place) for place in self.places],
        }


@dataclass(frozen=True)
class Layout:
    """How the files of one band of a source are cut into blocks."""

    block: tuple[int, int]
    """(rows, columns)."""
    block_bytes: float
    """Of one in the file, on average."""


@dataclass(frozen=True)
class Seen:
    """What an earlier run tells of the durations of one kind of jobs."""

    run: str
    kind: str
    backend: str
    machine: str | None
    jobs: int
    made_s: float
    work_s: float
    age_days: float


@dataclass(frozen=True)
class Opened:
    """What an earlier run tells of a cluster's opening, and of its workers' first tasks."""

    run: str
    backend: str
    open_s: float
    first_s: float | None
    close_s: float


@dataclass(frozen=True)
class Taken:
    """What the jobs of one product in one region took."""

    product: str
    kind: str
    region: str
    jobs: int
    """That were made: each is counted once."""
    seconds: float
    """Of all attempts, by the clock of their workers' threads."""
    timed: int
    """Of those, how many tell how fast the machines are: they were no worker's first."""
    made_s: float
    """What these took, by the same clock."""
    work_s: float
    """Work of these, as the estimate told it."""
    read_bytes: int
    written_bytes: int


@dataclass(frozen=True)
class Used:
    """What one region's clusters were used for, and cost."""

    region: str
    backend: str
    machine: str | None
    threads: int
    hours: float
    worker_hours: float
    open_s: float
    """From opening to the first task's begin."""
    first_s: float | None
    """What a worker's first task took longer than the work told; None where that is not known."""
    close_s: float
    """From the last task's end to the clusters'."""
    usd: float | None


@dataclass(frozen=True)
class Actual:
    """What a run took and cost, as far as it was seen from where it was driven."""

    hours: float
    rows: tuple[Taken, ...]
    regions: tuple[Used, ...]
    usd_requests: float
    usd_egress: float

    @property
    def usd(self) -> float:
        """All that has a price."""
        return sum(one.usd for one in self.regions if one.usd is not None) + self.usd_requests + self.usd_egress

    @property
    def job_s(self) -> float:
        return sum(row.seconds for row in self.rows)

    def document(self) -> Json:
        """As JSON, for the journal and `finished.json`: earlier runs are learned from it."""
        return {
            "format": 1,
            "usd": self.usd,
            "usd_requests": self.usd_requests,
            "usd_egress": self.usd_egress,
            "hours": self.hours,
            "job_s": self.job_s,
            "rows": [asdict(row) for row in self.rows],
            "regions": [asdict(one) for one in self.regions],
        }
