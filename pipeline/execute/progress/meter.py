"""What a run has cost so far and what its jobs took; ends the run before it costs more than its budget.

Dollars are told, not billed: hours of the workers that are there times the price of the estimate, and of each job the
requests and the bytes between regions that the estimate counted for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from pipeline.execute.listen import Silent
from pipeline.execute.records.lease import repeated
from pipeline.plan.rates import Features, work_s
from pipeline.types import Actual, Begun, ClusterEvent, Estimate, Outcome, Place, Row, Status, Taken, Used

_TICK_S = 1.0
_HELD_BACK = 0.1
"""Of the budget, at most, for what is in flight when the run is told to end."""
_TOGETHER_S = 1.0
"""Tasks that a worker begins so soon after its first one are first ones too."""


@dataclass
class _Cluster:
    """One cluster's time."""

    opened_s: float
    workers: int = 0
    since_s: float = 0.0
    worker_s: float = 0.0
    """Until `since_s`."""
    ended_s: float | None = None

    def told(self, event: ClusterEvent, now_s: float) -> None:
        self.worker_s = self.workers_at(now_s)
        if event.state == "up" and not self.worker_s:
            # Machines are paid from when they are asked for, as the estimate has it; of those that never came, none is.
            self.worker_s = event.workers * (now_s - self.opened_s)
        self.since_s = now_s
        over = event.state in {"closed", "failed", "lost"}
        self.workers = 0 if over else event.workers if event.state in {"up", "workers"} else self.workers
        self.ended_s = now_s if over else None

    def workers_at(self, now_s: float) -> float:
        """Seconds of all workers together."""
        return self.worker_s + self.workers * (now_s - self.since_s)

    def open_at(self, now_s: float) -> float:
        """Seconds since it was asked for."""
        return (now_s if self.ended_s is None else self.ended_s) - self.opened_s


@dataclass
class _Jobs:
    """The jobs of one product in one region; those of workers' first tasks apart: libraries are imported there."""

    kind: str
    jobs: int = 0
    seconds: float = 0.0
    rest: list[float] = field(default_factory=lambda: [0, 0.0, 0.0])
    """Of what was made: jobs, seconds, work."""
    first: list[float] = field(default_factory=lambda: [0, 0.0, 0.0])
    read_bytes: int = 0
    written_bytes: int = 0


