"""What the wanted pixels of a target need: their rectangle, and the blocks of the source that they map into."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.read.gather import flatten
from pipeline.read.loops import Corner, Index, Mark, Mesh, Window, any_marked
from pipeline.read.pixelmap import PixelMap

_CELL = 64
"""Side of the squares of target pixels that are asked as one: a multiple of every mesh's step."""
_NOISE_PX = 1e-6
"""More than the rounding of coordinates within a cell can be."""

_MARK, _FOUR, _TWO = "Tuple((u1[::1], i8, u1))", "UniTuple(i8, 4)", "UniTuple(i8, 2)"
_REST = f"{_MARK}, {_FOUR}, {_FOUR}, UniTuple(i8, 3), b1[:,::1]"


def extent(plane: NDArray[np.uint8], bit: int) -> tuple[int, int, int, int] | None:
    """(first row, last, first column, last), half-open, of the smallest rectangle with all pixels that have the bit.

    plane: (y, x). None where no pixel has it.
    """
    flat, stride = flatten(plane)
    top, bottom, left, right = _extent((flat, stride, np.uint8(bit)), plane.shape[0], plane.shape[1])
    return (top, bottom, left, right) if top < bottom else None


def need_blocks(
    pixels: PixelMap,
    first: Corner,
    mark: tuple[NDArray[np.uint8], int],
    window: tuple[slice, slice],
    block: tuple[int, int],
    pad: int = 0,
) -> NDArray[np.bool_]:
    """Which blocks of a window some marked target pixel maps into, or comes nearer to than `pad` source pixels.

    (block rows, block columns) bool over the blocks that the window touches, in order. Law: never one too few; squares
    of 64 target pixels are asked as one, so at a mask's edge a block may be named that is not needed.
    first: (row, column) of the plane's first pixel in the target. block: (rows, columns) of one block of the source.
    """
    rows, cols = window
    shape = [-(-part.stop // size) - part.start // size for part, size in zip(window, block, strict=True)]
    need = np.zeros(shape, np.bool_)
    flat, stride = flatten(mark[0])
    marked = (flat, stride, np.uint8(mark[1]))
    part = (*first, *mark[0].shape)
    box = (rows.start, cols.start, rows.stop, cols.stop)
    if pixels.mesh_rows.size:
        _need_by_mesh((pixels.mesh_rows, pixels.mesh_cols, pixels.step), marked, part, box, (*block, pad), need)
    else:
        _need_by_index((pixels.rows, pixels.cols), marked, part, box, (*block, pad), need)
    return need


@compiled(f"{_MARK}, i8, i8")
def _extent(mark: Mark, rows: int, cols: int) -> tuple[int, int, int, int]:
    plane, stride, bit = mark
    top, bottom, left, right = rows, 0, cols, 0
    for r in range(rows):
        begin = r * stride
        if not any_marked(plane, begin, begin + cols, bit):
            continue
        top, bottom = min(top, r), r + 1
        # Only what may widen the rectangle is looked at, so each column is looked at about once.
        for k in range(left):
            if plane[np.uint64(begin + k)] & bit:
                left = k
                break
        for k in range(cols - right):
            if plane[np.uint64(begin + cols - 1 - k)] & bit:
                right = cols - k
                break
    return top, bottom, left, right


@compiled()
def _marked_cell(mark: Mark, part: Window, row: int, col: int) -> bool:
    """Whether the square of the target that begins at (row, col) has a marked pixel within the part."""
    plane, stride, bit = mark
    top, left, rows, cols = part
    start, stop = max(0, col - left), min(cols, col + _CELL - left)
    for r in range(max(0, row - top), min(rows, row + _CELL - top)):
        if any_marked(plane, r * stride + start, r * stride + stop, bit):
            return True
    return False


@compiled()
def _span(low: float, high: float, side: Any) -> tuple[int, int]:
    """Blocks, counted from the window's first, that hold the pixels low..high, grown by the pad, within the window."""
    start, stop, size, pad = side
    first, last = max(np.floor(low) - pad, start), min(np.floor(high) + pad, stop - 1)
    if not first <= last:
        return 0, 0
    return int(first) // size - start // size, int(last) // size - start // size + 1


@compiled(f"Tuple((f8[:,::1], f8[:,::1], i8)), {_REST}")
def _need_by_mesh(mesh: Mesh, mark: Mark, part: Window, box: Window, block: Any, need: NDArray[np.bool_]) -> None:
    mesh_rows, mesh_cols, step = mesh
    height, width, pad = block
    for row in range(part[0] // _CELL * _CELL, part[0] + part[2], _CELL):
        for col in range(part[1] // _CELL * _CELL, part[1] + part[3], _CELL):
            if not _marked_cell(mark, part, row, col):
                continue
            y0 = x0 = np.inf
            y1 = x1 = -np.inf
            for i in range(row // step, min((row + _CELL) // step + 1, mesh_rows.shape[0])):
                for j in range(col // step, min((col + _CELL) // step + 1, mesh_rows.shape[1])):
                    y0, y1 = min(y0, mesh_rows[i, j]), max(y1, mesh_rows[i, j])
                    x0, x1 = min(x0, mesh_cols[i, j]), max(x1, mesh_cols[i, j])
            top, bottom = _span(y0 - _NOISE_PX, y1 + _NOISE_PX, (box[0], box[2], height, pad))
            left, right = _span(x0 - _NOISE_PX, x1 + _NOISE_PX, (box[1], box[3], width, pad))
            need[top:bottom, left:right] = True


@compiled(f"UniTuple(i8[::1], 2), {_REST}")
def _need_by_index(index: Index, mark: Mark, part: Window, box: Window, block: Any, need: NDArray[np.bool_]) -> None:
    rows, cols = index
    height, width, pad = block
    for row in range(part[0] // _CELL * _CELL, part[0] + part[2], _CELL):
        y0, y1 = rows[row], rows[min(row + _CELL, rows.size) - 1]
        top, bottom = _span(min(y0, y1), max(y0, y1), (box[0], box[2], height, pad))
        for col in range(part[1] // _CELL * _CELL, part[1] + part[3], _CELL):
            if top < bottom and _marked_cell(mark, part, row, col):
                x0, x1 = cols[col], cols[min(col + _CELL, cols.size) - 1]
                left, right = _span(min(x0, x1), max(x0, x1), (box[1], box[3], width, pad))
                need[top:bottom, left:right] = True
