"""Files from several mirrors: asked in turn, with back-off, many at once, checked, and never half there."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from pipeline.errors import AssetError, CatalogError, PermanentAssetError, PreflightError, TransientAssetError
from pipeline.mirror.check import check_file
from pipeline.mirror.parts import FilePart, MemoryPart, Part
from pipeline.mirror.transports import Body, BusyError, Gdac, MissingFileError, Transport, check_path, open_transport

MOST_BYTES = 4 * 2**30
"""No file of a GDAC is larger; a server that never ends is left here."""
SLOWEST_BYTES_PER_S = 1000.0
REST_AFTER, REST_S = 5, 60.0
"""So many failures in a row, and a mirror is asked after the others for a while."""
GIVE_UP_AFTER = 32
"""So many files in a row that no mirror could give for passing causes, and the others are not tried."""
MOST_PAUSE_S = 60.0
T = TypeVar("T")


@dataclass(frozen=True)
class Want:
    """A file that shall be here."""

    path: str
    version: str = ""
    """`date_update` of its row in the index."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of one file."""

    path: str
    version: str
    state: Literal["fetched", "vanished", "failed"]
    """`vanished`: no mirror has it, as where an index is older than the files."""
    size_bytes: int = 0
    sha256: str = ""
    received_bytes: int = 0
    """This time, attempts that failed included."""
    resumed_bytes: int = 0
    """Of an earlier part, not asked for again."""
    attempts: int = 0
    mirror: str = ""
    cause: str = ""
    """Why it vanished or failed, mirror by mirror."""


@dataclass
class _Mirror:
    """One mirror and how it does."""

    transport: Transport
    failures: int = 0
    rests_until: float = 0.0

    def failed(self) -> None:
        self.failures += 1
        if self.failures >= REST_AFTER:
            self.rests_until = time.monotonic() + REST_S


@dataclass
class _Tally:
    """What one file has cost so far."""

    attempts: int = 0
    received_bytes: int = 0
    resumed_bytes: int = 0
    mirror: str = ""


