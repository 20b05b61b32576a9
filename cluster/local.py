"""A cluster of processes on this machine."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Client, LocalCluster

from cluster.backend import ClusterError
from cluster.spec import ClusterSpec

_CONFIG = {
    # Work is committed inside the tasks: a result is a small record, and a lost worker's task just runs again.
    "distributed.scheduler.worker-saturation": 1.1,
    "distributed.comm.timeouts.connect": "30s",
    "distributed.worker.profile.enabled": False,
}


class LocalBackend:
    """Worker processes beside the client, reachable from this machine only."""

    def render(self, spec: ClusterSpec) -> Mapping[str, Any]:
        return {
            "name": spec.name,
            "n_workers": spec.workers,
            "threads_per_worker": spec.threads,
            "memory_limit": spec.worker_memory_bytes,
            "processes": True,
            "host": "127.0.0.1",
            "dashboard_address": "127.0.0.1:0",
            # A worker that beats its heart while it is being closed logs an ERROR. What a user must know of a worker
            # comes as the outcome of a job.
            "silence_logs": logging.CRITICAL,
        }

    @contextmanager
    def open(self, spec: ClusterSpec) -> Iterator[Client]:
        with dask.config.set(_CONFIG):
            try:
                with _unseen_by_threads(signal.SIGINT):
                    cluster = LocalCluster(**self.render(spec))
            except (OSError, RuntimeError, TimeoutError) as error:
                raise ClusterError(
                    f"region {spec.region}: no local cluster: {type(error).__name__}: {error}"
                ) from error
            with cluster, Client(cluster, set_as_default=False) as client:
                yield client


@contextmanager
def _unseen_by_threads(number: signal.Signals) -> Iterator[None]:
    """Threads begun meanwhile, and the processes that they will ever begin, never see this signal.

    A terminal sends Ctrl-C to the workers too; they would leave, and what they were doing would be lost or, with no
    worker left, be waited for without end. Only the client decides what an interrupt means. One that comes meanwhile is
    delivered at the end.
    """
    # Python starts this helper together with the first process, and unblocks signals when it has.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
