"""What a worker does before it is taken away: it hands over what it holds, so that nothing is computed again.

`python -m cluster.retire --grace 110` beside the worker, as the hook that Kubernetes runs before it stops a pod. A
worker that is only stopped takes its finished results with it, and whatever it was computing counts as failed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dask
import psutil
from distributed import Security
from distributed.comm.addressing import get_address_host, get_address_host_port
from distributed.core import rpc

_POLL_S = 0.5
_REACH_S = 5.0
"""A scheduler's machine that does not even take a connection in this time is gone."""
_SHARE = 0.1
_LEAST_S = 3.0


class RetireError(Exception):
    """A worker could not hand over everything; the message says what is computed again."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 when everything was handed over, 1 when not, 2 when what it needs is not set."""
    parser = argparse.ArgumentParser(prog="python -m cluster.retire", description=__doc__.partition("\n")[0])
    parser.add_argument("--grace", type=float, default=110, help="seconds until the pod is killed")
    grace: float = parser.parse_args(argv).grace
    address, name = dask.config.get("scheduler-address", None), os.environ.get("DASK_WORKER_NAME")
    if not address or not name:
        parser.error("DASK_SCHEDULER_ADDRESS and DASK_WORKER_NAME must say which worker of which scheduler this is")
    # To import Dask took its time too. What is left at the end is for the worker's process.
    spent = time.time() - psutil.Process().create_time()
    within = max(_LEAST_S, grace - max(_LEAST_S, _SHARE * grace) - spent)
    try:
        sys.stdout.write(asyncio.run(retire(address, name, within)) + "\n")
    except (RetireError, OSError, TimeoutError) as error:
        sys.stderr.write(f"worker {name} was not retired: {type(error).__name__}: {error}\n")
        return 1
    return 0


async def retire(address: str, name: str, within_s: float) -> str:
    """Take this machine's worker of this name off the scheduler at this address; returns what was done.

    It begins nothing new, what it is computing may end, and what it holds goes to other workers; then it is closed.
    Raises RetireError where the time did not suffice, or no other worker was there to take what it holds: that is
    computed again, and counts against no task. Raises OSError where scheduler or worker are not reached.
    """
    if not await _listens(address):
        return f"there is no scheduler at {address} any more: there is nobody to hand over to"
    end = asyncio.get_running_loop().time() + within_s
    arguments = Security().get_connection_args("worker")
    # Both may be slow to answer: what a worker computes may hold up its whole process.
    async with rpc(address, timeout=within_s, connection_args=arguments) as scheduler:
        try:
            async with asyncio.timeout_at(end):
                worker = await _own(scheduler, name)
        except TimeoutError:
            raise RetireError(f"the scheduler at {address} did not answer within {within_s:.0f} s") from None
        if worker is None:
            return f"worker {name} is not in the cluster: there is nothing to hand over"
        seen = _Seen()
        try:
            async with asyncio.timeout_at(end), rpc(worker, timeout=within_s, connection_args=arguments) as own:
                await _until_quiet(scheduler, own, worker, seen)
                await scheduler.retire_workers(workers=[worker], close_workers=True, remove=True)
        except TimeoutError:
            # The scheduler is told, it does not find out: a worker that it lost counts against the tasks it had.
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_REACH_S):
                    await scheduler.unregister(address=worker, expected=True, stimulus_id=f"retire-{name}")
            raise RetireError(f"after {within_s:.0f} s {seen}") from None
    return f"worker {name} was retired"


@dataclass
class _Seen:
    """How far it came, for the message."""

    taken: bool = True
    running: frozenset[str] = frozenset()

    def __str__(self) -> str:
        if not self.taken:
            return "no other worker had taken what it holds, which is computed again"
        if not self.running:
            return "it had not answered, or not handed over all that it holds: the rest is computed again"
        return f"it was still computing {len(self.running)} tasks, which others begin anew: {sorted(self.running)[:3]}"


async def _until_quiet(scheduler: Any, own: Any, worker: str, seen: _Seen) -> None:
    """Returns when nothing runs, the scheduler knows every result, and others hold each; perhaps never."""
    before = None
    while True:
        # Dask would try to connect again until all time is over.
        if any(comm.closed() for comm in scheduler.comms) and not await _listens(scheduler.address):
            raise ConnectionError(f"the scheduler at {scheduler.address} went away meanwhile")
        # It takes nothing new from here on. Dask waits until others hold its results, but not for what is running.
        taken = await scheduler.retire_workers(workers=[worker], close_workers=False, remove=False)
        seen.taken, seen.running = worker in taken, frozenset(map(str, await own.call_stack()))
        known = (await scheduler.processing()).get(worker)
        # A result that is on its way to the scheduler neither runs nor is known: twice the same means none is.
        if known is None or (seen.taken and not seen.running and known == before):
            return
        before = known if seen.taken and not seen.running else None
        await asyncio.sleep(_POLL_S)


async def _listens(address: str) -> bool:
    """Whether somebody takes connections there: at the end of a cluster no worker sits out its grace."""
    host, port = get_address_host_port(address)
    try:
        async with asyncio.timeout(_REACH_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _own(scheduler: Any, name: str) -> str | None:
    """Address of the worker; one that has come under the same name on another machine is another one."""
    members = (await scheduler.identity())["workers"]
    return next(
        (at for at, one in members.items() if str(one["name"]) == name and _is_here(get_address_host(at))), None
    )


def _is_here(host: str) -> bool:
    """Whether this machine, or pod, has this IP address: nobody may listen at another's."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
