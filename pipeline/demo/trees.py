"""An invented hillside in Rwanda through two rainy seasons, as imitations of three satellites see it.

Forest, tea, small fields that are sown twice a year, savanna and a lake around one tree-cover tile, the one of
configs/ttc_ard.yaml: Sentinel-2 from November 2020 to February 2022, Sentinel-1 in four windows of 2021, and heights.
Places are metres east and north of `ORIGIN` in UTM zone 36 S.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.demo.noise import Field, clouded, floored, hashed, noise, ramp, share
from pipeline.demo.rasters import Layer
from pipeline.demo.small import Scene, write_source

EPSG = 32736
ORIGIN = (169_320, 9_781_710)
"""Of x = y = 0: the middle of the tile of 30.0 E, 2.0 S."""
PIXEL_M = 30
_PX = 232
BANDS = ("blue", "green", "red", "nir", "rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22")

_FOREST = (0.018, 0.036, 0.020, 0.300, 0.062, 0.210, 0.275, 0.305, 0.120, 0.050)
_TEA = (0.026, 0.066, 0.032, 0.430, 0.098, 0.310, 0.395, 0.440, 0.180, 0.080)
_CROP = (0.030, 0.070, 0.040, 0.380, 0.105, 0.270, 0.345, 0.390, 0.200, 0.095)
_SOIL = (0.058, 0.090, 0.138, 0.220, 0.165, 0.185, 0.205, 0.230, 0.315, 0.270)
_DRY = (0.060, 0.092, 0.105, 0.225, 0.135, 0.180, 0.205, 0.235, 0.300, 0.190)
_WATER = (0.042, 0.044, 0.026, 0.012, 0.022, 0.014, 0.012, 0.010, 0.006, 0.004)
_CLOUD = (0.66, 0.65, 0.64, 0.68, 0.65, 0.66, 0.67, 0.68, 0.52, 0.42)
_POWER = {"vv": (0.190, 0.130, 0.110, 0.070, 0.085, 0.006), "vh": (0.052, 0.030, 0.022, 0.009, 0.013, 0.0008)}
"""gamma0 of forest, tea, crop, soil, dry grass and water."""
_COVERS = (_FOREST, _TEA, _CROP, _SOIL, _DRY, _WATER)
WINDOWS = (date(2021, 1, 15), date(2021, 4, 15), date(2021, 7, 15), date(2021, 10, 15))
_CELLS = ((-2, 29), (-2, 30), (-3, 29), (-3, 30))
_ROWS = 900


def build_trees(folder: Path) -> Mapping[str, Path]:
    """Make the scenes below `folder`, once (seconds, 20 MB); source → the list of its items."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = {"s2": _images(), "s1": _radar(), "dem": _heights()}
    return {name: write_source(folder, name, scenes) for name, scenes in sources.items()}


@dataclass(frozen=True, eq=False)
class Land:
    """Shares of the ground that do not change with the day, and how many days late a field is."""

    forest: Field
    tea: Field
    fields: Field
    """Of what is neither forest nor tea; the others are dry grass."""
    water: Field
    late_days: Field


def covers(land: Land, day: date) -> Field:
    """Shares (forest, tea, crop, soil, dry grass, water; …) of the ground on a day; they add up to 1."""
    rain = 0.12 + 0.88 * np.maximum(_rains(day, land.late_days, 105), _rains(day, land.late_days, 320))
    rest = (1 - land.forest) * (1 - land.tea)
    sown, grown = rest * land.fields, rest * (1 - land.fields)
    green = np.float32(0.55) * rain
    tea = (1 - land.forest) * land.tea
    dry_land = [land.forest, tea, sown * rain + grown * green, sown * (1 - rain), grown * (1 - green)]
    shares: Field = np.stack([*(share * (1 - land.water) for share in dry_land), land.water]).astype(np.float32)
    return shares


