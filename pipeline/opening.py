"""Clusters opened side by side, each held and closed by a thread of its own, and replaced when it was lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import dask
from distributed import Client
from distributed.utils import silence_logging_cmgr

from cluster import performance
from cluster.backend import ClusterError, open_cluster
from cluster.settings import DASK, ENVIRON
from cluster.sizing import check_workers
from cluster.spec import ClusterSpec
from pipeline.errors import GroundswellError, PreflightError
from pipeline.types import ClusterEvent

_GIB = 2**30

Opening = Future[tuple[Client, int]]
"""A cluster that comes up, or does not: its client, and how many tasks may be in flight on it."""
Check = Callable[[str, Client], None]
"""What a region's cluster must pass before it is used; raises GroundswellError."""


@dataclass(frozen=True)
class Watch:
    """Who is told of clusters, and how often one that was lost is replaced."""

    tell: Callable[[ClusterEvent], None] = lambda _: None
    restarts: int = 0
    """New clusters for a region."""
    keep: Callable[[str, int, bytes], None] | None = None
    """Given region, shard and the page of what a cluster did, before it is closed; nothing: none is made."""


@dataclass(eq=False)
class _Held:
    """One cluster, from its opening to its end."""

    spec: ClusterSpec
    shard: int
    after: _Held | None = None
    """The one that it takes the place of; that is ended first."""
    opening: Opening = field(default_factory=Future)
    leave: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def event(self, state: str, note: str | None = None, **found: Any) -> ClusterEvent:
        spec = self.spec
        machines: Sequence[str] = getattr(spec, "vm_types", ())
        return ClusterEvent(
            spec.region,
            self.shard,
            state,
            backend=spec.backend,
            threads=spec.threads,
            worker_memory_bytes=spec.worker_memory_bytes,
            spot=bool(getattr(spec, "spot", False)),
            located=spec.located,
            machine=machines[0] if machines else None,
            note=note,
            **found,
        )


class Clusters:
    """The clusters of a run, by region; of each region one or several that share its jobs."""

    def __init__(
        self,
        specs: Mapping[str, ClusterSpec],
        say: Callable[[str], None],
        stop: threading.Event,
        check: Check | None,
        watch: Watch,
    ) -> None:
        self._specs, self._say, self._stop, self._check, self._watch = specs, say, stop, check, watch
        self._left = dict.fromkeys(specs, watch.restarts)
        self._held = {
            (region, shard): _Held(_of_shard(spec, shard), shard)
            for region, spec in specs.items()
            for shard in range(spec.shards)
        }
        self._first = list(self._held.values())
        self._threads: list[tuple[_Held, threading.Thread]] = []
        self._lock = threading.Lock()
        self._hurry = threading.Event()

    @property
    def openings(self) -> Mapping[str, Sequence[Opening]]:
        """By region, its clusters as they are opened first."""
        regions = dict.fromkeys(one.spec.region for one in self._first)
        return {region: [one.opening for one in self._first if one.spec.region == region] for region in regions}

    def again(self, region: str, shard: int) -> Opening | None:
        """A new cluster in place of one that was lost; None where none is opened any more."""
        with self._lock:
            if self._stop.is_set() or not self._left[region]:
                return None
            self._left[region] -= 1
            old = self._held[region, shard]
            spec = _of_shard(self._specs[region], shard)
            spec = replace(spec, name=f"{spec.name}-again{self._watch.restarts - self._left[region]}")
            new = self._held[region, shard] = _Held(spec, shard, after=old)
            self._say(f"warning: region {region}: cluster {old.spec.name} was lost; another is opened in its place")
            self._begin(new)
            return new.opening

    def start(self) -> None:
        """Open all, each in its own thread."""
        with self._lock:
            for one in self._first:
                self._begin(one)

    def end(self) -> None:
        """Have clusters closed, however often somebody interrupts: an interpreter on its way out could not do it.

        Events, since an interrupted `Thread.join` takes its thread for ended (before Python 3.13).
        """
        interrupt: KeyboardInterrupt | None = None
        told = over = False
        while not over:
            try:
                begun = [one for one, thread in self._threads if thread.ident is not None]
                for one in begun:
                    one.leave.set()
                if interrupt is not None and not told:
                    told = True
                    self._hurry.set()
                    self._say("clusters are being ended first: what stays of them would cost")
                over = all(one.ended.wait() for one in begun)
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def failures(self) -> list[BaseException]:
        """Why none came up; empty where one did."""
        found = [error for one in self._first if (error := one.opening.exception()) is not None]
        return found if len(found) == len(self._first) else []

    def _begin(self, one: _Held) -> None:
        thread = threading.Thread(target=self._hold, args=(one,), name=f"cluster {one.spec.region} {one.shard}")
        self._threads.append((one, thread))
        thread.start()

    def _hold(self, one: _Held) -> None:
        """The life of one cluster, in a thread of its own."""
        try:
            if one.after is not None:
                one.after.leave.set()
                one.after.ended.wait()
            self._watch.tell(one.event("opening"))
            self._open(one)
        except (ClusterError, GroundswellError, OSError) as error:
            named = _named(error, one.spec)
            if not one.opening.done():
                self._watch.tell(one.event("failed", str(named)))
                one.opening.set_exception(named)
            self._say(f"warning: {named}")
        except BaseException as error:
            if not one.opening.done():
                one.opening.set_exception(error)
            raise
        finally:
            if one.opening.done() and one.opening.exception() is None:
                self._watch.tell(one.event("closed"))
            one.ended.set()

    def _open(self, one: _Held) -> None:
        spec = one.spec
        with open_cluster(spec, self._stop) as client:
            workers = client.scheduler_info(n_workers=-1)["workers"]
            check_workers(spec, workers)
            if self._check is not None:
                self._check(spec.region, client)
            watched = performance.watch(client) if self._watch.keep is not None else None
            # One job runs on each thread, one waits behind it: more would only make an interrupt slower. A cluster
            # that was there before has as many threads as it has.
            slots = max(spec.slots, sum(worker["nthreads"] for worker in workers.values()))
            self._watch.tell(one.event("up", workers=len(workers), dashboard=client.dashboard_link))
            one.opening.set_result((client, 2 * slots))
            self._say(f"{spec.region}: {_described(spec)}, dashboard: {client.dashboard_link}")
            one.leave.wait()
            if watched is not None and self._watch.keep is not None and not self._hurry.is_set():
                page = watched.page()
                if page is not None:
                    self._watch.keep(spec.region, one.shard, page)


