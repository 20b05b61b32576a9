"""An invented glacier of Greenland through one summer, as an imitation of Sentinel-2 sees it.

It flows west between two ridges into a fjord. From June to September snow melts off the ice from the front upwards, the
front retreats, icebergs drift, and at last new snow falls. All of it is a function of place and day. Places are metres
east and north of `ORIGIN` in UTM zone 22.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.noise import Field, clouded, hashed, noise, ramp, share
from pipeline.demo.rasters import Layer
from pipeline.demo.small import Scene, write_source

EPSG = 32622
ORIGIN = (551_200, 7_674_520)
"""Of x = y = 0, a multiple of 40 m: the middle of region 002_West_Fjord of configs/glaciers-regions.geojson."""
PIXEL_M = 40
BANDS = ("blue", "green", "red", "nir")

_SNOW = (0.88, 0.88, 0.87, 0.78)
_ICE = (0.60, 0.61, 0.57, 0.38)
_DUST = (0.36, 0.36, 0.35, 0.24)
_ROCK = (0.085, 0.088, 0.095, 0.125)
_TUNDRA = (0.045, 0.062, 0.060, 0.190)
_WATER = (0.055, 0.050, 0.032, 0.012)
_POND = (0.42, 0.40, 0.26, 0.08)
_CLOUD = (0.74, 0.74, 0.74, 0.70)

_TILES = (("22WEB", -8_400, 8_080), ("22WEA", -8_400, 640))
"""Reduced MGRS tiles: name, and the western and northern edge from `ORIGIN`; they overlap by 640 m."""
_COLUMNS, _ROWS = 420, 202


@dataclass(frozen=True)
class Pass:
    """A day on which the region was seen; the lower `clear_below`, the more of it is clouded (1: nothing)."""

    day: date
    clear_below: float = 1.0
    west_m: float = -1e9
    """Where the swath begins."""


PASSES = (
    Pass(date(2024, 6, 4)),
    Pass(date(2024, 6, 19), 0.60),
    Pass(date(2024, 7, 3)),
    Pass(date(2024, 7, 15), west_m=-2_600),
    Pass(date(2024, 7, 24), 0.37),
    Pass(date(2024, 8, 6)),
    Pass(date(2024, 8, 20), 0.57),
    Pass(date(2024, 9, 4)),
    Pass(date(2024, 9, 22), 0.66),
)


def build_glacier(folder: Path) -> Path:
    """Make the scenes below `folder`, once (seconds, 10 MB); the path of `s2.json`, their items."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_source(folder, "s2", _scenes())


def front_m(day: date, y: Field) -> Field:
    """How far east of `ORIGIN` the ice ends on a day, at each y (m): 1.3 km of retreat from June to September."""
    retreat = 1300 * _season(day, date(2024, 6, 10), date(2024, 9, 10))
    bay = 900 * noise(y, np.zeros_like(y), 1500, 61)
    front: Field = np.float32(-3900 + retreat) + bay + np.float32(2.2e-4) * y * y
    return front


@dataclass(frozen=True, eq=False)
class Ground:
    """What does not change with the day."""

    x: Field
    y: Field
    valley: Field
    """How far inside of the valley's walls a place lies (m); negative: on a ridge."""
    rough: Field
    hollow: Field
    """Where water gathers on the ice, from 0.7 on."""
    light: Field
    """0 to 1: slopes that look away from the sun, and those that face it."""


def survey(x: Field, y: Field) -> Ground:
    """The ground at places (m from `ORIGIN`) of any one shape."""
    middle = 700 * (noise(x, np.zeros_like(x), 5200, 66) - np.float32(0.5))
    half = 2500 + 900 * (noise(x, np.ones_like(x), 2600, 67) - np.float32(0.5)) + 3600 * ramp(x, 800, 7600)
    valley = half - np.abs(y - middle) + 260 * (clouded(x, y, 700, 68, 3) - np.float32(0.5))
    rise = clouded(x + 40, y - 60, 900, 70, 4) - clouded(x - 40, y + 60, 900, 70, 4)
    hollow = clouded(x, y, 620, 65, 2)
    return Ground(x, y, valley, clouded(x, y, 1400, 62, 5), hollow, ramp(rise, -0.08, 0.08))


def glacier_truth(ground: Ground, day: date) -> Field:
    """Reflectance (band, …) on a day, without sky."""
    melt, fresh = _season(day, date(2024, 6, 1), date(2024, 8, 10)), _season(day, date(2024, 9, 8), date(2024, 9, 22))
    front = front_m(day, ground.y)
    out = _mixed(_WATER, _WATER, np.zeros_like(front))
    out = _over(out, _SNOW, 0.8 * _bergs(ground, front, day) * ramp(ground.valley, -30, 30))
    # Ridges: tundra, then rock; their snow goes from the shore upwards.
    height = np.clip(-ground.valley, 0, 4000) * np.float32(0.28) + 900 * (ground.rough - np.float32(0.35))
    land = _mixed(_TUNDRA, _ROCK, ramp(height, 50, 420)) * (np.float32(0.7) + np.float32(0.6) * ground.light)
    lasting = 80 + 1300 * melt - 1350 * fresh
    patchy = height + 200 * (ground.rough - np.float32(0.5))
    out = _covered(out, _over(land, _SNOW, ramp(patchy, lasting - 40, lasting + 120)), ramp(ground.valley, 30, -60))
    on_ice = ramp(ground.valley, -30, 30) * ramp(ground.x - front, -25, 25)
    return _covered(out, _ice(ground, day, melt, fresh), on_ice)