class Mirrors:
    """The mirrors of one GDAC; belongs to one event loop."""

    def __init__(self, transports: Iterable[Transport], in_flight: int) -> None:
        """As `open_mirrors` makes it."""
        self._mirrors = [_Mirror(each) for each in transports]
        self._in_flight = in_flight
        self._outage = 0

    async def read(self, path: str, check: Callable[[bytes], None] | None = None) -> bytes:
        """All bytes of a file, from the first mirror that gives them whole.

        check: raises PermanentAssetError or CatalogError for what must not be taken from a mirror, such as an index
        that is cut; without it, `check_file`. Raises MissingFileError where no mirror has the file, else an AssetError
        with every cause.
        """
        check_path(path)
        parts: dict[str, MemoryPart] = {}

        async def work(transport: Transport, tally: _Tally) -> bytes:
            part = parts.setdefault(transport.uri, MemoryPart())

            async def judged() -> bytes:
                part.forget()
                data = bytes(part.data)
                try:
                    (check or partial(check_file, path))(data)
                except CatalogError as error:
                    raise PermanentAssetError(path, str(error)) from None
                return data

            return await _pull(transport, path, part, tally, judged)

        return await self._in_turn(path, work, _Tally())

    async def fetch(self, wants: Iterable[Want], root: Path) -> AsyncGenerator[Fetched]:
        """Every wanted file below `root`, in the order in which they are done; none is asked for twice.

        What goes wrong with one file is in its `Fetched`. Raises PreflightError where nothing can be written.
        """
        todo, seen, running = iter(wants), set[str](), set[asyncio.Task[Fetched]]()
        done = set[asyncio.Task[Fetched]]()
        try:
            while True:
                while len(running) < self._in_flight and (want := next(todo, None)) is not None:
                    if want.path not in seen:
                        seen.add(want.path)
                        running.add(asyncio.create_task(self._one(want, root)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, *done, return_exceptions=True)

    async def _one(self, want: Want, root: Path) -> Fetched:
        tally = _Tally()
        part: FilePart | None = None

        async def work(transport: Transport, tally: _Tally) -> tuple[int, str]:
            assert part is not None  # noqa: S101 (made below, before anything is asked)
            publish = partial(asyncio.to_thread, part.publish, want.path)
            return await _pull(transport, want.path, part, tally, publish)

        def told(
            state: Literal["fetched", "vanished", "failed"], size: int = 0, sha: str = "", why: str = ""
        ) -> Fetched:
            spent = (tally.received_bytes, tally.resumed_bytes, tally.attempts, tally.mirror)
            return Fetched(want.path, want.version, state, size, sha, *spent, why)

        try:
            part = FilePart(root / check_path(want.path))
            if self._outage >= GIVE_UP_AFTER:
                return told("failed", why=f"not tried: no mirror gave any of {self._outage} files before it")
            size, sha = await self._in_turn(want.path, work, tally)
        except MissingFileError as error:
            self._outage = 0
            return told("vanished", why=error.cause)
        except AssetError as error:
            self._outage = self._outage + 1 if isinstance(error, TransientAssetError) else 0
            return told("failed", why=error.cause)
        except OSError as error:
            raise PreflightError(
                f"{root / want.path}: cannot be written: {error.strerror or error}; make room or correct `mirror`, and "
                "run again: what is there is kept"
            ) from error
        finally:
            if part is not None:
                part.leave()
        self._outage = 0
        return told("fetched", size, sha)

    async def _in_turn(self, path: str, work: Callable[[Transport, _Tally], Awaitable[T]], tally: _Tally) -> T:
        """What `work` makes of the first mirror where it succeeds; those that may do better are asked again."""
        causes: dict[str, AssetError] = {}
        asked = sorted(self._mirrors, key=lambda each: each.rests_until > time.monotonic())
        for attempt in range(1 + max(each.transport.patience.retries for each in self._mirrors)):
            for mirror in asked:
                tally.attempts, tally.mirror = tally.attempts + 1, mirror.transport.uri
                try:
                    done = await work(mirror.transport, tally)
                except AssetError as error:
                    causes[mirror.transport.uri] = error
                    if isinstance(error, TransientAssetError):
                        mirror.failed()
                else:
                    mirror.failures, mirror.rests_until = 0, 0.0
                    return done
            asked = [
                each
                for each in asked
                if isinstance(causes[each.transport.uri], TransientAssetError)
                and attempt < each.transport.patience.retries
            ]
            if not asked:
                break
            await asyncio.sleep(min(_pause(each, causes[each.transport.uri], attempt) for each in asked))
        raise _verdict(path, causes)


@asynccontextmanager
async def open_mirrors(gdac: Gdac) -> AsyncIterator[Mirrors]:
    """The mirrors while the block runs. Raises ConfigError for an address that is none."""
    transports = [open_transport(address, gdac) for address in dict.fromkeys(gdac.mirrors)]
    try:
        yield Mirrors(transports, gdac.in_flight)
    finally:
        for each in transports:
            await each.close()


async def _pull(transport: Transport, path: str, part: Part, tally: _Tally, judge: Callable[[], Awaitable[T]]) -> T:
    """All of a file into a part, and what `judge` makes of it then. Raises AssetError.

    What is refused may be better another time only where nobody said how long it is: then it may have been cut.
    """
    kept = part.kept(transport.uri)
    async with transport.open(path, kept) as body:
        if body.offset not in {0, kept}:
            raise PermanentAssetError(f"{transport.uri}/{path}", f"begins at byte {body.offset}, {kept} asked for")
        fits = part.begin(transport.uri, body)
        if fits:
            tally.resumed_bytes = body.offset
            await _pour(transport, path, part, tally, body)
    if not fits:  # the file is another one by now
        part.forget()
        return await _pull(transport, path, part, tally, judge)
    try:
        return await judge()
    except PermanentAssetError as error:
        if body.size_bytes is None:
            raise TransientAssetError(error.href, error.cause) from None
        raise


async def _pour(transport: Transport, path: str, part: Part, tally: _Tally, body: Body) -> None:
    """The bytes of one answer, no fewer and no more than it is to have."""
    shown, clock, came = f"{transport.uri}/{path}", asyncio.get_running_loop().time, body.offset
    deadline = clock() + transport.patience.timeout_s
    async with aclosing(body.chunks) as chunks:
        async for chunk in chunks:
            part.write(chunk)
            came += len(chunk)
            tally.received_bytes += len(chunk)
            deadline += len(chunk) / SLOWEST_BYTES_PER_S
            if clock() > deadline:
                raise TransientAssetError(shown, f"came at less than {SLOWEST_BYTES_PER_S:g} bytes a second")
            if came > MOST_BYTES:
                raise PermanentAssetError(shown, f"more than {MOST_BYTES:,} bytes")
    if body.size_bytes is not None and came != body.size_bytes:
        raise TransientAssetError(shown, f"cut: {came} of {body.size_bytes} bytes came")


def _pause(mirror: _Mirror, error: AssetError, attempt: int) -> float:
    """Full jitter below a bound that doubles, and no less than the mirror asks for."""
    asked_s = error.wait_s if isinstance(error, BusyError) else 0.0
    bound_s = min(MOST_PAUSE_S, mirror.transport.patience.delay_s * 2**attempt)
    return max(asked_s, random.uniform(bound_s / 2, bound_s))  # noqa: S311 (jitter, not a secret)


def _verdict(path: str, causes: dict[str, AssetError]) -> AssetError:
    """One error for all mirrors: missing where all say so, passing where one of them is."""
    told = "; ".join(f"{uri}: {error.cause}" for uri, error in causes.items())
    if all(isinstance(error, MissingFileError) for error in causes.values()):
        return MissingFileError(path, told)
    passing = any(isinstance(error, TransientAssetError) for error in causes.values())
    return (TransientAssetError if passing else PermanentAssetError)(path, told)
