"""One block of a TIFF: from its compressed bytes to the pixels a window wants of it. Nothing here knows files.

Unpacking (imagecodecs: libdeflate, zstd) and the compiled loops that undo predictors release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.read.lzw import lzw_decode

NONE, LZW, DEFLATE, OLD_DEFLATE, ZSTD = 1, 5, 8, 32946, 50000
"""Values of TIFF's tag Compression. Source: TIFF 6.0, Adobe's TIFF technical notes, libtiff's tiff.h."""
DIFFERENCES, FLOATING = 2, 3
"""Values of TIFF's tag Predictor. Source: TIFF 6.0 section 14, Adobe's TIFF technical note 3."""

Part = tuple[int, int, int, int]
"""First row, end row, first column, end column inside a block."""


class BlockError(Exception):
    """Why a block's bytes are no block."""


@dataclass(frozen=True)
class Layout:
    """How the pixels of one band lie in the blocks of an image."""

    codec: int
    predictor: int
    dtype: np.dtype[Any]
    """In this machine's byte order."""
    swapped: bool
    """The file's byte order is the other one."""
    width: int
    """Pixels of a row of a block."""
    samples: int = 1
    """Numbers of a pixel that lie side by side."""
    sample: int = 0
    """Which of them is meant."""

    @property
    def row_bytes(self) -> int:
        return self.width * self.samples * self.dtype.itemsize


def unpack(
    data: bytes | memoryview, codec: int, sizes: tuple[int, int], buffer: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The bytes of a block, a view of `buffer` (of `data` where nothing is compressed).

    sizes: what the block has to unpack to: its pixels, or as many rows as the others have where it is the last strip
    and its writer has filled it up. Raises BlockError for any other size and for what the codec refuses, checksums
    included.
    """
    found = np.frombuffer(data, np.uint8) if codec == NONE else _decode(data, codec, max(sizes), buffer)
    if found.size not in sizes:
        raise BlockError(f"unpacks to {found.size:,} bytes; expected {sizes[0]:,}")
    return found


def _decode(data: bytes | memoryview, codec: int, most: int, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    decode = _decoder(codec)
    try:
        found: NDArray[np.uint8] = decode(data, out=buffer[:most])
    except RuntimeError as error:
        reason = str(error)
        if "INSUFFICIENT_SPACE" in reason or "too small" in reason:
            reason = f"unpacks to more than {most:,} bytes"
        raise BlockError(reason) from None
    return found


def check(codec: int) -> None:
    """Raises ImportError where what unpacks such blocks is missing from this machine."""
    if codec != NONE:
        _decoder(codec)


@lru_cache(maxsize=8)
def _decoder(codec: int) -> Callable[..., Any]:
    import imagecodecs  # noqa: PLC0415 (only workers that read pixels need it)

    decoders: dict[int, Callable[..., Any]] = {
        LZW: lzw_decode,
        DEFLATE: imagecodecs.deflate_decode,
        OLD_DEFLATE: imagecodecs.deflate_decode,
        ZSTD: imagecodecs.zstd_decode,
    }
    return decoders[codec]


def put(block: NDArray[np.uint8], layout: Layout, part: Part, out: NDArray[Any], corner: tuple[int, int]) -> None:
    """Write one band's pixels of a part of an unpacked block into `out`, its first pixel at `corner`.

    out: (rows, columns), C order, `layout.dtype`. The block itself is left as it is.
    """
    dtype = layout.dtype
    rows = block.reshape(-1, layout.row_bytes)
    if layout.predictor == FLOATING:
        _join_bytes(rows, (layout.samples, layout.sample), part, out.view(f"u{dtype.itemsize}"), corner)
        return
    unsigned = np.dtype(f"u{dtype.itemsize}")
    numbers = rows.view(unsigned)
    if layout.predictor == DIFFERENCES:
        whole = numbers.byteswap() if layout.swapped else numbers
        _sum_up(whole, (layout.samples, layout.sample), part, out.view(unsigned), corner)
        return
    (r0, r1, c0, c1), (y, x) = part, corner
    pixels = numbers[r0:r1, c0 * layout.samples + layout.sample : c1 * layout.samples : layout.samples]
    target = out.view(unsigned)[y : y + r1 - r0, x : x + c1 - c0]
    target[...] = pixels.view(unsigned.newbyteorder()) if layout.swapped else pixels


@compiled(
    *(f"{t}[:,::1], UniTuple(i8, 2), UniTuple(i8, 4), {t}[:,::1], UniTuple(i8, 2)" for t in ("u1", "u2", "u4", "u8"))
)
def _sum_up(rows: NDArray[Any], which: tuple[int, int], part: Part, out: NDArray[Any], corner: tuple[int, int]) -> None:
    """Undo horizontal differences: each number is the sum of its row's differences up to it, modulo its size.

    Four rows at a time: a row's sums wait for each other, those of different rows do not.
    """
    step, first = which
    r0, r1, c0, c1 = part
    none = rows[0, 0] & 0
    row = r0
    while row + 4 <= r1:
        s0, s1, s2, s3 = none, none, none, none
        a0, a1, a2, a3 = rows[row], rows[row + 1], rows[row + 2], rows[row + 3]
        y = corner[0] + row - r0
        x = corner[1] - c0
        o0, o1, o2, o3 = out[y], out[y + 1], out[y + 2], out[y + 3]
        if step == 1:
            for c in range(c0):
                s0, s1, s2, s3 = s0 + a0[c], s1 + a1[c], s2 + a2[c], s3 + a3[c]
            for c in range(c0, c1):
                s0, s1, s2, s3 = s0 + a0[c], s1 + a1[c], s2 + a2[c], s3 + a3[c]
                o0[x + c], o1[x + c], o2[x + c], o3[x + c] = s0, s1, s2, s3
        else:
            for c in range(c1):
                k = c * step + first
                s0, s1, s2, s3 = s0 + a0[k], s1 + a1[k], s2 + a2[k], s3 + a3[k]
                if c >= c0:
                    o0[x + c], o1[x + c], o2[x + c], o3[x + c] = s0, s1, s2, s3
        row += 4
    while row < r1:
        s0 = none
        a0, o0 = rows[row], out[corner[0] + row - r0]
        x = corner[1] - c0
        for c in range(c1):
            s0 = s0 + a0[c * step + first]
            if c >= c0:
                o0[x + c] = s0
        row += 1


@compiled(*(f"u1[:,::1], UniTuple(i8, 2), UniTuple(i8, 4), {t}[:,::1], UniTuple(i8, 2)" for t in ("u4", "u8")))
def _join_bytes(
    rows: NDArray[np.uint8], which: tuple[int, int], part: Part, out: NDArray[Any], corner: tuple[int, int]
) -> None:
    """Undo the floating-point predictor: a row is all highest bytes, then all second ones, …, as differences."""
    step, first = which
    r0, r1, c0, c1 = part
    size = out.itemsize
    width = rows.shape[1] // (size * step)
    for row in range(r0, r1):
        packed, target = rows[row], out[corner[0] + row - r0]
        x = corner[1] - c0
        for c in range(c0, c1):
            target[x + c] = 0
        total = np.uint8(0)
        for plane in range(size):
            start = plane * width * step + first
            for c in range(width):
                total = np.uint8(total + packed[start + c * step])
                if c0 <= c < c1:
                    target[x + c] = (target[x + c] << 8) | total
