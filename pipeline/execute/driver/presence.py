"""Whether anybody works on a cluster, and whether its scheduler answers: asked now and then, never waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future as Answer
from typing import Any

from pipeline.execute.driver.flights import fault_of
from pipeline.execute.driver.shards import Shard
from pipeline.types import ClusterEvent

_LOOK_S = 5.0


class Presence:
    """Looks at the workers of one cluster. worker_timeout_s: how long there may be none while there is work."""

    def __init__(self, shard: Shard, worker_timeout_s: float) -> None:
        self._shard, self._limit_s = shard, worker_timeout_s
        self._next_s = 0.0
        self._asked: Answer[Any] | None = None
        self._asked_s = self._answered_s = 0.0

    def changed(self) -> Iterator[ClusterEvent]:
        """`workers`, when their number is another than the last time."""
        now = time.monotonic()
        if self._asked is not None and self._asked.done():
            asked, self._asked = self._asked, None
            if fault_of(asked) is None:
                info, self._answered_s = asked.result(), now
                found = info["n_workers"], info["total_threads"], info["total_memory"]
                if found[0]:
                    self._shard.manned_s = now
                if found != self._shard.workers:
                    self._shard.workers = found
                    yield self._shard.event("workers")
        if self._asked is None and now >= self._next_s:
            self._next_s = now + min(_LOOK_S, self._limit_s / 4)
            self._asked_s = now
            self._asked = self._shard.ask(lambda client: client.scheduler.identity(n_workers=0))

    def deserted(self, *, busy: bool) -> str | None:
        """Why nothing will come of what is to be done there; busy: whether there is anything."""
        if not busy:
            self._shard.manned_s = time.monotonic()
        # As far as its scheduler says: one that does not answer may have any number.
        if self._answered_s - self._shard.manned_s <= self._limit_s:
            return None
        return (
            f"region {self._shard.region}: its cluster has had no worker for {self._limit_s:g} s "
            "(run.worker_timeout_s): see what its backend says of quotas, nodes and images"
        )

    def silent(self) -> str | None:
        """Why its scheduler counts as lost though its connection stands."""
        if self._asked is None or time.monotonic() - self._asked_s <= self._limit_s:
            return None
        return f"its scheduler did not answer for {self._limit_s:g} s"