def _ice(ground: Ground, day: date, melt: float, fresh: float) -> Field:
    """Dust and crevasses near the front, ponds above in high summer, snow from the snow line on."""
    moved = ground.x + np.float32(20 * _days(day))  # 20 m a day
    u, v = np.float32(0.8) * moved - np.float32(0.6) * ground.y, np.float32(0.6) * moved + np.float32(0.8) * ground.y
    cracks = ramp(np.abs(clouded(moved, ground.y * np.float32(0.4), 380, 63, 2) - np.float32(0.5)), 0.06, 0.0)
    crevasses = cracks * ramp(ground.x, 4200, -1500)
    dirty = 0.75 * ramp(clouded(u * np.float32(0.5), v, 900, 64, 3), 0.42, 0.75)
    ice = _mixed(_ICE, _DUST, np.clip(dirty + np.float32(0.6) * crevasses, 0, 1))
    water = _season(day, date(2024, 6, 25), date(2024, 7, 10)) * (1 - _season(day, date(2024, 8, 25), date(2024, 9, 5)))
    line = -7000 + 11_500 * melt - 12_000 * fresh
    ice = _over(ice, _POND, ramp(ground.hollow, 0.70, 0.735) * np.float32(water))
    ice = _over(ice, _SNOW, ramp(ground.x - 1500 * (ground.rough - np.float32(0.5)), line - 300, line + 1300))
    return ice * (np.float32(0.93) + np.float32(0.1) * ground.light)


def _bergs(ground: Ground, front: Field, day: date) -> Field:
    """Share of floating ice: dense before the front, further out less."""
    along = ground.x - np.float32(90 * _days(day) % 1700)
    away = np.clip(front - ground.x, 0, 6000)
    pieces = clouded(along, ground.y + np.float32(37 * _days(day)), 210, 69, 3)
    return ramp(pieces - away * np.float32(5.5e-5), 0.585, 0.66)


def _scenes() -> Iterator[Scene]:
    for one in PASSES:
        for number in range(len(_TILES)):
            yield _scene(one, number)


@lru_cache(maxsize=2)
def _surveyed(west: int, north: int) -> Ground:
    """The ground of a tile's pixel centres: the same for all its days."""
    x, y = np.meshgrid(west + PIXEL_M * (np.arange(_COLUMNS) + 0.5), north - PIXEL_M * (np.arange(_ROWS) + 0.5))
    return survey(x.astype(np.float32), y.astype(np.float32))


def _scene(one: Pass, number: int) -> Scene:
    tile, west, north = _TILES[number]
    ground = _surveyed(west, north)
    x, y = ground.x, ground.y
    bare = glacier_truth(ground, one.day)
    opacity = _clouds(one, x, y)
    seen = _over(bare, _CLOUD, opacity)
    gone = x < one.west_m + np.float32(0.2) * y
    snowy = (bare[1] > 0.4) & (bare[3] > 0.2)
    classes = np.where(snowy, np.uint8(11), np.where(bare[3] < 0.05, np.uint8(6), np.uint8(5)))
    for above, code in ((0.03, 10), (0.30, 8), (0.70, 9)):
        classes[opacity > np.float32(above)] = code
    classes[gone] = 0
    grain = share(hashed(np.arange(x.shape[1])[None, :], np.arange(x.shape[0])[:, None], one.day.toordinal())) * 60
    corner = (float(ORIGIN[0] + west), float(ORIGIN[1] + north))
    layers = []
    for band, values in zip(BANDS, seen, strict=True):
        stored = np.clip(np.rint(values * 10_000 + grain), 1, 65_535).astype(np.uint16)
        layers.append(_layer(band, np.where(gone, np.uint16(0), stored), corner))
    layers.append(_layer("scl", classes, corner))
    seen_px = int(np.count_nonzero(~gone))
    said = {
        "platform": "sentinel-2a",
        "eo:cloud_cover": round(100 * float(np.count_nonzero(opacity > 0.03)) / max(seen_px, 1), 2),
        "grid:code": f"MGRS-{tile}",
        "s2:processing_baseline": "02.14",
        "s2:product_uri": f"S2A_MSIL2A_{one.day:%Y%m%d}T150911_N0214_R025_T{tile}_{one.day:%Y%m%d}T200000.SAFE",
    }
    moment = f"{one.day}T15:19:{10 + 14 * number:02d}Z"
    return Scene(f"S2A_{tile}_{one.day:%Y%m%d}_0_L2A", "sentinel-2-l2a", moment, layers, said)


def _layer(key: str, values: NDArray[np.uint16] | NDArray[np.uint8], corner: tuple[float, float]) -> Layer:
    return Layer(key, values, EPSG, corner, (PIXEL_M, PIXEL_M))


def _clouds(one: Pass, x: Field, y: Field) -> Field:
    """Opacity, 0 to 1."""
    if one.clear_below >= 1:
        return np.zeros_like(x)
    body = clouded(x, y, 4200, one.day.toordinal() % 1000, 6)
    return np.float32(0.96) * ramp(body, one.clear_below, one.clear_below + 0.12)


def _days(day: date) -> int:
    """Since the first of June."""
    return (day - date(2024, 6, 1)).days


def _season(day: date, start: date, end: date) -> float:
    """0 before `start`, 1 after `end`, straight between."""
    return min(1.0, max(0.0, (day - start).days / (end - start).days))


def _mixed(one: tuple[float, ...], other: tuple[float, ...], weight: Field) -> Field:
    return np.stack([np.float32(a) + np.float32(b - a) * weight for a, b in zip(one, other, strict=True)])


def _over(ground: Field, colour: tuple[float, ...], weight: Field) -> Field:
    return np.stack([g + (np.float32(c) - g) * weight for g, c in zip(ground, colour, strict=True)])


def _covered(ground: Field, cover: Field, weight: Field) -> Field:
    covered: Field = ground + (cover - ground) * weight
    return covered
