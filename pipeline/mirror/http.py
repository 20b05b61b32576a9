"""A mirror over HTTP(S): connections are kept and bounded, and bytes are taken as the server keeps them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from pipeline.config import mask_credentials
from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.mirror.transports import CHUNK_BYTES, Body, BusyError, MissingFileError, Patience, check_path

CONNECT_S = 10.0
ANSWER_TIMES = 3
"""An answer has begun, redirects followed, within so many times the seconds without a byte: headers may trickle."""
MOST_WAIT_S = 60.0
"""A server may ask for hours."""
_RANGE = re.compile(r"bytes (\d+)-\d*/(\d+|\*)")


class HttpMirror:
    """A GDAC below an http or https address, a query of which (a signature) goes along with every request."""

    def __init__(self, address: str, patience: Patience) -> None:
        """Connect to nothing yet."""
        self._parts = urlsplit(address)
        self._session: aiohttp.ClientSession | None = None
        self._turns = asyncio.Semaphore(patience.connections)
        self.uri = mask_credentials(address).rstrip("/")
        self.patience = patience

    @asynccontextmanager
    async def open(self, path: str, offset: int = 0) -> AsyncIterator[Body]:
        """As `Transport.open`; where the file is not longer than `offset`, all of it."""
        address = self._address(path)
        async with self._turns:
            answer = await self._ask(address, offset)
            if answer.status == 416:
                answer.release()
                answer = await self._ask(address, 0)
            async with answer:
                self._check(answer, path)
                size, begin = _extent(answer)
                tag = answer.headers.get("ETag", "")
                version = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
                yield Body(size, version, begin, self._chunks(answer, path))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _address(self, path: str) -> str:
        whole = f"{self._parts.path.rstrip('/')}/{check_path(path)}"
        return urlunsplit(self._parts._replace(path=whole, fragment=""))

    async def _ask(self, address: str, offset: int) -> aiohttp.ClientResponse:
        # Compressed on the way, neither length nor range would be the file's.
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        most_s = ANSWER_TIMES * self.patience.timeout_s
        try:
            async with asyncio.timeout(most_s) as limit:
                return await self._connected().get(address, headers=headers, max_redirects=5)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if limit.expired():
                raise TransientAssetError(mask_credentials(address), f"no answer within {most_s:g} s") from None
            raise _failure(error, mask_credentials(address), self.patience) from None

    def _connected(self) -> aiohttp.ClientSession:
        """Made by the first request, as it belongs to the event loop that runs then."""
        if self._session is None:
            timeout_s = self.patience.timeout_s
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.patience.connections),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, timeout_s), sock_read=timeout_s),
                auto_decompress=False,
                trust_env=True,
            )
        return self._session

    def _check(self, answer: aiohttp.ClientResponse, path: str) -> None:
        """Raises the AssetError of a status that brings no file."""
        shown, status = f"{self.uri}/{path}", answer.status
        if status in {404, 410}:
            raise MissingFileError(shown, f"HTTP {status}")
        if status in {408, 425, 429} or status >= 500:
            error = BusyError(shown, f"HTTP {status}")
            if re.fullmatch(r"[0-9]{1,9}", asked := answer.headers.get("Retry-After", "")):
                error.wait_s = min(float(asked), MOST_WAIT_S)
            raise error
        if status not in {200, 206}:
            raise PermanentAssetError(shown, f"HTTP {status}")
        coding = answer.headers.get("Content-Encoding", "identity").lower()
        if coding != "identity" and not path.endswith(".gz"):
            raise PermanentAssetError(shown, f"sent compressed ({coding}), which was not asked for")

    async def _chunks(self, answer: aiohttp.ClientResponse, path: str) -> AsyncGenerator[bytes]:
        try:
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _failure(error, f"{self.uri}/{path}", self.patience) from None


def _extent(answer: aiohttp.ClientResponse) -> tuple[int | None, int]:
    """(bytes of the whole file, where the answer begins)."""
    if answer.status == 200:
        return answer.content_length, 0
    span = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if span is None:
        cause = f"HTTP 206 with the range {answer.headers.get('Content-Range')!r}"
        raise PermanentAssetError(mask_credentials(str(answer.url)), cause)
    return None if span[2] == "*" else int(span[2]), int(span[1])


def _failure(error: Exception, shown: str, patience: Patience) -> AssetError:
    """What the network did. aiohttp's own text may hold the address with its credentials, so little of it is kept."""
    if isinstance(error, TimeoutError):
        return TransientAssetError(shown, f"nothing came for {patience.timeout_s:g} s")
    if isinstance(error, aiohttp.ClientPayloadError):
        return TransientAssetError(shown, "the answer was cut")
    if isinstance(error, aiohttp.InvalidURL | aiohttp.TooManyRedirects):
        return PermanentAssetError(shown, type(error).__name__)
    told = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return TransientAssetError(shown, f"{type(error).__name__}{told}")
