"""A mirror in a folder, such as a copy that somebody else keeps, or one on a network's disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import PermanentAssetError, TransientAssetError
from pipeline.mirror.transports import CHUNK_BYTES, Body, MissingFileError, Patience, check_path


class FolderMirror:
    """A GDAC in a folder. Reading is done in threads: a disk may be far away."""

    def __init__(self, root: Path, patience: Patience) -> None:
        """Look at nothing yet."""
        self._root = root
        self.uri = str(root)
        self.patience = patience

    @asynccontextmanager
    async def open(self, path: str, offset: int = 0) -> AsyncIterator[Body]:
        """As `Transport.open`."""
        file = self._root / check_path(path)
        handle = await asyncio.to_thread(_opened, file)
        with handle:
            status = os.fstat(handle.fileno())
            begin = offset if offset < status.st_size else 0
            handle.seek(begin)
            yield Body(status.st_size, f"{status.st_mtime_ns}-{status.st_ino}", begin, _chunks(handle, str(file)))

    async def close(self) -> None:
        """Nothing is kept open."""


def _opened(file: Path) -> BinaryIO:
    try:
        if file.is_dir():
            raise PermanentAssetError(str(file), "is a folder; expected a file")
        return file.open("rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(str(file), "no such file") from None
    except PermissionError as error:
        raise PermanentAssetError(str(file), f"{error.strerror}") from None
    except OSError as error:
        raise TransientAssetError(str(file), f"{type(error).__name__}: {error.strerror}") from None


async def _chunks(handle: BinaryIO, shown: str) -> AsyncGenerator[bytes]:
    try:
        while chunk := await asyncio.to_thread(handle.read, CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise TransientAssetError(shown, f"{type(error).__name__}: {error.strerror}") from None
