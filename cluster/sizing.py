"""Sizes from what a machine has: how many threads and bytes each local cluster may take."""

from __future__ import annotations

import os

import psutil

MEMORY_SHARE = 0.8
"""The rest is for the client, the schedulers and the operating system."""
TASK_SHARE = 0.7
"""Of a worker's memory, what its tasks may plan to use: Dask spills at 70 % and pauses at 80 %."""


def local_cores() -> int:
    """Cores this process may use, as the operating system grants them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_share(clusters: int) -> tuple[int, int]:
    """(threads, bytes) of this machine for each of so many clusters; never less than one thread."""
    return max(1, local_cores() // clusters), int(psutil.virtual_memory().total * MEMORY_SHARE) // clusters


def task_bytes(worker_memory_bytes: int, threads: int) -> int:
    """Memory one task may plan to use when every thread of a worker has one."""
    return int(worker_memory_bytes * TASK_SHARE) // threads
