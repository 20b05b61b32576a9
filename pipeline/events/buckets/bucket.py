"""What a bucket of other people's objects is asked: state, listing, bytes; it is never written to."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pipeline.errors import StoreError


class MissingObjectError(StoreError):
    """There is no such object: it was removed since, or never was."""


class TooLargeError(StoreError):
    """An object has more bytes than its reader takes."""


class Entry(NamedTuple):
    """One object, as a listing or a HEAD has it."""

    key: str
    size_bytes: int
    etag: str
    """Without quotes."""
    version: str
    """Of a bucket that keeps versions; a listing does not tell it."""
    modified_s: float
    """Unix time of its put, by the store's clock."""


@dataclass(frozen=True)
class Fetched:
    """An object as a local file, or a Zarr store as a local folder."""

    path: Path
    size_bytes: int
    etag: str
    version: str = ""
    modified_s: float = 0.0
    checksums: Mapping[str, str] = field(default_factory=dict)
    """What S3 keeps of the whole of its bytes, in Base64 by algorithm: CRC32, CRC32C, CRC64NVME, SHA1, SHA256."""

    @property
    def sha256(self) -> str:
        """Hexadecimal, where S3 keeps it; empty elsewhere."""
        return base64.b64decode(self.checksums.get("SHA256", "")).hex()


class Bucket(Protocol):
    """One bucket, or a folder that stands in for it. Keys are decoded, and were checked."""

    def state(self, key: str) -> Entry | None:
        """Of one object; None where there is none."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys begin so, by pages."""

    def fetch(self, key: str, path: Path, max_bytes: int | None) -> Fetched:
        """One object as a file: at `path`, or where it lies already. Raises MissingObjectError and TooLargeError."""

    def read(self, key: str, max_bytes: int) -> bytes:
        """The bytes of a small one; raises as `fetch`."""

    def lazy(self, key: str) -> tuple[str, dict[str, Any]]:
        """Path or address, and the options of fsspec, for libraries that open it themselves."""


def missing(where: str) -> MissingObjectError:
    """The error of an object that is not there."""
    return MissingObjectError(f"{where}: there is no such object; it was removed since, or its key is wrong")


def check_size(where: str, size_bytes: int, max_bytes: int | None) -> None:
    """Raise TooLargeError for more than a reader takes."""
    if max_bytes is not None and size_bytes > max_bytes:
        raise TooLargeError(f"{where}: found {size_bytes} bytes; expected at most {max_bytes}")
