"""Compiled loops of the bilinear means; `resample.py` says whose rules they follow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.read.loops import NOWHERE, Corner, Mesh, Strip, Window, edges, interval

Missing = tuple[float, float, bool]
"""(nodata, what a result that equals it becomes, whether results are whole numbers)."""

_NOT_HERE = -9.0
"""Rows above the window, where none of a window's pixels can be."""

_SIGNATURE = (
    "{0}[::1], UniTuple(i8, 4), Tuple((f8[:,::1], f8[:,::1], i8)), UniTuple(i8, 2), {1}, Tuple(({0}[::1], i8, i8, i8))"
)
_DTYPES = ("u1", "u2", "i2", "f4")


@compiled()
def _result(value: float, missing: Any) -> float:
    """What is stored of a mean."""
    if missing[2]:
        value = np.floor(value + 0.5)
        if value == missing[0]:
            value = missing[1]
    return value


@compiled()
def _corners(window: Any, row: Any) -> None:
    """Of a row's pixels: the place of the upper left neighbour, the steps to the others, and how far they are away.

    row: their places and steps, to be filled, and how far down and right of the first pixel's centre they lie in the
    window; what is left of that are the fractions. Beyond the source's edge its last pixels go on.
    """
    height, width = window
    at, along, across, downs, rights = row
    one, none = np.int32(1), np.int32(0)
    for k in range(at.size):
        down, right = downs[k], rights[k]
        i, j = np.int32(np.floor(down)), np.int32(np.floor(right))
        upper, before = max(i, none), max(j, none)
        place = np.uint32(upper * width + before)
        at[k] = place if down > _NOT_HERE else NOWHERE
        along[k] = (min(i + one, height - one) - upper) * width
        across[k] = min(j + one, width - one) - before
        downs[k], rights[k] = down - i, right - j


