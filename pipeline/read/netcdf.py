"""One NetCDF file in memory: magic bytes decide who reads it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from numpy.typing import NDArray

from pipeline.read import netcdf3
from pipeline.read.netcdf3 import Bytes, HeaderCutError, Netcdf3, Netcdf3Error
from pipeline.read.netcdf_library import Library, NotNetcdfError

HDF5 = b"\x89HDF\r\n\x1a\n"
_OTHERS = {b"\x1f\x8b": "gzip", b"PK": "a ZIP archive", b"\x0e\x03\x13\x01": "HDF4", b"%PDF": "a PDF"}


class Variables(Protocol):
    """The variables of a file by name; `Netcdf3` is one."""

    def get(self, name: str) -> NDArray[Any] | None:
        """Values as stored, fills included; None where the file does not have it."""
        ...

    def fill(self, name: str) -> Any:
        """Its own `_FillValue`, or None."""
        ...


def container(head: Bytes) -> str:
    """`netcdf3` or `hdf5`, by the first eight bytes. Raises NotNetcdfError."""
    start = bytes(head[:512])
    if start[:3] == b"CDF" and start[3:4] in {b"\x01", b"\x02", b"\x05"}:
        return "netcdf3"
    if start[:8] == HDF5:
        return "hdf5"
    raise NotNetcdfError(f"{_looks_like(start)}, expected NetCDF (CDF and 1, 2 or 5, or HDF5's signature)")


def _looks_like(start: bytes) -> str:
    if not start:
        return "the file is empty"
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return f"a page of HTML or XML ({str(start[:60], 'latin-1')!r})"
    known = [name for magic, name in _OTHERS.items() if start.startswith(magic)]
    return known[0] if known else f"begins with {start[:8]!r}"


def expected_bytes(head: Bytes) -> int:
    """The least length of a whole file, from its head. Raises NotNetcdfError, Netcdf3Error; HeaderCutError for more.

    Of HDF5 the end-of-file address in its superblock (HDF5 File Format Specification, II.A: versions 0 to 3).
    """
    if container(head) == "netcdf3":
        return netcdf3.expected_bytes(head)
    if len(head) < 9:
        raise HeaderCutError(f"the superblock is cut: {len(head)} bytes")
    version = head[8]
    if version > 3:
        raise NotNetcdfError(f"an HDF5 superblock of version {version}, expected 0 to 3")
    # Version 0 and 1: sizes at 13, addresses (base, free space, end, driver) from 24 or 28. Then: sizes at 9, from 12.
    sizes, first = ((13, 24), (13, 28), (9, 12), (9, 12))[version]
    if len(head) < first + 24:
        raise HeaderCutError(f"the superblock is cut: {len(head)} bytes")
    if head[sizes] != 8:
        raise NotNetcdfError(f"HDF5 with offsets of {head[sizes]} bytes, expected 8")
    return int.from_bytes(bytes(head[first + 16 : first + 24]), "little")


def open_netcdf(data: Bytes, names: Collection[str], library: Library | None = None) -> Variables:
    """The named variables of a file, those that it has (of NetCDF-3 all).

    NetCDF-3 is viewed where it lies, by any number of threads. The library reads the others, in a process of its own:
    it is not safe in threads, and some damaged files never let it return. library: for many files; without it each of
    them costs a third of a second. Raises NotNetcdfError, Netcdf3Error; LibraryLostError where that process was lost.
    """
    if container(data) == "netcdf3":
        return Netcdf3(data)
    needed = expected_bytes(data)
    if needed > len(data):
        raise Netcdf3Error(f"cut: holds {len(data)} bytes of {needed}")
    if library is not None:
        return library.read(data, names)
    with Library() as one:
        return one.read(data, names)
