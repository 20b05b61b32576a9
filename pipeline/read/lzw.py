"""LZW as TIFF has it, unpacked by a loop that no damage can lead out of its buffers.

imagecodecs' own decoder, else the one for every codec, ends the process on some damaged streams.
Source: TIFF 6.0 section 13; libtiff for streams of before TIFF 5, whose codes begin with their lowest bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

_CLEAR, _END, _FIRST, _MOST = 256, 257, 258, 4096
_UNKNOWN, _TOO_LONG = -1, -2


def lzw_decode(data: bytes | memoryview, *, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes of a block, a view of `out`. Raises RuntimeError for what is no LZW, and for more than `out` holds."""
    packed = np.frombuffer(memoryview(data).toreadonly(), np.uint8)
    found = _decode(packed, out, packed.size > 1 and packed[0] == 0 and bool(packed[1] & 1))
    if found == _TOO_LONG:
        raise RuntimeError(f"LZW too small a buffer of {out.size} bytes")
    if found == _UNKNOWN:
        raise RuntimeError("LZW names a string that it never spelt")
    return out[:found]


@compiled("Array(u1, 1, 'C', readonly=True), u1[::1], boolean")
def _decode(data: NDArray[np.uint8], out: NDArray[np.uint8], low_first: Any) -> int:  # noqa: C901, PLR0912 (a loop)
    """How many bytes were written to `out`, or why none were.

    Every string is the last one and a byte more, so it stands in `out` already: the table holds where, and how long.
    """
    starts, sizes = np.empty(_MOST, np.int64), np.empty(_MOST, np.int64)
    pending, bits, width, following = 0, 0, 9, _FIRST
    last, last_size, end = 0, 0, 0
    read = 0
    while True:
        while bits < width:
            if read == data.size:
                return end
            byte: Any = np.int64(data[read])
            pending = pending | (byte << bits) if low_first else ((pending & 0xFFFF) << 8) | byte
            read += 1
            bits += 8
        bits -= width
        if low_first:
            code = pending & ((1 << width) - 1)
            pending >>= width
        else:
            code = (pending >> bits) & ((1 << width) - 1)
        if code == _END:
            return end
        if code == _CLEAR:
            width, following, last_size = 9, _FIRST, 0
            continue
        if code < _CLEAR:
            start, size = end, 1
        elif code < following:
            start, size = starts[code], sizes[code]
        elif code == following and last_size:
            start, size = last, last_size + 1
        else:
            return _UNKNOWN
        if end + size > out.size:
            return _TOO_LONG
        if code < _CLEAR:
            out[end] = code
        else:
            for k in range(size):
                out[end + k] = out[start + k]
        if last_size and following < _MOST:
            starts[following], sizes[following] = last, last_size + 1
            following += 1
            if following + (not low_first) >= 1 << width and width < 12:
                width += 1
        last, last_size = end, size
        end += size
