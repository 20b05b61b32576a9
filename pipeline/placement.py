"""Where a config's jobs run: a cluster spec per region, opened side by side. Pipeline and cluster meet here."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from typing import Any

import dask
from distributed import Client
from distributed.utils import silence_logging_cmgr

from cluster.backend import ClusterError, open_cluster
from cluster.settings import DASK, ENVIRON
from cluster.sizing import Asked, Shape, check_workers, fitted, local_share, shapes
from cluster.spec import SPECS, ClusterSpec, TlsFiles
from cluster.versions import differences_here, versions_here
from pipeline.config import DEFAULT_REGION, AnyCluster, RunConfig
from pipeline.errors import GroundswellError, PlanRefusedError, PreflightError
from pipeline.plan.crossing import crossings, refuse_crossings
from pipeline.plan.groups import Group
from pipeline.types import Plan
from pipeline.write.store import Store

_GIB = 2**30

Opening = Future[tuple[Client, int]]
"""A cluster that comes up, or does not: its client, and how many tasks may be in flight on it."""


def worker_shapes(config: RunConfig) -> dict[str, tuple[Shape, ...]]:
    """For each region in use, the workers that may be asked for, best first; local clusters share this machine."""
    asked = {region: config.cluster_of(region) for region in regions_of(config)}
    share = local_share(max(1, sum(one.backend == "local" for one in asked.values())))
    return {
        region: shapes(
            Asked(
                backend=one.backend,
                workers=one.workers[1] if one.workers else 1,
                threads=one.threads,
                memory_bytes=one.worker_memory,
                cores=getattr(one, "worker_cores", None),
                share=share if one.backend == "local" else None,
            )
        )
        for region, one in asked.items()
    }


def regions_of(config: RunConfig) -> list[str]:
    """The regions that jobs of a config may run in."""
    return sorted({config.region_of(entry) for entry in config.products})


def cluster_specs(config: RunConfig, task_bytes: Mapping[str, int] | None = None) -> dict[str, ClusterSpec]:
    """One complete spec for each region in use. task_bytes: of the shape that the plan took; nothing: of the first."""
    return {
        region: _spec(
            config,
            region,
            each[0] if task_bytes is None else next(one for one in each if one.task_bytes == task_bytes[region]),
        )
        for region, each in worker_shapes(config).items()
    }


def specs_for(
    run_id: str, config: RunConfig, specs: Mapping[str, ClusterSpec], groups: Sequence[Group]
) -> dict[str, ClusterSpec]:
    """The clusters that these groups need: in their regions only, and nowhere more than they can use."""
    tasks = Counter(group.jobs[0].region for group in groups)
    found = {}
    for region in sorted(tasks):
        asked = config.cluster_of(region)
        # A local worker may have what the machine has; of a cluster that is there, no more is expected than is needed.
        trim = asked.worker_memory is None and asked.backend != "local"
        peak = max(group.peak_bytes for group in groups if group.jobs[0].region == region)
        found[region] = replace(fitted(specs[region], tasks[region], peak, trim_memory=trim), run=run_id)
    return found


def _spec(config: RunConfig, region: str, shape: Shape) -> ClusterSpec:
    asked = config.cluster_of(region)
    least, most = asked.workers or (1, 1)
    kind = SPECS[asked.backend]
    return kind(
        name=f"{config.name}-{region}",
        backend=asked.backend,
        region=region,
        workers=most,
        minimum=least,
        threads=shape.threads,
        worker_memory_bytes=shape.memory_bytes,
        located=_located(config, region, asked),
        **_further(kind, asked),
    )


def _located(config: RunConfig, region: str, asked: AnyCluster) -> str | None:
    """The region where a cluster stands: what its section says, else the region that the section is for.

    Coiled's machines stand where they are asked for.
    """
    own = asked.backend == "coiled" or (region in config.clusters and asked.backend != "local")
    return asked.region or (region if own and region != DEFAULT_REGION else None)


def _further(kind: type[ClusterSpec], asked: AnyCluster) -> dict[str, Any]:
    """The fields of a spec that are keys of its section, sizes in bytes."""
    general = {field.name for field in fields(ClusterSpec)} - {"start_timeout_s", "idle_timeout_s"}
    given = {}
    for field in fields(kind):
        for key in (field.name, field.name.removesuffix("_bytes")):
            if field.name not in general and key in type(asked).model_fields:
                value = getattr(asked, key)
                given[field.name] = TlsFiles(**value.model_dump()) if key == "tls" and value is not None else value
    return given


def versions_check(specs: Mapping[str, ClusterSpec]) -> Callable[[], list[str]] | None:
    """What each task asks its worker: whether it differs from this machine; None where all work is done here."""
    elsewhere = any(spec.backend != "local" for spec in specs.values())
    return partial(differences_here, dict(versions_here())) if elsewhere else None


def with_crossings(plan: Plan, specs: Mapping[str, ClusterSpec], config: RunConfig, store: Store) -> Plan:
    """The plan with a note of each read between regions, as `run.cross_region` wants it. Raises PlanRefusedError."""
    if config.run.cross_region == "allow":
        return plan
    stands = {region: spec.located for region, spec in specs.items()}
    found = crossings(plan.jobs, stands, config.storage.region)
    # Files on a disk of one's own cross nothing that anybody charges for.
    found = tuple(one for one in found if not one.own or "://" in store.uri)
    used = {job.region for job in plan.jobs} - {DEFAULT_REGION}
    unknown = [
        f"nobody knows where the cluster for {region} stands, so nothing is told of its reads between regions: give "
        f"its section under clusters a `region`, or a section clusters.{region}"
        for region, spec in specs.items()
        if spec.located is None and spec.backend != "local" and region in used
    ]
    if config.run.cross_region == "refuse":
        refuse_crossings(found)
        if unknown:
            raise PlanRefusedError(f"run.cross_region: refuse: {'; '.join(unknown)}")
    return replace(plan, notes=(*map(str, found), *unknown, *plan.notes))


@contextmanager
def open_clusters(
    specs: Mapping[str, ClusterSpec],
    say: Callable[[str], None],
    stop: threading.Event,
    check: Callable[[str, Client], None] | None = None,
) -> Iterator[dict[str, Opening]]:
    """Every region's cluster, each opened, held and closed by a thread of its own; one that fails is named.

    check: what a region's cluster must pass before it is used; raises GroundswellError. Setting `stop` ends the waiting
    for those that are not up yet, and the end sets it. Raises PreflightError at the end when none came up.
    """
    openings: dict[str, Opening] = {region: Future() for region in specs}
    leave, ended = threading.Event(), {region: threading.Event() for region in specs}

    def hold(region: str, spec: ClusterSpec) -> None:
        opening = openings[region]
        try:
            with open_cluster(spec, stop) as client:
                workers = client.scheduler_info(n_workers=-1)["workers"]
                check_workers(spec, workers)
                if check is not None:
                    check(region, client)
                # One job runs on each thread, one waits behind it: more would only make an interrupt slower. A cluster
                # that was there before has as many threads as it has.
                slots = max(spec.slots, sum(worker["nthreads"] for worker in workers.values()))
                opening.set_result((client, 2 * slots))
                say(f"{region}: {_described(spec)}, dashboard: {client.dashboard_link}")
                leave.wait()
        except (ClusterError, GroundswellError, OSError) as error:
            named = _named(error, spec)
            say(f"warning: {named}")
            if not opening.done():
                opening.set_exception(named)
        except BaseException as error:
            if not opening.done():
                opening.set_exception(error)
            raise
        finally:
            ended[region].set()

    threads = {item[0]: threading.Thread(target=hold, args=item, name=f"cluster {item[0]}") for item in specs.items()}
    # The regions' clusters set and restore the same settings, at any time: these hold them while any is open. What a
    # user must know of a cluster comes as a warning or as the outcome of a job.
    with (
        dask.config.set({**DASK, "distributed.nanny.pre-spawn-environ": dict(ENVIRON)}),
        silence_logging_cmgr(logging.CRITICAL),
        silence_logging_cmgr(logging.CRITICAL, root="bokeh"),
    ):
        try:
            for thread in threads.values():
                thread.start()
            yield openings
        finally:
            asked = stop.is_set()
            stop.set()
            begun = [region for region, thread in threads.items() if thread.ident is not None]
            _end(leave, [ended[region] for region in begun], say)
    failures = [error for opening in openings.values() if (error := opening.exception()) is not None]
    if failures and len(failures) == len(openings) and not asked:
        raise PreflightError("no cluster came up: " + "; ".join(map(str, failures)))


def _end(leave: threading.Event, ended: Sequence[threading.Event], say: Callable[[str], None]) -> None:
    """Have clusters closed, however often somebody interrupts: an interpreter on its way out could not do it.

    Events, since an interrupted `Thread.join` takes its thread for ended (before Python 3.13).
    """
    interrupt: KeyboardInterrupt | None = None
    told = over = False
    while not over:
        try:
            leave.set()
            if interrupt is not None and not told:
                told = True
                say("clusters are being ended first: what stays of them would cost")
            over = all(event.wait() for event in ended)
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


def _named(error: Exception, spec: ClusterSpec) -> Exception:
    """The error; one of the network, in whose words there is no region, as one of the cluster."""
    if not isinstance(error, OSError):
        return error
    return ClusterError(f"region {spec.region}: {spec.backend} cluster {spec.name}: {type(error).__name__}: {error}")


def _described(spec: ClusterSpec) -> str:
    workers = f"{spec.least} to {spec.workers} workers" if spec.adaptive else f"workers: {spec.workers}"
    return f"{spec.backend} cluster, {workers} of {spec.worker_memory_bytes / _GIB:.1f} GiB, threads: {spec.slots}"
