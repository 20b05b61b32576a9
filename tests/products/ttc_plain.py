"""What plain NumPy makes of the scenes of `ttc_world`: nothing here uses the project's own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pyproj import Geod
from rasterio.warp import Resampling, reproject

from tests.products.ttc_world import BANDS, MARGIN, NORTH, PIXEL, PX, WEST, WINDOWS, TreeWorld

Floats = NDArray[np.float64]


def inner(data: NDArray[Any], tile: int) -> NDArray[Any]:
    """The pixels of one of the two tiles."""
    return data[MARGIN : MARGIN + PX, MARGIN + tile * PX : MARGIN + (tile + 1) * PX]


def taken_days(world: TreeWorld) -> list[date]:
    """Of each month from 15 November to 15 February, of days below 30 percent, the nearest to its first and middle."""
    clouds = {item["properties"]["datetime"][:10]: item["properties"]["eo:cloud_cover"] for item in world.s2}
    good = [
        day for day in sorted(world.images) if clouds[str(day)] < 30 and date(2020, 11, 15) <= day <= date(2022, 2, 15)
    ]
    taken: list[date] = []
    for month in sorted({(day.year, day.month) for day in good}):
        days = [day for day in good if (day.year, day.month) == month]
        length = (date(month[0] + month[1] // 12, month[1] % 12 + 1, 1) - date(*month, 1)).days
        for wanted in (1, 1 + length // 2):
            left = [day for day in days if day not in taken]
            if left:
                taken.append(min(left, key=lambda day: (abs(day.day - wanted), day)))
    return sorted(taken)


def reflectances(world: TreeWorld, tile: int) -> tuple[list[date], dict[str, Floats]]:
    """Clear ones within 0..1, (time, y, x) by band; NaN under cloud."""
    days = taken_days(world)
    bands = {}
    for band in BANDS:
        stack = np.stack([inner(world.images[day][band], tile) for day in days]).astype(float) * 1e-4
        masked = np.stack([np.isin(inner(world.images[day]["scl"], tile), (0, 1, 3, 8, 9, 10)) for day in days])
        bands[band] = np.where(masked, np.nan, np.clip(stack, 0, 1))
    return days, bands


def months_by_hand(series: Floats, days: Sequence[date], smoothing: float = 100.0) -> Floats:
    """(12, y, x): NumPy's interpolation on days 0, 15 … 345, a dense solution of (I + s D'D) z = y, means of pairs."""
    numbers = [(day - date(2020, 12, 31)).days for day in days]
    steps = np.arange(0, 360, 15)
    even = np.full((24, *series.shape[1:]), np.nan)
    for row, col in np.ndindex(series.shape[1:]):
        known = ~np.isnan(series[:, row, col])
        if known.any():
            even[:, row, col] = np.interp(steps, np.array(numbers)[known], series[known, row, col])
    second = np.diff(np.eye(24), 2, axis=0)
    smooth = np.linalg.solve(np.eye(24) + smoothing * second.T @ second, even.reshape(24, -1)).reshape(even.shape)
    result: Floats = (smooth[0::2] + smooth[1::2]) / 2
    return result


def radar_by_hand(world: TreeWorld, name: str, tile: int) -> Floats:
    """(12, y, x): mean power of the window of each quarter, of the nearest window that has one, in scaled decibels."""
    windows = []
    for start, end in WINDOWS:
        days = [day for day in world.power if start <= str(day) < end]
        stack = np.stack([inner(world.power[day][name], tile) for day in days]).astype(float)
        stack[stack == -32768] = np.nan
        with np.errstate(invalid="ignore"):
            count = (~np.isnan(stack)).sum(axis=0)
            windows.append(np.where(count > 0, np.nansum(stack, axis=0) / np.maximum(count, 1), np.nan))
    months = []
    for month in range(12):
        middle = date(2021, month + 1, 15).toordinal()
        centres = [(date.fromisoformat(a).toordinal() + date.fromisoformat(b).toordinal()) / 2 for a, b in WINDOWS]
        assert min(range(4), key=lambda at: abs(centres[at] - middle)) == month // 3
        order = sorted(range(4), key=lambda at: abs(centres[at] - middle))
        power = windows[order[0]]
        for at in order[1:]:
            power = np.where(np.isnan(power), windows[at], power)
        months.append(np.clip((10 * np.log10(power + 1 / 65535) + 22) / 22, 0, 1))
    return np.stack(months)


def indices_by_hand(bands: Mapping[str, Floats]) -> dict[str, Floats]:
    """EVI, BI, MSAVI2 and GRNDVI of every observation."""
    b, g, r, n, s = (bands[name] for name in ("blue", "green", "red", "nir", "swir16"))
    return {
        "evi": np.clip(2.5 * (n - r) / (n + 6 * r - 7.5 * b + 1), -1.5, 1.5),
        "bi": np.clip(((s + r) - (n + b)) / ((s + r) + (n + b) + 1e-5), -1, 1),
        "msavi2": np.clip((2 * n + 1 - np.sqrt(np.clip((2 * n + 1) ** 2 - 8 * (n - r), 0, None))) / 2, -1, 1),
        "grndvi": (n - (g + r)) / (n + (g + r) + 1e-5),
    }


def median_by_hand(values: NDArray[Any], reach: int = 2) -> NDArray[Any]:
    """Median of the square around each pixel but the outermost."""
    side = 2 * reach + 1
    result: NDArray[Any] = np.median(sliding_window_view(values, (side, side)), axis=(2, 3))
    return result


def slope_by_hand(path: Path) -> Floats:
    """(y, x) of the left tile in degrees: GDAL's bilinear heights, Horn's window, distances by pyproj, the median."""
    pad = 3
    side = PX + 2 * pad
    z = np.empty((side, side), np.float64)
    corner = Affine(PIXEL, 0, WEST - pad * PIXEL, 0, -PIXEL, NORTH + pad * PIXEL)
    with rasterio.open(path) as source:
        how = {"dst_transform": corner, "dst_crs": source.crs, "resampling": Resampling.bilinear, "tolerance": 0.0}
        reproject(rasterio.band(source, 1), z, **how)
    east = (z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]) - (z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2])
    south = (z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]) - (z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:])
    earth = Geod(ellps="WGS84")
    middle = NORTH - PX * PIXEL / 2
    across = earth.line_length([WEST, WEST + PIXEL], [middle, middle])
    down = earth.line_length([WEST, WEST], [middle, middle + PIXEL])
    return median_by_hand(np.degrees(np.arctan(np.hypot(east / (8 * across), south / (8 * down)))))
