"""The channels of a tree-cover tile: their order, the indices among them, and how they are stored.

Source: wri/sentinel-tree-cover, `src/preprocessing/indices.py` and `src/download_and_predict_job.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Band

Floats = NDArray[np.float32]
DType = Literal["float32", "uint16", "int16"]

OPTICAL = (
    "blue",
    "green",
    "red",
    "nir",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir08",
    "swir16",
    "swir22",
)
"""B2 B3 B4 B8 B5 B6 B7 B8A B11 B12: in the order of the model, not of wavelength."""
RADAR = ("vv", "vh")
SLOPE = "slope"
FROM_SLOPE = "slope_median"
"""The layer of a `dem` entry that the channel is made of."""
STEEPEST, LEAST_SLOPE = 90.0, 0.02
"""Degrees: of slope 1, and the least there is of ground that is not level."""
DECIBELS = 22.0
"""Below zero, where the radar channels begin."""
_LEAST_POWER = 1 / 65535


def evi(of: Mapping[str, Floats]) -> Floats:
    """Enhanced vegetation index of reflectances, within -1.5..1.5."""
    blue, red, nir = of["blue"], of["red"], of["nir"]
    index: Floats = np.clip(2.5 * ((nir - red) / (nir + 6 * red - 7.5 * blue + 1)), -1.5, 1.5)
    return index


def bare(of: Mapping[str, Floats]) -> Floats:
    """Bare soil index, within -1..1."""
    bright, green = of["swir16"] + of["red"], of["nir"] + of["blue"]
    return np.clip((bright - green) / (bright + green + 1e-5), -1, 1)


def msavi2(of: Mapping[str, Floats]) -> Floats:
    """Modified soil-adjusted vegetation index 2, within -1..1."""
    red, nir = of["red"], of["nir"]
    root = np.maximum((2 * nir + 1) ** 2 - 8 * (nir - red), 0)
    return np.clip((2 * nir + 1 - np.sqrt(root)) / 2, -1, 1)


def grndvi(of: Mapping[str, Floats]) -> Floats:
    """Green-red normalised difference vegetation index."""
    visible, nir = of["green"] + of["red"], of["nir"]
    index: Floats = np.divide(nir - visible, nir + visible + np.float32(1e-5), dtype=np.float32)
    return index


INDICES: Mapping[str, Callable[[Mapping[str, Floats]], Floats]] = {
    "evi": evi,
    "bi": bare,
    "msavi2": msavi2,
    "grndvi": grndvi,
}
INDEX_BANDS = ("blue", "green", "red", "nir", "swir16")
"""What they are made of."""
ARD = (*OPTICAL, SLOPE, *RADAR)
MODEL = (*ARD, *INDICES)
"""The order of the channels, 13 and 17."""


@dataclass(frozen=True)
class Range:
    """Which values of a channel 16 bits without a sign hold: `low` to `high`, as `(value - low) / span`."""

    low: float = 0.0
    high: float = 1.0
    span: float = 1.0


RANGES: Mapping[str, Range] = {
    "evi": Range(-0.1409399364817101, 0.8177635298774327),
    "bi": Range(-0.4973397113668104, 0.35768999002433816),
    "msavi2": Range(-0.09731556326714398, 0.7545951919107605),
    "grndvi": Range(-0.7193834232943873, 0.7602693339366691, 2.0),
}
"""Of the indices, as training samples are stored; every other channel lies within 0..1."""
_STEPS = {"uint16": 65535, "int16": 10_000}
_NODATA = {"uint16": 65535, "int16": -32768}
_MOST = 32_000

_DESCRIBED = {
    SLOPE: "Slope, 5 x 5 median, of 90 degrees",
    "vv": "Sentinel-1 gamma0 VV, (dB + 22) / 22",
    "vh": "Sentinel-1 gamma0 VH, (dB + 22) / 22",
    "evi": "Enhanced vegetation index",
    "bi": "Bare soil index",
    "msavi2": "Modified soil-adjusted vegetation index 2",
    "grndvi": "Green-red normalised difference vegetation index",
}


def channel_band(channel: str, name: str, statistic: str, dtype: DType) -> Band:
    """What readers need to know of a layer of a channel; statistic: of which values in time it is."""
    described = f"{_DESCRIBED.get(channel, f'Surface reflectance, {channel}')}, {statistic}"
    role = "reflectance" if channel in OPTICAL else "data"
    if dtype == "float32":
        return Band(name, dtype, float("nan"), description=described, role=role)
    steps, span = _STEPS[dtype], _range(channel, dtype)
    return Band(name, dtype, _NODATA[dtype], span.span / steps, span.low, description=described, role=role)


def stored(values: Floats, channel: str, dtype: DType) -> NDArray[Any]:
    """(…) numbers of a channel as they are stored: cut off towards zero, NaN as nodata.

    uint16: 65535 steps of the channel's range, of which the last stands for nodata. int16: 10000ths, within 3.2 of 0.
    """
    if dtype == "float32":
        return values
    span, exact = _range(channel, dtype), values.astype(np.float64)
    if dtype == "uint16":
        exact = np.clip((np.clip(exact, span.low, span.high) - span.low) / span.span, 0, 1) * _STEPS[dtype]
        exact = np.minimum(exact, _STEPS[dtype] - 1)
    else:
        exact = np.clip(exact * _STEPS[dtype], -_MOST, _MOST)
    return np.where(np.isnan(exact), _NODATA[dtype], np.trunc(exact)).astype(dtype)


def _range(channel: str, dtype: DType) -> Range:
    return RANGES.get(channel, Range()) if dtype == "uint16" else Range()


def radar_scaled(power: Floats) -> Floats:
    """Linear power as the model takes it: decibels from -22 to 0 as 0 to 1; NaN stays."""
    decibels = 10 * np.log10(np.maximum(power, np.float32(0)) + np.float32(_LEAST_POWER))
    scaled: Floats = np.clip((decibels + np.float32(DECIBELS)) / np.float32(DECIBELS), 0, 1)
    return scaled


def slope_scaled(degrees: Floats) -> Floats:
    """Slope as the model takes it: 90 degrees are 1; ground that is not level has 0.02 degrees at least; NaN stays."""
    least = np.where((degrees > 0) & (degrees < LEAST_SLOPE), np.float32(LEAST_SLOPE), degrees)
    scaled: Floats = np.divide(least, np.float32(STEEPEST), dtype=np.float32)
    return scaled
