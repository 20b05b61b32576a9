"""What a layer's stored numbers are like, in STAC's words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.write.pyramid import NEVER, fixed

Array = NDArray[Any]
STRIP_ROWS = 512


def statistics(data: Array, nodata: float | None) -> dict[str, float]:
    """STAC statistics of the stored numbers over valid pixels; without any, only `valid_percent: 0`.

    data (y, x); nothing as large is made. NaN and infinities are never valid. Mean
    and standard deviation (of the population) are rounded to nine digits, below which summation order would show.
    """
    small = data.dtype.kind in "iu" and data.dtype.itemsize <= 2
    count, minimum, maximum, mean, deviation = _of_integers(data, nodata) if small else _of_others(data, nodata)
    if count == 0:
        return {"valid_percent": 0.0}
    return {
        "minimum": minimum,
        "maximum": maximum,
        "mean": _digits(mean),
        "stddev": _digits(deviation),
        "valid_percent": _digits(100.0 * count / data.size),
    }


def joined(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The statistics of layers of one size together, from those of each, to nine digits."""
    shares = np.array([part["valid_percent"] for part in parts])
    total = {"valid_percent": _digits(float(shares.mean()))}
    some = [part for part in parts if part["valid_percent"]]
    if not some:
        return total
    weights = shares[shares > 0]
    means, deviations = (np.array([part[name] for part in some]) for name in ("mean", "stddev"))
    mean = float(np.average(means, weights=weights))
    square = float(np.average(deviations**2 + (means - mean) ** 2, weights=weights))
    return {
        "minimum": min(part["minimum"] for part in some),
        "maximum": max(part["maximum"] for part in some),
        "mean": _digits(mean),
        "stddev": _digits(math.sqrt(square)),
        **total,
    }


Summary = tuple[int, float, float, float, float]
"""Valid pixels, their minimum, maximum, mean and standard deviation."""
EMPTY = (0, 0.0, 0.0, 0.0, 0.0)


def _of_integers(data: Array, nodata: float | None) -> Summary:
    """Exact but for the last roundings."""
    without = NEVER if nodata is None or math.isnan(nodata) else int(nodata)
    count, total, squares, minimum, maximum = 0, 0, 0, NEVER, -NEVER
    for row in range(0, data.shape[0], STRIP_ROWS):
        found = _sums(fixed(data[row : row + STRIP_ROWS]).reshape(-1), without)
        # Python's own numbers from here: those of a large layer do not fit into 64 bits.
        count, total, squares = count + found[0], total + found[1], squares + found[2]
        minimum, maximum = min(minimum, found[3]), max(maximum, found[4])
    if count == 0:
        return EMPTY
    return count, minimum, maximum, total / count, math.sqrt(count * squares - total * total) / count


@compiled(*(f"Array({number}, 1, 'C', readonly=True), i8" for number in ("u1", "i1", "u2", "i2")))
def _sums(values: NDArray[np.integer[Any]], nodata: int) -> tuple[int, int, int, int, int]:
    count = total = squares = 0
    minimum, maximum = NEVER, -NEVER
    for each in values:
        value = int(each)
        if value != nodata:
            count += 1
            total += value
            squares += value * value
            minimum, maximum = min(minimum, value), max(maximum, value)
    return count, total, squares, minimum, maximum


def _of_others(data: Array, nodata: float | None) -> Summary:
    count, total, minimum, maximum = 0, 0.0, math.inf, -math.inf
    for valid in _valid_strips(data, nodata):
        count += valid.size
        total += float(valid.sum(dtype=np.float64))
        minimum, maximum = min(minimum, valid.min().item()), max(maximum, valid.max().item())
    if count == 0:
        return EMPTY
    mean = total / count
    square = sum(float(np.square(valid - np.float64(mean)).sum()) for valid in _valid_strips(data, nodata))
    return count, minimum, maximum, mean, math.sqrt(square / count)


def _valid_strips(data: Array, nodata: float | None) -> Iterator[Array]:
    """The valid pixels (n,) of each strip that has any."""
    for row in range(0, data.shape[0], STRIP_ROWS):
        strip = data[row : row + STRIP_ROWS].ravel()
        if strip.dtype.kind == "f":
            strip = strip[np.isfinite(strip)]
        if nodata is not None and not math.isnan(nodata):
            strip = strip[strip != nodata]
        if strip.size:
            yield strip


def _digits(value: float) -> float:
    return float(f"{value:.9g}")
