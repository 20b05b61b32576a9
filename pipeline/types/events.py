"""What happens in a run beside the outcomes of its jobs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterEvent:
    """What became of one cluster of a region."""

    region: str
    shard: int
    """Which of the region's clusters, from 0."""
    state: str
    """`opening`, `up`, `workers` (their number changed), `lost` (its scheduler), `closed`, `failed` (never came up)."""
    backend: str = ""
    workers: int = 0
    """That are there now."""
    threads: int = 1
    """Of one worker."""
    worker_memory_bytes: int = 0
    spot: bool = False
    located: str | None = None
    """The cloud region where it stands."""
    machine: str | None = None
    """Kind of the machines, where it is known."""
    dashboard: str | None = None
    note: str | None = None
    """Cause of `lost` and `failed`."""


@dataclass(frozen=True)
class Begun:
    """A task that a worker has begun."""

    job_ids: tuple[str, ...]
    """One, or neighbours made together."""
    region: str
    shard: int
    worker: str
    """Its address."""
    attempt: int
    at_s: float
    """Seconds since 1970, by the worker's clock."""
