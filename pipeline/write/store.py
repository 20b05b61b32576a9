"""Where outputs live: a folder or an S3 bucket behind one small interface, in which every put is atomic.

Readers see an object whole or not at all. Nothing here streams into `fs.open`: an exception there publishes a truncated
object. Stores are plain frozen values: cheap to pickle into a task; clients are made in the process that uses them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError, StoreError
from pipeline.write.keys import TEMP_PREFIX, check_key, check_prefix
from pipeline.write.lock import locked, state_of


class Entry(NamedTuple):
    """One object of a listing."""

    key: str
    size_bytes: int
    modified_s: float
    """Of the last put, in seconds by the store's own clock (see `Store.now_s`)."""


class Unfinished(NamedTuple):
    """What a put that never ended has left: a temporary file, or a pending upload; no reader sees it."""

    name: str
    token: str
    """What the store knows it by, beside its name; empty in a folder."""
    modified_s: float


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
        """Put only where nothing is; True when `key` now holds exactly `data`, False when it holds something else.

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

    def list_objects(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, bytes) of all under a folder-like prefix (empty, or ending in `/`), in any order, in one pass."""

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


@dataclass(frozen=True)
class FolderStore:
    """A local folder; atomic and durable: temp file beside the target, fsync, rename, fsync of the folder."""

    root: str
    """Absolute path; made when first written to."""

    @property
    def uri(self) -> str:
        return self.root

    def put_file(self, path: Path, key: str) -> None:
        with path.open("rb") as source:

            def fill(target: BinaryIO) -> None:
                source.seek(0)
                shutil.copyfileobj(source, target, 1 << 20)

            self._put(key, fill, os.replace)

    def put_bytes(self, data: bytes, key: str) -> None:
        self._put(key, lambda target: target.write(data), os.replace)

    def put_new(self, data: bytes, key: str) -> bool:
        try:
            self._put(key, lambda target: target.write(data), _link)
        except _TakenError:
            return self.get_bytes(key) == data
        return True

    def version_of(self, key: str) -> str | None:
        with self._named(key, "look at"):
            return state_of(self._path(key))

    def put_if(self, path: Path, key: str, version: str | None) -> str | None:
        target = self._path(key)
        with self._named(key, "put"):
            _make_folders(target.parent)
            with locked(target):
                if state_of(target) != version:
                    return None
                self.put_file(path, key)
                return state_of(target)

    def get_bytes(self, key: str) -> bytes:
        path = self._path(key)
        with self._named(key, "read"):
            return path.read_bytes()

    def digest(self, key: str) -> tuple[int, str]:
        path = self._path(key)
        with self._named(key, "read"), path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
            return handle.tell(), digest

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def list_objects(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        return ((entry.key, entry.size_bytes) for entry in self.list_entries(prefix))

    def list_entries(self, prefix: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        with self._named(prefix, "list"):
            for key, stat in _walk(Path(self.root, prefix), prefix):
                if not _is_temporary(key):
                    yield Entry(key, stat.st_size, stat.st_mtime)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._named(key, "delete"), suppress(FileNotFoundError):
            path.unlink()

    def now_s(self) -> float:
        """Asked of the file system, which may be another machine's; where nothing can be written, of this machine."""
        probe = Path(self.root, f"{TEMP_PREFIX}{uuid.uuid4().hex}")
        try:
            probe.touch(exist_ok=False)
            return probe.stat().st_mtime
        except OSError:
            return time.time()
        finally:
            with suppress(OSError):
                probe.unlink()

    def list_unfinished(self) -> Iterator[Unfinished]:
        with self._named("", "list"):
            for name, stat in _walk(Path(self.root), ""):
                if _is_temporary(name):
                    yield Unfinished(name, "", stat.st_mtime)

    def drop_unfinished(self, one: Unfinished) -> None:
        with self._named(one.name, "delete"), suppress(FileNotFoundError):
            Path(self.root, one.name).unlink()

    def _path(self, key: str) -> Path:
        return Path(self.root, check_key(key))

    def _put(self, key: str, fill: Callable[[BinaryIO], object], publish: Callable[[Path, Path], None]) -> None:
        target = self._path(key)
        with self._named(key, "put"):
            _make_folders(target.parent)
            while not _put_once(target, fill, publish):
                pass  # a clean-up took the unfinished file: nothing is lost but the time
            _sync_folder(target.parent)

    @contextmanager
    def _named(self, key: str, operation: str) -> Iterator[None]:
        """OSErrors become StoreErrors with folder, key and operation."""
        try:
            yield
        except FileNotFoundError as error:
            raise StoreError(f"folder {self.root}, key {key}: {operation} failed: there is no such key") from error
        except OSError as error:
            raise StoreError(f"folder {self.root}, key {key}: {operation} failed: {error.strerror or error}") from error


def _put_once(target: Path, fill: Callable[[BinaryIO], object], publish: Callable[[Path, Path], None]) -> bool:
    """Fill a file beside the target and give it the target's name; False where it was removed before it had it."""
    temp = target.with_name(f"{TEMP_PREFIX}{uuid.uuid4().hex}")
    try:
        with temp.open("xb") as handle:
            fill(handle)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            publish(temp, target)
        except FileNotFoundError:
            if temp.exists() or not target.parent.is_dir():
                raise
            return False
    finally:
        temp.unlink(missing_ok=True)
    return True


class _TakenError(Exception):
    """Something is already at the key of a put-if-absent."""


def _link(temp: Path, target: Path) -> None:
    """Give a finished file its name where none is; a hard link does it in one step."""
    try:
        os.link(temp, target)
    except FileExistsError:
        raise _TakenError from None
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; put-if-absent needs a file system with hard links") from error


def _make_folders(folder: Path) -> None:
    """Make a folder and its parents, each new name durable in its own parent."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_temporary(name: str) -> bool:
    return any(part.startswith(TEMP_PREFIX) for part in name.split("/"))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every file under a folder, unfinished ones too, by its name from the root."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:  # nothing was ever put there, or a concurrent clean-up removed it
        return
    for entry in entries:
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            with suppress(FileNotFoundError):
                yield f"{prefix}{entry.name}", entry.stat()
