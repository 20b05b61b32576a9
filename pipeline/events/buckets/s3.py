"""A bucket on S3, or on whatever speaks it: read in bounded memory, gone on with where a connection was cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import s3fs
from fsspec.asyn import sync

from pipeline.errors import TransientStoreError
from pipeline.events.buckets.bucket import Entry, Fetched, check_size, missing
from pipeline.write.s3_client import MissingError, OpaqueError, TakenError, ask, attempts, read_all

CHUNK_BYTES = 1 << 20
CHANGES = 5
"""An object that is replaced so often while it is read is left for another attempt."""
ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


@dataclass(frozen=True)
class S3Bucket:
    """A bucket; credentials come from the profile or the environment of the process that asks."""

    name: str
    endpoint: str | None = None
    profile: str | None = None
    anonymous: bool = False

    def state(self, key: str) -> Entry | None:
        head = self._head(key)
        return None if head is None else _entry(key, head)

    def entries(self, prefix: str) -> Iterator[Entry]:
        query: dict[str, Any] = {"Prefix": prefix}
        while True:
            page = self._attempts(
                "list_objects_v2", prefix, lambda fs: ask(fs, "list_objects_v2", Bucket=self.name, **query)
            )
            for one in page.get("Contents", ()):
                yield Entry(one["Key"], one["Size"], _plain(one["ETag"]), "", one["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def fetch(self, key: str, path: Path, max_bytes: int | None) -> Fetched:
        """As it is now; begun anew where it was replaced meanwhile, so that no file is a mixture of two objects."""
        for _ in range(CHANGES):
            head = self._head(key)
            if head is None:
                raise missing(self._uri(key))
            found = _entry(key, head)
            check_size(self._uri(key), found.size_bytes, max_bytes)
            with suppress(TakenError, MissingError), path.open("wb") as handle:
                self._copy(found, handle)
                return Fetched(path, found.size_bytes, found.etag, found.version, found.modified_s, _checksums(head))
        raise TransientStoreError(f"{self._uri(key)}: it was replaced {CHANGES} times while it was read")

    def read(self, key: str, max_bytes: int) -> bytes:
        found = self.state(key)
        if found is None:
            raise missing(self._uri(key))
        check_size(self._uri(key), found.size_bytes, max_bytes)
        try:
            return self._read(key)[:max_bytes]
        except MissingError:
            raise missing(self._uri(key)) from None

    def lazy(self, key: str) -> tuple[str, dict[str, Any]]:
        options = {"endpoint_url": self.endpoint, "profile": self.profile, "anon": self.anonymous or None}
        return self._uri(key), {name: value for name, value in options.items() if value is not None}

    def _uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def _copy(self, found: Entry, handle: BinaryIO) -> None:
        """The bytes of one state of an object; each attempt goes on where the one before ended."""

        def request(fs: s3fs.S3FileSystem) -> None:
            done = handle.tell()
            if done < found.size_bytes:
                part = {"Range": f"bytes={done}-"} if done else {}
                asked = {"Bucket": self.name, "Key": found.key, "IfMatch": f'"{found.etag}"', **part}
                sync(fs.loop, _append, fs, asked, handle)
            if handle.tell() != found.size_bytes:
                raise OSError(f"found {handle.tell()} bytes; expected {found.size_bytes}")

        self._attempts("get_object", found.key, request)

    def _head(self, key: str) -> Any:
        """What the store says of an object; None where there is none."""
        with suppress(MissingError):
            try:
                return self._ask_head(key)
            except OpaqueError:
                self._read(key, Range="bytes=0-0")  # only an answer with a body says why
            return self._ask_head(key)
        return None

    def _ask_head(self, key: str) -> Any:
        asked = {"Bucket": self.name, "Key": key, "ChecksumMode": "ENABLED"}
        return self._attempts("head_object", key, lambda fs: ask(fs, "head_object", **asked))

    def _read(self, key: str, **part: str) -> bytes:
        data: bytes = self._attempts("get_object", key, lambda fs: read_all(fs, Bucket=self.name, Key=key, **part))
        return data

    def _attempts(self, operation: str, key: str, request: Callable[[s3fs.S3FileSystem], Any]) -> Any:
        return attempts(self, request, f"{self._uri(key)}: {operation} failed")


async def _append(fs: s3fs.S3FileSystem, asked: Mapping[str, str], handle: BinaryIO) -> None:
    response = await fs._call_s3("get_object", **asked)  # noqa: SLF001 (no public way keeps the body open)
    async with response["Body"] as body:
        while chunk := await body.read(CHUNK_BYTES):
            handle.write(chunk)


def _entry(key: str, head: Mapping[str, Any]) -> Entry:
    version = head.get("VersionId", "")
    return Entry(
        key,
        head["ContentLength"],
        _plain(head["ETag"]),
        "" if version == "null" else version,
        head["LastModified"].timestamp(),
    )


def _plain(etag: str) -> str:
    return etag.strip('"')


def _checksums(head: Mapping[str, Any]) -> dict[str, str]:
    """Those of the whole object; one of its parts' checksums is of no use to who has only the bytes."""
    found = {name: str(head.get(f"Checksum{name}", "")) for name in ALGORITHMS}
    whole = head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
    return {name: text for name, text in found.items() if text and whole and "-" not in text}
