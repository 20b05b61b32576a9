"""S3 and whatever speaks it: exactly one PutObject per object, and one retry policy around every request.

s3fs gives the session, the credentials and the event loop; its own retries, botocore's retries and every listing cache
are off, so that what is tried how often is decided in `S3Store._call` alone.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import mimetypes
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import s3fs
from botocore import exceptions as boto
from fsspec.asyn import sync

from pipeline.errors import StoreError, TransientStoreError
from pipeline.write.keys import check_key, check_prefix
from pipeline.write.store import Entry, Unfinished

MAX_PUT_BYTES = 5 * 1024**3
"""Largest object S3 takes in one PutObject; more needs a multipart upload, which is not atomic to abandon."""

ATTEMPTS = 5
BACKOFF_S = 0.5
"""Upper bound of the first pause; it doubles, with full jitter: four pauses last at most 7.5 s."""

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60

TRANSIENT_CODES = frozenset(
    {"BadDigest", "IncompleteBody", "RequestTimeout", "SlowDown", "Throttling", "XAmzContentSHA256Mismatch"}
)
"""Codes that come with a 4xx status although another attempt may succeed."""

NETWORK_ERRORS = (boto.ConnectionError, boto.HTTPClientError, boto.ResponseStreamingError, aiohttp.ClientError, OSError)

HINTS = {
    "403": "check that the credentials may read, list, put and delete under this prefix",
    "AccessDenied": "check that the credentials may read, list, put and delete under this prefix",
    "ExpiredToken": "renew the credentials and run again; what is committed is kept",
    "InvalidAccessKeyId": "check the profile or the AWS_ environment variables",
    "NoCredentialsError": "set `profile`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "NoSuchBucket": "make the bucket first, or correct `output`",
    "ProfileNotFound": "correct `profile`, or add it to the AWS configuration",
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": "check the secret key of the profile or the AWS_ environment variables",
}


@dataclass(frozen=True)
class S3Store:
    """A bucket, or a prefix in one; credentials come from the profile or the environment of the process that asks."""

    bucket: str
    prefix: str = ""
    """Without slashes around it; empty for the whole bucket."""
    endpoint: str | None = None
    """None: AWS, or what AWS_ENDPOINT_URL says."""
    profile: str | None = None
    anonymous: bool = False

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def put_file(self, path: Path, key: str) -> None:
        self._put_file(path, key)

    def version_of(self, key: str) -> str | None:
        try:
            head: dict[str, str] = self._call("head_object", key)
        except _MissingError:
            return None
        return head["ETag"]

    def put_if(self, path: Path, key: str, version: str | None) -> str | None:
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        try:
            answer: dict[str, str] = self._put_file(path, key, **condition)
        except (_TakenError, _MissingError):
            now = self.version_of(key)  # as with put_new, a put whose acknowledgement was lost is ours too
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            return now if now is not None and self.digest(key)[1] == digest else None
        return answer["ETag"]

    def _put_file(self, path: Path, key: str, **condition: str) -> Any:
        size = path.stat().st_size
        if size > MAX_PUT_BYTES:
            raise StoreError(
                f"{self.uri}, key {key}: found {size} bytes in {path}, one atomic put takes at most {MAX_PUT_BYTES}; "
                "use smaller tiles"
            )
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, _md5).digest()
            return self._put(key, handle, digest, **condition)

    def put_bytes(self, data: bytes, key: str) -> None:
        self._put(key, data, _md5(data).digest())

    def put_new(self, data: bytes, key: str) -> bool:
        try:
            self._put(key, data, _md5(data).digest(), IfNoneMatch="*")
        except _TakenError:
            # Also our own earlier attempt, whose acknowledgement was lost, ends here: only the bytes tell.
            return self.get_bytes(key) == data
        return True

    def get_bytes(self, key: str) -> bytes:
        full = self._full(key)
        # Not fs.cat_file: it takes `?versionId=` out of names.
        data: bytes = self._attempts("get_object", key, lambda fs: sync(fs.loop, _read, fs, self.bucket, full))
        return data

    def exists(self, key: str) -> bool:
        try:
            self._call("head_object", key)
        except _MissingError:
            return False
        return True

    def digest(self, key: str) -> tuple[int, str]:
        full = self._full(key)
        found: tuple[int, str] = self._attempts(
            "get_object", key, lambda fs: sync(fs.loop, _digest, fs, self.bucket, full)
        )
        return found

    def list_objects(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        return ((entry.key, entry.size_bytes) for entry in self.list_entries(prefix))

    def list_entries(self, prefix: str = "") -> Iterator[Entry]:
        query: dict[str, Any] = {"Prefix": self._root + check_prefix(prefix)}
        while True:
            page = self._bucket_call("list_objects_v2", prefix, query)
            for one in page.get("Contents", ()):
                yield Entry(one["Key"].removeprefix(self._root), one["Size"], one["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        self._call("delete_object", key)

    def now_s(self) -> float:
        """The server's own, in whole seconds: the date of its answer."""
        query = {"Prefix": self._root, "MaxKeys": 1}
        answer = self._bucket_call("list_objects_v2", "", query)
        headers: dict[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
        return parsedate_to_datetime(headers["date"]).timestamp()

    def list_unfinished(self) -> Iterator[Unfinished]:
        query: dict[str, Any] = {"Prefix": self._root}
        while True:
            page = self._bucket_call("list_multipart_uploads", "", query)
            for one in page.get("Uploads", ()):
                name = one["Key"].removeprefix(self._root)
                yield Unfinished(name, one["UploadId"], one["Initiated"].timestamp())
            if not page.get("IsTruncated"):
                return
            query |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def drop_unfinished(self, one: Unfinished) -> None:
        with contextlib.suppress(_MissingError):
            self._call("abort_multipart_upload", one.name, UploadId=one.token)

    @property
    def _root(self) -> str:
        return f"{self.prefix}/" if self.prefix else ""

    def _bucket_call(self, operation: str, prefix: str, query: dict[str, Any]) -> Any:
        return self._attempts(operation, prefix, lambda fs: fs.call_s3(operation, Bucket=self.bucket, **query))

    def _full(self, key: str) -> str:
        return check_key(f"{self.prefix}/{check_key(key)}" if self.prefix else key)

    def _put(self, key: str, body: bytes | BinaryIO, digest: bytes, **condition: str) -> Any:
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        checksum = base64.b64encode(digest).decode("ascii")
        return self._call("put_object", key, Body=body, ContentMD5=checksum, ContentType=kind, **condition)

    def _call(self, operation: str, key: str, **arguments: Any) -> Any:
        body: bytes | BinaryIO | None = arguments.get("Body")

        def request(fs: s3fs.S3FileSystem) -> Any:
            if body is not None and not isinstance(body, bytes):
                body.seek(0)  # an earlier attempt, or the digest, may have read it
            return fs.call_s3(operation, Bucket=self.bucket, Key=self._full(key), **arguments)

        return self._attempts(operation, key, request)

    def _attempts(self, operation: str, key: str, request: Callable[[s3fs.S3FileSystem], Any]) -> Any:
        """What the request returns; transient failures are tried again ATTEMPTS times in all, others raise at once."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return request(_filesystem(self, os.getpid()))
            except (boto.BotoCoreError, boto.ClientError, *NETWORK_ERRORS) as error:
                failure = self._explain(error, operation, key, attempt)
                if attempt == ATTEMPTS or not isinstance(failure, TransientStoreError):
                    raise failure from error
            time.sleep(random.uniform(0, BACKOFF_S * 2 ** (attempt - 1)))  # noqa: S311 (jitter, not a secret)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _explain(self, error: Exception, operation: str, key: str, attempt: int) -> StoreError:
        where = f"s3://{self.bucket}, key {self.prefix + '/' if self.prefix else ''}{key}: {operation}"
        tried = f" after {attempt} attempts" if attempt > 1 else ""
        origin = error if isinstance(error, boto.ClientError) else error.__cause__
        if not isinstance(origin, boto.ClientError):
            transient = isinstance(error, NETWORK_ERRORS)
            kind = TransientStoreError if transient else StoreError
            name = type(error).__name__
            return kind(f"{where} failed{tried}: {name}: {error}{_hint(name)}")
        code = str(origin.response.get("Error", {}).get("Code", ""))
        meta = origin.response.get("ResponseMetadata", {})
        status = int(meta.get("HTTPStatusCode", 0))
        message = (
            f"{where} failed{tried}: HTTP {status} {code}: {origin.response.get('Error', {}).get('Message', '')} "
            f"(request id {meta.get('RequestId') or 'none'}){_hint(code)}"
        )
        if status == 404 and code != "NoSuchBucket":
            return _MissingError(message)
        if status == 412:
            return _TakenError(message)
        # 409 on a conditional put: another writer is at it; asked again, the store answers 412 or takes ours.
        if status >= 500 or status in (408, 409, 429) or code in TRANSIENT_CODES:
            return TransientStoreError(message)
        return StoreError(message)


class _MissingError(StoreError):
    """There is no such key."""


class _TakenError(StoreError):
    """Something is already at the key of a put-if-absent, or something else at that of a replacement."""


@functools.lru_cache(maxsize=32)
def _filesystem(store: S3Store, _pid: int) -> s3fs.S3FileSystem:
    """One client per store and process; `_pid` is in the key because a client does not survive a fork."""
    endpoint = store.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
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
        anon=store.anonymous,
        endpoint_url=endpoint,
        config_kwargs=config,
        skip_instance_cache=True,
        use_listings_cache=False,
        **({"profile": store.profile} if store.profile else {}),
    )
    fs.retries = 1
    return fs


def _hint(name: str) -> str:
    return f"; {HINTS[name]}" if name in HINTS else ""


async def _read(fs: s3fs.S3FileSystem, bucket: str, key: str) -> bytes:
    response = await fs._call_s3("get_object", Bucket=bucket, Key=key)  # noqa: SLF001 (no public way keeps the body open)
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


def _md5(data: bytes = b"") -> hashlib._Hash:
    """For Content-MD5, which guards against damage, not against anybody."""
    return hashlib.md5(data, usedforsecurity=False)
