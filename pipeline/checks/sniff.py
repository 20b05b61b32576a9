"""What an object is, by its bytes: the first few decide, never its name."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.checks import Kind

_HEAD_BYTES = 4096
_MAGIC: tuple[tuple[bytes, Kind, str], ...] = (
    (b"PAR1", "table", "Parquet"),
    (b"II*\0", "raster", "GeoTIFF"),
    (b"MM\0*", "raster", "GeoTIFF"),
    (b"II+\0", "raster", "GeoTIFF"),
    (b"MM\0+", "raster", "GeoTIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "raster", "JPEG 2000"),
    (b"\xffO\xffQ", "raster", "JPEG 2000"),  # a codestream without a container
    (b"CDF\x01", "array", "NetCDF-3"),
    (b"CDF\x02", "array", "NetCDF-3"),
    (b"CDF\x05", "array", "NetCDF-3"),
    (b"\x89HDF\r\n\x1a\n", "array", "NetCDF-4"),
)
_OTHERS = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x0e\x03\x13\x01", "HDF4"),
    (b"GRIB", "GRIB"),
    (b"SQLite format 3\0", "SQLite"),
)
_SUFFIXES: dict[str, tuple[str, ...]] = {
    "CSV": (".csv", ".tsv", ".txt", ".dat"),
    "Parquet": (".parquet", ".pq", ".geoparquet"),
    "GeoTIFF": (".tif", ".tiff", ".gtiff", ".cog"),
    "JPEG 2000": (".jp2", ".j2k"),
    "NetCDF-3": (".nc", ".nc3", ".cdf"),
    "NetCDF-4": (".nc", ".nc4", ".h5", ".hdf5", ".he5"),
    "Zarr": (".zarr",),
}
_KNOWN_SUFFIXES = frozenset(suffix for each in _SUFFIXES.values() for suffix in each)


@dataclass(frozen=True)
class Sniffed:
    """What an object is."""

    kind: Kind | None
    """None: nothing that can be checked."""
    type: str
    """Its format, or what was found instead."""


def sniff(path: Path) -> Sniffed:
    """What a local file or folder is. Raises OSError where it cannot be read."""
    if path.is_dir():
        marks = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
        found = any((path / mark).is_file() for mark in marks)
        return Sniffed("array", "Zarr") if found else Sniffed(None, f"a folder with none of {', '.join(marks)}")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for magic, kind, name in _MAGIC:
        if head.startswith(magic):
            return Sniffed(kind, name)
    return _other(head)


def fits_suffix(found: str, key: str) -> bool:
    """Whether a key's ending says nothing else than the bytes do; an ending that no format has says nothing."""
    name = key.rstrip("/").rsplit("/", 1)[-1].lower()
    suffix = f".{name.rsplit('.', 1)[-1]}" if "." in name else ""
    return suffix not in _KNOWN_SUFFIXES or suffix in _SUFFIXES.get(found, ())


def suffixes(found: str) -> str:
    """The endings of a format, for people."""
    return ", ".join(_SUFFIXES.get(found, ())) or "none of the endings that are known"


def _other(head: bytes) -> Sniffed:
    if not head:
        return Sniffed(None, "an empty file")
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return Sniffed(None, name)
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text[:1] == b"<":
        return Sniffed(None, f"a page of HTML or XML ({str(text[:40], 'latin-1')!r})")
    if text.startswith((b"{", b"[{", b"[[")):
        return Sniffed(None, f"JSON ({str(text[:40], 'latin-1')!r})")
    controls = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in head)
    if controls:
        return Sniffed(None, f"bytes of no format that is known ({head[:8]!r})")
    return Sniffed("table", "CSV")
