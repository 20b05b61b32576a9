"""Source pixels carried to their target pixels: nearest neighbour, into arrays that lie there already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from pipeline.read.loops import (
    LARGEST,
    Corner,
    Mark,
    Rules,
    Strip,
    Window,
    admit_rows,
    gather_index,
    gather_mesh,
    observe_index,
    observe_mesh,
)
from pipeline.read.pixelmap import PixelMap

_WINDOW_PX = 2**31 - 1
"""Pixels of one window that 32-bit places can name; larger windows are walked in parts."""


def gather(source: NDArray[Any], corner: Corner, pixels: PixelMap, first: Corner, out: NDArray[Any]) -> None:
    """Copy `source` (a window whose first pixel is `corner`) to the target pixels from `first` on, into `out`.

    corner, first: (row, column). Any dtype of 1, 2, 4 or 8 bytes, the same in and out; `out` may be some columns of an
    array. Pixels of `out` that no source pixel covers keep what they hold. Raises ValueError for two dtypes.
    """
    if source.dtype != out.dtype:
        raise ValueError(f"pixels of {source.dtype} cannot be copied to {out.dtype}; both must be of one dtype")
    bits = f"u{out.dtype.itemsize}"
    strip = _strip(out.view(bits))
    for flat, window in _windows(source.view(bits), corner):
        if pixels.mesh_rows.size:
            gather_mesh(flat, (window, first), (pixels.mesh_rows, pixels.mesh_cols, pixels.step), strip)
        else:
            gather_index(flat, (window, first), (pixels.rows, pixels.cols), strip)


def observe(
    source: NDArray[Any],
    corners: tuple[Corner, Corner],
    pixels: PixelMap,
    mark: tuple[NDArray[np.uint8], int],
    values: tuple[float | None, int],
    out: NDArray[np.uint16],
) -> None:
    """Carry one scene's values to the strip `out` (uint16, 0 = none) where its bit is set and nothing stands yet.

    corners: (row, column) of the source's first pixel, and of the strip's. mark: (plane, bit) of the strip's pixels.
    values: (nodata, shift): nodata and zero are tested first, then the shift is added and the result kept within
    1..65534, so that no valid pixel ever becomes nodata. source: any integers. Raises ValueError for others.
    """
    data, rules = _ruled(source, *values)
    marked, strip = _marked(*mark), _strip(out)
    corner, first = corners
    for flat, window in _windows(data, corner):
        if pixels.mesh_rows.size:
            mesh = (pixels.mesh_rows, pixels.mesh_cols, pixels.step)
            observe_mesh(flat, (window, first), mesh, marked, rules, strip)
        else:
            observe_index(flat, (window, first), (pixels.rows, pixels.cols), marked, rules, strip)


def admit(
    data: NDArray[Any], mark: tuple[NDArray[np.uint8], int], values: tuple[float | None, int], out: NDArray[np.uint16]
) -> None:
    """`observe` for values that lie on the strip's own pixels already. Raises ValueError for what is not integers."""
    found, rules = _ruled(data, *values)
    flat, stride = flatten(found)
    admit_rows(flat, stride, _marked(*mark), rules, _strip(out))


def _ruled(data: NDArray[Any], nodata: float | None, shift: int) -> tuple[NDArray[Any], Rules]:
    """The values in one or two unsigned bytes, and what becomes of them there.

    Negative numbers of signed files are those above the ceiling. Wider numbers are rare, so their copy is made first.
    """
    if data.dtype.kind not in "iub":
        raise ValueError(f"values are {data.dtype}; only integers can be stored numbers")
    if data.dtype.itemsize > 2:
        observed = (data > 0) & (data != (0 if nodata is None else nodata))
        small = np.minimum(data, min(np.iinfo(data.dtype).max, 2**40)).astype(np.int64)
        data, nodata, shift = np.where(observed, np.clip(small + shift, 1, LARGEST), 0), 0, 0
        data = data.astype(np.uint16)
    ceiling = 1 if data.dtype.kind == "b" else int(np.iinfo(data.dtype).max)
    # No pixel holds a fraction or a number beyond the dtype's: such a nodata is none at all.
    absent = int(nodata) if nodata is not None and float(nodata).is_integer() and 0 < nodata <= ceiling else 0
    low, high = (min(max(bound, 0), 65535) for bound in (1 - shift, LARGEST - 1 - shift))
    rules = (np.uint16(absent), np.uint16(ceiling), np.uint16(low), np.uint16(high), np.uint16(shift % 65536))
    return data.view(f"u{data.dtype.itemsize}"), rules


def _marked(plane: NDArray[np.uint8], bit: int) -> Mark:
    return *flatten(plane), np.uint8(bit)


def _strip(out: NDArray[Any]) -> Strip:
    """Raises ValueError where pixels of a row are not side by side in memory, since they are written in place."""
    flat, stride = flatten(out)
    if not np.may_share_memory(flat, out):
        raise ValueError(f"rows of {out.strides[1]} bytes a pixel; pixels of a row must lie side by side")
    return flat, *out.shape, stride


def flatten(array: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """An array's memory as one line, and how far apart its rows are there; a copy where that cannot be."""
    if array.flags.c_contiguous and array.flags.writeable:
        return array.reshape(-1), array.shape[1]
    (rows, cols), (down, along), size = array.shape, array.strides, array.itemsize
    if along != size or down % size or down < 0 or not array.size or not array.flags.writeable:
        return array.copy(order="C").reshape(-1), cols
    return as_strided(array, ((rows - 1) * down // size + cols,), (size,)), down // size


def _windows(source: NDArray[Any], corner: Corner) -> Iterator[tuple[NDArray[Any], Window]]:
    """The flat window, in parts that 32-bit places can name."""
    data = source if source.flags.c_contiguous and source.flags.writeable else source.copy(order="C")
    height, width = data.shape
    rows = max(1, _WINDOW_PX // max(1, width))
    for top in range(0, height, rows):
        part = data[top : top + rows]
        yield part.reshape(-1), (corner[0] + top, corner[1], *part.shape)
