"""What a cluster is asked to be, whatever opens it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterSpec:
    """One region's cluster; frozen, and complete: a backend adds nothing of its own."""

    name: str
    """Names the cluster's resources; the run's name and region."""
    backend: str
    region: str
    workers: int
    """Worker processes, at most."""
    threads: int
    """Threads, so tasks at once, in each worker."""
    worker_memory_bytes: int

    @property
    def slots(self) -> int:
        """Tasks that can run at once."""
        return self.workers * self.threads
