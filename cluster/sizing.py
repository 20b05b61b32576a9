"""Sizes of workers: what this machine has, what clouds sell, and no more of it than the plan can use.

A plan is made for a worker's shape, and a shape is chosen for a plan. So the possible shapes are put in an order: the
plan takes the first that every job fits, and once its tasks are known the worker is as large as they need it to be.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psutil

from cluster.backend import ClusterError
from cluster.spec import ClusterSpec

MEMORY_SHARE = 0.8
"""The rest is for the client, the schedulers and the operating system."""
TASK_SHARE = 0.7
"""Of a worker's memory, what its tasks may plan to use: Dask spills at 70 % and pauses at 80 %."""
LIMIT_SHARE: Mapping[str, float] = {"kubernetes": 0.9, "helm": 0.9, "coiled": 0.9}
"""By backend, what of a worker's memory Dask counts with; elsewhere all. Whoever takes more is ended by a kernel, while
Dask looks only now and then."""
_GIB = 2**30
_STEP, _LEAST = _GIB // 4, 2 * _GIB
"""Memory is asked for in whole steps; less than the least no worker has."""
_THREADS = 4
"""Of a worker where nothing is said: few enough for one process, enough to fill small machines."""
_BYTES_A_CORE = (4 * _GIB, 8 * _GIB)
"""Of the machines that clouds sell most: general ones, and those with more memory."""
_LARGE = 64 * _GIB
"""The most that is asked for on our own account."""
_NEARLY = 0.99
"""Limits are rounded on their way."""


@dataclass(frozen=True)
class Asked:
    """What a config says of a region's workers; None: to be chosen."""

    backend: str
    workers: int = 1
    """At most."""
    threads: int | None = None
    memory_bytes: int | None = None
    cores: float | None = None
    """Processors of a worker; threads follow them."""
    share: tuple[int, int] | None = None
    """Of a local cluster: cores and bytes of this machine that all its workers have."""


@dataclass(frozen=True)
class Shape:
    """A worker: its threads, its memory, and the part of that which Dask counts with."""

    threads: int
    memory_bytes: int
    limit_bytes: int

    @property
    def task_bytes(self) -> int:
        """Memory one task may plan to use when every thread has one."""
        return task_bytes(self.limit_bytes, self.threads)


def local_cores() -> int:
    """Cores this process may use, as the operating system grants them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_share(clusters: int) -> tuple[int, int]:
    """(threads, bytes) of this machine for each of so many clusters; never less than one thread."""
    return max(1, local_cores() // clusters), int(psutil.virtual_memory().total * MEMORY_SHARE) // clusters


def task_bytes(limit_bytes: int, threads: int) -> int:
    """Memory one task may plan to use when every thread of a worker has one; limit: see `limit_bytes`."""
    return int(limit_bytes * TASK_SHARE) // threads


def task_threads(spec: ClusterSpec, tasks: int) -> int:
    """Threads that each of so many tasks may have: its share of all cores, never more than its worker has."""
    local = spec.backend == "local"
    own = local_cores() if local else int(spec.cores)
    every = own if local else int(spec.cores * spec.workers)
    return max(1, min(own, every // min(spec.slots, tasks)))


def limit_bytes(backend: str, worker_memory_bytes: int) -> int:
    """What Dask is told that a worker has: `--memory-limit`."""
    return int(worker_memory_bytes * LIMIT_SHARE.get(backend, 1.0))


def shapes(asked: Asked) -> tuple[Shape, ...]:
    """What a region's workers may be, best first; each further one has more memory for a task.

    What is given stays. With memory given, only threads are fewer. Else memory grows to what machines have a core, then
    threads become fewer, and last of all a single thread has all that is ever asked for.
    """
    memory = asked.memory_bytes
    if asked.share is not None:
        cores, machine_bytes = asked.share
        most, memory = max(1, cores // asked.workers), memory or machine_bytes // asked.workers
    else:
        most = max(1, int(asked.cores or _THREADS))
    threads = [asked.threads] if asked.threads else list(range(most, 0, -1))
    if memory is not None:
        pairs = [(count, memory) for count in threads]
    else:
        first = threads[0]
        halves = [first >> power for power in range(1, first.bit_length())] if asked.threads is None else []
        largest = first * _BYTES_A_CORE[-1]
        pairs = [(first, first * each) for each in _BYTES_A_CORE]
        pairs += [(count, largest) for count in halves]
        pairs += [(halves[-1] if halves else first, _LARGE)] if largest < _LARGE else []
    return tuple(Shape(count, each, limit_bytes(asked.backend, each)) for count, each in pairs)


def fitted(spec: ClusterSpec, tasks: int, peak_bytes: int, *, trim_memory: bool) -> ClusterSpec:
    """The spec for so many tasks of which none holds more than its peak.

    Where workers come and go, never more of them than the tasks can use, nor fewer than its least. With trim_memory the
    workers' memory is what their threads' tasks need, and never more than it was: a plan that is given just that memory
    fits it too.
    """
    useful = max(spec.least, math.ceil(tasks / spec.threads))
    workers = min(spec.workers, useful) if spec.adaptive else spec.workers
    memory = spec.worker_memory_bytes
    if trim_memory:
        share = TASK_SHARE * LIMIT_SHARE.get(spec.backend, 1.0)
        needed = (peak_bytes + 1) * spec.threads / share
        memory = min(memory, max(_LEAST, math.ceil(needed / _STEP) * _STEP))
    return replace(spec, workers=workers, worker_memory_bytes=memory)


def check_workers(spec: ClusterSpec, workers: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ClusterError for a worker whose tasks have less memory than the plan counts with: it would be ended midway.

    workers: as of `client.scheduler_info(n_workers=-1)["workers"]`. One without a limit is taken as it is.
    """
    counted = task_bytes(limit_bytes(spec.backend, spec.worker_memory_bytes), spec.threads)
    for address, worker in workers.items():
        limit, threads = worker["memory_limit"] or 0, worker["nthreads"]
        if limit and task_bytes(limit, threads) < _NEARLY * counted:
            raise ClusterError(
                f"region {spec.region}: worker {worker.get('name', address)} has {threads} threads and {limit:,} bytes "
                f"of memory, so a task may use {task_bytes(limit, threads):,}; the plan counts with {counted:,}. Set "
                f"clusters.{spec.region}.threads and clusters.{spec.region}.worker_memory to what its workers have"
            )
