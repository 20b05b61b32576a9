"""Compiled loops that carry source pixels to their target pixels; they release the GIL and never promote to float.

A target row is cut into runs along which source coordinates are one straight line: a mesh cell's width, or the whole
row where grids map by index. Rounding keeps order, so the pixels of a run that lie inside the window are one interval:
it is found from its ends, and within it nothing is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

LARGEST = 65534
"""Largest stored value: 65535 is the median's marker for 'no observation'."""
NOWHERE = np.uint32(2**32 - 1)

Corner = tuple[int, int]
Window = tuple[int, int, int, int]
"""(top, left, rows, columns) of a window in its source."""
Frame = tuple[Window, Corner]
"""The window in its source, and the first pixel of the strip in its target."""
Index = tuple[NDArray[np.int64], NDArray[np.int64]]
Mesh = tuple[NDArray[np.float64], NDArray[np.float64], int]
Rules = tuple[np.uint16, np.uint16, np.uint16, np.uint16, np.uint16]
"""(nodata, largest number, largest that becomes 1, largest that stays below `LARGEST`, shift modulo 65536)."""
Mark = tuple[NDArray[np.uint8], int, np.uint8]
"""(flat plane, how far apart its rows are, bit)."""
Strip = tuple[NDArray[Any], int, int, int]
"""(flat array, rows, columns, how far apart its rows are)."""

_FRAME = "Tuple((UniTuple(i8, 4), UniTuple(i8, 2)))"
_RULES, _MARK = "UniTuple(u2, 5)", "Tuple((u1[::1], i8, u1))"
_GRIDS = {"mesh": "Tuple((f8[:,::1], f8[:,::1], i8))", "index": "UniTuple(i8[::1], 2)"}


def _gathers(grid: str) -> Iterator[str]:
    return (f"u{n}[::1], {_FRAME}, {_GRIDS[grid]}, Tuple((u{n}[::1], i8, i8, i8))" for n in (1, 2, 4, 8))


def _observes(grid: str) -> Iterator[str]:
    strip = f"{_MARK}, {_RULES}, Tuple((u2[::1], i8, i8, i8))"
    return (f"u{n}[::1], {_FRAME}, {_GRIDS[grid]}, {strip}" for n in (1, 2))


@compiled()
def edges(mesh: NDArray[np.float64], row: int, step: int, values: NDArray[np.float64], slopes: Any) -> None:
    """Coordinates of one target row at the mesh's columns, and how much they grow per pixel from each on."""
    node = row // step
    after = min(node + 1, mesh.shape[0] - 1)
    share = 1.0 / step  # a power of two: to multiply by it is to divide by the step, to the last bit
    down = (row - node * step) * share
    count = mesh.shape[1]
    for j in range(count):
        values[j] = mesh[node, j] * (1 - down) + mesh[after, j] * down
    for j in range(count):
        slopes[j] = (values[min(j + 1, count - 1)] - values[j]) * share


@compiled()
def interval(line: tuple[float, float], start: int, stop: int, low: float, high: float) -> tuple[int, int]:
    """The part of start..stop where `low <= first + slope * k < high`."""
    first, slope = line
    a, b = first + slope * start, first + slope * (stop - 1)
    if (a < low and b < low) or (a >= high and b >= high):
        return start, start
    while start < stop and not low <= first + slope * start < high:
        start += 1
    while start < stop and not low <= first + slope * (stop - 1) < high:
        stop -= 1
    return start, stop


@compiled()
def _run(y: tuple[float, float], x: tuple[float, float], window: Any, places: NDArray[np.uint32], at: int) -> None:
    """Places in the flat window of one mesh cell's pixels; coordinates in it are not negative, so cutting floors."""
    top, left, height, width, step = window
    start, stop = interval(y, 0, step, top, top + height)
    start, stop = interval(x, start, stop, left, left + width)
    if stop - start < step:
        for k in range(step):
            places[np.uint64(at + k)] = NOWHERE
    for k in range(start, stop):
        row, col = np.int32(y[0] + y[1] * k) - top, np.int32(x[0] + x[1] * k) - left
        places[np.uint64(at + k)] = row * width + col


