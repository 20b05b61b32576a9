"""Where outputs live: a folder or an S3 bucket behind one small interface, in which every put is atomic.

Readers see an object whole or not at all. Nothing here streams into `fs.open`: an exception there publishes a truncated
object. Stores are plain frozen values: cheap to pickle into a task; clients are made in the process that uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError
from pipeline.write.entries import Entry, Unfinished
from pipeline.write.folder import FolderStore

__all__ = ["Entry", "FolderStore", "Store", "Unfinished", "open_store"]


class Store(Protocol):
    """Keyed bytes with atomic puts. Keys are relative, `/`-separated, and checked by every method."""

    @property
    def uri(self) -> str:
        """Where it is, as a user would write it; never with credentials."""

    def put_file(self, path: Path, key: str) -> None:
        """Make `key` hold the bytes of a local file, replacing what was there; all of it or nothing."""

    def put_bytes(self, data: bytes, key: str) -> None:
        """Make `key` hold `data`, replacing what was there; all of it or nothing."""

    def put_new(self, data: bytes, key: str) -> bool:
        """Put only where nothing is; True when `key` now holds exactly `data`, False when something was in the way.

        Of many writers with different bytes exactly one gets True, also when the acknowledgement of its put was lost.
        """

    def version_of(self, key: str) -> str | None:
        """What tells this state of `key` from every other one; None when there is no such key."""

    def put_if(self, path: Path, key: str, version: str | None) -> str | None:
        """Put a local file only where `key` is still at `version` (None: nothing is there); its new version, or None.

        Of many writers that saw one version exactly one gets it, if no state ever comes again: bytes hold a counter.
        """

    def get_bytes(self, key: str) -> bytes:
        """All bytes of `key`; StoreError when there is no such key."""

    def digest(self, key: str) -> tuple[int, str]:
        """(bytes, hexadecimal SHA-256) of what `key` holds, read now and in bounded memory; errors as `get_bytes`."""

    def exists(self, key: str) -> bool: ...

    def entry_of(self, key: str) -> Entry | None:
        """Size and time of one key, as a listing has them; None when there is no such key."""

    def list_objects(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, bytes) of all under a folder-like prefix (empty, or ending in `/`), in any order, in one pass."""

    def list_keys(self, prefix: str = "") -> Iterator[str]:
        """The keys of the same objects: the quickest listing."""

    def list_entries(self, prefix: str = "") -> Iterator[Entry]:
        """The same objects, with the time of their last put."""

    def delete(self, key: str) -> None:
        """Make `key` hold nothing; no error when it already did."""

    def now_s(self) -> float:
        """The time by the clock that gives `modified_s`: two machines need not agree about it."""

    def list_unfinished(self) -> Iterator[Unfinished]:
        """Puts that are going on, or never ended."""

    def drop_unfinished(self, one: Unfinished) -> None:
        """Remove such a left-over; no error when it is gone. A put that is going on fails by it."""


def open_store(uri: str, *, endpoint: str | None = None, profile: str | None = None, anonymous: bool = False) -> Store:
    """The store at a folder path, `file://` or `s3://bucket/prefix`; opens no connection and makes no folder.

    Raises ConfigError for any other scheme and for an s3 address without a bucket.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return FolderStore(str(Path(uri).expanduser().absolute()))
    if scheme == "file":
        return FolderStore(unquote(urlsplit(uri).path))
    if scheme == "s3":
        from pipeline.write.s3 import S3Store  # noqa: PLC0415 (s3fs is slow to import, and a folder does not need it)

        bucket, _, prefix = rest.partition("/")
        if not bucket:
            raise ConfigError(f"output {uri!r}: found no bucket; expected s3://bucket or s3://bucket/prefix")
        return S3Store(bucket, prefix.strip("/"), endpoint, profile, anonymous)
    raise ConfigError(f"output {uri!r}: found the scheme {scheme!r}; expected a folder, file:// or s3://")