@compiled(*(_SIGNATURE.format(each, "Tuple((f8, f8, b1))") for each in _DTYPES))
def mean_of_four(
    source: NDArray[Any], window: Window, mesh: Mesh, first: Corner, missing: Missing, strip: Strip
) -> None:
    """Means of two times two neighbours. A row's neighbours are found first, then fetched, then weighed."""
    out, rows, cols, stride = strip
    step, count = mesh[2], mesh[0].shape[1]
    ys, dys, xs, dxs = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    top, left, height, width = window
    box = (np.int32(height), np.int32(width))
    at, along, across = np.empty(cols, np.uint32), np.empty(cols, np.uint32), np.empty(cols, np.uint32)
    downs, rights = np.empty(cols), np.empty(cols)
    four = np.empty((4, cols), source.dtype)
    for r in range(rows):
        edges(mesh[0], first[0] + r, step, ys, dys)
        edges(mesh[1], first[0] + r, step, xs, dxs)
        downs[:] = _NOT_HERE
        rights[:] = 0
        for c in range(first[1] // step, (first[1] + cols - 1) // step + 1):
            begin, y, x = c * step - first[1], (ys[c], dys[c]), (xs[c], dxs[c])
            start, stop = interval(y, max(0, -begin), min(step, cols - begin), top, top + height)
            start, stop = interval(x, start, stop, left, left + width)
            for k in range(start, stop):
                downs[np.uint64(begin + k)] = y[0] + y[1] * k - 0.5 - top
                rights[np.uint64(begin + k)] = x[0] + x[1] * k - 0.5 - left
        _corners(box, (at, along, across, downs, rights))
        for k in range(cols):
            place, lower, right = at[k], along[k], across[k]
            if place != NOWHERE:
                four[0, k], four[1, k] = source[place], source[place + right]
                four[2, k], four[3, k] = source[place + lower], source[place + lower + right]
        _weigh(four, (at, downs, rights), missing, out, r * stride)


@compiled()
def _weigh(four: NDArray[Any], row: Any, missing: Missing, out: NDArray[Any], first: int) -> None:
    """Means of the valid neighbours, where the nearest of them is valid."""
    at, downs, rights = row
    nodata = missing[0]
    holes = 0
    for k in range(at.size):
        held = _valid(four[0, k], nodata) & _valid(four[1, k], nodata)
        holes += not (held & _valid(four[2, k], nodata) & _valid(four[3, k], nodata) & (at[k] != NOWHERE))
    if holes == 0:  # as most rows are, and in half the time
        for k in range(at.size):
            down, right = downs[k], rights[k]
            value = four[0, k] * ((1 - right) * (1 - down)) + four[1, k] * (right * (1 - down))
            value = value + four[2, k] * ((1 - right) * down) + four[3, k] * (right * down)
            out[np.uint64(first + k)] = _result(value, missing)
        return
    for k in range(at.size):
        a, b, d, e = np.float64(four[0, k]), np.float64(four[1, k]), np.float64(four[2, k]), np.float64(four[3, k])
        va, vb, vd, ve = _valid(a, nodata), _valid(b, nodata), _valid(d, nodata), _valid(e, nodata)
        down, right = downs[k], rights[k]
        wa, wb = (1 - right) * (1 - down) if va else 0.0, right * (1 - down) if vb else 0.0
        wd, we = (1 - right) * down if vd else 0.0, right * down if ve else 0.0
        value = (a if va else 0.0) * wa + (b if vb else 0.0) * wb
        value = value + (d if vd else 0.0) * wd + (e if ve else 0.0) * we
        value = _result(value if va & vb & vd & ve else value / (wa + wb + wd + we), missing)
        upper, lower = vb if right >= 0.5 else va, ve if right >= 0.5 else vd
        place = np.uint64(first + k)
        out[place] = value if (lower if down >= 0.5 else upper) & (at[k] != NOWHERE) else out[place]


@compiled()
def _valid(value: float, nodata: float) -> bool:
    return (value != nodata) & (value == value)  # noqa: PLR0124 (NaN is not itself)


@compiled()
def _weights(centre: float, scale: float, weights: NDArray[np.float64]) -> int:
    """Of the pixels under a triangle around `centre`, unscaled; the number of the first of them."""
    middle = int(np.floor(centre))
    first = middle - weights.size // 2 + 1
    for k in range(weights.size):
        weights[k] = max(0.0, 1 - abs(first + k - centre) * scale)
    return first


@compiled(*(_SIGNATURE.format(each, "Tuple((f8, f8, b1, f8, f8))") for each in _DTYPES))
def mean_of_many(source: NDArray[Any], window: Window, mesh: Mesh, first: Corner, missing: Any, strip: Strip) -> None:
    """Means under a wider triangle; pixels beyond the source's edge have no weight."""
    out, rows, cols, stride = strip
    top, left, height, width = window
    step, count = mesh[2], mesh[0].shape[1]
    ys, dys, xs, dxs = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    across = np.empty(2 * int(np.ceil(1 / missing[4])))
    along = np.empty(2 * int(np.ceil(1 / missing[3])))
    for r in range(rows):
        edges(mesh[0], first[0] + r, step, ys, dys)
        edges(mesh[1], first[0] + r, step, xs, dxs)
        for c in range(first[1] // step, (first[1] + cols - 1) // step + 1):
            begin, y, x = c * step - first[1], (ys[c], dys[c]), (xs[c], dxs[c])
            start, stop = interval(y, max(0, -begin), min(step, cols - begin), top, top + height)
            start, stop = interval(x, start, stop, left, left + width)
            for k in range(start, stop):
                down, right = y[0] + y[1] * k - top, x[0] + x[1] * k - left
                if not _valid(source[np.uint64(np.int64(down) * width + np.int64(right))], missing[0]):
                    continue
                i, j = _weights(down - 0.5, missing[3], along), _weights(right - 0.5, missing[4], across)
                total = weight = 0.0
                for m in range(max(0, -i), min(along.size, height - i)):
                    for n in range(max(0, -j), min(across.size, width - j)):
                        value = np.float64(source[np.uint64((i + m) * width + j + n)])
                        if _valid(value, missing[0]):
                            share = along[m] * across[n]
                            total, weight = total + value * share, weight + share
                out[np.uint64(r * stride + begin + k)] = _result(total / weight, missing)
