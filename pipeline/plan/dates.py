"""Few good days of each month in place of all: chosen on a box wider than the tile, so that neighbours take the same.

Laws: a day is good for all tiles of one cell of 300/360 degrees, or for none of them; of the good days that a tile has,
it takes those nearest to fixed days of the month, never the clearest. So two tiles of a cell whose scenes are of the
same days take the same days. Only what the catalogue says is looked at.

The cell is the box of +/- 150/360 degrees (about 93 km) in which tree-cover tiles choose their images; here it stands
on a lattice, 15 x 15 tiles each, instead of around every tile.
"""

from __future__ import annotations

import calendar
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from pipeline.plan.areas import polygons, possible_footprint
from pipeline.plan.curves import transformer
from pipeline.plan.outlines import lonlat_outline
from pipeline.types import Item, Json, Period, Tile

CLOUD = "eo:cloud_cover"
"""Item property, percent."""
_CELL_PX, _PX_DEG = 300, 1 / 360
_MOST = 0.5
"""Share of a tile from which on a day's scenes show most of it."""


@dataclass(frozen=True)
class DateChoice:
    """Which days are good, and how many of them are taken."""

    max_cloud: float
    """Percent of the cell, by its scenes' cloud cover, that a good day stays below."""
    per_month: int


def cell_of(tile: Tile) -> Tile:
    """The cell of the lattice that a tile's middle lies in, as a tile of its own in degrees."""
    geobox = tile.geobox
    middle = geobox.transform @ (geobox.shape[1] / 2, geobox.shape[0] / 2)
    lon, lat = transformer(str(geobox.crs), 4326).transform(*middle)
    size = _CELL_PX * _PX_DEG
    # A middle that rounding puts on a cell's edge belongs to the same cell on every machine.
    column, row = (math.floor(round(side / size, 9)) for side in (lon, lat))
    corner = Affine(_PX_DEG, 0, column * size, 0, -_PX_DEG, (row + 1) * size)
    return Tile(f"cell{column}x{row}", GeoBox((_CELL_PX, _CELL_PX), corner, "EPSG:4326"))


@dataclass
class DateChooser:
    """The choice for all tiles of a product."""

    choice: DateChoice
    around: Callable[[Tile], Sequence[Item]]
    """The items of the source that touch a cell, with the cell's solar days."""
    _good: dict[tuple[str, str], Mapping[str, date]] = field(default_factory=dict)
    _untold: set[str] = field(default_factory=set)
    _shapes: dict[str, BaseGeometry] = field(default_factory=dict)
    """Item key → its footprint."""

    @property
    def notes(self) -> list[str]:
        """What a reader of the plan should know of the choice."""
        if not self._untold:
            return []
        return [
            f"{len(self._untold)} scenes do not say their {CLOUD}: none of them is taken, such as {min(self._untold)}"
        ]

    def of(self, tile: Tile, period: Period, items: Sequence[Item]) -> list[Item]:
        """Those of a tile's items, all within the period, whose days are taken; in the order in which they came."""
        cell = cell_of(tile)
        known = self._good.get((cell.id, period.id))
        if known is None:
            around = self.around(cell)
            self._untold |= {item.id for item in around if item.time in period and not _told(item)}
            known = self._good[cell.id, period.id] = good_days(self.choice, cell, around, period)
        good = [(item, known[item.key]) for item in items if item.key in known]
        taken = take_days(self.choice.per_month, _shown(tile, good, self._shapes))
        return [item for item, day in good if day in taken]


def good_days(choice: DateChoice, cell: Tile, items: Sequence[Item], period: Period) -> dict[str, date]:
    """Item key → its solar day in the cell, of the days in a period that are good there.

    A day's cloud cover is the mean of its scenes', by the area they share with the cell; a scene whose cloud cover the
    catalogue does not tell is of no good day.
    """
    outline = lonlat_outline(cell.geobox)
    days: dict[date, list[Item]] = defaultdict(list)
    for item in items:
        if item.time in period and _told(item):
            days[item.solar_day].append(item)
    good: dict[str, date] = {}
    for day, scenes in days.items():
        areas = _shared(scenes, outline, {})
        cloud = sum(area * float(item.properties[CLOUD]) for item, area in zip(scenes, areas, strict=True))
        if sum(areas) and cloud / sum(areas) < choice.max_cloud:
            good |= {item.key: day for item in scenes}
    return good


def take_days(per_month: int, shown: Mapping[date, float]) -> set[date]:
    """Of each month, at most so many days: the nearest to evenly spaced ones, the first of them the month's first.

    shown: day → share of the tile that its scenes show. Days that show most of it come before all others; the earlier
    one where two are as near.
    """
    taken: set[date] = set()
    months: dict[tuple[int, int], list[date]] = defaultdict(list)
    for day, share in shown.items():
        if share > 0:
            months[day.year, day.month].append(day)
    for (year, month), days in months.items():
        length = calendar.monthrange(year, month)[1]
        left = sorted(days)
        for number in range(min(per_month, len(days))):
            wanted = 1 + number * length // per_month
            best = min((shown[day] < _MOST, abs(day.day - wanted), day) for day in left)[2]
            left.remove(best)
            taken.add(best)
    return taken


def _told(item: Item) -> bool:
    cloud = item.properties.get(CLOUD)
    return isinstance(cloud, int | float) and not isinstance(cloud, bool) and 0 <= cloud <= 100


def _shown(tile: Tile, items: Sequence[tuple[Item, date]], shapes: dict[str, BaseGeometry]) -> dict[date, float]:
    """Day → share of the tile that its scenes show, each for itself."""
    outline = lonlat_outline(tile.geobox)
    shown: dict[date, float] = defaultdict(float)
    for (_, day), area in zip(items, _shared([item for item, _ in items], outline, shapes), strict=True):
        shown[day] += area / outline.area
    return shown


def _shared(items: Sequence[Item], outline: BaseGeometry, known: dict[str, BaseGeometry]) -> list[float]:
    """Square degrees that each scene has within an outline. known: footprints by item key, which grows."""
    keys = [item.key for item in items]
    for key, item in zip(keys, items, strict=True):
        if key not in known:
            known[key] = _footprint(item.geometry)
    shapes = np.array([known[key] for key in keys], dtype=object)
    areas = np.where(shapely.covers(shapes, outline), outline.area, 0.0)
    rest = areas == 0
    areas[rest] = shapely.area(shapely.intersection(shapes[rest], outline))
    return [float(area) for area in areas]


def _footprint(geometry: Json) -> BaseGeometry:
    """A scene's outline, valid; of one that crosses 180, what it means: no scene goes around the globe."""
    shape = possible_footprint(geometry)
    alternatives = shapely.get_parts(shape) if shape.geom_type == "GeometryCollection" else [shape]
    whole = polygons(alternatives[-1])
    shapely.prepare(whole)
    return whole
