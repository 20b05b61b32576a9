"""S3 and whatever speaks it: exactly one PutObject per object, and one retry policy around every request."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import mimetypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import s3fs
from fsspec.asyn import sync

from pipeline.errors import StoreError
from pipeline.write import retry
from pipeline.write.entries import Entry, Unfinished
from pipeline.write.keys import check_key, check_prefix
from pipeline.write.s3_client import (
    Body,
    FileBody,
    MissingError,
    OpaqueError,
    TakenError,
    ask,
    attempts,
    read_all,
    read_digest,
)
from pipeline.write.s3_keys import KEYS, list_page

MAX_PUT_BYTES = 5 * 1024**3
"""Largest object S3 takes in one PutObject; more needs a multipart upload, which is not atomic to abandon."""


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
        head = self._head(key)
        return None if head is None else str(head["ETag"])

    def put_if(self, path: Path, key: str, version: str | None) -> str | None:
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        try:
            answer: dict[str, str] = self._put_file(path, key, **condition)
        except (TakenError, MissingError):
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            with contextlib.suppress(MissingError):  # removed since
                now = self.version_of(key)  # as with put_new, a put whose acknowledgement was lost is ours too
                return now if now is not None and self.digest(key)[1] == digest else None
            return None
        return answer["ETag"]

    def _put_file(self, path: Path, key: str, **condition: str) -> Any:
        size = path.stat().st_size
        if size > MAX_PUT_BYTES:
            raise StoreError(
                f"{self.uri}, key {key}: found {size} bytes in {path}, one atomic put takes at most {MAX_PUT_BYTES}; "
                "use smaller tiles"
            )
        with FileBody(io.FileIO(path)) as body:
            digest = hashlib.file_digest(body, _md5).digest()
            return self._put(key, body, digest, **condition)

    def put_bytes(self, data: bytes, key: str) -> None:
        self._put(key, Body(data), _md5(data).digest())

    def put_new(self, data: bytes, key: str) -> bool:
        try:
            self._put(key, Body(data), _md5(data).digest(), IfNoneMatch="*")
        except TakenError:
            # Also our own earlier attempt, whose acknowledgement was lost, ends here: only the bytes tell.
            with contextlib.suppress(MissingError):  # removed since
                return self.get_bytes(key) == data
            return False
        return True

    def get_bytes(self, key: str) -> bytes:
        return self._read(key)

    def exists(self, key: str) -> bool:
        return self._head(key) is not None

    def entry_of(self, key: str) -> Entry | None:
        head = self._head(key)
        return None if head is None else Entry(key, head["ContentLength"], head["LastModified"].timestamp())

    def digest(self, key: str) -> tuple[int, str]:
        full = self._full(key)
        found: tuple[int, str] = self._attempts("get_object", key, lambda fs: read_digest(fs, self.bucket, full))
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

    def list_keys(self, prefix: str = "") -> Iterator[str]:
        query: dict[str, Any] = {"Prefix": self._root + check_prefix(prefix)}
        while True:
            page: Any = self._attempts(
                "list_objects_v2", prefix, lambda fs: sync(fs.loop, list_page, fs, self.bucket, query)
            )
            yield from (key.removeprefix(self._root) for key in page[KEYS])
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
        with contextlib.suppress(MissingError):
            self._call("abort_multipart_upload", one.name, UploadId=one.token)

    @property
    def _root(self) -> str:
        return f"{self.prefix}/" if self.prefix else ""

    def _bucket_call(self, operation: str, prefix: str, query: dict[str, Any]) -> Any:
        return self._attempts(operation, prefix, lambda fs: ask(fs, operation, Bucket=self.bucket, **query))

    def _full(self, key: str) -> str:
        return check_key(f"{self.prefix}/{check_key(key)}" if self.prefix else key)

    def _put(self, key: str, body: Body | FileBody, digest: bytes, **condition: str) -> Any:
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        checksum = base64.b64encode(digest).decode("ascii")
        return self._call("put_object", key, Body=body, ContentMD5=checksum, ContentType=kind, **condition)

    def _head(self, key: str) -> Any:
        """What the store says of a key; None when there is no such key."""
        with contextlib.suppress(MissingError):
            try:
                return self._call("head_object", key)
            except OpaqueError:
                # Only an answer with a body says why; credentials that ran out are read anew by that.
                retry.again()
                self._read(key, Range="bytes=0-0")
            return self._call("head_object", key)
        return None

    def _read(self, key: str, **part: str) -> bytes:
        asked = {"Bucket": self.bucket, "Key": self._full(key), **part}
        data: bytes = self._attempts("get_object", key, lambda fs: read_all(fs, **asked))
        return data

    def _call(self, operation: str, key: str, **arguments: Any) -> Any:
        body: Body | FileBody | None = arguments.get("Body")

        def request(fs: s3fs.S3FileSystem) -> Any:
            if body is not None:
                body.seek(0)  # an earlier attempt, or the digest, may have read it
            return ask(fs, operation, Bucket=self.bucket, Key=self._full(key), **arguments)

        return self._attempts(operation, key, request)

    def _attempts(self, operation: str, key: str, request: Callable[[s3fs.S3FileSystem], Any]) -> Any:
        """As `attempts`; the message names the bucket, the key and the operation."""
        where = f"s3://{self.bucket}, key {self.prefix + '/' if self.prefix else ''}{key}"
        return attempts(self, request, f"{where}: {operation} failed")


def _md5(data: bytes = b"") -> hashlib._Hash:
    """For Content-MD5, which guards against damage, not against anybody."""
    return hashlib.md5(data, usedforsecurity=False)
