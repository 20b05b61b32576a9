"""Where a config's jobs run: a cluster spec per region. Pipeline and cluster meet here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

from cluster.sizing import Asked, Shape, fitted, local_share, shapes
from cluster.spec import SPECS, ClusterSpec, TlsFiles
from cluster.versions import differences_here, versions_here
from pipeline.config import DEFAULT_REGION, AnyCluster, RunConfig
from pipeline.errors import PlanRefusedError
from pipeline.plan.crossing import crossings, refuse_crossings
from pipeline.plan.groups import Work
from pipeline.types import Plan
from pipeline.write.store import Store


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


def lone_spec(name: str, asked: AnyCluster) -> ClusterSpec:
    """The complete spec of a cluster that serves no run and no region; a local one has this machine for itself."""
    found = shapes(
        Asked(
            backend=asked.backend,
            workers=asked.workers[1] if asked.workers else 1,
            threads=asked.threads,
            memory_bytes=asked.worker_memory,
            cores=getattr(asked, "worker_cores", None),
            share=local_share(1) if asked.backend == "local" else None,
        )
    )
    return _made(name, DEFAULT_REGION, asked, found[0], asked.region)


def specs_for(run_id: str, config: RunConfig, specs: Mapping[str, ClusterSpec], work: Work) -> dict[str, ClusterSpec]:
    """The clusters that this work needs: in its regions only, and nowhere more than it can use."""
    tasks, peaks = Counter[str](), dict[str, int]()
    for head in work.heads():
        tasks[head.region] += 1
        peaks[head.region] = max(peaks.get(head.region, 0), head.peak_bytes)
    found = {}
    for region in sorted(tasks):
        asked = config.cluster_of(region)
        # A local worker may have what the machine has; of a cluster that is there, no more is expected than is needed.
        trim = asked.worker_memory is None and asked.backend != "local"
        spec = replace(specs[region], shards=min(specs[region].shards, tasks[region]), run=run_id)
        found[region] = fitted(spec, math.ceil(tasks[region] / spec.shards), peaks[region], trim_memory=trim)
    return found


def _spec(config: RunConfig, region: str, shape: Shape) -> ClusterSpec:
    asked = config.cluster_of(region)
    return _made(f"{config.name}-{region}", region, asked, shape, _located(config, region, asked))


def _made(name: str, region: str, asked: AnyCluster, shape: Shape, located: str | None) -> ClusterSpec:
    least, most = asked.workers or (1, 1)
    kind = SPECS[asked.backend]
    return kind(
        name=name,
        backend=asked.backend,
        region=region,
        workers=most,
        minimum=least,
        threads=shape.threads,
        worker_memory_bytes=shape.memory_bytes,
        located=located,
        shards=getattr(asked, "shards", 1),
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