def heights(x: Field, y: Field) -> Field:
    """Metres above the geoid: ridges that fall to the lake; level beyond 20 km."""
    away = np.sqrt(x * x + y * y)
    hills = clouded(x, y, 2400, 81, 4) * ramp(_shore(x, y), 0.05, -1.5)
    return np.float32(1420) + np.float32(620) * hills * ramp(away, 20_000, 12_000)


def survey(x: Field, y: Field) -> Land:
    """What lies at places (m from `ORIGIN`) of any one shape."""
    shore = _shore(x, y)
    water = ramp(shore, -0.01, 0.02)
    # A reserve with a straight edge in the south-west, woods along a stream, and lots on the hills.
    reserve = ramp(-(0.8 * x + 0.6 * y) - 900 + 700 * (clouded(x, y, 800, 82, 3) - np.float32(0.5)), -20, 20)
    stream = np.abs(y - 900 * (noise(x, np.zeros_like(x), 1600, 83) - np.float32(0.5)) - 500 + 0.3 * x)
    along = ramp(stream, 150, 100) * ramp(noise(x, y, 300, 84), 0.2, 0.4)
    lots = ramp(clouded(x, y, 520, 85, 3), 0.655, 0.685)
    forest = np.maximum(np.maximum(reserve, along), lots)
    tea = ramp(clouded(x + 900, y - 400, 1500, 86, 2), 0.60, 0.63)
    u: Field = np.float32(0.96) * x + np.float32(0.28) * y
    v: Field = np.float32(0.96) * y - np.float32(0.28) * x
    (i, a), (j, b) = floored(u / np.float32(210)), floored(v / np.float32(140))
    parcel = hashed(i, j, 87)
    hedge = ramp(np.minimum(np.minimum(a, 1 - a) * 210, np.minimum(b, 1 - b) * 140), 2, 14)
    fields = hedge * (share(parcel) < 0.72)
    return Land(forest, tea, fields.astype(np.float32), water, 30 * share(parcel, 10))


def _shore(x: Field, y: Field) -> Field:
    """Above 0 on the lake."""
    east, north = x - 2350, y - 2100
    shore: Field = 1 - np.sqrt(east * east / np.float32(1.9e6) + north * north / np.float32(1.1e6))
    return shore + np.float32(0.8) * (clouded(x, y, 800, 88, 3) - np.float32(0.5))


def _rains(day: date, late: Field, middle: int) -> Field:
    """0 to 1: how green what a rainy season brings is; it is sown before the middle (day of the year)."""
    now = np.float32(day.timetuple().tm_yday) - late
    away = np.abs((now - middle + 182) % 365 - 182)
    return ramp(away, 75, 15)


@lru_cache(maxsize=1)
def _places() -> tuple[Field, Field]:
    along = PIXEL_M * (np.arange(_PX) - (_PX - 1) / 2)
    x, y = np.meshgrid(along, -along)
    return x.astype(np.float32), y.astype(np.float32)


@lru_cache(maxsize=1)
def _surveyed() -> Land:
    return survey(*_places())


def _corner() -> tuple[float, float]:
    half = PIXEL_M * _PX // 2
    return float(ORIGIN[0] - half), float(ORIGIN[1] + half)


def _images() -> Iterator[Scene]:
    """A pass every twelve days; most of the very cloudy ones are not in the archive."""
    day = date(2020, 11, 17)
    while day < date(2022, 2, 12):
        opacity = _clouds(day)
        if float(np.mean(opacity > 0.02)) < 0.335:
            yield _image(day, opacity)
        day += timedelta(days=12)


def _clouds(day: date) -> Field:
    """Opacity, 0 to 1."""
    return np.float32(0.97) * ramp(clouded(*_places(), 2600, day.toordinal() % 5000, 4), 0.575, 0.655)


