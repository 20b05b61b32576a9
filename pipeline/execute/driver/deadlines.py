"""Tasks that take too long: found by the driver's own clock, and ended from outside, with their worker's process.

A thread cannot be ended, and a task that never gives back the interpreter cannot even be asked: so its nanny ends the
process. What else ran there is begun anew elsewhere by Dask, and loses no attempt. A worker that answers nobody cannot
even say what it has done already: of what it was given each is made again by itself before any is blamed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future as Answer
from functools import partial
from typing import Any

from pipeline.errors import DeadlineError
from pipeline.execute.driver.flights import Flight, fault_of
from pipeline.execute.driver.retry import SilentError
from pipeline.execute.driver.shards import Shard

_LOOK_S = 1.0
_SILENT_S = 5.0
"""A busy machine's workers may be late with what they tell every second."""
_KILL_S = 30.0
"""For a nanny to end its worker's process: it asks first, for four seconds."""
_ANSWER_S = 20.0
_log = logging.getLogger(__name__)


class Deadlines:
    """Watches what is in flight on one cluster. job_timeout_s: for each job of a group."""

    def __init__(self, shard: Shard, job_timeout_s: float) -> None:
        self._shard, self._limit_s = shard, job_timeout_s
        self._next_s = 0.0
        self._asked: Answer[list[tuple[Flight, bool]]] | None = None
        self._silent: Answer[list[tuple[str, float, int, list[str]]]] | None = None
        self._seen: dict[str, tuple[float, float]] = {}
        self._killing: list[tuple[str, list[tuple[Flight, bool]], Answer[Any]]] = []

    def overdue(self) -> Iterator[tuple[Flight, Exception]]:
        """Tasks whose workers were ended for them since the last time: what these committed before is committed."""
        for flight, doubtful in self._ended():
            if self._shard.active.pop(flight.name, None) is not None:
                yield flight, self._error(flight, doubtful=doubtful)
        self._give_up()
        now = time.monotonic()
        if now < self._next_s:
            return
        self._next_s = now + min(_LOOK_S, self._limit_s / 5)
        late = [one for one in self._shard.active.values() if self._late(one, now)]
        if late and self._asked is None:
            self._asked = self._shard.ask(lambda client: _taken_back(client, late))
        self._look_for_silence(now)

    def _late(self, flight: Flight, now: float) -> bool:
        begun_s = flight.begun_s if flight.future is not None else None  # those taken back already have none
        return begun_s is not None and now - begun_s > self._limit_s * len(flight.group.jobs)

    def _error(self, flight: Flight, *, doubtful: bool) -> Exception:
        if doubtful:
            return SilentError(f"worker {flight.worker} answered nobody any more, by it or by what was beside it")
        jobs = len(flight.group.jobs)
        limit = f"{self._limit_s * jobs:g} s" + (f", {self._limit_s:g} s for each of {jobs} jobs" if jobs > 1 else "")
        return DeadlineError(
            f"it took longer than {limit} (run.job_timeout_s) on worker {flight.worker}, which was ended"
        )

    def _give_up(self) -> None:
        """End the workers of what the scheduler agreed is still running there, and forgot."""
        if self._asked is None or not self._asked.done():
            return
        asked, self._asked = self._asked, None
        if (fault := fault_of(asked)) is not None:  # it is asked again
            _log.debug("deadlines of %s: %s: %s", self._shard.region, type(fault).__name__, fault)
            return
        given_up = asked.result()
        for worker in {one.worker for one, _ in given_up if one.worker is not None}:
            there = [one for one in self._shard.active.values() if one.worker == worker]
            for other in there:
                if other.future is not None:
                    other.rest()
            self._seen.pop(worker, None)
            ending = self._shard.ask(partial(_end_worker, worker=worker))
            self._killing.append((worker, [one for one in given_up if one[0].worker == worker], ending))

    def _ended(self) -> Iterator[tuple[Flight, bool]]:
        """What was given up on workers that have ended, and whether in doubt; the log says which could not be."""
        for one in [one for one in self._killing if one[2].done()]:
            self._killing.remove(one)
            worker, flights, answer = one
            if (fault := fault_of(answer)) is not None:
                _log.warning("worker %s was not ended: %s: %s", worker, type(fault).__name__, fault)
            yield from flights

    def _look_for_silence(self, now: float) -> None:
        """A task that holds the interpreter from its first moment never says that it has begun; its worker is silent.

        What such a worker had been given first is then taken to have begun when it was last heard of.
        """
        unheard = {one.name for one in self._shard.active.values() if one.begun_s is None}
        old = any(now - self._shard.active[name].sent_s > self._limit_s for name in unheard)
        if self._silent is None and old:
            self._silent = self._shard.ask(_members)
        elif self._silent is not None and self._silent.done():
            silent, self._silent = self._silent, None
            if fault_of(silent) is None:
                self._mark(silent.result(), unheard, now)

    def _mark(self, members: Sequence[tuple[str, float, int, list[str]]], unheard: set[str], now: float) -> None:
        ending = {worker for worker, *_ in self._killing}
        for worker, last_seen, threads, keys in members:
            if worker in ending:
                continue
            before, since_s = self._seen.get(worker, (0.0, now))
            self._seen[worker] = (last_seen, since_s if before == last_seen else now)
            if before != last_seen or now - since_s < max(self._limit_s, _SILENT_S):
                continue
            # What is known to run there has its thread already.
            free = threads - sum(one.worker == worker for one in self._shard.active.values())
            # In the order in which they were sent first: so workers begin them, however often they were moved.
            given = unheard.intersection(keys)
            flights = [one for name, one in self._shard.active.items() if name in given]
            for flight in flights[: max(0, free)]:
                flight.worker, flight.begun_s = worker, max(since_s, flight.sent_s)


