"""A mirror in an S3 bucket, such as the public one of Argo: the same client and credentials as every other source's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.mirror.transports import CHUNK_BYTES, Body, BusyError, MissingFileError, Patience, check_path
from pipeline.read.access import Access
from pipeline.read.stores import Place, Unsupported, locate

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

LONGEST_S = 3600.0
"""For one answer in all; what comes too slowly is given up long before."""


class S3Mirror:
    """A GDAC below `s3://bucket/prefix`."""

    def __init__(self, address: str, access: Access, patience: Patience) -> None:
        """Connect to nothing yet."""
        self._access = replace(access, timeout_s=LONGEST_S)
        self._turns = asyncio.Semaphore(patience.connections)
        self.uri = address.rstrip("/")
        self.patience = patience

    @asynccontextmanager
    async def open(self, path: str, offset: int = 0) -> AsyncIterator[Body]:
        """As `Transport.open`; where the file is not longer than `offset`, all of it."""
        href = f"{self.uri}/{check_path(path)}"
        async with self._turns:
            answer = await self._ask(href, offset)
            meta = answer.meta
            yield Body(meta["size"], meta["e_tag"] or "", answer.range[0], self._chunks(answer, href))

    async def close(self) -> None:
        """The client keeps its connections for others in this process."""

    async def _ask(self, href: str, offset: int) -> GetResult:
        import obstore  # noqa: PLC0415 (other mirrors do without it)
        from obstore.exceptions import BaseError  # noqa: PLC0415 (the same)

        options: GetOptions = {"range": {"offset": offset}} if offset else {}
        try:
            place: Place = await asyncio.to_thread(locate, href, self._access)
            # A large timeout for the whole leaves the one without a byte to us.
            async with asyncio.timeout(self.patience.timeout_s):
                return await obstore.get_async(place.store, place.path, options=options)
        except Unsupported as error:
            kind = TransientAssetError if error.passing else PermanentAssetError
            raise kind(href, str(error)) from None
        except (BaseError, OSError, ValueError) as error:
            if offset and "416" in str(error):
                return await self._ask(href, 0)
            raise self._failure(error, href) from None

    async def _chunks(self, answer: GetResult, href: str) -> AsyncGenerator[bytes]:
        from obstore.exceptions import BaseError  # noqa: PLC0415 (as above)

        stream = aiter(answer.stream(min_chunk_size=CHUNK_BYTES))
        try:
            while True:
                async with asyncio.timeout(self.patience.timeout_s):
                    chunk = await anext(stream, None)
                if chunk is None:
                    return
                yield bytes(chunk)
        except (BaseError, OSError, ValueError) as error:
            raise self._failure(error, href) from None

    def _failure(self, error: Exception, href: str) -> AssetError:
        """The failure without the client's own text, which repeats the server's answer."""
        said = str(error)
        status = re.search(r"status code: (\d+)|HTTP status \w+ error \((\d+)", said)
        code = int(status[1] or status[2]) if status else 0
        name = type(error).__name__
        if name in {"NotFoundError", "FileNotFoundError"} or code == 404:
            return MissingFileError(href, "no such key")
        if isinstance(error, TimeoutError) or "Timeout" in said or "TimedOut" in said:
            return TransientAssetError(href, f"nothing came for {self.patience.timeout_s:g} s")
        if name in {"PermissionDeniedError", "UnauthenticatedError"} or (400 <= code < 500 and code not in {408, 429}):
            return PermanentAssetError(href, f"refused: {name}{f', HTTP {code}' if code else ''}; see storage.profile")
        return BusyError(href, f"HTTP {code}") if code else TransientAssetError(href, name)
