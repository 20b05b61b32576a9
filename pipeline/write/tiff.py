"""The layout of a cloud-optimised TIFF: all headers first, then the blocks of the smallest overview, the layer's last.

As GDAL's COG driver lays it out (https://gdal.org/drivers/raster/cog.html, "File layout"), with the note that tells
readers so: before a block its size, after it its last four bytes again. Knows tags and bytes, not what they mean.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAYOUT = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
NOTE = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(LAYOUT) + LAYOUT
AROUND = 8
"""Bytes of leader and trailer."""
SHORT, LONG, LONG8 = 3, 4, 16
SIZES = {1: 1, 2: 1, SHORT: 2, LONG: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, LONG8: 8}
"""Bytes of one value by TIFF's number of its type."""
OFFSETS, BYTE_COUNTS = 324, 325
CLASSIC_LIMIT = 4_000_000_000
"""Offsets of a classic TIFF have 32 bits; beyond, and a little before it, the file is a BigTIFF."""


@dataclass(frozen=True)
class Tag:
    """One field of a header."""

    kind: int
    count: int
    data: bytes
    """Little-endian."""


@dataclass(frozen=True)
class Image:
    """The layer, or one of its overviews."""

    tags: Mapping[int, Tag]
    """All but those that say where the blocks are."""
    blocks: Sequence[bytes | bytearray]
    """Compressed, row by row."""


def whole_number(value: int, kind: int = SHORT) -> Tag:
    """A tag that holds one number, as a LONG where it is too large for a SHORT."""
    kind = LONG if value > 0xFFFF else kind
    return Tag(kind, 1, value.to_bytes(SIZES[kind], "little"))


def read_tags(file: bytes) -> dict[int, Tag]:
    """The tags of the first image of a classic little-endian TIFF."""
    (start,) = struct.unpack_from("<I", file, 4)
    (count,) = struct.unpack_from("<H", file, start)
    tags = {}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        number, kind, length, place = struct.unpack_from("<HHII", file, at)
        size = SIZES[kind] * length
        first = place if size > 4 else at + 8
        tags[number] = Tag(kind, length, file[first : first + size])
    return tags


def write_tiff(path: Path, images: Sequence[Image], *, big: bool | None = None) -> None:
    """The file of a layer and its overviews, largest first. big: BigTIFF; None: where it must be. Raises OSError."""
    blocks = sum(AROUND + len(block) for image in images for block in image.blocks)
    form = Form(blocks > CLASSIC_LIMIT if big is None else big)
    with path.open("wb") as file:
        file.write(form.headers(images))
        for image in reversed(images):
            for block in image.blocks:
                file.write(struct.pack("<I", len(block)))
                file.write(block)
                file.write(block[-4:])


@dataclass(frozen=True)
class Form:
    """How headers are spelled: classic, or BigTIFF with its wider numbers."""

    big: bool

    @property
    def word(self) -> str:
        return "<Q" if self.big else "<I"

    def headers(self, images: Sequence[Image]) -> bytes:
        """Everything before the first block."""
        size = 16 if self.big else 8
        at = size + len(NOTE) + (size + len(NOTE)) % 2
        start = struct.pack("<2sHHHQ", b"II", 43, 8, 0, at) if self.big else struct.pack("<2sHI", b"II", 42, at)
        # A header is as long wherever the blocks are.
        end = at + sum(len(self._header(image, 0, 0, last=False)) for image in images)
        starts = [*self._starts(end, reversed(images))][::-1]
        parts = [(start + NOTE).ljust(at, b"\0")]
        for image, blocks_at in zip(images, starts, strict=True):
            parts.append(self._header(image, at, blocks_at, last=image is images[-1]))
            at += len(parts[-1])
        return b"".join(parts)

    @staticmethod
    def _starts(end: int, images: Iterator[Image]) -> Iterator[int]:
        for image in images:
            yield end
            end += sum(AROUND + len(block) for block in image.blocks)

    def _header(self, image: Image, at: int, blocks_at: int, *, last: bool) -> bytes:
        """One header for the even place `at`, its longer values behind it; the next one follows."""
        fit = struct.calcsize(self.word)
        tags = sorted({**image.tags, **self._addresses(image, blocks_at)}.items())
        count = struct.pack("<Q" if self.big else "<H", len(tags))
        behind = at + len(count) + (4 + 2 * fit) * len(tags) + fit
        entries, values = [count], b""
        for number, tag in tags:
            short = len(tag.data) <= fit
            place = tag.data.ljust(fit, b"\0") if short else struct.pack(self.word, behind + len(values))
            entries.append(struct.pack("<HH", number, tag.kind) + struct.pack(self.word, tag.count) + place)
            # Values, as headers, stand at even places.
            values += b"" if short else tag.data + b"\0" * (len(tag.data) % 2)
        return b"".join((*entries, struct.pack(self.word, 0 if last else behind + len(values)), values))

    def _addresses(self, image: Image, start: int) -> dict[int, Tag]:
        starts, at = [], start
        for block in image.blocks:
            starts.append(at + AROUND // 2)
            at += AROUND + len(block)
        count, word = len(starts), self.word[1]
        sizes = [len(block) for block in image.blocks]
        return {
            OFFSETS: Tag(LONG8 if self.big else LONG, count, struct.pack(f"<{count}{word}", *starts)),
            BYTE_COUNTS: Tag(LONG, count, struct.pack(f"<{count}I", *sizes)),
        }
