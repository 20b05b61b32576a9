"""Overlapping windows over a tile, and how their results become one: pure, the same whatever is computed first.

Along each axis the windows lie on a lattice that begins a margin before the tile's first pixel. What lies beyond the
tile is its own mirror image: a window at the edge sees pixels like any other. Weights are of one axis at a time,
and of all windows over a pixel they sum to one: rows and columns are multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Blend = Literal["cosine", "linear", "none"]


@dataclass(frozen=True)
class Windows:
    """How a tile is cut, in pixels."""

    window_px: int
    """Side of what is computed on at once."""
    overlap_px: int
    """Of two neighbouring results; at most half of one."""
    crop_px: int = 0
    """What a result is smaller than its window, on each side."""
    blend: Blend = "cosine"
    """How results pass into each other across their overlap: by half a cosine wave, a straight line, or not at all."""

    @property
    def result_px(self) -> int:
        """Side of a result."""
        return self.window_px - 2 * self.crop_px


@dataclass(frozen=True, eq=False)
class Axis:
    """The windows along one axis of a tile, in order."""

    starts: tuple[int, ...]
    """First position of each result; the first ones may be negative, the last ones reach beyond the tile."""
    weights: NDArray[np.float32]
    """(window, position in its result); 0 beyond the tile."""
    sources: NDArray[np.intp]
    """(window, position in the window): the tile's position that is read there."""

    def inside(self, window: int, size: int) -> tuple[slice, slice]:
        """The part of a result that lies on the tile: where on the tile, and where in the result."""
        return _inside(self.starts[window], self.weights.shape[1], size)


def plan_axis(size: int, windows: Windows) -> Axis:
    """The windows along an axis of `size` pixels.

    The margin is half of the overlap: a pixel at the tile's edge is as far from its window's edge as one in the middle
    of an overlap. The last window is moved back so that it ends a margin after the tile. Raises ValueError where the
    overlap is more than half of a result.
    """
    length, overlap = windows.result_px, windows.overlap_px
    if not 0 <= overlap <= length // 2:
        raise ValueError(f"overlap {overlap} px: expected at most half of the {length} px that a window results in")
    margin, stride = overlap // 2, length - overlap
    room = size + 2 * margin - length
    count = 1 + max(0, -(-room // stride))
    starts = tuple(min(number * stride, max(room, 0)) - margin for number in range(count))
    window = np.arange(windows.window_px) - windows.crop_px
    sources = reflect(np.add.outer(np.array(starts), window), size)
    return Axis(starts, _weights(size, starts, _ramp(windows), windows.blend), sources)


def reflect(positions: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """The position of the tile that each one stands for: beyond an edge its mirror image, the edge itself not twice.

    However far beyond: images of images, as NumPy's `reflect` pads.
    """
    if size == 1:
        return np.zeros_like(positions)
    turn = positions % (2 * (size - 1))
    return np.where(turn < size, turn, 2 * (size - 1) - turn)


def add_result(total: NDArray[np.float32], result: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
    """Add a window's result (layer, y, x) to a sum, by weights (y, x); where they are 0 its numbers do not matter."""
    weighed = np.multiply(result, weights, where=weights > 0, out=np.zeros_like(result))
    np.add(total, weighed, out=total)


def _ramp(windows: Windows) -> NDArray[np.float64]:
    """Weight of each position of a result before its neighbours are asked: rises over the overlap, then falls."""
    length, overlap = windows.result_px, windows.overlap_px
    # From the nearer end, in parts of the overlap: 0 just outside of the result, 1 where it has no neighbour.
    near = np.minimum(np.arange(length), np.arange(length)[::-1])
    if windows.blend == "none":
        return near + 0.5
    part = np.minimum((near + 0.5) / max(overlap, 1), 1.0)
    return part if windows.blend == "linear" else 0.5 - 0.5 * np.cos(np.pi * part)


def _weights(size: int, starts: tuple[int, ...], ramp: NDArray[np.float64], blend: Blend) -> NDArray[np.float32]:
    """(window, position): ramps shared out so that every position of the tile has a sum of one.

    Without blending each position is of the window whose middle is nearest, of the earlier one where two are as near.
    """
    on_tile = np.zeros((len(starts), size))
    places = [_inside(start, len(ramp), size) for start in starts]
    for number, (tile, result) in enumerate(places):
        on_tile[number, tile] = ramp[result]
    if blend == "none":
        on_tile = (np.argmax(on_tile, axis=0) == np.arange(len(starts))[:, None]).astype(np.float64)
    on_tile /= on_tile.sum(axis=0)
    weights = np.zeros((len(starts), len(ramp)), np.float32)
    for number, (tile, result) in enumerate(places):
        weights[number, result] = on_tile[number, tile]
    return weights


def _inside(start: int, length: int, size: int) -> tuple[slice, slice]:
    first, last = max(start, 0), min(start + length, size)
    return slice(first, last), slice(first - start, last - start)
