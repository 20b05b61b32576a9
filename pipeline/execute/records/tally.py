"""How far a run is, by region and product: counts, bytes, rate, and the time that is left."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace

from pipeline.execute.listen import Silent
from pipeline.types import ClusterEvent, Json, Outcome, Status

WINDOW_S = 300.0
"""What a rate is taken over; longer where fewer than `_LEAST` jobs ended."""
_LEAST, _MOST = 16, 512
"""Outcomes that a rate is taken from."""
_SHORTEST_S = 1e-3
"""What a job counts at least, so that jobs that take no time have a rate too."""

Key = tuple[str, str]
"""Region and product."""


@dataclass(frozen=True)
class Totals:
    """What a run has before it."""

    planned: Mapping[Key, int]
    """Jobs to be done."""
    skipped: Mapping[Key, int] = field(default_factory=dict)
    """Jobs that need no work."""


@dataclass(frozen=True)
class Row:
    """One product in one region."""

    region: str
    product: str
    total: int
    """Jobs to be done."""
    skipped: int = 0
    """Jobs that needed no work; not in `total`."""
    done: int = 0
    failed: int = 0
    blocked: int = 0
    cancelled: int = 0
    claimed: int = 0
    """That another run is making, as far as this one has looked; not ended."""
    rate_per_s: float = 0.0
    """Jobs that ended, of late."""
    eta_s: float | None = None
    """Until the last of them has ended; None where nobody can tell yet, 0 where it has."""
    read_bytes: int = 0
    written_bytes: int = 0

    @property
    def ended(self) -> int:
        """Jobs with a verdict; those that a run left when it was stopped have none."""
        return self.done + self.failed + self.blocked

    @property
    def open(self) -> int:
        return max(0, self.total - self.ended - self.cancelled)


@dataclass(frozen=True)
class View:
    """A run at one moment, as people and programs are told of it."""

    rows: tuple[Row, ...]
    usd: float | None = None
    """US dollars so far; None where nobody counts them."""
    workers: Mapping[str, int] = field(default_factory=dict)
    """By region, where there is a cluster."""

    @property
    def eta_s(self) -> float | None:
        """Until the whole run is through; regions work side by side."""
        left = [row.eta_s for row in self.rows if row.open]
        known = [each for each in left if each is not None]
        return None if len(known) < len(left) else max(known, default=0.0)

    def written(self) -> Json:
        """As it stands in a journal, see `view_of`."""
        rows = [_rounded(asdict(row)) for row in self.rows]
        usd = None if self.usd is None else round(self.usd, 4)
        return {"rows": rows, "usd": usd, "workers": dict(self.workers), "eta_s": _short(self.eta_s)}


def stood(view: View) -> View:
    """How far a run was that is not at work any more: without pace and workers, which were of then."""
    return replace(view, rows=tuple(replace(row, rate_per_s=0.0, eta_s=None) for row in view.rows), workers={})


def view_of(record: Json) -> View:
    """What `View.written` gave, also by other versions: fields that are not known are left out."""
    known = {one.name for one in fields(Row)}
    rows = tuple(Row(**{key: value for key, value in row.items() if key in known}) for row in record["rows"])
    return View(rows, record.get("usd"), record.get("workers", {}))


class _Pace:
    """The jobs of a region that ended of late, each with the seconds that it took."""

    def __init__(self) -> None:
        self._ended: deque[tuple[float, str, float]] = deque(maxlen=_MOST)
        self._since: float | None = None
        """When the work on the first of them began, or the one before it ended."""

    def add(self, now: float, product: str, seconds: float) -> None:
        if self._since is None:
            self._since = now - seconds
        if len(self._ended) == _MOST:
            self._since = self._ended[0][0]
        self._ended.append((now, product, seconds))

    def rates(self, now: float) -> tuple[Mapping[str, float], float]:
        """(jobs a second by product, seconds of work done a second: how much is really done side by side)."""
        while len(self._ended) > _LEAST and self._ended[0][0] < now - WINDOW_S:
            self._since = self._ended.popleft()[0]
        jobs: dict[str, float] = defaultdict(float)
        if self._since is None:
            return jobs, 0.0
        span, work = max(now - self._since, _SHORTEST_S), 0.0
        for _, product, seconds in self._ended:
            jobs[product] += 1 / span
            work += seconds
        return jobs, work / span


class Tally(Silent):
    """A listener that counts; `view` may be asked by any thread, and costs nothing while nobody does.

    What is left is the open jobs times what their like took, over how much work the region gets done side by side: so
    it holds for products of different lengths, for groups, and for clusters that grow.
    """

    def __init__(
        self,
        totals: Totals,
        usd: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._totals, self._clock = totals, clock
        self.usd = usd
        """US dollars so far; None where nobody counts them."""
        self._counts: dict[Key, Counter[str]] = {key: Counter() for key in sorted({*totals.planned, *totals.skipped})}
        self._paces = {region: _Pace() for region, _ in self._counts}
        self._claimed: dict[str, Key] = {}
        self._workers: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()

    def cluster(self, event: ClusterEvent) -> None:
        with self._lock:
            gone = event.state in {"lost", "closed", "failed"}
            self._workers[event.region, event.shard] = 0 if gone else event.workers

    def ended(self, outcome: Outcome) -> None:
        key = outcome.region, outcome.job_id.partition("/")[0]
        with self._lock:
            counts = self._of(key)
            counts["read"] += outcome.read_bytes
            counts["written"] += outcome.written_bytes
            counts["store_retries"] += outcome.store_retries
            counts[outcome.status] += 1
            if outcome.status is Status.CLAIMED:
                self._claimed[outcome.job_id] = key
                return
            self._claimed.pop(outcome.job_id, None)
            if outcome.attempts and outcome.status in {Status.DONE, Status.FAILED}:
                seconds = max(outcome.seconds, _SHORTEST_S)
                counts["timed"] += 1
                counts["ms"] += round(1000 * seconds)
                self._paces[outcome.region].add(self._clock(), key[1], seconds)

    def view(self) -> View:
        """How far the run is now."""
        usd = self.usd()
        with self._lock:
            now, claimed = self._clock(), Counter(self._claimed.values())
            rates = {region: pace.rates(now) for region, pace in self._paces.items()}
            rows = [self._row(key, rates[key[0]][0].get(key[1], 0.0), claimed[key]) for key in self._counts]
            workers = Counter[str]()
            for (region, _), count in self._workers.items():
                workers[region] += count
        left = {region: self._left_s(region, rows, work) for region, (_, work) in rates.items()}
        return View(tuple(_with_eta(row, left.get(row.region)) for row in rows), usd, dict(workers))

    def further(self) -> dict[Key, dict[str, int]]:
        """Of each region and product what a row does not tell: attempts that were repeated, requests sent again."""
        with self._lock:
            return {
                key: {"repeated": counts[Status.RETRY], "store_retries": counts["store_retries"]}
                for key, counts in self._counts.items()
            }

    def _of(self, key: Key) -> Counter[str]:
        if key not in self._counts:
            self._counts[key] = Counter()
            self._paces.setdefault(key[0], _Pace())
        return self._counts[key]

    def _row(self, key: Key, rate: float, claimed: int) -> Row:
        counts, (region, product) = self._counts[key], key
        return Row(
            region,
            product,
            total=self._totals.planned.get(key, 0),
            skipped=self._totals.skipped.get(key, 0),
            done=counts[Status.DONE],
            failed=counts[Status.FAILED],
            blocked=counts[Status.BLOCKED],
            cancelled=counts[Status.CANCELLED],
            claimed=claimed,
            rate_per_s=rate,
            read_bytes=counts["read"],
            written_bytes=counts["written"],
        )

    def _left_s(self, region: str, rows: list[Row], work: float) -> float | None:
        """Seconds until a region has nothing to do any more."""
        mine = [(self._counts[row.region, row.product], row.open) for row in rows if row.region == region]
        timed = sum(counts["timed"] for counts, _ in mine)
        if not timed or work <= 0:
            return None
        typical = sum(counts["ms"] for counts, _ in mine) / timed
        each = [count * (counts["ms"] / counts["timed"] if counts["timed"] else typical) for counts, count in mine]
        return sum(each) / 1000 / work


def _with_eta(row: Row, left: float | None) -> Row:
    """The row with the time it has left: its own pace says it, unless the whole region is through before."""
    if not row.open:
        eta: float | None = 0.0
    elif left is None:
        eta = None
    else:
        eta = min(left, row.open / row.rate_per_s) if row.rate_per_s else left
    return replace(row, eta_s=eta)


def _rounded(row: dict[str, Json]) -> dict[str, Json]:
    return {**row, "rate_per_s": float(f"{row['rate_per_s']:.4g}"), "eta_s": _short(row["eta_s"])}


def _short(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
