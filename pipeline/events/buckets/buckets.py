"""The buckets of a file of rules: their objects as local files, listings, states.

Where `LOCAL_S3_ROOT` is set, `LOCAL_S3_ROOT/BUCKET/KEY` stands in for every object, and no server is asked.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.events import EventsConfig
from pipeline.errors import StoreError
from pipeline.events.buckets.bucket import Bucket, Entry, Fetched, MissingObjectError, TooLargeError, check_size
from pipeline.events.buckets.folder import FolderBucket
from pipeline.events.messages.keys import checked_key
from pipeline.events.refusals import MessageError

__all__ = ["LOCAL_ROOT", "Buckets", "Entry", "Fetched", "MissingObjectError", "TooLargeError", "open_buckets"]

LOCAL_ROOT = "LOCAL_S3_ROOT"
STORE_SUFFIX = ".zarr"
"""A key that ends so, and has objects below it, is one thing: a Zarr store."""
_NAME_BYTES = 200
"""Of a local file; file systems take 255."""
_AT_ONCE = 16
"""Objects of a Zarr store that are fetched side by side."""


@dataclass(frozen=True)
class Buckets:
    """Buckets by name. A plain value: connections are made, and kept, by the process that asks."""

    places: Mapping[str, Bucket]

    def fetch(self, bucket: str, key: str, folder: Path, *, max_bytes: int | None = None) -> Fetched:
        """An object as a file in `folder`, which is the caller's own, under the last part of its key; or a Zarr store.

        In place of a bucket's the path may be that of the original, which is never to be written to.
        Raises MissingObjectError, TooLargeError, CredentialsError, TransientStoreError, and StoreError for what the
        store refuses, a bucket that is not in the file of rules, and a key that is not safe.
        """
        place = self._place(bucket, key)
        parts = _below(place, key)
        if parts:
            return self._fetch_store(bucket, key, parts, folder, max_bytes)
        return place.fetch(key, folder / _file_name(key), max_bytes)

    def read(self, bucket: str, key: str, max_bytes: int = 1 << 20) -> bytes:
        """The bytes of a small object, such as a checksum beside another; raises as `fetch`."""
        return self._place(bucket, key).read(key, max_bytes)

    def state(self, bucket: str, key: str) -> Entry | None:
        """Of an object, or of a Zarr store as a whole; None where there is none. Raises as `fetch`."""
        place = self._place(bucket, key)
        parts = _below(place, key)
        return _whole(key, parts) if parts else place.state(key)

    def entries(self, bucket: str, prefix: str = "") -> Iterator[Entry]:
        """Every object whose key begins so, in bounded memory. Raises as `fetch`."""
        return self._place(bucket).entries(prefix)

    def lazy(self, bucket: str, key: str) -> tuple[str, dict[str, Any]]:
        """A path or address, and fsspec's options, for libraries that open an object themselves."""
        return self._place(bucket, key).lazy(key)

    def uri(self, bucket: str, key: str) -> str:
        """As people write it, wherever it lies."""
        return f"s3://{bucket}/{key}"

    def _place(self, bucket: str, key: str | None = None) -> Bucket:
        if bucket not in self.places:
            known = ", ".join(sorted(self.places)) or "none"
            raise StoreError(f"s3://{bucket}: found a bucket that is not in `buckets`; expected one of {known}")
        try:
            if key is not None:
                checked_key(key)
        except MessageError as error:
            raise StoreError(str(error)) from None
        return self.places[bucket]

    def _fetch_store(
        self, bucket: str, key: str, parts: Sequence[Entry], folder: Path, max_bytes: int | None
    ) -> Fetched:
        whole = _whole(key, parts)
        check_size(self.uri(bucket, key), whole.size_bytes, max_bytes)
        place = self._place(bucket)
        target = folder / _file_name(key)
        if isinstance(place, FolderBucket):
            return Fetched(Path(place.lazy(key)[0]), whole.size_bytes, whole.etag, modified_s=whole.modified_s)

        def copy(part: Entry) -> None:
            self._place(bucket, part.key)
            path, uri = target / part.key.removeprefix(f"{key}/"), self.uri(bucket, part.key)
            if "//" in part.key[len(key) :]:  # the rest would be an absolute path
                raise StoreError(f"{uri}: found an object of a store with an empty name in its key")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                place.fetch(part.key, path, None)
            except (FileExistsError, IsADirectoryError, NotADirectoryError):
                raise StoreError(f"{uri}: found an object that is also a folder") from None
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                raise StoreError(f"{uri}: found a name that is too long for a file") from None

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(copy, parts))
        return Fetched(target, whole.size_bytes, whole.etag, modified_s=whole.modified_s)


def open_buckets(config: EventsConfig) -> Buckets:
    """The buckets of a file of rules, or the folders that stand in for them; connects to nothing."""
    root = os.environ.get(LOCAL_ROOT)
    if root:
        return Buckets({name: FolderBucket(str(Path(root, name).expanduser().absolute())) for name in config.buckets})
    from pipeline.events.buckets.s3 import S3Bucket  # noqa: PLC0415 (s3fs is slow to import, and a folder needs none)

    return Buckets(
        {name: S3Bucket(name, one.endpoint, one.profile, one.anonymous) for name, one in config.buckets.items()}
    )


def _below(place: Bucket, key: str) -> list[Entry]:
    """The objects of a Zarr store; none for any other key, and folder markers are none either."""
    if not key.endswith(STORE_SUFFIX):
        return []
    return [part for part in place.entries(f"{key}/") if not part.key.endswith("/")]


def _whole(key: str, parts: Sequence[Entry]) -> Entry:
    """A Zarr store as if it were one object: its ETag tells one state of all its parts from every other."""
    digest = hashlib.sha256()
    for part in sorted(parts):
        digest.update(f"{part.key}\0{part.etag}\0".encode())
    size_bytes = sum(part.size_bytes for part in parts)
    return Entry(key, size_bytes, digest.hexdigest(), "", max(part.modified_s for part in parts))


def _file_name(key: str) -> str:
    """The last part of a key, of which the end is kept where it is too long for a file: readers go by it."""
    name = key.rstrip("/").rpartition("/")[2].encode()
    return name[-_NAME_BYTES:].decode(errors="ignore") or "object"
