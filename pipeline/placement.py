"""Where a config's jobs run: a cluster spec per region, opened side by side. Pipeline and cluster meet here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from distributed import Client

from cluster.backend import ClusterError, open_cluster
from cluster.sizing import local_share, task_bytes
from cluster.spec import ClusterSpec
from pipeline.config import RunConfig
from pipeline.errors import PreflightError


def cluster_specs(config: RunConfig) -> dict[str, ClusterSpec]:
    """One complete spec for each region in use; local clusters without sizes share this machine evenly."""
    regions = sorted({config.region_of(entry) for entry in config.products})
    cores, memory = local_share(len(regions))
    specs = {}
    for region in regions:
        asked = config.cluster_of(region)
        workers = asked.workers[1] if asked.workers else 1
        specs[region] = ClusterSpec(
            name=f"{config.name}-{region}",
            backend=asked.backend,
            region=region,
            workers=workers,
            threads=asked.threads or max(1, cores // workers),
            worker_memory_bytes=asked.worker_memory or memory // workers,
        )
    return specs


def task_budgets(specs: Mapping[str, ClusterSpec]) -> dict[str, int]:
    """Region → memory in bytes that one task may plan to use."""
    return {region: task_bytes(spec.worker_memory_bytes, spec.threads) for region, spec in specs.items()}


@contextmanager
def open_clusters(
    specs: Mapping[str, ClusterSpec], say: Callable[[str], None]
) -> Iterator[dict[str, tuple[Client, int]]]:
    """Region → (client, jobs in flight at most); a region whose cluster fails is named and left out.

    Raises PreflightError when none comes up.
    """
    clusters: dict[str, tuple[Client, int]] = {}
    with ExitStack() as stack:
        failures = []
        for region, spec in specs.items():
            try:
                client = stack.enter_context(open_cluster(spec))
            except ClusterError as error:
                failures.append(str(error))
                continue
            # One job runs on each thread, one waits behind it: more would only make an interrupt slower.
            clusters[region] = client, 2 * spec.slots
            say(f"{region}: {spec.backend} cluster, threads: {spec.slots}, dashboard: {client.dashboard_link}")
        if not clusters:
            raise PreflightError("no cluster came up: " + "; ".join(failures))
        for failure in failures:
            say(f"warning: {failure}")
        yield clusters