def _image(day: date, opacity: Field) -> Scene:
    x, y = _places()
    shares = covers(_surveyed(), day)
    classes = np.where(shares[5] > 0.5, np.uint8(6), np.where(shares[:3].sum(axis=0) > 0.5, np.uint8(4), np.uint8(5)))
    for above, code in ((0.02, 10), (0.3, 8), (0.7, 9)):
        classes[opacity > np.float32(above)] = code
    grain = 16 * (_hashed(f"{day}") - np.float32(0.5))
    tone = np.float32(0.85) + np.float32(0.3) * clouded(x, y, 260, 89, 2)
    layers = []
    for number, band in enumerate(BANDS):
        ground = tone * _sum([cover[number] for cover in _COVERS], shares)
        seen = ground + (np.float32(_CLOUD[number]) - ground) * opacity
        layers.append(_layer(band, np.clip(np.rint(seen * 10_000 + grain), 1, 65_535).astype(np.uint16)))
    layers.append(_layer("scl", classes))
    said = {
        "platform": "sentinel-2a",
        "eo:cloud_cover": round(100 * float(np.mean(opacity > 0.02)), 2),
        "s2:processing_baseline": "02.14",
        "s2:product_uri": f"S2A_MSIL2A_{day:%Y%m%d}T080000_N0214_R035_T36MZU_{day:%Y%m%d}T120000.SAFE",
    }
    return Scene(f"S2A_36MZU_{day:%Y%m%d}_0_L2A", "sentinel-2-c1-l2a", f"{day}T08:12:00Z", layers, said)


def _radar() -> Iterator[Scene]:
    for first in WINDOWS:
        for day in (first + timedelta(days=days) for days in (5, 29)):
            shares = covers(_surveyed(), day)
            layers = []
            for key, power in _POWER.items():
                speckle = (
                    sum((_hashed(f"{day}/{key}/{look}") for look in range(4)), np.zeros((_PX, _PX), np.float32)) / 2
                )
                gamma = (_sum(power, shares) * np.maximum(speckle, 0.1)).astype(np.float32)
                coarse = (gamma.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
                layers.append(_layer(key, coarse, -32768))
            said = {"sat:orbit_state": "ascending", "sat:relative_orbit": 174, "platform": "sentinel-1a"}
            yield Scene(f"S1A_{day:%Y%m%d}_rtc", "sentinel-1-rtc", f"{day}T16:21:00Z", layers, said)


def _heights() -> Iterator[Scene]:
    """Four tiles of one degree, since the tree-cover tile touches the edges of one."""
    from pyproj import Transformer  # noqa: PLC0415 (only for those who make a world)

    to_ground = Transformer.from_crs(4326, EPSG, always_xy=True)
    for south, west in _CELLS:
        lon, lat = np.meshgrid(west + np.arange(_ROWS) / _ROWS, south + 1 - np.arange(_ROWS) / _ROWS)
        values = np.full(lon.shape, 1420, np.float32)
        near = np.ix_(np.abs(lat[:, 0] + 1.97) < 0.19, np.abs(lon[0] - 30.03) < 0.19)
        if values[near].size:
            east, north = to_ground.transform(lon[near], lat[near])
            values[near] = heights((east - ORIGIN[0]).astype(np.float32), (north - ORIGIN[1]).astype(np.float32))
        step = 1 / _ROWS
        layer = Layer("data", values, 4326, (west - step / 2, south + 1 + step / 2), (step, step), None)
        name = f"Copernicus_DSM_COG_10_S{-south:02d}_00_E{west:03d}_00_DEM"
        yield Scene(name, "cop-dem-glo-30", "2021-04-22T00:00:00Z", [layer], {"platform": "tandem-x"})


def _sum(of: tuple[float, ...] | list[float], shares: Field) -> Field:
    total: Field = np.tensordot(np.array(of, np.float32), shares, axes=1)
    return total


def _layer(key: str, values: Field, nodata: float = 0) -> Layer:
    return Layer(key, values, EPSG, _corner(), (PIXEL_M, PIXEL_M), nodata)


def _hashed(text: str) -> Field:
    """A fraction a pixel, its own for each text."""
    return share(hashed(np.arange(_PX)[None, :], np.arange(_PX)[:, None], zlib.crc32(text.encode())))
