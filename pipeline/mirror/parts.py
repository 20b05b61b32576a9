"""What has come of a file so far, in memory or beside its place on the disk, and what it is a part of.

A part is only ever added to where the mirror says that it still gives the very same content; otherwise it begins anew.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from pipeline.mirror.check import check_file
from pipeline.mirror.transports import Body

RESUME_BYTES = 256 * 1024
"""Parts of smaller files are not worth asking about."""
SUFFIX, STAMP_SUFFIX = ".part", ".part.from"


class Part(Protocol):
    """The first bytes of a file."""

    def kept(self, uri: str) -> int:
        """How many bytes there are that came from this mirror and may be added to."""

    def begin(self, uri: str, body: Body) -> bool:
        """Make ready for the bytes of `body`, from 0 or behind what is kept; False where that is of another content."""

    def write(self, chunk: bytes) -> None: ...

    def forget(self) -> None:
        """Begin anew the next time."""


def stamp_of(uri: str, body: Body) -> str:
    """What tells this content from any other; empty where it cannot be told, or is not worth it."""
    if not body.version or body.size_bytes is None or body.size_bytes < RESUME_BYTES:
        return ""
    return f"{uri}\n{body.version}\n{body.size_bytes}\n"


class MemoryPart:
    """A part in memory."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.data = bytearray()
        self._stamp = ""

    def kept(self, uri: str) -> int:
        return len(self.data) if self._stamp.startswith(f"{uri}\n") else 0

    def begin(self, uri: str, body: Body) -> bool:
        stamp = stamp_of(uri, body)
        if body.offset:
            return stamp == self._stamp != ""
        self.data, self._stamp = bytearray(), stamp
        return True

    def write(self, chunk: bytes) -> None:
        self.data += chunk

    def forget(self) -> None:
        self._stamp = ""


class FilePart:
    """A part on the disk, which outlives the process that began it. Raises OSError where it cannot be written."""

    def __init__(self, target: Path) -> None:
        """Touch nothing yet."""
        self._target = target
        self._path = target.with_name(target.name + SUFFIX)
        self._stamp = target.with_name(target.name + STAMP_SUFFIX)
        self._file: BinaryIO | None = None
        self._begun = False

    def kept(self, uri: str) -> int:
        self.close()
        with suppress(FileNotFoundError):
            if self._stamp.read_text("utf-8", "replace").startswith(f"{uri}\n"):
                return self._path.stat().st_size
        return 0

    def begin(self, uri: str, body: Body) -> bool:
        self.close()
        stamp = stamp_of(uri, body)
        if body.offset:
            if not stamp or self._stamp.read_text("utf-8", "replace") != stamp:
                return False
            self._file, self._begun = self._path.open("ab"), True
            return True
        # In this order: a stamp never stands beside bytes of another content.
        self._stamp.unlink(missing_ok=True)
        if not self._begun:
            self._target.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._begun = self._path.open("wb"), True
        if stamp:
            self._stamp.write_text(stamp, "utf-8")
        return True

    def write(self, chunk: bytes) -> None:
        if self._file is None:
            raise ValueError(f"{self._path}: nothing was begun")
        self._file.write(chunk)

    def forget(self) -> None:
        self.close()
        self._stamp.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def leave(self) -> None:
        """Keep only what can be added to another time."""
        with suppress(OSError):
            self.close()
            if self._begun and not self._stamp.exists():
                self._path.unlink(missing_ok=True)

    def publish(self, path: str) -> tuple[int, str]:
        """Check the file, make it durable and give it its name; (bytes, hexadecimal SHA-256).

        Raises PermanentAssetError, and begins anew, where it is not what its name says.
        """
        self.close()
        self._stamp.unlink(missing_ok=True)  # also what is refused is not added to
        with self._path.open("rb") as file:
            data = file.read()
            check_file(path, data)
            os.fsync(file.fileno())
        self._path.replace(self._target)
        self._begun = False
        return len(data), hashlib.sha256(data).hexdigest()
