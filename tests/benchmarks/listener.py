"""The listener under load: so many signed messages a second, alone, and beside slow senders and bodies of 5 MB.

`python -m tests.benchmarks.listener` prints a table. What is sent is due by a clock: a slow answer delays no other
request, and each is timed from when it was due. The sender has the machine's other processor.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from pipeline.config.load import load_events
from tests.events.listening import stored, told_of, write_rules
from tests.servers.databases import find_postgres, run_postgres
from tests.servers.listener import ListenerProcess, run_listener
from tests.servers.sns import Sns, run_sns

MIB = 2**20
LARGE = 5_000_000
CONNECTIONS = 200
"""Of the sender, at most; kept open and used again, as those of SNS are."""


Answered = tuple[Counter[int], list[float]]
"""Statuses, and the seconds that each request took."""


@dataclass(frozen=True)
class Trouble:
    """What goes on beside the messages."""

    slow: int = 0
    """Connections that send a byte a second and begin anew when they are closed."""
    pause_s: float = 1
    """Before they do."""
    large_per_s: float = 0
    """Bodies of 5 MB."""


@dataclass(frozen=True)
class Figures:
    """Of one phase."""

    name: str
    sent: int
    statuses: Counter[int]
    seconds: Sequence[float]
    """Of each request, from when it was due, in ascending order."""
    took_s: float
    cpu: float
    """Processors that the listener had at work, on average."""
    rss: Sequence[int]
    """Bytes of memory of the listener, twice a second."""

    def share(self, part: float) -> float:
        """Seconds within which this share of the requests was answered."""
        return self.seconds[min(len(self.seconds) - 1, int(part * len(self.seconds)))]

    def row(self) -> str:
        median, late, most = statistics.median(self.seconds), self.share(0.99), self.seconds[-1]
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        rate = self.sent / self.took_s
        times = "".join(f" {seconds * 1e3:8.1f}" for seconds in (median, late, most))
        memory = f"{min(self.rss) / MIB:.0f} to {max(self.rss) / MIB:.0f} MiB"
        return (
            f"{self.name:<34} {rate:7.0f} {times} {self.cpu:6.2f} {self.cpu / rate * 1e3:8.2f}  {memory:>14}  {answers}"
        )


HEADER = (
    f"{'':<34} {'a second':>8}{'median':>9}{'99 %':>9}{'most ms':>9} {'CPU':>6} {'ms each':>8}  {'memory':>14}  answers"
)


def bodies_of(sns: Sns, count: int, prefix: str) -> list[bytes]:
    """Signed messages, each of another object."""

    def one(number: int) -> bytes:
        return json.dumps(told_of(sns, f"{prefix}/{number:07}.csv")).encode()

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, range(count)))


class Senders:
    """Connections to the listener that are used again."""

    def __init__(self, port: int) -> None:
        self._port, self._places = port, asyncio.Semaphore(CONNECTIONS)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes) -> int:
        """The status of the answer; 0 where there is none."""
        async with self._places:
            return await self._posted(body)

    async def _posted(self, body: bytes) -> int:
        while self._free:
            try:
                return await self._sent(body, self._free.pop())
            except (OSError, EOFError):
                continue  # it was closed while nobody used it, as connections may be: a new one, as all clients do
        try:
            return await self._sent(body, await asyncio.open_connection("127.0.0.1", self._port))
        except (OSError, EOFError):
            return 0

    async def _sent(self, body: bytes, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> int:
        reader, writer = connection
        head = f"POST /sns HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = next(line for line in answer.split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        self._free.append(connection)
        return int(answer.split(b" ", 2)[1])

    async def close(self) -> None:
        for _, writer in self._free:
            writer.transport.abort()
        await asyncio.sleep(0.01)


async def at_rate(port: int, bodies: Sequence[bytes], rate: float) -> Answered:
    """Send each body when it is due, whatever became of the others; statuses, and seconds from when it was due."""
    senders, loop = Senders(port), asyncio.get_running_loop()
    statuses: Counter[int] = Counter()
    seconds: list[float] = []

    async def one(body: bytes, due_s: float) -> None:
        statuses[await senders.post(body)] += 1
        seconds.append(loop.time() - due_s)

    began_s, tasks = loop.time(), []
    for number, body in enumerate(bodies):
        due_s = began_s + number / rate
        await asyncio.sleep(max(0, due_s - loop.time()))
        tasks.append(asyncio.create_task(one(body, due_s)))
    await asyncio.gather(*tasks)
    await senders.close()
    return statuses, seconds


async def as_fast_as_it_goes(port: int, bodies: Sequence[bytes]) -> Answered:
    """Send all bodies on so many connections, each the next one as soon as it was answered."""
    senders, loop = Senders(port), asyncio.get_running_loop()
    statuses: Counter[int] = Counter()
    seconds: list[float] = []
    left = iter(bodies)

    async def one() -> None:
        for body in left:
            began_s = loop.time()
            statuses[await senders.post(body)] += 1
            seconds.append(loop.time() - began_s)

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    await senders.close()
    return statuses, seconds


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is cut in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _slow(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(b"POST /sns HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(4096), 1)


async def _large(port: int) -> None:
    block = bytes(65_536)
    async with connected(port) as (_, writer):
        writer.write(b"POST /sns HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % LARGE)
        for _ in range(LARGE // len(block)):
            writer.write(block)
            await writer.drain()


async def _again(send: Callable[[], Awaitable[None]], every_s: float) -> None:
    """One after the other, whatever becomes of each."""
    while True:
        with contextlib.suppress(OSError):
            await send()
        await asyncio.sleep(every_s)


@asynccontextmanager
async def trouble(port: int, told: Trouble) -> AsyncIterator[None]:
    """Around a phase."""
    tasks = [asyncio.create_task(_again(partial(_slow, port), told.pause_s)) for _ in range(told.slow)]
    if told.large_per_s:
        tasks += [asyncio.create_task(_again(partial(_large, port), 4 / told.large_per_s)) for _ in range(4)]
    try:
        yield
    finally:
        # `wait_for` of Python 3.11 may lose a cancellation to an answer that comes at the same moment: asked again.
        while pending := {task for task in tasks if not task.done()}:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=1)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)


async def _watched(process: psutil.Process, found: list[int]) -> None:
    while True:
        found.append(process.memory_info().rss)
        await asyncio.sleep(0.5)


async def phase(
    name: str,
    listener: ListenerProcess,
    send: Callable[[], Awaitable[Answered]],
    told: Trouble = Trouble(),
) -> Figures:
    """One row of the table."""
    process, rss = psutil.Process(listener.process.pid), list[int]()
    async with trouble(listener.port, told):
        await asyncio.sleep(1 if told.slow else 0)
        watch = asyncio.create_task(_watched(process, rss))
        before, began_s = sum(process.cpu_times()[:2]), time.monotonic()
        statuses, seconds = await send()
        took_s = time.monotonic() - began_s
        cpu = (sum(process.cpu_times()[:2]) - before) / took_s
        rss.append(process.memory_info().rss)
        watch.cancel()
    return Figures(name, len(seconds), statuses, sorted(seconds), took_s, cpu, rss)


PHASES = (
    ("alone", Trouble()),
    ("beside 500 slow connections", Trouble(slow=500)),
    ("beside 10 bodies of 5 MB a second", Trouble(large_per_s=10)),
    ("beside both", Trouble(slow=500, large_per_s=10)),
)


def measure(sns: Sns, config: Path, rate: float, seconds: float) -> list[Figures]:
    """All phases, on one listener."""
    count, rows = int(rate * seconds), list[Figures]()
    with run_listener(config, {"LOG_LEVEL": "ERROR"}) as listener:
        for name, told in PHASES:
            send = partial(at_rate, listener.port, bodies_of(sns, count, name.replace(" ", "-")), rate)
            rows.append(asyncio.run(phase(name, listener, send, told)))
        send = partial(as_fast_as_it_goes, listener.port, bodies_of(sns, count, "fast"))
        rows.append(asyncio.run(phase("as fast as it goes", listener, send)))
    return rows


def main() -> int:
    """Print the table; 1 where a message was not answered with success, or is not in the inbox."""
    parser = argparse.ArgumentParser(description="The listener under load.")
    parser.add_argument("--rate", type=float, default=500, help="messages a second; default: 500")
    parser.add_argument("--seconds", type=float, default=20, help="of each phase; default: 20")
    parser.add_argument("--postgres", action="store_true", help="an inbox in PostgreSQL; default: in a SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-listener-") as name, run_sns(Path(name)) as sns:
        load = psutil.getloadavg()[0]
        programs = find_postgres() if options.postgres else None
        with nullcontext() if programs is None else run_postgres(programs) as server:
            more = {} if server is None else {"inbox": server.dsn}
            path = write_rules(Path(name), sns, None, **more)
            rows = measure(sns, path, options.rate, options.seconds)
            kept = len(stored(load_events(path)))
    sys.stdout.write("\n".join([HEADER, *(row.row() for row in rows)]) + "\n")
    sent = sum(row.sent for row in rows)
    sys.stdout.write(f"{sent} sent, {kept} in the inbox; the machine had a load of {load:.1f} before\n")
    return int(kept != sent or any(set(row.statuses) != {200} for row in rows))


if __name__ == "__main__":
    sys.exit(main())
