"""A map as SVG: outlines in degrees over land and a grid of meridians and parallels; nothing is loaded for it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.plan.areas import BBox
from pipeline.plan.outlines import covering

WIDTH, HEIGHT, TALLEST = 460, 300, 420
"""Of the map, in pixels; it is as high as it needs to be within limits."""
_PAD = 0.08
_LEAST_DEG = 0.002
_LAND_FROM_DEG = 2.5
"""Below this width the coast lines are too coarse to help."""
_LINES = 5
_ROOM = 40
"""Pixels that the name of a meridian needs."""


@dataclass(frozen=True)
class Shape:
    """One outline on the map."""

    outline: BaseGeometry
    """Longitude and latitude within -180..180, in parts where it crosses 180."""
    fill: str
    stroke: str
    title: str
    """Shown when somebody points at it."""
    label: str = ""
    """Written in its middle."""


@dataclass(frozen=True)
class _View:
    """From degrees to pixels: equirectangular, true at the middle latitude."""

    west: float
    south: float
    east: float
    """Beyond 180 where it crosses."""
    north: float

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels a degree, across and up."""
        stretch = max(0.15, math.cos(math.radians((self.south + self.north) / 2)))
        across = WIDTH / (self.east - self.west)
        return across, across / stretch

    @property
    def height(self) -> float:
        return (self.north - self.south) * self.scale[1]

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(point, 2): longitude and latitude to x and y."""
        x = np.where(points[:, 0] < self.west - 1e-9, points[:, 0] + 360, points[:, 0]) - self.west
        return np.stack([x * self.scale[0], (self.north - points[:, 1]) * self.scale[1]], axis=1)


def svg_map(shapes: Sequence[Shape]) -> str:
    """The shapes over their surroundings; empty where there are none. Needs no display and no network."""
    if not shapes:
        return ""
    view = _view([part.bounds for shape in shapes for part in shapely.get_parts(shape.outline)])
    high = round(view.height)
    parts = [*_land(view), *_grid(view), *(_drawn(shape, view) for shape in shapes)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {high}" width="{WIDTH}" height="{high}" role="img" aria-label="map of the tiles">'
        f'<rect width="{WIDTH}" height="{high}" fill="currentColor" fill-opacity=".03"/>{"".join(parts)}</svg>'
    )


def _view(boxes: list[BBox]) -> _View:
    """What is around the boxes, with some room, and no flatter or taller than a map may be."""
    west, south, east, north = covering(boxes)
    east = east + 360 if east < west else east
    middle_x, middle_y = (west + east) / 2, (south + north) / 2
    wide = max((east - west) * (1 + 2 * _PAD), _LEAST_DEG)
    high = max((north - south) * (1 + 2 * _PAD), _LEAST_DEG)
    stretch = max(0.15, math.cos(math.radians(middle_y)))
    wide = min(360.0, max(wide, high / stretch * WIDTH / TALLEST))
    high = max(high, wide * stretch * HEIGHT / WIDTH / 2)
    return _View(
        middle_x - wide / 2, max(-90.0, middle_y - high / 2), middle_x + wide / 2, min(90.0, middle_y + high / 2)
    )


def _path(rings: Sequence[NDArray[np.float64]], view: _View) -> str:
    """Rings of degrees as the path of SVG."""
    return "".join(
        "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in view.pixels(ring)) + "Z" for ring in rings if len(ring) > 2
    )


def _drawn(shape: Shape, view: _View) -> str:
    rings = [shapely.get_coordinates(part.exterior) for part in shapely.get_parts(shape.outline)]
    drawn = (
        f'<path d="{_path(rings, view)}" fill="{shape.fill}" fill-opacity=".3" stroke="{shape.stroke}" '
        f'stroke-width="1.2"><title>{escape(shape.title)}</title></path>'
    )
    if not shape.label:
        return drawn
    x, y = view.pixels(shapely.get_coordinates(shape.outline.representative_point()))[0]
    return f'{drawn}<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle">{escape(shape.label)}</text>'


def _grid(view: _View) -> Iterator[str]:
    """Meridians and parallels at round degrees, with their names."""
    across, up = view.scale
    line = '<path d="{}" stroke="currentColor" stroke-opacity=".18" fill="none"/><text x="{:.0f}" y="{:.0f}">{}</text>'
    for lon, step in _steps(view.west, view.east):
        x = (lon - view.west) * across
        name = _degrees((lon + 180) % 360 - 180, step, "EW") if x < WIDTH - _ROOM else ""
        yield line.format(f"M{x:.1f} 0V{view.height:.0f}", x + 3, view.height - 4, name)
    for lat, step in _steps(view.south, view.north):
        y = (view.north - lat) * up
        yield line.format(f"M0 {y:.1f}H{WIDTH}", 3, y - 3, _degrees(lat, step, "NS"))


def _steps(low: float, high: float) -> Iterator[tuple[float, float]]:
    """Round numbers between two, a few, and how far apart they are."""
    rough = (high - low) / _LINES
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough)
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step, step


def _degrees(value: float, step: float, letters: str) -> str:
    places = max(0, math.ceil(-math.log10(step)))
    letter = letters[0] if value > 0 else letters[1] if value < 0 else ""
    return f"{abs(value):.{places}f}°{letter}"


def _land(view: _View) -> Iterator[str]:
    """The coasts within the view, of Natural Earth's smallest scale, where they are not too coarse for it."""
    if view.east - view.west < _LAND_FROM_DEG:
        return
    frame = shapely.box(view.west, view.south, view.east, view.north)
    for turn in (-360, 0, 360):
        for ring in _rings():
            seen = shapely.intersection(shapely.affinity.translate(ring, turn), frame)
            rings = [
                shapely.get_coordinates(one.exterior) for one in shapely.get_parts(seen) if one.geom_type == "Polygon"
            ]
            if rings:
                yield f'<path d="{_path(rings, view)}" fill="currentColor" fill-opacity=".09"/>'


@cache
def _rings() -> tuple[shapely.Polygon, ...]:
    """Land as the report's page has it: for each ring its number of points, first values and steps, in 1/50 degree."""
    packed = files("pipeline.report").joinpath("assets/land.bin").read_bytes()
    words = np.frombuffer(zlib.decompress(packed), "<i2").astype(np.float64)
    rings, at = [], 1
    for _ in range(int(words[0])):
        size = int(words[at])
        points = words[at + 1 : at + 1 + 2 * size].reshape(2, size).cumsum(axis=1).T / 50
        rings.append(shapely.make_valid(shapely.Polygon(points)))
        at += 1 + 2 * size
    return tuple(part for ring in rings for part in shapely.get_parts(ring) if part.geom_type == "Polygon")
