"""Which scene a pixel comes from, decided scene by scene from mask codes on the tile (see `ops/mask.py`).

Scenes come in the order of solar day and id, and nothing of one is kept when the next comes: memory is a few bytes a
pixel whatever their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.ops.mask import CLEAR, OUTSIDE

_CLEAR, _FAR = np.uint8(CLEAR), np.uint8(OUTSIDE - CLEAR)
Bytes = NDArray[np.uint8]
Layers = tuple[NDArray[np.uint32], NDArray[np.uint16], NDArray[np.uint16]]


@dataclass(frozen=True, eq=False)
class Choice:
    """The best scene so far of each pixel, (y, x) each."""

    best: NDArray[np.uint32]
    """Its score; 0: none yet."""
    source: NDArray[np.uint16]
    """Its number, from 1; 0: none."""
    days: NDArray[np.uint16]
    """Days on which the pixel was clear."""

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Choice:
        """Nothing chosen yet."""
        return cls(np.zeros(shape, np.uint32), np.zeros(shape, np.uint16), np.zeros(shape, np.uint16))


@compiled("u1[:,::1], u1[:,::1], u1[:,::1], u1")
def _claim(codes: Bytes, taken: Bytes, plane: Bytes, bit: np.uint8) -> np.int64:
    # On bytes and without branches: a dozen times as fast.
    provided = np.int64(0)
    for r in range(codes.shape[0]):
        row, has, bits = codes[r], taken[r], plane[r]
        for k in range(row.size):
            free = np.uint8(np.uint8(row[k] - _CLEAR) < _FAR) & (has[k] ^ np.uint8(1))
            has[k] |= free
            bits[k] |= bit * free
        count = np.uint32(0)
        for k in range(row.size):
            count += np.uint32((bits[k] & bit) != 0)
        provided += np.int64(count)
    return provided


@compiled("u1[:,::1], u4[::1], u2, u1[:,::1], Tuple((u4[:,::1], u2[:,::1], u2[:,::1]))")
def _choose(codes: Bytes, scores: NDArray[np.uint32], number: np.uint16, taken: Bytes, choice: Layers) -> None:
    best, source, days = choice
    found = np.empty(codes.shape[1], np.uint32)
    for r in range(codes.shape[0]):
        row, has, seen, high, origin = codes[r], taken[r], days[r], best[r], source[r]
        for k in range(row.size):
            clear = np.uint8(np.uint8(row[k] - _CLEAR) < _FAR)
            seen[k] += np.uint16(clear & (has[k] ^ np.uint8(1)))
            has[k] |= clear
        for k in range(row.size):
            found[k] = scores[row[k]]
        for k in range(row.size):
            better = np.uint16(np.uint16(0) - np.uint16(found[k] > high[k]))
            origin[k] = (origin[k] & ~better) | (number & better)
        for k in range(row.size):
            high[k] = max(high[k], found[k])


@compiled("u1[::1]")
def _tally(codes: Bytes) -> NDArray[np.int64]:
    # Four at once: neighbours are alike, and one counter would wait for itself.
    parts = np.zeros((4, 256), np.int64)
    whole = codes.size // 4 * 4
    for k in range(0, whole, 4):
        parts[0, codes[k]] += 1
        parts[1, codes[k + 1]] += 1
        parts[2, codes[k + 2]] += 1
        parts[3, codes[k + 3]] += 1
    for k in range(whole, codes.size):
        parts[0, codes[k]] += 1
    counts: NDArray[np.int64] = parts.sum(axis=0)
    return counts


@compiled("u1[:,::1], u2[:,::1]")
def _note(codes: Bytes, reasons: NDArray[np.uint16]) -> None:
    for r in range(codes.shape[0]):
        row, bits = codes[r], reasons[r]
        for k in range(row.size):
            bits[k] |= np.uint16(row[k] < _CLEAR) << np.uint16(row[k] & np.uint8(15))


def claim(codes: NDArray[np.uint8], taken: NDArray[np.bool_], plane: NDArray[np.uint8], bit: int) -> int:
    """Mark the pixels that one scene provides: clear in it, and not `taken` by an earlier scene of its day; how many.

    taken, plane: (y, x), updated in place; the bit is set nowhere before.
    """
    return int(_claim(codes, taken.view(np.uint8), plane, np.uint8(bit)))


def choose(
    codes: NDArray[np.uint8], scores: NDArray[np.uint32], number: int, taken: NDArray[np.bool_], choice: Choice
) -> None:
    """Let one scene compete: it takes the clear pixels at which it scores more than every scene before it.

    scores: (256,) by code, at least 1 where a code is clear. number: from 1. taken: (y, x), pixels that an earlier
    scene of the day has already counted; updated in place, as the choice is. Equal scores: the earlier scene stays.
    """
    competing = np.zeros(256, np.uint32)
    competing[CLEAR:OUTSIDE] = scores[CLEAR:OUTSIDE]
    layers = choice.best, choice.source, choice.days
    _choose(codes, competing, np.uint16(number), taken.view(np.uint8), layers)


def tally(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(256,) pixels of each code."""
    return _tally(np.ascontiguousarray(codes).reshape(-1))


def note_reasons(codes: NDArray[np.uint8], reasons: NDArray[np.uint16]) -> None:
    """Set bit n of each pixel that is dropped with code n; (y, x), `reasons` is updated in place."""
    _note(codes, reasons)