@compiled()
def _mesh_buffers(mesh: Mesh, first: int, cols: int) -> Any:
    """(first and last mesh column that `cols` pixels from `first` on need, their places, the row's `edges`)."""
    step, count = mesh[2], mesh[0].shape[1]
    begin, end = first // step, (first + cols - 1) // step + 1
    lines = (np.empty(count), np.empty(count), np.empty(count), np.empty(count))
    return begin, end, np.empty((end - begin) * step, np.uint32), lines


@compiled(*_gathers("mesh"))
def gather_mesh(source: NDArray[Any], frame: Frame, mesh: Mesh, strip: Strip) -> None:
    """Copy what the window has of a strip of the target that begins at `first`; the rest keeps what it holds."""
    window, first = frame
    out, rows, cols, stride = strip
    begin, end, places, (y, dy, x, dx) = _mesh_buffers(mesh, first[1], cols)
    step = mesh[2]
    box = (np.int32(window[0]), np.int32(window[1]), np.int32(window[2]), np.int32(window[3]), step)
    skip = first[1] - begin * step
    for r in range(rows):
        edges(mesh[0], first[0] + r, step, y, dy)
        edges(mesh[1], first[0] + r, step, x, dx)
        for j in range(begin, end):
            _run((y[j], dy[j]), (x[j], dx[j]), box, places, (j - begin) * step)
        for k in range(cols):
            place = places[np.uint64(skip + k)]
            if place != NOWHERE:
                out[np.uint64(r * stride + k)] = source[place]


@compiled(*_observes("mesh"))
def observe_mesh(source: NDArray[Any], frame: Frame, mesh: Mesh, mark: Mark, rules: Rules, strip: Strip) -> None:
    """Row by row into a buffer, and from there; where no pixel of a run is marked it is not even asked for."""
    window, first = frame
    out, rows, cols, stride = strip
    plane, plane_stride, bit = mark
    begin, end, places, (y, dy, x, dx) = _mesh_buffers(mesh, first[1], cols)
    step = mesh[2]
    box = (np.int32(window[0]), np.int32(window[1]), np.int32(window[2]), np.int32(window[3]), step)
    skip = first[1] - begin * step
    values = np.empty(cols, source.dtype)
    for r in range(rows):
        if not any_marked(plane, r * plane_stride, r * plane_stride + cols, bit):
            continue
        edges(mesh[0], first[0] + r, step, y, dy)
        edges(mesh[1], first[0] + r, step, x, dx)
        for j in range(begin, end):
            start, stop = max(0, (j - begin) * step - skip), min(cols, (j - begin + 1) * step - skip)
            if any_marked(plane, r * plane_stride + start, r * plane_stride + stop, bit):
                _run((y[j], dy[j]), (x[j], dx[j]), box, places, (j - begin) * step)
            else:
                places[(j - begin) * step : (j - begin + 1) * step] = NOWHERE
        for k in range(cols):
            place = places[np.uint64(skip + k)]
            values[k] = source[place] if place != NOWHERE else 0
        _admit((values, 0), (plane, r * plane_stride, bit), rules, (out, r * stride, cols))


@compiled()
def _held(index: NDArray[np.int64], first: int, count: int, low: int, high: int) -> tuple[int, int, bool]:
    """The part of `count` target pixels from `first` on that lies in low..high, and whether it is consecutive there."""
    start, stop = 0, count
    while start < stop and not low <= index[first + start] < high:
        start += 1
    while start < stop and not low <= index[first + stop - 1] < high:
        stop -= 1
    steps = 0
    for k in range(first + start + 1, first + stop):
        steps += index[k] - index[k - 1] == 1
    return start, stop, steps == stop - start - 1


