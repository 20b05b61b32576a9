"""Files of a GDAC for whoever has no local copy: bytes in memory, many on their way at once, few held."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.mirror.check import check_file
from pipeline.mirror.fetch import Mirrors, open_mirrors
from pipeline.mirror.transports import Gdac, MissingFileError, check_path, folder_of

Answer = tuple[str, bytes | AssetError]


def read_files(gdac: Gdac, paths: Sequence[str]) -> Iterator[Answer]:
    """Each path with its bytes, whole and checked, or with the error that says why no mirror gave them; in any order.

    What folders at the head of `gdac.mirrors` have is read from there, in the order asked; only the rest is asked of
    the others. At most `gdac.in_flight` files are held beside the one that is handed out.
    """
    mirrors, left = gdac.mirrors, list(dict.fromkeys(paths))
    while left and mirrors and (folder := folder_of(mirrors[0])) is not None:
        mirrors, asked, left = mirrors[1:], left, []
        for path in asked:
            found = _from_folder(folder, path)
            if isinstance(found, bytes) or not mirrors:
                yield path, found
            else:
                left.append(path)
    if left:
        yield from _from_network(replace(gdac, mirrors=mirrors), left)


def _from_folder(folder: Path, path: str) -> bytes | AssetError:
    try:
        data = (folder / check_path(path)).read_bytes()
        check_file(path, data)
    except FileNotFoundError:
        return MissingFileError(str(folder / path), "no such file")
    except AssetError as error:
        return error
    except OSError as error:
        return PermanentAssetError(str(folder / path), f"{type(error).__name__}: {error.strerror}")
    return data


def _from_network(gdac: Gdac, paths: Sequence[str]) -> Iterator[Answer]:
    """By an event loop in a thread of its own, as the caller's may have one that runs already."""
    came: SimpleQueue[Answer | BaseException] = SimpleQueue()
    loop = asyncio.new_event_loop()
    room = asyncio.Semaphore(gdac.in_flight)
    work = loop.create_task(_read_all(gdac, paths, came, room))

    def run() -> None:
        try:
            loop.run_until_complete(work)
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            came.put(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())

    thread = threading.Thread(target=run, name="gdac", daemon=True)
    thread.start()
    try:
        for _ in paths:
            answer = came.get()
            if isinstance(answer, BaseException):
                raise answer
            yield answer
            loop.call_soon_threadsafe(room.release)
    finally:
        loop.call_soon_threadsafe(work.cancel)
        thread.join()
        loop.close()


async def _read_all(
    gdac: Gdac, paths: Sequence[str], came: SimpleQueue[Answer | BaseException], room: asyncio.Semaphore
) -> None:
    async with open_mirrors(gdac) as mirrors, asyncio.TaskGroup() as group:
        for path in paths:
            await room.acquire()
            group.create_task(_read_one(mirrors, path, came))


async def _read_one(mirrors: Mirrors, path: str, came: SimpleQueue[Answer | BaseException]) -> None:
    try:
        came.put((path, await mirrors.read(path)))
    except AssetError as error:
        came.put((path, error))
