"""Which rows of one tile, or of several neighbours, are read at once, and what each of them wants of every scene.

Neighbouring tiles may be made together: a scene's blocks are then decoded once for all of them. Each tile has its own
sources, ledger and layers, so it becomes what it would be alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from odc.geo.geobox import GeoBox

from pipeline.ops.linear import Linear
from pipeline.products._sources import Sources
from pipeline.products._work import Work, days_of
from pipeline.read.layer import Target, Want, Wanted
from pipeline.read.wanted import extent
from pipeline.types import Item, MemoryPlan


@dataclass(frozen=True, eq=False)
class Part:
    """One of the tiles that are made together: who provides which pixel, and what its stored numbers mean."""

    work: Work
    sources: Sources
    linears: Sequence[Mapping[str, Linear]]
    """By scene and band; applied as the numbers are read."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where one tile wants a scene."""

    part: int
    """The tile's number."""
    scene: int
    """The scene's number in the tile's job."""
    day: int
    want: Want


@dataclass(frozen=True, eq=False)
class Scene:
    """One scene in one strip."""

    item: Item
    places: tuple[Place, ...]
    wanted: Wanted

    def apart(self) -> Iterator[Scene]:
        """The same scene for each tile by itself."""
        for place in self.places:
            yield replace(self, places=(place,), wanted=Wanted((place.want,), (), self.wanted.resampling))


@dataclass(frozen=True, eq=False)
class Strip:
    """Some rows of the tiles, read at once."""

    rows: Mapping[int, slice]
    """Of each tile that has some, by its number."""
    days: tuple[tuple[Scene, ...], ...]
    """The scenes of each day, in order; only those that provide a pixel."""


def plan_strips(parts: Sequence[Part], memory: MemoryPlan, resampling: str) -> list[Strip]:
    """All rows of all tiles, in strips of `memory.strip_rows` counted from the topmost tile."""
    tops = _tops([part.work.geobox for part in parts])
    heights = [part.work.geobox.shape[0] for part in parts]
    end = max(top + height for top, height in zip(tops, heights, strict=True))
    found = []
    for first in range(0, end, memory.strip_rows):
        last = first + memory.strip_rows
        rows = {
            number: slice(max(0, first - top), min(height, last - top))
            for number, (top, height) in enumerate(zip(tops, heights, strict=True))
            if first < top + height and top < last
        }
        if rows:
            found.append(rows)
    keep = memory.carry_bytes > 0
    return [
        Strip(rows, _scenes(parts, rows, after if keep else {}, resampling))
        for rows, after in zip(found, [*found[1:], {}], strict=True)
    ]


def _tops(geoboxes: Sequence[GeoBox]) -> list[int]:
    """Rows from the first row of the topmost tile to that of each."""
    first = geoboxes[0].transform
    tops = [round((~first @ (one.transform.c, one.transform.f))[1]) for one in geoboxes]
    return [top - min(tops) for top in tops]


def _scenes(
    parts: Sequence[Part], rows: Mapping[int, slice], after: Mapping[int, slice], resampling: str
) -> tuple[tuple[Scene, ...], ...]:
    """The scenes that provide a pixel of these rows, by day."""
    items: dict[str, Item] = {}
    places: dict[str, list[Place]] = {}
    for number, part_rows in rows.items():
        for item, place in _places(parts[number], number, part_rows):
            items[item.key] = item
            places.setdefault(item.key, []).append(place)
    later: dict[str, list[Target]] = {}
    for number, part_rows in after.items():
        work = parts[number].work
        for item in work.job.items:
            later.setdefault(item.key, []).append(Target.rows_of(work.geobox, part_rows.start, part_rows.stop))
    ordered = list(items.values())  # of a tile by itself, in the order of its job
    if len(parts) > 1:
        ordered.sort(key=lambda item: (item.solar_day, item.id, item.collection))
    scenes = (
        Scene(
            item,
            tuple(places[item.key]),
            Wanted(tuple(place.want for place in places[item.key]), tuple(later.get(item.key, ())), resampling),
        )
        for item in ordered
    )
    return tuple(tuple(day) for _, day in groupby(scenes, key=lambda scene: scene.item.solar_day))


def _places(part: Part, number: int, rows: slice) -> Iterator[tuple[Item, Place]]:
    """What one tile wants of every scene, no more than the rectangle that holds it."""
    items = part.work.job.items
    for day, scenes in enumerate(days_of(items)):
        for scene in scenes:
            box = extent(*part.sources.mark(scene, rows)) if part.sources.pixels(scene) else None
            if box is not None:
                top, bottom, left, right = box
                inside = slice(rows.start + top, rows.start + bottom)
                target = Target(part.work.geobox, (inside.start, inside.stop), (left, right))
                yield items[scene], Place(number, scene, day, Want(target, partial(part.sources.mark, scene, inside)))
