"""What Dask is told keeps a run of many tasks small."""

from __future__ import annotations

import asyncio

import dask
from distributed.batched import BatchedSend

from cluster.settings import DASK


def test_a_connection_keeps_only_its_last_few_messages() -> None:
    """They hold all the tasks that were sent: with many of them a client would grow for an hour."""

    async def kept() -> int | None:
        return BatchedSend(interval="10ms").recent_message_log.maxlen

    with dask.config.set(DASK):
        assert (asyncio.run(kept()) or 1000) <= 20
