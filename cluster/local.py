"""A cluster of processes on this machine."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Client, LocalCluster, Scheduler, Status

from cluster.backend import ClusterError, Found
from cluster.settings import DASK, ENVIRON
from cluster.spec import ClusterSpec

_LOOK_S = 5.0
_ENDED = (Status.closed, Status.failed)
_PATIENT = {"distributed.deploy.lost-worker-timeout": "1 hour"}
"""Of the cluster's own look after its workers: see `_manned`."""


class LocalBackend:
    """Worker processes beside the client, reachable from this machine only."""

    def render(self, spec: ClusterSpec) -> Mapping[str, Any]:
        """The arguments of `LocalCluster`; and of its `adapt` where workers come and go."""
        adapt = {"adapt": {"minimum": spec.least, "maximum": spec.workers}} if spec.adaptive else {}
        return adapt | {
            "name": spec.name,
            "n_workers": spec.least,
            "threads_per_worker": spec.threads,
            "memory_limit": spec.worker_memory_bytes,
            "processes": True,
            "host": "127.0.0.1",
            "dashboard_address": "127.0.0.1:0",
            "scheduler_kwargs": {"dashboard": False},  # see _LaterDashboard
            # A worker that beats its heart while it is being closed logs an ERROR. What a user must know of a worker
            # comes as the outcome of a job.
            "silence_logs": logging.CRITICAL,
        }

    @contextmanager
    def open(self, spec: ClusterSpec, stop: threading.Event) -> Iterator[Client]:
        with dask.config.set({**DASK, **_PATIENT, "distributed.nanny.pre-spawn-environ": ENVIRON}):
            arguments = dict(self.render(spec))
            adapt = arguments.pop("adapt", None)
            try:
                with _unseen_by_threads(signal.SIGINT):
                    cluster = LocalCluster(**arguments)
            except (OSError, RuntimeError, TimeoutError) as error:
                raise ClusterError(
                    f"region {spec.region}: no local cluster: {type(error).__name__}: {error}"
                ) from error
            scheduler: Any = cluster.scheduler
            scheduler.http_application.add_application(_LaterDashboard(scheduler))
            with cluster, Client(cluster, set_as_default=False) as client, _manned(cluster):
                if adapt is not None:
                    cluster.adapt(**adapt)
                yield client

    def find(self, spec: ClusterSpec) -> Sequence[Found]:
        return ()  # they end with the client

    def remove(self, spec: ClusterSpec, found: Found) -> None:
        raise ClusterError(f"region {spec.region}: a local cluster ends with its run")


class _LaterDashboard:
    """Dask's pages, brought up when somebody first asks for one: they import Bokeh, a third of what a start costs."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def find_handler(self, request: Any, **kwargs: Any) -> Any:
        """As of a tornado application; called in the scheduler's own thread."""
        application = self._scheduler.http_application
        application.applications.remove(self)
        from distributed.dashboard import scheduler as dashboard  # noqa: PLC0415 (the reason for this class)

        dashboard.connect(application, self._scheduler.http_server, self._scheduler)
        return application.find_handler(request, **kwargs)


@contextmanager
def _manned(cluster: LocalCluster) -> Iterator[None]:
    """Workers that are gone are replaced, whatever became of them, and none that is on its way back.

    Dask starts a worker anew that crashed, but not one that left in good order. One that takes longer to come back than
    its `lost-worker-timeout` of 15 s, as on a busy machine, it would replace while it comes: the two have one name, so
    both end, and with them what they had just been given.
    """
    ended = threading.Event()
    loop: Any = cluster.loop

    def replace() -> None:
        for name in [name for name, nanny in cluster.workers.items() if nanny.status in _ENDED]:
            del cluster.workers[name]
        cluster.scale(len(cluster.worker_spec))

    def look() -> None:
        while not ended.wait(_LOOK_S):
            loop.add_callback(replace)

    thread = threading.Thread(target=look, name="groundswell-manned", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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
