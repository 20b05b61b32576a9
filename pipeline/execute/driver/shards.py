"""One cluster that jobs are sent to: what is in flight there, what has ended, whether anybody works there.

Nothing here waits for a cluster: what it is asked is asked in its client's own thread, and looked at the next time.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future as Answer
from contextlib import suppress
from typing import Any

from distributed import Client, KilledWorker
from distributed.client import ClosedClientError
from distributed.protocol.pickle import dumps

from pipeline.execute.driver.fleet import Opening
from pipeline.execute.driver.flights import Ended, Flight, fault_of
from pipeline.execute.driver.retry import UnheardError, named
from pipeline.execute.worker.onworker import MEMORY_TOPIC, Bench, perform
from pipeline.types import Begun, ClusterEvent

_TELL_S = 60.0
"""For all workers that are there to be told what to do."""
_TRIES = 3
_FETCH_S = 60.0
"""For the records of a task, on a worker that has just made them."""
_PATIENCE_S = 3.0
"""For the records of several, before each is asked for by itself: a worker that hangs gives none."""
_REASON_S = 1.0
"""For a nanny to say that it ended its worker for its memory: the scheduler may see it gone before."""
_CLOSE_S = 5.0

_OVER = frozenset({"finished", "error", "cancelled"})
"""States of a task that has ended."""


class Shard:
    """One cluster of a region, from its opening to its loss; `number` tells it from others of the region."""

    def __init__(self, region: str, number: int, opening: Opening, bench: str) -> None:
        self.region, self.number, self.bench = region, number, bench
        self.opening = opening
        self.active: dict[str, Flight] = {}
        self.failure: tuple[str, str] | None = None
        """Why there is no cluster any more, as kind and cause."""
        self.workers: tuple[int, int, int] | None = None
        """Of the cluster: workers, threads and bytes of memory in all, as last seen."""
        self.manned_s = time.monotonic()
        """When a worker was last seen."""
        self._fetching: list[tuple[list[Flight], Answer[list[Any]], float]] = []
        self._attached: object = None
        """The connection by which it was told what to do."""
        self._telling: Answer[object] | None = None
        self._tries = 0
        self._heard: deque[tuple[str, str, float]] = deque()
        self._ended_for_memory: dict[str, int] = {}
        self._killed: deque[tuple[float, Flight, KilledWorker]] = deque()

    @property
    def client(self) -> Client | None:
        """None while it is not up, or where it never came up."""
        up = self.opening.done() and self.opening.exception() is None
        return self.opening.result()[0] if up else None

    @property
    def broken(self) -> str | None:
        """Why its cluster is lost, where there was one and its client has given up to find it again."""
        client = self.client
        if client is None or client.status not in {"closing", "closed"}:
            return None
        return "its scheduler is gone, and was not found again"

    def room(self) -> int:
        """How many tasks it takes now; a client that has lost its scheduler looks for it, for a while."""
        client = self.client
        if self.failure is not None or client is None or not self.attached:
            return 0
        if any(flight.task.alone for flight in self.active.values()):
            return 0
        return max(0, self.opening.result()[1] - len(self.active))

    @property
    def attached(self) -> bool:
        """Whether its workers know what is to be done, and are listened to."""
        client: Any = self.client
        return client.status == "running" and self._attached is not None and client.scheduler_comm is self._attached

    def attach(self, bench: Bench) -> bool:
        """Have its workers know what is to be done, and listen to them; True once they do.

        Once more where its scheduler was lost and found again: it has forgotten who listens, or is another one. A
        worker that goes this very moment fails it, so it is tried again. Raises OSError at last.
        """
        if self.attached:
            return True
        if self._telling is None:
            self._telling = self.ask(lambda client: self._tell(client, bench))
        if not self._telling.done():
            return False
        telling, self._telling = self._telling, None
        fault = fault_of(telling)
        if fault is None:
            self._attached, self._tries, self.manned_s = telling.result(), 0, time.monotonic()
            return self.attached
        self._tries += 1
        if self._tries >= _TRIES:
            raise OSError(f"its workers could not be told what to do: {type(fault).__name__}: {fault}") from fault
        return False

    def detach(self) -> None:
        """Take from a cluster what `attach` put there: somebody else's is left as it was."""
        client: Any = self.client
        begun = self._attached is not None or self._telling is not None
        if self._telling is not None:
            self._telling.cancel()
        if begun and client.status == "running":
            # It may be gone by now, or never have been told.
            with suppress(OSError, TimeoutError, ValueError, AttributeError, ClosedClientError):
                client.unsubscribe_topic(self.bench)
                client.unsubscribe_topic(MEMORY_TOPIC)
                client.sync(client.scheduler.unregister_worker_plugin, callback_timeout=_CLOSE_S, name=self.bench)

    def send(self, flights: Sequence[Flight]) -> list[Flight]:
        """Start tasks, in one message; returns those that could not be sent, since it was lost this very moment."""
        client = self.client
        columns = [
            (self.bench, one.name, pickle.dumps(one.group, pickle.HIGHEST_PROTOCOL), one.task.attempt)
            for one in flights
        ]
        keys = [one.name for one in flights]
        try:
            futures = client.map(perform, *zip(*columns, strict=True), key=keys, pure=False)  # type: ignore[union-attr]
        except (ClosedClientError, OSError):
            return list(flights)
        for one, future in zip(flights, futures, strict=True):
            one.future = future
            self.active[one.name] = one
        return []

    @property
    def busy(self) -> bool:
        """Whether anything is in flight, or its records are."""
        return bool(self.active or self._fetching or self._killed)

    def landed(self) -> list[Ended]:
        """What is not in flight any more, so its slots are free; those with records, once these are here."""
        # What was sent by a connection that is lost is heard of no more, whatever became of it.
        lost = self._attached is not None and not self.attached
        good, bad = list[Flight](), list[Flight]()
        for one in self.active.values():
            future = one.future
            if future is not None and (lost or future.done()):
                status = "cancelled" if lost else future.status  # which may be another a moment later
                if status in _OVER:
                    (good if status == "finished" else bad).append(one)
        for one in (*good, *bad):
            del self.active[one.name]
        if good:
            self._fetch(good)
        return [*self._bad(bad, lost=lost), *self._fetched()]

    def _bad(self, done: Sequence[Flight], *, lost: bool) -> Iterator[Ended]:
        """Tasks that left no records; those that lost their workers a moment later, since the reason may follow."""
        now = time.monotonic()
        for one in done:
            error = ConnectionAbortedError() if lost else self._cause(one)
            if isinstance(error, KilledWorker):
                self._killed.append((now + _REASON_S, one, error))
            else:
                yield one, error
        while self._killed and self._killed[0][0] <= now:
            _, one, killed = self._killed.popleft()
            yield one, named(killed, self._ended_for_memory)

    def drop(self) -> list[Flight]:
        """All that is in flight on a cluster that is lost."""
        dropped = [*self.active.values(), *(one for flights, *_ in self._fetching for one in flights)]
        dropped += [one for _, one, _ in self._killed]
        self.active.clear()
        self._killed.clear()
        self._fetching.clear()
        return dropped

    def heard(self) -> Iterator[Begun]:
        """What was begun since the last time."""
        while self._heard:
            name, worker, at_s = self._heard.popleft()
            flight = self.active.get(name)
            if flight is not None:
                flight.worker, flight.begun_s = worker, time.monotonic()
                jobs = tuple(job.id for job in flight.group.jobs)
                yield Begun(jobs, self.region, self.number, worker, flight.task.begun, at_s)

    def event(self, state: str, note: str | None = None) -> ClusterEvent:
        """What became of it."""
        workers, threads, memory = self.workers or (0, 0, 0)
        each = max(1, workers)
        return ClusterEvent(
            self.region,
            self.number,
            state,
            workers=workers,
            threads=max(1, threads // each),
            worker_memory_bytes=memory // each,
            note=note,
        )

    def ask(self, question: Callable[[Any], Coroutine[Any, Any, Any]]) -> Answer[Any]:
        """Have the client's own thread ask its scheduler something."""
        client: Any = self.client
        return asyncio.run_coroutine_threadsafe(question(client), client.loop.asyncio_loop)

    async def _tell(self, client: Any, bench: Bench) -> object:
        """The connection by which all was told."""
        comm = client.scheduler_comm
        plugin = {"plugin": dumps(bench), "name": self.bench, "idempotent": False}
        client.subscribe_topic(self.bench, self._begun)
        client.subscribe_topic(MEMORY_TOPIC, self._too_large)
        told = await asyncio.wait_for(client.scheduler.register_worker_plugin(**plugin), _TELL_S)
        for address, answer in told.items():
            if answer["status"] == "error":
                raise OSError(f"worker {address} was not told what to do: {answer.get('exception_text', answer)}")
        return comm

    def _fetch(self, flights: list[Flight]) -> None:
        """Have the records of tasks brought, in one message."""
        now, names = time.monotonic(), [one.name for one in flights]
        for one in flights:
            one.asked_s = one.asked_s or now

        async def brought(client: Any) -> list[Any]:
            # `Client.gather` puts what is asked for at one moment together, so a worker that hangs would hold up all.
            answer = await asyncio.wait_for(client.scheduler.gather(keys=names), _FETCH_S)
            if answer["status"] != "OK":
                raise OSError("the worker that had its record is gone")
            return [answer["data"][name] for name in names]

        self._fetching.append((flights, self.ask(brought), now))

    def _fetched(self) -> Iterator[Ended]:
        """What has come since the last time; where several did not come together, each is asked for by itself.

        What was lost with its worker, Dask makes anew: that is in flight again.
        """
        now = time.monotonic()
        waiting, self._fetching = self._fetching, []
        for flights, answer, asked_s in waiting:
            done = answer.done()
            if not done and (len(flights) == 1 or now - asked_s <= _PATIENCE_S):
                self._fetching.append((flights, answer, asked_s))
                continue
            fault = fault_of(answer) if done else None
            if done and fault is None:
                yield from zip(flights, answer.result(), strict=True)
            elif len(flights) > 1:
                answer.cancel()
                for one in flights:
                    self._fetch([one])
            elif now - (flights[0].asked_s or now) < _FETCH_S:
                flights[0].rest()
                self.active[flights[0].name] = flights[0]
            else:
                yield flights[0], UnheardError(type(fault).__name__, str(fault))

    def _cause(self, flight: Flight) -> BaseException:
        """Why a task left no records."""
        future: Any = flight.future
        if future.cancelled():
            return ConnectionAbortedError()
        error: BaseException = future.exception(timeout=_FETCH_S)  # it is here already
        return error

    def _begun(self, event: tuple[float, Any]) -> None:
        """In the client's own thread."""
        self._heard.append((event[1]["name"], event[1]["worker"], event[1]["at"]))

    def _too_large(self, event: tuple[float, Any]) -> None:
        """In the client's own thread."""
        self._ended_for_memory[event[1]["worker"]] = int(event[1]["rss"])