@compiled(*_gathers("index"))
def gather_index(source: NDArray[Any], frame: Frame, index: Index, strip: Strip) -> None:
    """As `gather_mesh`, for grids that map by index; target rows of one source row are copies of the first."""
    out, rows, cols, stride = strip
    (top, left, height, width), first = frame
    start, stop, consecutive = _held(index[1], first[1], cols, left, left + width)
    before = np.int64(-1)
    for r in range(rows):
        row = index[0][first[0] + r] - top
        begin, base = r * stride, row * width - left
        if row < 0 or row >= height:
            row = np.int64(-1)
        elif row == before:
            for k in range(begin + start, begin + stop):
                out[np.uint64(k)] = out[np.uint64(k - stride)]
        elif consecutive:
            shift = base + index[1][first[1] + start] - begin - start
            for k in range(begin + start, begin + stop):
                out[np.uint64(k)] = source[np.uint64(k + shift)]
        else:
            for k in range(start, stop):
                out[np.uint64(begin + k)] = source[np.uint64(base + index[1][first[1] + k])]
        before = row


@compiled(*_observes("index"))
def observe_index(source: NDArray[Any], frame: Frame, index: Index, mark: Mark, rules: Rules, strip: Strip) -> None:
    """As `observe_mesh`, for grids that map by index; straight from the window where columns are consecutive."""
    out, rows, cols, stride = strip
    plane, plane_stride, bit = mark
    (top, left, height, width), first = frame
    start, stop, consecutive = _held(index[1], first[1], cols, left, left + width)
    values = np.empty(cols, source.dtype)
    before = np.int64(-1)
    for r in range(rows if start < stop else 0):
        row = index[0][first[0] + r] - top
        if row < 0 or row >= height:
            continue
        marked, target = (plane, r * plane_stride + start, bit), (out, r * stride + start, stop - start)
        base = row * width - left
        if consecutive:
            _admit((source, base + index[1][first[1] + start]), marked, rules, target)
            continue
        if row != before:
            for k in range(start, stop):
                values[k] = source[np.uint64(base + index[1][first[1] + k])]
            before = row
        _admit((values, start), marked, rules, target)


@compiled(*(f"u{n}[::1], i8, {_MARK}, {_RULES}, Tuple((u2[::1], i8, i8, i8))" for n in (1, 2)))
def admit_rows(values: NDArray[Any], value_stride: int, mark: Mark, rules: Rules, strip: Strip) -> None:
    """`_admit` for every row of the strip."""
    out, rows, cols, stride = strip
    plane, plane_stride, bit = mark
    for r in range(rows):
        _admit((values, r * value_stride), (plane, r * plane_stride, bit), rules, (out, r * stride, cols))


@compiled()
def any_marked(plane: NDArray[np.uint8], start: int, stop: int, bit: np.uint8) -> bool:
    """Whether one of the places start..stop has the bit."""
    found = np.uint8(0)
    for k in range(start, stop):
        found |= plane[np.uint64(k)]
    return bool(found & bit != 0)


@compiled()
def _admit(
    values: tuple[NDArray[Any], int], mark: Mark, rules: Rules, strip: tuple[NDArray[np.uint16], int, int]
) -> None:
    """One row: (flat array, first place) of values and of marks, (flat array, first place, columns) of the strip."""
    data, data_at = values
    plane, plane_at, bit = mark
    out, out_at, cols = strip
    nodata, ceiling, low, high, shift = rules
    for k in range(cols):
        value, place = np.uint16(data[np.uint64(data_at + k)]), np.uint64(out_at + k)
        # Zero is no observation whatever the file calls nodata, and so is what only a signed file can hold.
        seen = (value != 0) & (value != nodata) & (value <= ceiling)
        seen &= (plane[np.uint64(plane_at + k)] & bit != 0) & (out[place] == 0)
        number = np.uint16(LARGEST) if value > high else np.uint16(value + shift)
        out[place] = (np.uint16(1) if value <= low else number) if seen else out[place]
