"""A local folder as a store: what is put there is whole and on the disk, or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import StoreError
from pipeline.write.entries import Entry, Unfinished
from pipeline.write.keys import TEMP_PREFIX, check_key, check_prefix
from pipeline.write.lock import locked, state_of


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
            with self._named(key, "read"), suppress(FileNotFoundError):  # removed since
                return self._path(key).read_bytes() == data
            return False
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

    def entry_of(self, key: str) -> Entry | None:
        path = self._path(key)
        with self._named(key, "look at"):
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):  # a key below a file's is nobody's
                return None
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    return None
                raise
            return Entry(key, found.st_size, found.st_mtime) if stat.S_ISREG(found.st_mode) else None

    def list_objects(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        return ((entry.key, entry.size_bytes) for entry in self.list_entries(prefix))

    def list_entries(self, prefix: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        with self._named(prefix, "list"):
            for key, found in _walk(Path(self.root, prefix), prefix):
                if not _is_temporary(key):
                    yield Entry(key, found.st_size, found.st_mtime)

    def list_keys(self, prefix: str = "") -> Iterator[str]:
        return (entry.key for entry in self.list_entries(prefix))

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
            for name, found in _walk(Path(self.root), ""):
                if _is_temporary(name):
                    yield Unfinished(name, "", found.st_mtime)

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
