"""The client of a bucket, requests that end in bounded time, and what is said where one failed.

s3fs gives the session, the credentials and the event loop; its own retries, botocore's retries and every listing cache
are off, so that what is tried how often is decided in `attempts` alone.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import io
import os
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
import s3fs
from botocore import exceptions as boto
from fsspec.asyn import sync

from pipeline.errors import CredentialsError, StoreError, TransientStoreError
from pipeline.write import retry

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
"""Between two pieces of an answer."""
STALL_S = 120.0
"""Between two pieces of a body that is sent: the HTTP client itself would wait for ever."""
_LOOK_S = 5.0
RENEWED_S = 30.0
"""Credentials that were read so short a time ago are not read again: they were withdrawn."""

TRANSIENT_CODES = frozenset(
    {"BadDigest", "IncompleteBody", "RequestTimeout", "SlowDown", "Throttling", "XAmzContentSHA256Mismatch"}
)
"""Codes that come with a 4xx status although another attempt may succeed."""
CREDENTIAL_CODES = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken", "TokenRefreshRequired"}
)
"""Codes that say nothing of the request, only of who sent it."""
CLOCK_CODES = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
OPAQUE_CODES = frozenset({"400", "403"})
"""What stands for a code in the answer to a HEAD, which has no body."""

NETWORK_ERRORS = (boto.ConnectionError, boto.HTTPClientError, boto.ResponseStreamingError, aiohttp.ClientError, OSError)
REFUSALS = (boto.BotoCoreError, boto.ClientError, *NETWORK_ERRORS)
"""Everything that a request may fail by."""
_NO_CREDENTIALS = (
    boto.CredentialRetrievalError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
    boto.SSOError,
    boto.TokenRetrievalError,
)

_RENEWED: dict[Place, list[float]] = {}
"""When the credentials of a place were read anew, by `time.monotonic`."""
_RENEWING = threading.Lock()

HINTS = {
    "403": "check that the credentials may read, list, put and delete under this prefix",
    "AccessDenied": "check that the credentials may read, list, put and delete under this prefix",
    "ExpiredToken": "renew the credentials and run again; what is committed is kept",
    "InvalidAccessKeyId": "check the profile or the AWS_ environment variables",
    "NoCredentialsError": "set `profile`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "NoSuchBucket": "make the bucket first, or correct `output`",
    "ProfileNotFound": "correct `profile`, or add it to the AWS configuration",
    "SignatureDoesNotMatch": "check the secret key of the profile or the AWS_ environment variables",
}


class MissingError(StoreError):
    """There is no such key."""


class TakenError(StoreError):
    """Something is already at the key of a put-if-absent, or something else at that of a replacement."""


class OpaqueError(StoreError):
    """A HEAD was refused, and does not say why."""


class StalledError(OSError):
    """Nobody takes what is sent. Not a TimeoutError, of which fsspec forgets the words."""


class Place(Hashable, Protocol):
    """A bucket, and whose credentials open it."""

    @property
    def endpoint(self) -> str | None: ...
    @property
    def profile(self) -> str | None: ...
    @property
    def anonymous(self) -> bool: ...


def client_of(place: Place) -> s3fs.S3FileSystem:
    """One client per store and process, until its credentials are refused."""
    return filesystem(place, os.getpid(), len(_RENEWED.get(place, ())))


def renew(place: Place, refused: s3fs.S3FileSystem) -> bool:
    """Have the next request read the credentials anew, from wherever they came; False where that was done just now."""
    with _RENEWING:
        if client_of(place) is not refused:  # another thread was faster
            return True
        times = _RENEWED.setdefault(place, [])
        if times and time.monotonic() - times[-1] < RENEWED_S:
            return False
        times.append(time.monotonic())
        return True


def attempts(place: Place, request: Callable[[s3fs.S3FileSystem], Any], what: str) -> Any:
    """What the request returns; a transient failure is tried again, ATTEMPTS times in all, others raise at once.

    Credentials that are refused are read anew once, which is no attempt; CredentialsError if that does not help.
    what: bucket, key and operation, and that it failed: begins every message.
    """
    attempt, renewed = 1, False
    while True:
        client = client_of(place)
        try:
            return request(client)
        except REFUSALS as error:
            failure = explain(error, f"{what} after {attempt} attempts" if attempt > 1 else what)
            if isinstance(failure, CredentialsError) and not renewed and renew(place, client):
                renewed = True
            elif isinstance(failure, TransientStoreError) and attempt < retry.ATTEMPTS:
                retry.pause(attempt)
                attempt += 1
            else:
                raise failure from error
        retry.again()


@functools.lru_cache(maxsize=32)
def filesystem(place: Place, _pid: int, _renewals: int) -> s3fs.S3FileSystem:
    """A client; `_pid` is in the key because none survives a fork. Old ones stay: other threads may wait for them."""
    endpoint = place.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "retries": {"total_max_attempts": 1},
        "max_pool_connections": 32,
        # Content-MD5 already lets the server refuse damaged bodies, and every server knows it.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if endpoint:  # other servers rarely have a DNS name per bucket
        config["s3"] = {"addressing_style": "path"}
    fs = s3fs.S3FileSystem(
        anon=place.anonymous,
        endpoint_url=endpoint,
        config_kwargs=config,
        skip_instance_cache=True,
        use_listings_cache=False,
        **({"profile": place.profile} if place.profile else {}),
    )
    fs.retries = 1
    return fs


class Body(io.BytesIO):
    """Bytes on their way, and when the last of them were asked for."""

    moved_s = 0.0

    def read(self, size: int | None = -1, /) -> bytes:
        self.moved_s = time.monotonic()
        return super().read(size)


class FileBody(io.BufferedReader):
    """The same of a local file."""

    moved_s = 0.0

    def read(self, size: int | None = -1, /) -> bytes:
        self.moved_s = time.monotonic()
        return super().read(size)


def ask(fs: s3fs.S3FileSystem, operation: str, **arguments: Any) -> Any:
    """One request; its answer. Raises StalledError where nothing of a `Body` moved for STALL_S."""
    return sync(fs.loop, _ask, fs, operation, arguments)


async def _ask(fs: s3fs.S3FileSystem, operation: str, arguments: Mapping[str, Any]) -> Any:
    request = asyncio.ensure_future(fs._call_s3(operation, **arguments))  # noqa: SLF001 (no public way is a coroutine)
    body = arguments.get("Body")
    if not isinstance(body, Body | FileBody):
        return await request
    body.moved_s = time.monotonic()
    while not (await asyncio.wait({request}, timeout=min(_LOOK_S, STALL_S)))[0]:
        if time.monotonic() - body.moved_s > STALL_S:
            request.cancel()
            await asyncio.wait({request})
            raise StalledError(f"{body.tell()} of {_length(body)} bytes were taken, and no more for {STALL_S:.0f} s")
    return request.result()


def _length(body: Body | FileBody) -> int:
    place = body.tell()
    try:
        return body.seek(0, io.SEEK_END)
    finally:
        body.seek(place)


def read_all(fs: s3fs.S3FileSystem, **asked: str) -> bytes:
    """All bytes of an object, or of what is asked of it. Not fs.cat_file: it takes `?versionId=` out of names."""
    data: bytes = sync(fs.loop, _read, fs, asked)
    return data


def read_digest(fs: s3fs.S3FileSystem, bucket: str, key: str) -> tuple[int, str]:
    """(bytes, hexadecimal SHA-256) of an object, in bounded memory."""
    found: tuple[int, str] = sync(fs.loop, _digest, fs, bucket, key)
    return found


async def _read(fs: s3fs.S3FileSystem, asked: Mapping[str, str]) -> bytes:
    response = await fs._call_s3("get_object", **asked)  # noqa: SLF001 (no public way keeps the body open)
    async with response["Body"] as body:
        data: bytes = await body.read()
    return data


async def _digest(fs: s3fs.S3FileSystem, bucket: str, key: str) -> tuple[int, str]:
    response = await fs._call_s3("get_object", Bucket=bucket, Key=key)  # noqa: SLF001 (as above)
    size_bytes, digest = 0, hashlib.sha256()
    async with response["Body"] as body:
        while chunk := await body.read(1 << 20):
            size_bytes += len(chunk)
            digest.update(chunk)
    return size_bytes, digest.hexdigest()


def explain(error: Exception, where: str) -> StoreError:
    """What a failed request means. where: bucket, key, operation, and how often it was tried."""
    origin = error if isinstance(error, boto.ClientError) else error.__cause__
    if not isinstance(origin, boto.ClientError):
        name = type(error).__name__
        kind = StoreError
        if isinstance(error, _NO_CREDENTIALS):
            kind = CredentialsError
        elif isinstance(error, NETWORK_ERRORS):
            kind = TransientStoreError
        return kind(f"{where}: {name}: {error}{_hint(name)}")
    code = str(origin.response.get("Error", {}).get("Code", ""))
    meta: Mapping[str, Any] = origin.response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode", 0))
    said = origin.response.get("Error", {}).get("Message", "")
    hint = f"; {_clock(meta.get('HTTPHeaders', {}))}" if code in CLOCK_CODES else _hint(code)
    message = f"{where}: HTTP {status} {code}: {said} (request id {meta.get('RequestId') or 'none'}){hint}"
    return _kind(status, code)(message)


def _kind(status: int, code: str) -> type[StoreError]:
    if code in CREDENTIAL_CODES:
        return CredentialsError
    if status == 404 and code != "NoSuchBucket":
        return MissingError
    if status == 412:
        return TakenError
    if code in OPAQUE_CODES:
        return OpaqueError
    # 409 on a conditional put: another writer is at it; asked again, the store answers 412 or takes ours.
    if status >= 500 or status in (408, 409, 429) or code in TRANSIENT_CODES:
        return TransientStoreError
    return StoreError


def _hint(name: str) -> str:
    return f"; {HINTS[name]}" if name in HINTS else ""


def _clock(headers: Mapping[str, str]) -> str:
    """By how much this machine's clock differs from the one of whoever answered."""
    try:
        ahead = time.time() - parsedate_to_datetime(headers["date"]).timestamp()
    except (LookupError, TypeError, ValueError):
        return "this machine's clock and the server's differ: set this machine's clock"
    way = "ahead of" if ahead > 0 else "behind"
    return f"this machine's clock is {abs(ahead):.0f} s {way} the server's: set this machine's clock"
