"""Which scenes of a source each tile and period has: the join of a hundred thousand tile-periods, tile by tile.

What does not depend on the tile is worked out once for each item, and once for each choice of grids that many items
have in common.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from pipeline.errors import MemoryRefusedError
from pipeline.plan.areas import possible_footprint
from pipeline.plan.curves import transformer
from pipeline.plan.dates import DateChooser
from pipeline.plan.entries import COMPRESSION, ProductPlan, Targets, job_document, with_bands
from pipeline.plan.fingerprint import Digest, Template, fingerprint, input_identity
from pipeline.plan.memory import Finest, project_memory
from pipeline.plan.orders import Order
from pipeline.plan.outlines import lonlat_outlines, outline_in
from pipeline.plan.rows import Row, micros
from pipeline.plan.table import Table
from pipeline.plan.windows import BEYOND_PX, finest_of_grids, half_beside, overlap, padded, window_px
from pipeline.types import Grid, Item, MemoryPlan, Period, Tile

Grids = tuple[Grid | None, ...]
"""Of an item's assets, in their order; None: not declared."""
_AT_ONCE = 256
"""Tiles whose outlines are made together."""
_KEPT = 4096
"""Choices of scenes that are known still when the next row of tiles meets the same ones."""


def source_jobs(product: ProductPlan, target: Targets, table: Table, budget_bytes: int) -> list[str]:
    """Add the jobs of a product that is made from a source's items; a note of the tile-periods without any.

    Raises MemoryRefusedError when a job cannot fit its worker.
    """
    scenes = _Scenes(product, target, table)
    planner = _Planner(product, scenes, table, budget_bytes)
    bare = product.bare(scenes.items) if product.bare else None
    chooser = product.dates and DateChooser(
        product.dates, lambda cell: scenes.dated(cell, next(scenes.touching([cell])))
    )
    empty = found = 0
    around = scenes.touching(target.tiles, beyond=product.beyond)
    for number, (tile, near) in enumerate(zip(target.tiles, around, strict=True)):
        allowed = None if target.only is None else {period.id for period in target.periods_of(tile)}
        of_period = planner.at(tile, near)
        for place, period in enumerate(target.periods):
            if allowed is not None and period.id not in allowed:
                continue
            chosen = of_period.get(place, [])
            if chooser:
                chosen = scenes.taken(chooser, tile, period, near)
            if chosen or (bare is not None and not near and bare(tile)):
                planner.add((number, place), period, chosen)
                found += 1
            else:
                empty += 1
    note = f"{product.name}: {empty} of {empty + found} tile-periods have no scene in the catalogue"
    beside = _beside(product, target.tiles, scenes.read)
    return [*([note] if empty else []), *beside, *(chooser.notes if chooser else [])]


def _beside(product: ProductPlan, tiles: Sequence[Tile], read: Sequence[Grids]) -> list[str]:
    """A note where the nearest pixel is none."""
    distinct = {id(grids): grids for grids in read}.values() if product.nearest else ()
    crs = half_beside(tiles, {grid for grids in distinct for grid in grids if grid is not None})
    note = (
        f"{product.name}: in {crs} the scenes' pixels lie half a pixel beside the grid's on both axes, and "
        "resampling: nearest leaves every value so far off; resampling: bilinear puts it right"
    )
    return [] if crs is None else [note]


def sun_ahead(tile: Tile) -> timedelta:
    """By how much mean solar time at a tile's own middle is ahead of UTC: 15 degrees of longitude an hour.

    Scenes of one pass share their day so, also across the antimeridian.
    """
    middle = tile.geobox.transform @ (tile.geobox.shape[1] / 2, tile.geobox.shape[0] / 2)
    lon, _ = transformer(str(tile.geobox.crs), 4326).transform(*middle)
    return timedelta(hours=lon / 15)


