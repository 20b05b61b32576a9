"""Where and when a run makes what, ready to be asked for a scene: quick, and rather too much than too little.

What is named too much costs one look at a plan that has not changed. What a catalogue says of a scene later may differ
a little from what an event says, so a footprint counts as about a kilometre larger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.events.event import SceneEvent
from pipeline.events.rules.route import Touched
from pipeline.plan.areas import BBox, possible_footprint
from pipeline.plan.dates import cell_of
from pipeline.plan.derived import in_order, serves
from pipeline.plan.entries import ProductPlan, Targets
from pipeline.plan.outlines import lonlat_boxes, lonlat_outlines
from pipeline.plan.windows import BEYOND_PX, padded
from pipeline.types import Period, Tile

_SLACK = timedelta(days=1)
"""Of the time of a scene of a public topic, some of which tell no more than the day."""
_Places = dict[str, set[str]]
"""Ids of periods by tile id."""


class Ground:
    """The tiles and periods of a run's products."""

    def __init__(
        self,
        products: Sequence[ProductPlan],
        targets: Mapping[str, Targets],
        sources: Mapping[str, Collection[str]],
    ) -> None:
        """Targets, and names of sources: by product."""
        self._products, self._targets, self._sources = in_order(products), targets, sources
        self._lattices: dict[tuple[int, bool], _Lattice] = {}
        self._tiles: dict[int, Mapping[str, Tile]] = {}
        for one in self._products:
            tiles = targets[one.name].tiles
            self._tiles.setdefault(id(tiles), {tile.id: tile for tile in tiles})
            if self._sources[one.name] and not one.afloat:
                key = id(tiles), one.dates is not None
                self._lattices.setdefault(key, _Lattice.of(tiles, cells=one.dates is not None))

    def touched(self, sources: frozenset[str], event: SceneEvent) -> list[Touched]:
        """Every job whose inputs a scene of these sources may be, and every job that is made from one of those."""
        footprint = None if event.geometry is None else shapely.make_valid(possible_footprint(event.geometry))
        found: dict[str, _Places] = {}
        for one in self._products:
            places: _Places = {}
            if not sources.isdisjoint(self._sources[one.name]) and not one.afloat:
                self._add_scenes(places, one, footprint, event)
            for name in one.inputs:
                self._add_made(places, one, name, found.get(name, {}))
            found[one.name] = places
        return [touched for name, places in found.items() for touched in self._named(name, places)]

    def _add_scenes(
        self, places: _Places, product: ProductPlan, footprint: BaseGeometry | None, event: SceneEvent
    ) -> None:
        """What a product makes from the scene itself."""
        target = self._targets[product.name]
        slack = product.around + (timedelta() if event.item is not None else _SLACK)
        within = {period.id for period in target.periods if _near(event.time, period, slack)}
        if not within:
            return
        for tile in self._lattices[id(target.tiles), product.dates is not None].near(footprint):
            places.setdefault(tile.id, set()).update(p.id for p in target.periods_of(tile) if p.id in within)

    def _add_made(self, places: _Places, product: ProductPlan, name: str, made: _Places) -> None:
        """What a product makes from those of its input's jobs that are made anew."""
        target, above = self._targets[product.name], {one.id: one for one in self._targets[name].periods}
        tiles = self._tiles[id(target.tiles)]
        for tile_id, periods in made.items():
            if tile_id not in tiles:
                continue
            anew = [above[period] for period in periods]
            here = target.periods_of(tiles[tile_id])
            places.setdefault(tile_id, set()).update(p.id for p in here if any(serves(p, one) for one in anew))

    def _named(self, name: str, places: _Places) -> Iterable[Touched]:
        ends = {one.id: None if one.end is None else one.end.timestamp() for one in self._targets[name].periods}
        for tile_id in sorted(places):
            for period, end_s in ends.items():
                if period in places[tile_id]:
                    yield Touched(f"{name}/{tile_id}/{period}", end_s)


def _near(time: datetime | None, period: Period, slack: timedelta) -> bool:
    """Whether a moment, or one not far from it, lies in a period; one that nobody knows lies in all of them."""
    if time is None or period.start is None or period.end is None:
        return True
    return period.start - slack <= time < period.end + slack


@dataclass(frozen=True)
class _Lattice:
    """Tiles, to be found by what touches them."""

    tiles: tuple[Tile, ...]
    tree: shapely.STRtree
    """Of boxes around each tile, or around the cell in which its days are chosen."""
    numbers: NDArray[np.int64]
    """Of each box, the tile that it is of."""
    cells: bool

    @classmethod
    def of(cls, tiles: tuple[Tile, ...], *, cells: bool) -> _Lattice:
        systems: dict[str, list[int]] = {}
        shown = [_shown(tile, cells=cells) for tile in tiles]
        for number, tile in enumerate(shown):
            systems.setdefault(str(tile.geobox.crs), []).append(number)
        boxes: list[BBox] = []
        numbers: list[int] = []
        for crs, members in systems.items():
            for number, box in zip(members, lonlat_boxes([shown[one].geobox for one in members], crs), strict=True):
                sides = _sides(box)
                boxes += sides
                numbers += [number] * len(sides)
        shapes = shapely.box(*np.array(boxes, dtype=float).reshape(-1, 4).T)
        return cls(tiles, shapely.STRtree(shapes), np.array(numbers, np.int64), cells)

    def near(self, footprint: BaseGeometry | None) -> list[Tile]:
        """The tiles that a footprint touches; all of them for None, in order."""
        if footprint is None:
            return list(self.tiles)
        some = np.unique(self.numbers[self.tree.query(footprint, predicate="intersects")])
        tiles = [self.tiles[number] for number in some.tolist()]
        outlines = lonlat_outlines([_shown(tile, cells=self.cells).geobox for tile in tiles])
        touched = shapely.intersects(np.array(outlines, dtype=object), footprint)
        return [tile for tile, is_near in zip(tiles, touched, strict=True) if is_near]


def _shown(tile: Tile, *, cells: bool) -> Tile:
    """What a scene must touch to matter to a tile."""
    shown = cell_of(tile) if cells else tile
    return Tile(tile.id, padded(shown.geobox, BEYOND_PX))


def _sides(box: BBox) -> list[BBox]:
    """A box, or its two sides where it crosses the antimeridian."""
    west, south, east, north = box
    return [box] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]
