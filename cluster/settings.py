"""The one place of Dask's configuration for large runs, and of the environment that workers need from their start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DASK: Mapping[str, Any] = {
    # Work is committed inside the tasks: a result is a small record, and a lost worker's task just runs again. Once:
    # after that the client finds out which of the tasks ends its workers, so that only that one is lost.
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-saturation": 1.1,
    # An adaptive cluster grows by what is left to do; of half a second a task, Dask's guess, it would ask for too
    # little until the first tasks end.
    "distributed.scheduler.unknown-task-duration": "60s",
    # What no worker takes for so long fails by name, instead of waiting for ever.
    "distributed.scheduler.no-workers-timeout": "30 minutes",
    "distributed.comm.timeouts.connect": "30s",
    "distributed.worker.profile.enabled": False,
    # Idle processes that look at themselves ten times a second cost as much as a kernel.
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.worker.memory.monitor-interval": "500ms",
    # Where gilknocker is installed, its thread asks for the lock of an interpreter that ends, and so aborts about one
    # worker in two hundred with "FATAL: exception not rethrown".
    "distributed.admin.system-monitor.gil.enabled": False,
    # A record of 1 kB each on the scheduler; Dask keeps five times as many.
    "distributed.scheduler.dashboard.tasks.task-stream-length": 20_000,
    # Every connection keeps its last messages, of up to 1 MB each: Dask's thousand of them are all the tasks sent.
    "distributed.admin.low-level-log-length": 20,
}
"""Of client, scheduler and workers; keys as in `dask.config`."""

ENVIRON: Mapping[str, str] = {
    # Dask has workers give back every 64 KiB, so every window of pixels would come as fresh, zeroed pages: a third
    # of a tile's time. Windows and blocks are below the second number, so their memory is used again.
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # GDAL's own would be 5 % of the node's memory, and of a pod's it knows nothing. In MB and bytes.
    "GDAL_CACHEMAX": "256",
    "CPL_VSIL_CURL_CACHE_SIZE": str(16 * 2**20),
}
"""Of workers, before their interpreter starts."""


def as_environ(config: Mapping[str, Any]) -> dict[str, str]:
    """Dask's configuration as the environment variables that it reads: `DASK_A__B_C` for `a.b-c`, values as JSON."""
    return {
        "DASK_" + key.upper().replace(".", "__").replace("-", "_"): value
        if isinstance(value, str)
        else json.dumps(value)
        for key, value in config.items()
    }