async def _taken_back(client: Any, late: Sequence[Flight]) -> list[tuple[Flight, bool]]:
    """Those that run on the workers that they were begun on; the scheduler forgets them, so that none is begun anew.

    With each, whether another that the worker was given may be at fault, since it cannot say what it has done.
    """
    workers = list({one.worker for one in late if one.worker is not None})
    answers = dict(zip(workers, await asyncio.gather(*(_answers(client, one) for one in workers)), strict=True))
    held: Mapping[str, Sequence[str]] = await asyncio.wait_for(client.scheduler.processing(), _ANSWER_S)
    found = []
    for flight in late:
        if flight.worker is not None and flight.name in held.get(flight.worker, ()):
            found.append((flight, not answers[flight.worker] and len(held[flight.worker]) > 1))
        else:
            flight.rest()  # its worker was lost meanwhile
    futures = [one.future for one, _ in found]
    for one, _ in found:
        one.future = None  # it ends with its worker, not as one that was cancelled
    if found:
        await client.cancel(futures, asynchronous=True, force=True)
    return found


async def _answers(client: Any, worker: str) -> bool:
    """Whether a worker does, by way of the scheduler."""
    try:
        answer = await asyncio.wait_for(
            client.scheduler.broadcast(msg={"op": "identity"}, workers=[worker], on_error="return"), _SILENT_S
        )
    except TimeoutError:
        return False
    return isinstance(answer.get(worker), dict)


async def _end_worker(client: Any, worker: str) -> None:
    """Have its nanny end the process, and start it anew; one without a nanny is only let go of."""
    await client.scheduler.restart_workers(
        workers=[worker], timeout=_KILL_S, wait_for_workers=False, on_error="return", stimulus_id=f"deadline-{worker}"
    )


async def _members(client: Any) -> list[tuple[str, float, int, list[str]]]:
    """Of each worker: address, when the scheduler last heard of it, threads, and what it has been given."""
    info = await client.scheduler.identity(n_workers=-1)
    held = await client.scheduler.processing()
    return [
        (address, one["last_seen"], one["nthreads"], list(held.get(address, ())))
        for address, one in info["workers"].items()
    ]