@contextmanager
def open_clusters(
    specs: Mapping[str, ClusterSpec],
    say: Callable[[str], None],
    stop: threading.Event,
    check: Check | None = None,
    watch: Watch = Watch(),
) -> Iterator[Clusters]:
    """Every region's clusters, opened, held and closed; one that fails is named.

    Setting `stop` ends the waiting for those that are not up yet, and the end sets it. Raises PreflightError at the end
    when none came up.
    """
    clusters = Clusters(specs, say, stop, check, watch)
    # The regions' clusters set and restore the same settings, at any time: these hold them while any is open. What a
    # user must know of a cluster comes as a warning or as the outcome of a job.
    with (
        dask.config.set({**DASK, "distributed.nanny.pre-spawn-environ": dict(ENVIRON)}),
        silence_logging_cmgr(logging.CRITICAL),
        silence_logging_cmgr(logging.CRITICAL, root="bokeh"),
    ):
        try:
            clusters.start()
            yield clusters
        finally:
            asked = stop.is_set()
            stop.set()
            clusters.end()
    failures = clusters.failures()
    if failures and not asked:
        raise PreflightError("no cluster came up: " + "; ".join(map(str, failures)))


def _of_shard(spec: ClusterSpec, shard: int) -> ClusterSpec:
    """The spec of one of a region's clusters: each has its own name, where there are several."""
    return replace(spec, name=f"{spec.name}-{shard}") if spec.shards > 1 else spec


def _named(error: Exception, spec: ClusterSpec) -> Exception:
    """The error; one of the network, in whose words there is no region, as one of the cluster."""
    if not isinstance(error, OSError):
        return error
    return ClusterError(f"region {spec.region}: {spec.backend} cluster {spec.name}: {type(error).__name__}: {error}")


def _described(spec: ClusterSpec) -> str:
    workers = f"{spec.least} to {spec.workers} workers" if spec.adaptive else f"workers: {spec.workers}"
    return f"{spec.backend} cluster, {workers} of {spec.worker_memory_bytes / _GIB:.1f} GiB, threads: {spec.slots}"