class _Scenes:
    """The items that a product may use, by their numbers here, and which of them a tile may need."""

    def __init__(self, product: ProductPlan, target: Targets, table: Table) -> None:
        keep = product.keep
        self.numbers = [
            number
            for number, item in enumerate(table.items)
            if item.source == product.source and (keep is None or keep(item))
        ]
        """In the table."""
        self.items = [table.items[number] for number in self.numbers]
        times = [micros(item.time) for item in self.items]
        self.micros = times
        spans = [tuple(None if end is None else micros(end) for end in (one.start, one.end)) for one in target.periods]
        self.periods = [
            [
                place
                for place, (start, end) in enumerate(spans)
                if (start is None or start <= time) and (end is None or time < end)
            ]
            for time in times
        ]
        by_id = sorted(range(len(self.items)), key=lambda one: (self.items[one].id, self.items[one].collection))
        self.rank = [0] * len(by_id)
        """Among scenes of one day."""
        for rank, one in enumerate(by_id):
            self.rank[one] = rank
        known: dict[Grids, Grids] = {}
        self.grids = [_grids(item, known) for item in self.items]
        self.read = [_grids(with_bands(item, product.bands), known) for item in self.items]
        """Of the bands that the product reads."""
        self._distinct = lru_cache(maxsize=_KEPT)(self._distinct_grids)
        shapes = np.array([possible_footprint(item.geometry) for item in self.items], dtype=object)
        self._tree = shapely.STRtree(shapes)

    def touching(self, tiles: Sequence[Tile], *, beyond: bool = False) -> Iterator[list[int]]:
        """For each tile, what it may need; beyond: also what only its margin does."""
        for first in range(0, len(tiles), _AT_ONCE):
            some = tiles[first : first + _AT_ONCE]
            around = [padded(tile.geobox, BEYOND_PX if beyond else 0) for tile in some]
            outlines = np.array(lonlat_outlines(around), dtype=object)
            of, near = self._tree.query(outlines, predicate="intersects")
            order = np.lexsort((near, of))
            ends = np.cumsum(np.bincount(of, minlength=len(some))).tolist()
            numbers = near[order].tolist()
            for place, (tile, start, end) in enumerate(zip(some, [0, *ends], ends, strict=False)):
                yield self._meeting(around[place] if beyond else tile.geobox, numbers[start:end])

    def _meeting(self, geobox: GeoBox, near: Sequence[int]) -> list[int]:
        """Of scenes whose footprint is near, those with a grid that the tile meets, or an undeclared one."""
        bounds: dict[str, tuple[float, float, float, float]] = {}
        missed = set()
        for grids in self._distinct(tuple(near)):
            for grid in grids:
                if grid is not None and grid.crs not in bounds:
                    bounds[grid.crs] = outline_in(geobox, grid.crs)
            if not _touches(grids, bounds):
                missed.add(id(grids))
        return [one for one in near if id(self.grids[one]) not in missed] if missed else list(near)

    def _distinct_grids(self, near: Sequence[int]) -> list[Grids]:
        return list({id(grids): grids for grids in map(self.grids.__getitem__, near)}.values())

    def dated(self, tile: Tile, near: Sequence[int]) -> list[Item]:
        """Items with the solar day of a tile."""
        ahead = sun_ahead(tile)
        return [replace(self.items[one], solar_day=(self.items[one].time + ahead).date()) for one in near]

    def taken(self, chooser: DateChooser, tile: Tile, period: Period, near: Sequence[int]) -> list[int]:
        """Of a tile's scenes within a period, those whose days are taken, in the order of jobs."""
        within = [one for one in near if self.items[one].time in period]
        dated = dict(zip(map(id, items := self.dated(tile, within)), within, strict=True))
        chosen = chooser.of(tile, period, items)
        days = {dated[id(item)]: item.solar_day for item in chosen}
        return sorted(days, key=lambda one: (days[one], self.rank[one]))


def _grids(item: Item, known: dict[Grids, Grids]) -> Grids:
    """Of an item's assets; the same object for equal ones."""
    grids = tuple(asset.grid for asset in item.assets.values())
    return known.setdefault(grids, grids)


def _touches(grids: Grids, bounds: dict[str, tuple[float, float, float, float]]) -> bool:
    """False only where every declared grid misses the tile: footprints may be wrong, declared grids are finer."""
    for grid in grids:
        if grid is None:
            return True
        left, bottom, right, top = overlap(grid.transform, grid.shape, bounds[grid.crs])
        if left < right and bottom < top:
            return True
    return not grids


class _Choice(NamedTuple):
    """What all tiles have in common that are made from the same scenes in a period."""

    items: bytes
    """As in a row."""
    read: tuple[int, ...]
    """The grids of each, by identity."""
    kinds: frozenset[int]
    """Distinct ones."""
    begun: Digest | None
    """The fingerprint up to the tile; None for a product that clips, which says more of its tiles."""


