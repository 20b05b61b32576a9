"""Whether a file that came is what its name says, and whole; length alone proves neither."""

from __future__ import annotations

import re
import zlib

from pipeline.errors import PermanentAssetError, TransientAssetError
from pipeline.read.netcdf import expected_bytes, open_netcdf
from pipeline.read.netcdf_library import LibraryLostError

Bytes = bytes | memoryview
_SLICE, _GZIP = 64 * 1024, zlib.MAX_WBITS | 16


def check_file(path: str, data: Bytes) -> None:
    """Passes NetCDF that is as long as its header says, gzip whose checksum is right, and text that is no HTML.

    A truncated NetCDF-3 file opens without an error and gives wrong numbers, so its length is worked out from its
    header.
    Raises PermanentAssetError saying what was found.
    """
    cause = _cause(path, data)
    if cause:
        raise PermanentAssetError(path, cause)


def _cause(path: str, data: Bytes) -> str:
    if not len(data):
        return "is empty"
    if path.endswith(".nc"):
        return _netcdf(data)
    if path.endswith(".gz"):
        return _gzip(data)
    begin = bytes(data[:64]).lstrip()
    page = re.match(rb"(?i)<(!doctype|html|\?xml)", begin)
    return f"is a page of HTML or XML (starts with {begin[:8]!r})" if page else ""


def _netcdf(data: Bytes) -> str:
    try:
        expected = expected_bytes(data)
    except ValueError as error:
        return str(error)
    return f"is cut: {len(data)} bytes, {expected} expected by its header" if len(data) < expected else ""


def _gzip(data: Bytes) -> str:
    """One member or several, each with its own checksum; zeros may follow. Nothing is kept of what they hold."""
    member, view = zlib.decompressobj(_GZIP), memoryview(data)
    try:
        for start in range(0, len(view), _SLICE):
            rest = bytes(view[start : start + _SLICE])
            while rest := rest.lstrip(b"\0") if member.eof else rest:
                member = zlib.decompressobj(_GZIP) if member.eof else member
                member.decompress(rest)
                rest = member.unused_data
    except zlib.error as error:
        return f"is no sound gzip file (starts with {bytes(data[:4])!r}): {error}"
    return "" if member.eof else "is cut: the gzip stream does not end"


def date_update(path: str, data: Bytes) -> str:
    """DATE_UPDATE of a NetCDF file, 14 digits, which is what the index calls `date_update`; empty where it has none.

    Raises PermanentAssetError where the file cannot be read, TransientAssetError where its reader was lost.
    """
    try:
        stored = open_netcdf(data, ("DATE_UPDATE",)).get("DATE_UPDATE")
    except ValueError as error:
        raise PermanentAssetError(path, str(error)) from None
    except LibraryLostError as error:
        raise TransientAssetError(path, str(error)) from None
    text = b"" if stored is None else stored.tobytes()
    return text.decode("ascii") if re.fullmatch(rb"\d{14}", text) else ""
