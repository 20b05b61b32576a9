"""One mirror of the GDAC behind one small interface: a file is opened by its name, from some byte on, and read.

Whatever a mirror does wrong is an AssetError that names the address without its credentials. How often, and where else,
a file is asked for is not decided here but in `fetch`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from pipeline.config import mask_credentials
from pipeline.errors import AssetError, ConfigError, PermanentAssetError, TransientAssetError
from pipeline.read.access import Access, check_href

CHUNK_BYTES = 256 * 1024
SCHEMES = ("http", "https", "ftp", "s3", "file", "")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


@dataclass(frozen=True)
class Patience:
    """How long, how often and through how many connections mirrors of one kind are asked."""

    timeout_s: float
    """Without a byte; a file that comes more slowly than 1 kB/s for longer than this is given up too."""
    retries: int
    """Attempts after the first, at each mirror."""
    delay_s: float
    """Upper bound of the first pause; it doubles."""
    connections: int
    """Open at once, at most."""


@dataclass(frozen=True)
class Gdac:
    """Where files are had from; picklable, and shown without the credentials that addresses may hold."""

    mirrors: tuple[str, ...] = field(repr=False)
    """https, http, ftp and s3 addresses and folders, in the order in which they are asked."""
    access: Access = field(default_factory=Access)
    """Of S3: endpoint, profile, anonymous."""
    http: Patience = Patience(30, 3, 1, 16)
    ftp: Patience = Patience(300, 3, 5, 4)
    s3: Patience = Patience(30, 3, 1, 16)
    folder: Patience = Patience(30, 0, 0, 8)
    in_flight: int = 16
    """Files at once, over all mirrors."""


@dataclass(frozen=True)
class Body:
    """One answer: what it is of, and its bytes as they come."""

    size_bytes: int | None
    """Of the whole file; None where the mirror does not say."""
    version: str
    """Tells this content from any other of the file; empty where the mirror does not say."""
    offset: int
    """Where the bytes begin: as asked, or 0 where the mirror gives whole files only."""
    chunks: AsyncGenerator[bytes]
    """Raises AssetError; that it ends is no proof that all came."""


class Transport(Protocol):
    """One mirror. Belongs to one event loop."""

    @property
    def uri(self) -> str:
        """Its address without credentials."""

    @property
    def patience(self) -> Patience: ...

    def open(self, path: str, offset: int = 0) -> AbstractAsyncContextManager[Body]:
        """The file from byte `offset` on. Raises MissingFileError, BusyError and other AssetErrors."""

    async def close(self) -> None:
        """End all connections."""


class MissingFileError(PermanentAssetError):
    """The mirror has no such file."""


class BusyError(TransientAssetError):
    """The mirror asks to be left alone, for `wait_s` where it says so."""

    wait_s: float = 0.0


def open_transport(address: str, gdac: Gdac) -> Transport:
    """The mirror at an address; connects to nothing yet. Raises ConfigError as `check_address` does."""
    check_address(address)
    scheme = _scheme(address)
    if scheme in {"http", "https"}:
        from pipeline.mirror.http import HttpMirror  # noqa: PLC0415 (each is imported by those who use it)

        return HttpMirror(address, gdac.http)
    if scheme == "ftp":
        from pipeline.mirror.ftp import FtpMirror  # noqa: PLC0415 (the same)

        return FtpMirror(address, gdac.ftp)
    if scheme == "s3":
        from pipeline.mirror.s3 import S3Mirror  # noqa: PLC0415 (the same)

        return S3Mirror(address, gdac.access, gdac.s3)
    from pipeline.mirror.folder import FolderMirror  # noqa: PLC0415 (the same)

    return FolderMirror(folder_of(address) or Path(address), gdac.folder)


def check_address(address: str) -> None:
    """Raises ConfigError for what is no https, http, ftp or s3 address and no folder; looks nothing up."""
    scheme = _scheme(address)
    if scheme not in SCHEMES:
        raise ConfigError(
            f"gdac {mask_credentials(address)!r}: found scheme {scheme!r}; expected https, http, ftp, s3 or a folder"
        )
    if scheme in {"http", "https", "ftp", "s3"} and not urlsplit(address).hostname:
        raise ConfigError(f"gdac {mask_credentials(address)!r}: names no {'bucket' if scheme == 's3' else 'host'}")
    if scheme in {"http", "https"}:
        try:
            check_href(address, Access())
        except AssetError as error:
            raise ConfigError(f"gdac {mask_credentials(address)!r}: {error.cause}") from None


def folder_of(address: str) -> Path | None:
    """The folder an address names; None for one on a network."""
    scheme = _scheme(address)
    if scheme == "file":
        return Path(unquote(urlsplit(address).path))
    return None if scheme else Path(address).expanduser().absolute()


def check_path(path: str) -> str:
    """The path itself, if it is safe in a folder, an address and an FTP command alike; else PermanentAssetError."""
    if not _NAME.fullmatch(path) or len(path) > 512:
        raise PermanentAssetError(
            path[:200], "is no name of a GDAC; expected such as dac/incois/2902269/profiles/D2902269_001.nc"
        )
    return path


def _scheme(address: str) -> str:
    return address.partition("://")[0].lower() if "://" in address else ""