class _Planner:
    """Makes rows of one product."""

    def __init__(self, product: ProductPlan, scenes: _Scenes, table: Table, budget_bytes: int) -> None:
        self._product, self._scenes, self._table, self._budget = product, scenes, table, budget_bytes
        self._number = table.current
        self._memory: dict[tuple[object, ...], MemoryPlan] = {}
        self._identities: dict[int, bytes] = {}
        order = sorted(range(len(scenes.items)), key=lambda one: (scenes.items[one].collection, scenes.items[one].id))
        self._inputs = {one: place for place, one in enumerate(order)}
        self._template = Template(product.kind, product.version, product.parameters)
        self._by_grids = {id(grids): grids for grids in scenes.read}
        self._orders = lru_cache(maxsize=_KEPT // 16)(partial(Order, (scenes.micros, scenes.rank, scenes.periods)))
        self._choices = lru_cache(maxsize=_KEPT)(self._choice)

    def at(self, tile: Tile, near: Sequence[int]) -> Mapping[int, Sequence[int]]:
        """Go on to a tile: the scenes of each of its periods, in the order of jobs."""
        self._tile, self._ahead_us = tile, sun_ahead(tile) // timedelta(microseconds=1)
        self._grid_bytes: dict[int, int] = {}
        self._read_bytes: dict[tuple[int, ...], int] = {}
        self._finest: dict[frozenset[int], Finest] = {}
        self._fits: dict[tuple[int, int, frozenset[int]], MemoryPlan] = {}
        self._tile_text = Template.text(tile.identity())
        order = self._orders(tuple(near)).at(self._ahead_us)
        self._days = order.days
        return order.of_period

    def add(self, at: tuple[int, int], period: Period, chosen: Sequence[int]) -> None:
        """The job of a period of this tile; at: numbers of both."""
        product, choice = self._product, self._choices(period, tuple(chosen))
        days = len(set(map(self._days.__getitem__, chosen)))
        memory = self._fits.get((len(chosen), days, choice.kinds))
        if memory is None:
            memory = self._fit(period, len(chosen), days, choice.kinds)
            self._fits[len(chosen), days, choice.kinds] = memory
        if choice.begun is None:
            read = [with_bands(self._scenes.items[one], product.bands) for one in chosen]
            digest = fingerprint(job_document(product, self._tile, period, read))
        else:
            digest = self._template.fingerprint(choice.begun, self._tile_text)
        self._table.add(
            Row(
                product=self._number,
                tile=at[0],
                period=at[1],
                fingerprint=digest,
                memory=(memory.strip_rows, memory.peak_bytes, memory.reads, memory.carry_bytes),
                read_bytes=self._bytes(choice.read),
                items=choice.items,
                ahead_us=self._ahead_us,
                days=max(1, days) if product.series else 1,
                region=product.region,
            )
        )

    def _choice(self, period: Period, chosen: tuple[int, ...]) -> _Choice:
        scenes, begun = self._scenes, None
        if not self._product.clips:
            texts = [self._identity(one) for one in sorted(chosen, key=self._inputs.__getitem__)]
            begun = self._template.begun(period, texts)
        read = tuple(id(scenes.read[one]) for one in chosen)
        items = array("I", [scenes.numbers[one] for one in chosen]).tobytes()
        return _Choice(items, read, frozenset(read), begun)

    def _fit(self, period: Period, scenes: int, days: int, kinds: frozenset[int]) -> MemoryPlan:
        finest = self._finest.get(kinds)
        if finest is None:
            grids = {grid for kind in kinds for grid in self._by_grids[kind] if grid is not None}
            finest = self._finest[kinds] = finest_of_grids(grids, self._tile)
        shape = self._tile.geobox.shape.yx
        key = (shape, scenes, days, finest)
        if key not in self._memory:
            try:
                found = project_memory(shape, scenes, days, self._product.holding, self._budget, finest)
            except MemoryRefusedError as error:
                raise error.of(f"{self._product.name}/{self._tile.id}/{period.id}", self._product.region) from None
            self._memory[key] = found
        return self._memory[key]

    def _bytes(self, read: tuple[int, ...]) -> int:
        """Stored bytes of the part of the items' bands that lies on the tile, from the declared grids."""
        if read not in self._read_bytes:
            for kind in {*read} - self._grid_bytes.keys():
                px = sum(window_px(grid, self._tile) for grid in self._by_grids[kind])
                self._grid_bytes[kind] = int(px * self._product.in_bytes * COMPRESSION)
            self._read_bytes[read] = sum(map(self._grid_bytes.__getitem__, read))
        return self._read_bytes[read]

    def _identity(self, one: int) -> bytes:
        text = self._identities.get(one)
        if text is None:
            item = with_bands(self._scenes.items[one], self._product.bands)
            text = self._identities[one] = Template.text(input_identity(item, self._product.facts))
        return text