class Meter(Silent):
    """A listener, and a context manager: while it is open, the budget is looked at every second."""

    def __init__(
        self,
        estimate: Estimate,
        features: Callable[[str], Features | None],
        *,
        halt: Callable[[str], None],
        budget_usd: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """features: by job id. halt: called once, with the reason, before the budget is spent. clock: in seconds."""
        self._features, self._halt, self._budget_usd, self._clock = features, halt, budget_usd, clock
        self._rows: dict[tuple[str, str], Row] = {(row.product, row.region): row for row in estimate.rows}
        self._places: dict[str, Place] = {place.region: place for place in estimate.places}
        self._lock = threading.RLock()
        self._clusters: dict[tuple[str, int], list[_Cluster]] = {}
        self._jobs: dict[tuple[str, str], _Jobs] = {}
        self._workers: dict[tuple[str, str | None], set[float]] = {}
        """By worker, when its first tasks began."""
        self._begun_s: dict[str, float] = {}
        """By region, when its first task began."""
        self._attempts: dict[tuple[str, str], int] = {}
        self._halted = False
        self._start_s = self._last_s = clock()
        self._beat: AbstractContextManager[None] = repeated(self._look, _TICK_S)

    def __enter__(self) -> Self:
        self._start_s = self._last_s = self._clock()
        self._beat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beat.__exit__(None, None, None)

    def cluster(self, event: ClusterEvent) -> None:
        with self._lock:
            now_s, each = self._clock(), self._clusters.setdefault((event.region, event.shard), [])
            if not each or (event.state == "opening" and each[-1].ended_s is not None):
                each.append(_Cluster(now_s, since_s=now_s))
            each[-1].told(event, now_s)

    def began(self, begun: Begun) -> None:
        with self._lock:
            self._begun_s.setdefault(begun.region, self._clock())

    def ended(self, outcome: Outcome) -> None:
        if not outcome.seconds:
            return
        with self._lock:
            self._last_s = self._clock()
            self._begun_s.setdefault(outcome.region, self._last_s - outcome.seconds)
            self._enter(outcome)
        self._look()

    def _enter(self, outcome: Outcome) -> None:
        key = outcome.job_id.partition("/")[0], outcome.region
        features = self._features(outcome.job_id)
        kind = features.kind if features else ""
        each = self._jobs.setdefault(key, _Jobs(kind))
        self._attempts[key] = self._attempts.get(key, 0) + 1
        each.seconds += outcome.seconds
        early = self._is_first(outcome)
        if outcome.status is Status.DONE:
            each.jobs += 1
            each.read_bytes += outcome.read_bytes
            each.written_bytes += outcome.written_bytes
            if features is not None:
                sums = each.first if early else each.rest
                for place, more in enumerate((1, outcome.seconds, self._work_s(key, features))):
                    sums[place] += more

    def _is_first(self, outcome: Outcome) -> bool:
        """Whether it was one of its worker's first tasks; where nobody says when it began, the first that ended."""
        begins = self._workers.setdefault((outcome.region, outcome.worker), set())
        early = not begins or (outcome.begun_s > 0 and outcome.begun_s - min(begins) < _TOGETHER_S)
        if early:
            begins.add(outcome.begun_s)
        return early

    def _work_s(self, key: tuple[str, str], features: Features) -> float:
        """As the estimate told it: of whole blocks."""
        row = self._rows.get(key)
        share = row.read_bytes / row.declared_bytes if row is not None and row.declared_bytes else 1.0
        return work_s(Features(features.kind, features.px, features.scenes, round(features.read_bytes * share)))

    def usd(self) -> float | None:
        """All dollars so far; None where nothing has a price."""
        with self._lock:
            known = any(place.usd_per_worker_hour is not None for place in self._places.values())
            return sum(self.usd_by_region().values()) if known else None

    def usd_by_region(self) -> dict[str, float]:
        """Dollars so far of what has a price."""
        with self._lock:
            return {
                region: (self._clusters_usd(region) or 0.0) + sum(self._moved_usd(region)) for region in self._places
            }

    def _clusters_usd(self, region: str) -> float | None:
        place = self._places[region]
        if place.usd_per_worker_hour is None:
            return None
        worker_s, open_s = self._times(region)
        return (worker_s * place.usd_per_worker_hour.mid + open_s * place.usd_per_cluster_hour) / 3600

    def _times(self, region: str) -> tuple[float, float]:
        """Seconds of all workers, and of all schedulers, together."""
        now_s = self._clock()
        clusters = [one for key, each in self._clusters.items() if key[0] == region for one in each]
        return sum(one.workers_at(now_s) for one in clusters), sum(one.open_at(now_s) for one in clusters)

    def _moved_usd(self, region: str) -> tuple[float, float]:
        """Of requests, and of bytes between regions; each attempt is paid for."""
        requests = egress = 0.0
        for key, attempts in self._attempts.items():
            row = self._rows.get(key)
            if row is not None and key[1] == region:
                requests += row.usd_requests / row.jobs * attempts
                egress += row.usd_egress / row.jobs * attempts
        return requests, egress

    def _look(self) -> None:
        """Have the run ended when what it has cost, and what is in flight, come to its budget."""
        if self._budget_usd is None or self._halted:
            return
        with self._lock:
            spent = sum(self.usd_by_region().values())
            if spent + min(self._drain_usd(), _HELD_BACK * self._budget_usd) < self._budget_usd:
                return
            self._halted = True
        self._halt(f"{spent:.2f} USD are spent of run.budget_usd: {self._budget_usd:g}")

    def _drain_usd(self) -> float:
        """What tasks in flight may cost until they end: a whole one for each worker, as workers wait for the last."""
        per_s = 0.0
        for (region, _), each in self._clusters.items():
            place = self._places.get(region)
            if place is not None and place.usd_per_worker_hour is not None and each:
                per_s += each[-1].workers * place.usd_per_worker_hour.mid / 3600
        jobs, tasks = (sum(getattr(row, name) for row in self._rows.values()) for name in ("jobs", "tasks"))
        attempts, seconds = sum(self._attempts.values()), sum(one.seconds for one in self._jobs.values())
        if not attempts:
            attempts, seconds = jobs, sum(row.job_s.mid for row in self._rows.values())
        return per_s * seconds / attempts * jobs / tasks if tasks else 0.0

    def actual(self) -> Actual:
        """What the run took and cost until now."""
        with self._lock:
            moved = [self._moved_usd(region) for region in self._places]
            return Actual(
                hours=(self._last_s - self._start_s) / 3600,
                rows=tuple(self._taken(key, each) for key, each in sorted(self._jobs.items())),
                regions=tuple(self._used(region) for region in sorted({key[0] for key in self._clusters})),
                usd_requests=sum(requests for requests, _ in moved),
                usd_egress=sum(egress for _, egress in moved),
            )

    def _taken(self, key: tuple[str, str], each: _Jobs) -> Taken:
        jobs, made_s, worked_s = each.rest
        if not jobs:
            jobs, made_s, worked_s = each.first
            place = self._places.get(key[1])
            longer = (place.first_s if place else 0.0) * jobs
            made_s = max(made_s - longer, made_s / 3)
        moved = each.read_bytes, each.written_bytes
        return Taken(key[0], each.kind, key[1], each.jobs, each.seconds, int(jobs), made_s, worked_s, *moved)

    def _used(self, region: str) -> Used:
        clusters = [one for key, each in self._clusters.items() if key[0] == region for one in each]
        worker_s, open_s = self._times(region)
        opened_s = min(one.opened_s for one in clusters)
        place = self._places.get(region)
        closed_s = max(self._clock() if one.ended_s is None else one.ended_s for one in clusters)
        return Used(
            region,
            backend=place.backend if place else "",
            machine=place.machine if place else None,
            threads=place.threads if place else 1,
            hours=open_s / 3600,
            worker_hours=worker_s / 3600,
            open_s=max(0.0, self._begun_s.get(region, opened_s) - opened_s),
            first_s=self._first_s(region),
            close_s=max(0.0, closed_s - self._last_s),
            usd=self._clusters_usd(region) if place else None,
        )

    def _first_s(self, region: str) -> float | None:
        """What a worker's first task took longer than its work, by the pace of the others; None without others."""
        longer = counted = 0.0
        for (_, of_region), each in self._jobs.items():
            if of_region == region and each.rest[2] and each.first[0]:
                longer += each.first[1] - each.rest[1] / each.rest[2] * each.first[2]
                counted += each.first[0]
        tasks = sum(len(begins) for (of_region, _), begins in self._workers.items() if of_region == region)
        return max(0.0, longer / min(counted, tasks)) if counted else None
