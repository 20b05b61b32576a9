"""Windows of committed pixels, wherever they lie; a file is opened by the process that reads it, for that read."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import zarr
from botocore.exceptions import BotoCoreError
from numpy.typing import NDArray
from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import ByteRequest, Store
from zarr.storage import FsspecStore, LocalStore, WrapperStore

from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access, own_endpoint, s3_options
from pipeline.read.raster import attempt
from pipeline.types import Asset
from pipeline.write.outputs import Source

OPEN_ARRAYS = 128
"""Zarr arrays whose metadata a process keeps."""

_FAILURES = (OSError, ValueError, KeyError, RuntimeError, BotoCoreError)
"""What zarr, its codecs and s3fs raise for files that are missing, damaged or not to be read."""


@dataclass(frozen=True)
class WindowReader:
    """Reads windows of COGs and Zarr arrays; frozen, picklable, free of secrets, safe from several threads.

    Credentials, and the endpoint where none is given, come from the environment of the process that reads.
    """

    access: Access

    def __call__(self, source: Source, rows: slice, columns: slice) -> NDArray[Any]:
        """Pixels (rows, columns) in the stored dtype. Raises AssetError naming the file."""
        access = self.access
        if access.endpoint is None:
            access = replace(access, endpoint=own_endpoint())
        if source.array is None:
            asset = Asset("cog", source.href, source.band)
            return attempt(asset, access, "", lambda raster: raster.read(rows, columns))
        array = _open_array(source.href, source.array, access, os.getpid())
        try:
            return np.asarray(array[rows, columns] if source.step is None else array[source.step, rows, columns])
        except _FAILURES as error:
            raise PermanentAssetError(source.href, f"array {source.array}: {type(error).__name__}: {error}") from error


class _WholeStore(WrapperStore[Store]):
    """A store in which every object must be: readers of Zarr take a missing one for no data, without a word."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        found = await super().get(key, prototype, byte_range)
        if found is None and "/c/" in key:
            raise FileNotFoundError(f"its object {key} is missing")
        return found


@lru_cache(maxsize=OPEN_ARRAYS)
def _open_array(href: str, name: str, access: Access, _pid: int) -> zarr.Array[Any]:
    """An array of a Zarr store; `_pid` is in the key because a client does not survive a fork."""
    try:
        return zarr.open_array(_WholeStore(_store(href, access)), path=name, mode="r", zarr_format=3)
    except _FAILURES as error:
        raise PermanentAssetError(href, f"array {name} cannot be opened: {type(error).__name__}: {error}") from error


def _store(href: str, access: Access) -> Store:
    if "://" not in href:
        return LocalStore(href, read_only=True)
    return FsspecStore.from_url(href, storage_options=s3_options(access), read_only=True)
