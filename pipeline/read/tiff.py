"""What a TIFF says of itself, as frozen facts: its images, where their blocks lie, where it lies on the earth.

Pure: bytes in, facts out. It reads what GDAL would read in the same way; whatever is not surely so raises `Unsupported`
and is GDAL's. Nothing is allocated by what a file claims before the claim fits into the file.

Sources: TIFF 6.0; the BigTIFF proposal; OGC GeoTIFF 1.1; GDAL's GeoTIFF driver, whose rules decide where they differ.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.read import geokeys as geo
from pipeline.read.codecs import DEFLATE, DIFFERENCES, FLOATING, LZW, NONE, OLD_DEFLATE, ZSTD, Layout
from pipeline.read.fetch import Unsupported
from pipeline.types import Affine6

_MAX_BLOCK_BYTES = 64 * 2**20
"""Largest unpacked block that is read here; GDAL reads single rows of larger strips."""
_MAX_DIRECTORIES, _MAX_ENTRIES, _MAX_TAG_BYTES, _MAX_TABLE_BYTES = 64, 512, 2**20, 32 * 2**20
_CODECS = {NONE, LZW, DEFLATE, OLD_DEFLATE, ZSTD}
_KINDS = {1: "u", 2: "i", 3: "f"}
_DTYPES = {"u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"}
_TYPES = dict(
    zip(
        (1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 16),
        ["u1", "S1", "u2", "u4", "i1", "u1", "i2", "i4", "f4", "f8", "u4", "u8"],
        strict=True,
    )
)
"""TIFF's field types as numpy's; fractions (5, 10) and signed 64 bits (17) carry nothing that is asked for here."""
_MARKS: dict[bytes, tuple[Literal["<", ">"], bool]]
_MARKS = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType


@dataclass(frozen=True, eq=False)
class Image:
    """One image directory: the blocks of a full-resolution band, or of one of its overviews."""

    shape: tuple[int, int]
    block: tuple[int, int]
    """(rows, columns) of a block; a strip is as wide as the image."""
    layout: Layout
    """Of the first band."""
    bands: int
    planes: int
    """Bands that have blocks of their own: all, or 1 where they share them."""
    tiled: bool
    offsets: NDArray[np.unsignedinteger[Any]]
    """First byte of every block, row by row, plane after plane; 0 where the block was never written."""
    counts: NDArray[np.unsignedinteger[Any]]
    """Bytes of every block in the file; 0 where it was never written."""
    nodata: float | None

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks of one plane, (rows, columns)."""
        return -(-self.shape[0] // self.block[0]), -(-self.shape[1] // self.block[1])


@dataclass(frozen=True, eq=False)
class Header:
    """The first image of a file, where it lies, and where the next directory is."""

    image: Image
    epsg: int
    transform: Affine6
    """As GDAL gives it: pixel corners, also where the file speaks of centres."""
    following: int
    """Offset of the second directory; 0: none."""


@dataclass
class Bytes:
    """The bytes of a file by offset: its head, and what lies beyond it once it is asked for."""

    head: bytes
    size: int
    fetch: Callable[[int, int], bytes | memoryview]
    """(start, length) → so many bytes, or an OSError."""
    order: Literal["<", ">"] = field(init=False)
    """Of bytes, as `struct` writes it: < or >."""
    big: bool = field(init=False)
    _pieces: list[tuple[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.head[:4] not in _MARKS:
            raise Unsupported("not a TIFF")
        self.order, self.big = _MARKS[self.head[:4]]

    def number(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    def at(self, start: int, length: int) -> bytes:
        """`length` bytes from `start`. Raises Unsupported where the file ends before, and what `fetch` raises."""
        if start + length > self.size:
            raise Unsupported(f"a header that points to bytes {start}..{start + length} of {self.size}")
        for first, piece in ((0, self.head), *self._pieces):
            if first <= start and start + length <= first + len(piece):
                return piece[start - first : start - first + length]
        if len(self._pieces) >= _MAX_DIRECTORIES:
            raise Unsupported("a header that is scattered over the file")
        more = min(self.size - start, max(length, len(self.head)))
        self._pieces.append((start, bytes(self.fetch(start, more))))
        return self._pieces[-1][1][:length]


class _Directory:
    """The entries of one directory: values by tag."""

    def __init__(self, file: Bytes, entries: dict[int, tuple[int, int, bytes]], following: int) -> None:
        self._file, self._entries, self.following = file, entries, following
        self.swapped = (file.order == "<") != (sys.byteorder == "little")

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def count(self, tag: int) -> int:
        return self._entries[tag][1] if tag in self._entries else 0

    def values(self, tag: int) -> NDArray[Any]:
        """All values of a tag, in this machine's byte order; none where the tag is missing."""
        if tag not in self._entries:
            return np.empty(0, np.uint8)
        kind, count, inline = self._entries[tag]
        if kind not in _TYPES:
            raise Unsupported(f"values of type {kind} in tag {tag}")
        dtype = np.dtype(_TYPES[kind])
        length = count * dtype.itemsize
        if length > (_MAX_TABLE_BYTES if tag in {273, 279, 324, 325} else _MAX_TAG_BYTES):
            raise Unsupported(f"{length} bytes in tag {tag}")
        if length > len(inline):
            inline = self._file.at(self._file.number(inline), length)
        return np.frombuffer(inline[:length], dtype.newbyteorder(self._file.order)).astype(dtype)

    def one(self, tag: int, default: int) -> int:
        """The only value of a tag, or the same one for every sample."""
        values = self.values(tag)
        if not values.size:
            return default
        if values.dtype.kind not in "ui" or (values != values[0]).any():
            raise Unsupported(f"samples that differ in tag {tag}")
        return int(values[0])

    def text(self, tag: int) -> str:
        values = self.values(tag)
        if values.size and values.dtype.kind != "S":
            raise Unsupported(f"tag {tag} is no text")
        return values.tobytes().partition(b"\0")[0].decode("latin-1")


def parse(file: Bytes) -> Header:
    """The facts of a file's first image. Raises Unsupported, or OSError where bytes beyond the head cannot be had."""
    directory = _open(file, _first(file))
    if 330 in directory:
        raise Unsupported("images inside images (SubIFDs)")
    if re.search(r"(?i)OVERVIEW_FILE|MASK_FILE", directory.text(42112)):
        raise Unsupported("a tag that names another file")
    told = directory.values(34735), directory.values(34736), directory.text(34737)
    geokeys = geo.keys(*told)
    where = (directory.values(tag).tolist() for tag in (33550, 33922, 34264))
    transform = geo.affine(*where, centres=geo.is_point(geokeys))
    return Header(_image(directory), geo.epsg(geokeys, *told), transform, directory.following)


def overviews(file: Bytes, header: Header) -> tuple[Image, ...]:
    """The reduced images of a file in their order, without masks. Raises as `parse`, and Unsupported for loops."""
    found: list[Image] = []
    at, seen = header.following, {0, _first(file)}
    while at:
        if at in seen or len(seen) > _MAX_DIRECTORIES or sum(one.counts.nbytes for one in found) > _MAX_TABLE_BYTES:
            raise Unsupported("directories that lead back to each other, or too many or too large")
        seen.add(at)
        directory = _open(file, at)
        kind = directory.one(254, 0)
        if 255 in directory or not kind & (_REDUCED | _MASK):
            raise Unsupported("several images of full resolution")
        if not kind & _MASK:
            found.append(_overview(directory, header.image))
        at = directory.following
    return tuple(found)


def _overview(directory: _Directory, full: Image) -> Image:
    image = _image(directory)
    same = image.bands == full.bands and image.layout.dtype == full.layout.dtype
    if not same or image.shape[0] > full.shape[0] or image.shape[1] > full.shape[1]:
        raise Unsupported("an overview of another kind")
    if image.nodata != full.nodata and not (image.nodata != image.nodata and full.nodata != full.nodata):
        raise Unsupported("an overview with another nodata")
    return image


def _first(file: Bytes) -> int:
    start = file.at(0, 16 if file.big else 8)
    if not file.big:
        return file.number(start[4:])
    if file.number(start[4:6]) != 8 or file.number(start[6:8]):
        raise Unsupported("a BigTIFF with offsets of another size")
    return file.number(start[8:])


def _open(file: Bytes, at: int) -> _Directory:
    form = struct.Struct(f"{file.order}HHQ8s" if file.big else f"{file.order}HHI4s")
    wide, offset = (8, 8) if file.big else (2, 4)
    entries = file.number(file.at(at, wide))
    if not 0 < entries <= _MAX_ENTRIES:
        raise Unsupported(f"a directory of {entries} entries")
    body = file.at(at + wide, entries * form.size + offset)
    found: dict[int, tuple[int, int, bytes]] = {}
    for tag, kind, count, inline in form.iter_unpack(body[:-offset]):
        if tag in found:
            raise Unsupported(f"tag {tag} twice in one directory")
        found[tag] = kind, count, inline
    return _Directory(file, found, file.number(body[-offset:]))


def _image(directory: _Directory) -> Image:
    """The blocks of one directory, checked against each other."""
    shape = directory.one(257, 0), directory.one(256, 0)
    tiled = 322 in directory
    if min(shape) < 1 or (tiled and 273 in directory):
        raise Unsupported(f"an image of {shape[1]} x {shape[0]} pixels in tiles and strips")
    block = (
        (directory.one(323, 0), directory.one(322, 0))
        if tiled
        else (min(directory.one(278, shape[0]), shape[0]), shape[1])
    )
    bands, chunky = directory.one(277, 1), directory.one(284, 1) == 1
    layout = _layout(directory, block[1], bands if chunky else 1)
    if min(block) < 1 or block[0] * layout.row_bytes > _MAX_BLOCK_BYTES:
        raise Unsupported(f"blocks of {block[1]} x {block[0]} pixels")
    planes = 1 if chunky else bands
    expected = -(-shape[0] // block[0]) * -(-shape[1] // block[1]) * planes
    tags = (324, 325) if tiled else (273, 279)
    for tag in tags:
        if directory.count(tag) != expected:
            raise Unsupported(f"{directory.count(tag)} entries in tag {tag} for {expected} blocks")
    offsets, counts = (directory.values(tag) for tag in tags)
    if offsets.dtype.kind != "u" or counts.dtype.kind != "u" or ((offsets == 0) != (counts == 0)).any():
        raise Unsupported("blocks with an offset and no size, or a size and no offset")
    image = Image(shape, block, layout, bands, planes, tiled, offsets, counts, _nodata(directory, layout.dtype))
    _check_plain(image)
    return image


def _check_plain(image: Image) -> None:
    """Blocks that are not compressed have exactly their size; the last strips may be as long as the others."""
    if image.layout.codec != NONE:
        return
    rows = np.full((image.planes, *image.blocks), image.block[0])
    allowed = [0, image.block[0] * image.layout.row_bytes]
    if not image.tiled:
        rows[:, -1] = image.shape[0] - (image.blocks[0] - 1) * image.block[0]
    if not (np.isin(image.counts, allowed) | (image.counts == rows.ravel() * image.layout.row_bytes)).all():
        raise Unsupported("blocks that are not compressed and not of their size")


def _layout(directory: _Directory, width: int, samples: int) -> Layout:
    codec, bits, kind = directory.one(259, 1), directory.one(258, 1), _KINDS.get(directory.one(339, 1), "?")
    predictor = directory.one(317, 1) if codec != NONE else 1
    name = f"{kind}{bits // 8}"
    if codec not in _CODECS or bits % 8 or name not in _DTYPES:
        raise Unsupported(f"compression {codec} of {bits} bits, sample format {kind}")
    if predictor not in {1, DIFFERENCES, FLOATING} or (predictor == FLOATING and kind != "f"):
        raise Unsupported(f"predictor {predictor} of sample format {kind}")
    # Order of bits, orientation, kinds of colour whose numbers GDAL converts.
    if directory.one(266, 1) != 1 or directory.one(274, 1) != 1 or directory.one(262, 1) not in {0, 1, 2, 3}:
        raise Unsupported("bits, rows or colours in an order of their own")
    if not 1 <= samples <= 65535 or directory.one(284, 1) not in {1, 2}:
        raise Unsupported(f"{samples} samples a pixel, planes {directory.one(284, 1)}")
    return Layout(codec, predictor, np.dtype(name), directory.swapped and bits > 8, width, samples)


def _nodata(directory: _Directory, dtype: np.dtype[Any]) -> float | None:
    """GDAL's nodata, where every pixel type and reader agrees what the text means."""
    if 42113 not in directory:
        return None
    text = directory.text(42113).strip()
    if dtype.kind == "f" and text.lower() == "nan":
        return float("nan")
    if not re.fullmatch(r"[-+]?\d{1,25}(\.\d{0,40})?([eE][-+]?\d{1,3})?", text):
        raise Unsupported(f"nodata {text[:40]!r}")
    value = float(text)
    if dtype.kind == "f":
        exact = abs(value) <= np.finfo(dtype).max and float(dtype.type(value)) == value
    else:
        exact = value.is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
    if not exact:
        raise Unsupported(f"nodata {text[:40]!r} of {dtype} pixels")
    return value
