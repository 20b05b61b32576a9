"""A local folder in place of a bucket: files are objects, by their paths below it."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.events.buckets.bucket import Entry, Fetched, check_size, missing


@dataclass(frozen=True)
class FolderBucket:
    """A folder; its ETags are MD5 digests of the files, as S3 gives them to what one put made."""

    root: str

    def state(self, key: str) -> Entry | None:
        path = self._path(key)
        self._check()
        with self._named(key, "look at"):
            return _entry(path, key) if path.is_file() else None

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Folder by folder, names in order."""
        self._check()
        start = self._path(prefix.rpartition("/")[0])
        with self._named(prefix, "list"):
            for path in _files(start):
                key = path.relative_to(self.root).as_posix()
                if key.startswith(prefix) and (found := _entry(path, key)) is not None:
                    yield found

    def fetch(self, key: str, path: Path, max_bytes: int | None) -> Fetched:  # noqa: ARG002 (where it lies already)
        """The file itself, which nobody may write to."""
        found = self.state(key)
        if found is None:
            raise missing(str(self._path(key)))
        check_size(str(self._path(key)), found.size_bytes, max_bytes)
        return Fetched(self._path(key), found.size_bytes, found.etag, modified_s=found.modified_s)

    def read(self, key: str, max_bytes: int) -> bytes:
        path = self.fetch(key, self._path(key), max_bytes).path
        with self._named(key, "read"):
            return path.read_bytes()

    def lazy(self, key: str) -> tuple[str, dict[str, Any]]:
        return str(self._path(key)), {}

    def _check(self) -> None:
        """Raise StoreError where there is no such bucket: else all its objects would count as removed."""
        if not Path(self.root).is_dir():
            raise StoreError(f"folder {self.root}: there is no such folder in place of a bucket; make it first")

    def _path(self, key: str) -> Path:
        """Raises StoreError where it is not below the folder, which itself may be a link, or below a link in it."""
        root, path = os.path.realpath(self.root), Path(f"{self.root}/{key}")
        place = os.path.normpath(f"{root}/{key}")
        if not Path(place).is_relative_to(root):
            raise StoreError(f"folder {self.root}, key {key}: it leads out of the folder")
        if os.path.realpath(place) != place:
            raise _linked(path)
        return path

    @contextmanager
    def _named(self, key: str, operation: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"folder {self.root}, key {key}: {operation} failed: {error.strerror or error}") from error


def _files(folder: Path) -> Iterator[Path]:
    try:
        found = sorted(os.scandir(folder), key=lambda one: one.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for one in found:
        if one.is_symlink():
            raise _linked(Path(one.path))
        if one.is_dir():
            yield from _files(Path(one.path))
        elif one.is_file() and _is_unicode(one.name):
            yield Path(one.path)


def _linked(path: Path) -> StoreError:
    """Of a link, which may lead anywhere, and round in circles."""
    return StoreError(f"{path}: found a link in place of an object; put the file itself there, or link the bucket")


def _is_unicode(name: str) -> bool:
    """As all keys of S3 are."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _entry(path: Path, key: str) -> Entry | None:
    """None where the file went meanwhile."""
    try:
        found = path.stat()
        etag = _digest(path, found.st_size, found.st_mtime_ns, found.st_ino)
    except FileNotFoundError:
        return None
    return Entry(key, found.st_size, etag, "", found.st_mtime)


@functools.lru_cache(maxsize=10_000)
def _digest(path: Path, _size_bytes: int, _modified_ns: int, _inode: int) -> str:
    """Hexadecimal MD5 of a file in one state of it, which no two reads in a row compute twice."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, _md5).hexdigest()


def _md5() -> hashlib._Hash:
    """What S3 calls ETag; it guards against nobody."""
    return hashlib.md5(usedforsecurity=False)
