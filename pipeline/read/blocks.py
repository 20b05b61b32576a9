"""One window of one image of a TIFF: which blocks it touches, and how their pixels get into it.

Blocks are unpacked on the calling thread: parallelism comes from many reads at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.read import codecs
from pipeline.read.carry import Block, Carry
from pipeline.read.fetch import ByteSource
from pipeline.read.tiff import Image

_LOCAL_BATCH_BYTES = 2**20
_KEPT_SCRATCH_BYTES = 8 * 2**20
_MAX_GROWTH = 2
"""Compressed bytes of a block for each of its bytes, at most; LZW of noise comes to 1.5."""


class _Thread(local):
    """What each thread has of its own."""

    scratch: NDArray[np.uint8] | None = None


_MINE = _Thread()
Spot = tuple[int, int]
"""Row and column of a block."""


class Window:
    """One read of one band of one image of an open file."""

    def __init__(self, source: ByteSource, image: Image, of: tuple[int, int], rows: slice, cols: slice) -> None:
        """Of which band, from 1, and of which overview, 0 for full resolution."""
        self.source, self.image, self.of, self.rows, self.cols = source, image, of, rows, cols
        band, _ = of
        self.first = rows.start // image.block[0], cols.start // image.block[1]
        self.end = -(-rows.stop // image.block[0]), -(-cols.stop // image.block[1])
        apart = image.planes > 1
        self.plane = (band - 1) * image.blocks[0] * image.blocks[1] if apart else 0
        self.layout = image.layout if apart else replace(image.layout, sample=band - 1)
        self.block_bytes = image.block[0] * image.layout.row_bytes

    def read(self, need: NDArray[np.bool_] | None, carry: Carry | None, below: int | None) -> NDArray[Any]:
        """The pixels; those of blocks that are not needed are 0."""
        shape = self.rows.stop - self.rows.start, self.cols.stop - self.cols.start
        touched = self.end[0] - self.first[0], self.end[1] - self.first[1]
        if need is not None and need.shape != touched:
            raise ValueError(f"`need` is {need.shape}; the window touches {touched} blocks")
        out = np.empty(shape, self.layout.dtype) if need is None or need.all() else np.zeros(shape, self.layout.dtype)
        missing = []
        for row, col in np.ndindex(touched):
            spot, target = (self.first[0] + row, self.first[1] + col), out if need is None or need[row, col] else None
            if carry is not None and self._take(spot, target, carry, below):
                continue
            if target is not None and self.image.counts[self._number(spot)]:
                missing.append(spot)
            elif target is not None:
                self._target(spot, out)[...] = self.image.nodata or 0
        for spots in self._batches(missing):
            views = self.source.ranges([self._span(spot) for spot in spots])[::-1]
            for spot in spots:
                # A view keeps alive what it is a part of: each is let go as soon as its block is unpacked.
                block = self._unpack(views.pop(), spot, carry)
                self._put(block, spot, out)
                if carry is not None and self._reaches(spot, below):
                    _hand_over(carry, self._key(spot), block)
        return out

    def _take(self, spot: Spot, out: NDArray[Any] | None, carry: Carry, below: int | None) -> bool:
        """Use what an earlier read has left of a block, also where nothing of it is needed; False if it left none."""
        block = carry.take(self._key(spot))
        if block is None:
            return False
        if out is not None:
            self._put(block, spot, out)
        if not (self._reaches(spot, below) and carry.keep(self._key(spot), block)):
            carry.give_back(block)
        return True

    def _put(self, block: Block, spot: Spot, out: NDArray[Any]) -> None:
        """Write what the window wants of an unpacked block."""
        row, col = spot
        high, wide = self.image.block
        top, left = max(self.rows.start - row * high, 0), max(self.cols.start - col * wide, 0)
        part = top, min(self.rows.stop - row * high, high), left, min(self.cols.stop - col * wide, wide)
        corner = row * high + top - self.rows.start, col * wide + left - self.cols.start
        codecs.put(block, self.layout, part, out, corner)

    def _reaches(self, spot: Spot, below: int | None) -> bool:
        """The block has rows that a later read will want."""
        return below is not None and min((spot[0] + 1) * self.image.block[0], self.image.shape[0]) > below

    def _number(self, spot: Spot) -> int:
        return self.plane + spot[0] * self.image.blocks[1] + spot[1]

    def _key(self, spot: Spot) -> Hashable:
        return self.source.href, self.source.version, *self.of, self._number(spot)

    def _span(self, spot: Spot) -> tuple[int, int]:
        """Where a block lies in the file. Raises OSError for a size that no block of this image can have."""
        number = self._number(spot)
        start, length = int(self.image.offsets[number]), int(self.image.counts[number])
        if length > _MAX_GROWTH * self.block_bytes + 1024:
            most = _MAX_GROWTH * self.block_bytes + 1024
            raise OSError(f"{self._name(spot)}: expected at most {most:,} bytes for {self.block_bytes:,} of pixels")
        return start, length

    def _batches(self, spots: Sequence[Spot]) -> Iterator[Sequence[Spot]]:
        """What is asked for at once: of a remote file everything, of a local one about a megabyte."""
        at_once = len(spots)
        if "://" not in self.source.href:
            at_once = max(1, _LOCAL_BATCH_BYTES // self.block_bytes)
        for first in range(0, len(spots), max(1, at_once)):
            yield spots[first : first + at_once]

    def _target(self, spot: Spot, out: NDArray[Any]) -> NDArray[Any]:
        """The part of the window that a block fills."""
        (high, wide), (y, x) = self.image.block, (self.rows.start, self.cols.start)
        top, left = max(spot[0] * high - y, 0), max(spot[1] * wide - x, 0)
        return out[top : (spot[0] + 1) * high - y, left : (spot[1] + 1) * wide - x]

    def _unpack(self, data: bytes | memoryview, spot: Spot, carry: Carry | None) -> Block:
        high = self.image.block[0]
        last = self.image.shape[0] - spot[0] * high
        size = self.block_bytes if self.image.tiled else min(high, last) * self.image.layout.row_bytes
        try:
            buffer = _scratch(self.block_bytes, carry)
            return codecs.unpack(data, self.layout.codec, (size, self.block_bytes), buffer)
        except codecs.BlockError as error:
            raise OSError(f"{self._name(spot)}: {error}") from None

    def _name(self, spot: Spot) -> str:
        number = self._number(spot)
        level = f" of overview {self.of[1]}" if self.of[1] else ""
        start, length = int(self.image.offsets[number]), int(self.image.counts[number])
        return f"block (row {spot[0]}, column {spot[1]}){level} at byte {start:,}, {length:,} bytes long"


def _hand_over(carry: Carry, key: Hashable, block: Block) -> None:
    """Keep a block for a later read: this thread's buffer with it, where it is of just that size."""
    mine = _MINE.scratch
    if mine is not None and mine.nbytes == block.nbytes and block.base is mine:
        if carry.keep(key, block):
            _MINE.scratch = None
    else:
        carry.keep(key, block.copy())


def _scratch(block_bytes: int, carry: Carry | None) -> NDArray[np.uint8]:
    """A buffer that any block of this size can be unpacked into; each thread keeps one of a usual size."""
    mine = _MINE.scratch
    if mine is not None and mine.nbytes >= block_bytes:
        return mine
    spare = None if carry is None else carry.buffer(block_bytes)
    made = np.empty(block_bytes, np.uint8) if spare is None else spare
    _MINE.scratch = made if block_bytes <= _KEPT_SCRATCH_BYTES else None
    return made
