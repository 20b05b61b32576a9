"""The whole account of a run: what was planned, what became of it, when, where, at what price; a value to draw from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.types.causes import Cause
from pipeline.types.events import ClusterEvent
from pipeline.types.inputs import Json

Column = NDArray[Any]
STATES = ("done", "skipped", "open", "claimed", "cancelled", "blocked", "failed")
"""What became of a job, the worst last; `open`: nothing final is known. A column holds the place of its word here."""
DONE, SKIPPED, OPEN, CLAIMED, CANCELLED, BLOCKED, FAILED = range(7)
VERDICTS = ("", "pass", "warn", "fail")
"""Of a tile against the limits of the config; nothing where none was made."""
NONE = 65_535
"""In a column of `uint16`: no such worker, no such cause."""


@dataclass(frozen=True)
class Jobs:
    """One row a planned job, in the order of the plan; columns of equal length, whose codes point into the names."""

    product: Column
    """uint16 into `products`."""
    tile: Column
    """uint32 into `tiles`."""
    period: Column
    """uint16 into `periods`."""
    region: Column
    """uint16 into `regions`."""
    worker: Column
    """uint16 into `workers`; NONE where no worker had it."""
    state: Column
    """uint8 into STATES."""
    cause: Column
    """uint16 into `Account.causes`; NONE where it did not fail."""
    verdict: Column
    """uint8 into VERDICTS."""
    flags: Column
    """uint32: a bit for each of the first 32 of `Account.flags`."""
    begun_s: Column
    """float64, seconds since 1970; 0 where it never began."""
    seconds: Column
    """float32, of its last attempt."""
    read_bytes: Column
    """int64."""
    written_bytes: Column
    """int64."""
    planned_bytes: Column
    """int64: what the plan thought would be read; 0 where it does not say."""
    attempts: Column
    """uint16; 0 where it never began."""
    store_retries: Column
    """uint32."""
    losses: Column
    """uint16: inputs that could not be read."""
    products: tuple[str, ...]
    tiles: tuple[str, ...]
    periods: tuple[str, ...]
    regions: tuple[str, ...]
    workers: tuple[str, ...]
    bounds: NDArray[np.float64]
    """(tile, 4): west, south, east, north in degrees; NaN where the plan does not say."""
    fingerprints: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.state)

    def id(self, row: int) -> str:
        """`product/tile/period` of a row."""
        product, tile, period = self.product[row], self.tile[row], self.period[row]
        return f"{self.products[product]}/{self.tiles[tile]}/{self.periods[period]}"

    def count(self, state: int) -> int:
        """Jobs of a state."""
        return int(np.count_nonzero(self.state == state))


@dataclass(frozen=True)
class Flag:
    """A limit of the config that tiles do not keep."""

    flag: str
    level: str
    """`warn` or `fail`."""
    count: int
    example: str
    """What was found and expected, of the first."""
    jobs: tuple[str, ...]
    """The first few."""


@dataclass(frozen=True)
class Lost:
    """Inputs of one asset that could not be read for one cause."""

    asset: str
    error: str
    text: str
    count: int
    example: str
    """item: href: cause of the first."""


@dataclass(frozen=True)
class ClusterAt:
    """What became of a cluster, and when."""

    time_s: float
    event: ClusterEvent


@dataclass(frozen=True)
class ProgressAt:
    """How far the run had come."""

    time_s: float
    done: int
    usd: float | None
    read_bytes: int
    written_bytes: int


@dataclass(frozen=True)
class Picture:
    """The thumbnail of a committed tile."""

    job_id: str
    data: bytes
    media_type: str
    text: str
    """What else its item says in one line."""


@dataclass(frozen=True)
class Account:
    """A run, from its records alone."""

    run: str
    name: str
    uri: str
    """Of the output."""
    home: str
    """Where its report lies, with a `/` at its end."""
    state: str
    """`finished`, `interrupted`, `live` or `dead`."""
    begun_s: float
    """Seconds since 1970; 0 where nothing was written down."""
    ended_s: float
    """Of the last record."""
    code: int | None
    """Exit code, where one was written down."""
    reason: str
    """Why it ended before its end; empty where it did not."""
    command: tuple[str, ...]
    """How it was started; empty where that was not written down."""
    environment: Json
    """Versions and machine of the driver; None where not written down."""
    config: Json
    """Without secrets; None where it cannot be read."""
    estimate: Json
    """The document that was stored before the run; None where there is none."""
    actual: Json
    """The same of what it came to."""
    jobs: Jobs
    skipped: tuple[tuple[str, int], ...]
    """Reasons for which jobs needed no work, and how many."""
    causes: tuple[Cause, ...]
    """Of jobs that failed or were blocked."""
    repeated: tuple[Cause, ...]
    """Of attempts that were followed by another one."""
    flags: tuple[Flag, ...]
    lost: tuple[Lost, ...]
    warnings: tuple[Cause, ...]
    messages: dict[int, str]
    """By row: the whole message of jobs that failed or were blocked."""
    clusters: tuple[ClusterAt, ...]
    progress: tuple[ProgressAt, ...]
    notices_failed: int
    """Receivers' notices that were not delivered."""
    faults: tuple[str, ...]
    """Lines and segments of the journal that are damaged or missing."""
    pictures: tuple[Picture, ...] = ()
    pages: tuple[str, ...] = ()
    """Names of Dask's own reports of the run's clusters, beside the other records."""

    @property
    def seconds(self) -> float:
        """From its first record to its last."""
        return max(0.0, self.ended_s - self.begun_s)

    @property
    def usd(self) -> float | None:
        """US dollars that it came to; of a run that died, as far as it had counted them."""
        if self.actual is not None:
            found: float | None = self.actual.get("usd")
            return found
        return self.progress[-1].usd if self.progress else None
