"""Slope, aspect and hillshade of a grid of heights, by Horn's 3 x 3 window.

B. K. P. Horn, "Hill shading and the reflectance map", Proceedings of the IEEE 69 (1981): the difference of the sums
(1, 2, 1) of the columns east and west, and of the rows north and south. A pixel without a number, or with such a
neighbour, has none. Law: a pixel depends on its nine heights, on its row's size and on nothing else, in 64 bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Proj

from pipeline.compiled import compiled
from pipeline.ops.lattice import PixelGrid
from pipeline.plan.curves import metres_a_unit, transformer

Floats = NDArray[np.floating[Any]]
Heights = NDArray[np.float32]
_EQUATOR_M, _ECCENTRICITY2 = 6378137.0, 0.0066943799901413165
"""Of the WGS 84 ellipsoid (NIMA TR8350.2)."""
_SIZES = "f4[:,::1], UniTuple(f8[::1], 2)"


@dataclass(frozen=True)
class Sun:
    """Where light comes from, in degrees: clockwise from grid north, and above the horizon."""

    azimuth: float = 315.0
    altitude: float = 45.0


def pixel_sizes(grid: PixelGrid) -> tuple[Floats, Floats]:
    """Metres from column to column, and from row to row, in each row of a window; negative where y falls.

    A projected grid's unit counts as it is (UTM: to a thousandth). In degrees, the arcs of the WGS 84 ellipsoid at the
    row's own latitude: a degree of longitude along its parallel, a degree of latitude along the meridian.
    """
    height = grid.shape[0]
    if not CRS.from_user_input(grid.crs).is_geographic:
        unit = metres_a_unit(grid.crs)
        return np.full(height, grid.pixel[0] * unit), np.full(height, grid.pixel[1] * unit)
    lat = np.radians(grid.centres[1])
    root = np.sqrt(1 - _ECCENTRICITY2 * np.sin(lat) ** 2)
    parallel = _EQUATOR_M / root * np.cos(lat)
    meridian = _EQUATOR_M * (1 - _ECCENTRICITY2) / root**3
    return parallel * math.radians(grid.pixel[0]), meridian * math.radians(grid.pixel[1])


def metre_on_the_ground(grid: PixelGrid) -> float:
    """How long a metre of a projected grid is in its middle, taken from the scale that is furthest from 1; degrees: 1.

    UTM keeps it within a thousandth, polar stereographic within a tenth; Web Mercator has 0.5 m at 60 degrees.
    """
    if CRS.from_user_input(grid.crs).is_geographic:
        return 1.0
    x, y = (float(each[each.size // 2]) for each in grid.centres)
    lon, lat = transformer(grid.crs, 4326).transform(x, y)
    factors = Proj(grid.crs).get_factors(lon, lat)
    scales = factors.meridional_scale, factors.parallel_scale
    return 1.0 / max(scales, key=lambda scale: abs(math.log(scale)))


def slope(heights: Heights, sizes: tuple[Floats, Floats]) -> Heights:
    """Degrees from level, 0 to 90, float32; NaN where there is none.

    heights: (y + 2, x + 2) with one pixel around what is asked for. sizes: of its inner rows, see `pixel_sizes`.
    """
    out = np.empty((heights.shape[0] - 2, heights.shape[1] - 2), np.float32)
    slope_of(heights, sizes, out)
    return out


def aspect(heights: Heights, sizes: tuple[Floats, Floats]) -> Heights:
    """Where the ground falls to, in degrees clockwise from grid north, 0 <= aspect < 360; NaN where it is level."""
    out = np.empty((heights.shape[0] - 2, heights.shape[1] - 2), np.float32)
    aspect_of(heights, sizes, out)
    return out


def hillshade(heights: Heights, sizes: tuple[Floats, Floats], sun: Sun) -> NDArray[np.uint8]:
    """Light on the ground, 1 (shade) to 255 (facing the sun), 0 where there is none: as gdaldem has it."""
    out = np.empty((heights.shape[0] - 2, heights.shape[1] - 2), np.uint8)
    azimuth, altitude = math.radians(sun.azimuth), math.radians(sun.altitude)
    level = math.cos(altitude)
    hillshade_of(heights, sizes, (level * math.sin(azimuth), level * math.cos(azimuth), math.sin(altitude)), out)
    return out


@compiled()
def gradient(z: Any, r: int, c: int, dx: float, dy: float) -> tuple[float, float]:
    """How much the ground rises a metre towards (east, north) at the pixel below and right of (r, c)."""
    nw, n, ne = float(z[r, c]), float(z[r, c + 1]), float(z[r, c + 2])
    w, e = float(z[r + 1, c]), float(z[r + 1, c + 2])
    sw, s, se = float(z[r + 2, c]), float(z[r + 2, c + 1]), float(z[r + 2, c + 2])
    centre = float(z[r + 1, c + 1])
    # 0 * the centre: NaN where it is missing, since Horn's window leaves it out.
    east = ((ne + 2.0 * e + se) - (nw + 2.0 * w + sw)) / (8.0 * dx) + 0.0 * centre
    north = ((sw + 2.0 * s + se) - (nw + 2.0 * n + ne)) / (8.0 * dy)
    return east, north


@compiled(f"{_SIZES}, f4[:,::1]")
def slope_of(z: Any, sizes: Any, out: Any) -> None:
    """See `slope`."""
    dx, dy = sizes
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            east, north = gradient(z, r, c, dx[r], dy[r])
            out[r, c] = math.degrees(math.atan(math.sqrt(east * east + north * north)))


@compiled(f"{_SIZES}, f4[:,::1]")
def aspect_of(z: Any, sizes: Any, out: Any) -> None:
    """See `aspect`."""
    dx, dy = sizes
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            east, north = gradient(z, r, c, dx[r], dy[r])
            if east == 0.0 and north == 0.0:
                out[r, c] = np.nan
            else:
                turned = np.float32(math.degrees(math.atan2(-east, -north)))
                if turned < 0.0:
                    turned = np.float32(turned + np.float32(360.0))
                out[r, c] = turned if turned < np.float32(360.0) or math.isnan(turned) else np.float32(0.0)


@compiled(f"{_SIZES}, UniTuple(f8, 3), u1[:,::1]")
def hillshade_of(z: Any, sizes: Any, light: Any, out: Any) -> None:
    """See `hillshade`. light: unit vector to the sun, (east, north, up)."""
    dx, dy = sizes
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            east, north = gradient(z, r, c, dx[r], dy[r])
            shade = (light[2] - east * light[0] - north * light[1]) / math.sqrt(1.0 + east * east + north * north)
            if math.isnan(shade):
                out[r, c] = 0
            elif shade <= 0.0:
                out[r, c] = 1
            else:
                out[r, c] = np.uint8(1.5 + 254.0 * shade)
