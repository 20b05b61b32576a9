"""Neighbouring jobs as one task: what several tiles need of a source block is then decoded once.

A group is only a way to work: nothing that is planned, fingerprinted or written knows of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.errors import PlanRefusedError
from pipeline.plan.jobs import by_region, finest_of
from pipeline.plan.memory import Holding, project_memory
from pipeline.types import Item, Job, MemoryPlan, Tile

SuperTile = Literal["auto", 1, 2, 4]
GROUPS_A_SLOT = 2
"""So many groups at least for everything that runs at once: with fewer, cores are idle while the last group ends."""
MOST_BYTES = 16 * 2**30
"""What one group may read: a run that is asked to end waits for the groups in flight."""
_LEVELS: Mapping[SuperTile, tuple[int, ...]] = {"auto": (2, 1, 0), 4: (2,), 2: (1,), 1: (0,)}
"""Cells of 4 x 4, of 2 x 2 and single tiles, as powers of two."""
_PARTS_A_PX = 1000
"""Corners agree to a thousandth of a pixel: far above rounding, far below what any pixel map tells apart."""
_CURVE_BITS = 31


@dataclass(frozen=True)
class Group:
    """Neighbouring jobs of one product and period that are made together; often a single one.

    Tiles of one shape, whole tiles apart, row by row from the upper left; some of the cell may lack. A scene that
    several of them read has one solar day in all.
    """

    jobs: tuple[Job, ...]
    memory: MemoryPlan

    @property
    def id(self) -> str:
        """What it is, for people."""
        job, more = self.jobs[0], len(self.jobs) - 1
        return f"{job.product}/{job.tile.id}+{more}/{job.period.id}" if more else job.id

    @property
    def peak_bytes(self) -> int:
        """What it is projected to hold, together or, where that goes wrong, one by one."""
        return max(self.memory.peak_bytes, *(job.memory.peak_bytes for job in self.jobs))


@dataclass(frozen=True)
class _Placed:
    """A job's place on its lattice of tiles; row 0 and column 0 are wherever its CRS has its origin."""

    curve: int
    """Number along the Hilbert curve: a cell of 2**n x 2**n tiles is 4**n consecutive ones, wherever it lies."""
    cell: tuple[int, int]
    """(row, column)."""
    job: Job


def group_jobs(
    jobs: Sequence[Job],
    holdings: Mapping[str, Holding],
    slots: Mapping[str, int],
    budgets: Mapping[str, int],
    super_tile: SuperTile = "auto",
) -> list[Group]:
    """Every job in one group; regions apart, then products and periods as they come, each along its curve. Pure.

    holdings: by product name. slots, budgets: by region, tasks at once, and the bytes of memory that one may use.
    Cells lie where the lattice has them, so the same tiles always meet. A cell is quartered where it does not fit the
    memory, would read more than `MOST_BYTES` or has a scene of two days. `auto`: the largest cells that leave
    `GROUPS_A_SLOT` groups for every slot.
    """
    found: list[Group] = []
    for region, of_region in by_region(jobs):
        lattices = list(_lattices(of_region))
        for level in _LEVELS[super_tile]:
            groups = [
                group
                for placed in lattices
                for group in _cut(placed, level, holdings[placed[0].job.product], budgets[region])
            ]
            if len(groups) >= GROUPS_A_SLOT * slots[region]:
                break
        found += groups
    return found


def _lattices(jobs: Iterable[Job]) -> Iterator[list[_Placed]]:
    """Jobs that may be neighbours, along the curve: of one product and period, on one lattice of tiles."""
    lattices: dict[tuple[str, str], dict[object, list[tuple[Job, int, int]]]] = {}
    origins: dict[object, list[tuple[int, int]]] = {}
    for job in jobs:
        geobox = job.tile.geobox
        (height, width), (a, b, c, d, e, f) = geobox.shape.yx, geobox.transform[:6]
        if b == d == 0:
            kind = (job.product, job.period.id, str(geobox.crs), a, e, height, width)
            place = round(f / e * _PARTS_A_PX), round(c / a * _PARTS_A_PX)
            origin, row, column = _on_lattice(
                place, (height * _PARTS_A_PX, width * _PARTS_A_PX), origins.setdefault(kind, [])
            )
            lattice: object = (*kind, origin)
        else:  # a grid that is turned has no such lattice
            lattice, row, column = job.tile.id, 0, 0
        lattices.setdefault((job.product, job.period.id), {}).setdefault(lattice, []).append((job, row, column))
    for of_period in lattices.values():
        for members in of_period.values():
            rows, columns = np.array([cell for _, *cell in members], np.int64).T
            curve = hilbert(rows, columns)
            order = np.argsort(curve, kind="stable")
            yield [
                _Placed(number, (row, column), job)
                for number, (job, row, column) in zip(
                    curve[order].tolist(), (members[place] for place in order.tolist()), strict=True
                )
            ]


def _on_lattice(
    place: tuple[int, int], step: tuple[int, int], origins: list[tuple[int, int]]
) -> tuple[tuple[int, int], int, int]:
    """(origin of a known lattice or of a new one, row and column on it) of a corner; all but the last two in parts.

    A corner may be a part off its lattice: what was rounded half a part away from another's rounds to the other side.
    """
    for origin in origins:
        cell = [round((at - first) / along) for at, first, along in zip(place, origin, step, strict=True)]
        rest = [at - first - n * along for at, first, n, along in zip(place, origin, cell, step, strict=True)]
        if max(map(abs, rest)) <= 1:
            return origin, cell[0], cell[1]
    (row, down), (column, right) = (divmod(at, along) for at, along in zip(place, step, strict=True))
    origins.append((down, right))
    return (down, right), row, column


def _cut(placed: Sequence[_Placed], level: int, holding: Holding, budget_bytes: int) -> Iterator[Group]:
    """Groups of a stretch of the curve, of cells of 2**level tiles a side or of their quarters."""
    for _, members in groupby(placed, key=lambda one: one.curve >> 2 * level):
        cell = list(members)
        if level == 0 or len(cell) == 1:
            yield from (Group((one.job,), one.job.memory) for one in cell)
            continue
        memory = _project(cell, holding, budget_bytes)
        if memory is None:
            yield from _cut(cell, level - 1, holding, budget_bytes)
        else:
            yield Group(tuple(one.job for one in sorted(cell, key=lambda one: one.cell)), memory)


def _project(cell: Sequence[_Placed], holding: Holding, budget_bytes: int) -> MemoryPlan | None:
    """How the tiles of a cell fit a worker together; None where they are better made apart."""
    cells = {one.cell for one in cell}
    if len(cells) < len(cell) or sum(one.job.read_bytes for one in cell) > MOST_BYTES:
        return None
    scenes: dict[tuple[str, str], Item] = {}
    for one in cell:
        for item in one.job.items:
            if scenes.setdefault((item.collection, item.id), item).solar_day != item.solar_day:
                return None
    tile = Tile("cell", around([one.job.tile.geobox for one in cell]))
    finest = finest_of(list(scenes.values()), tile)
    days = len({item.solar_day for item in scenes.values()})
    try:
        return project_memory(tile.geobox.shape.yx, len(scenes), days, holding, budget_bytes, finest)
    except PlanRefusedError:
        return None


def around(geoboxes: Sequence[GeoBox]) -> GeoBox:
    """The grid that just holds neighbouring tiles: their own pixels, and those of the gaps between them."""
    a, _, _, _, e, _ = geoboxes[0].transform[:6]
    rows, columns = [box.transform.f / e for box in geoboxes], [box.transform.c / a for box in geoboxes]
    top, left = (geoboxes[places.index(min(places))].transform for places in (rows, columns))
    height, width = (
        round(max(places) - min(places)) + edge
        for places, edge in zip((rows, columns), geoboxes[0].shape.yx, strict=True)
    )
    return GeoBox((height, width), Affine(a, 0, left.c, 0, e, top.f), geoboxes[0].crs)


def hilbert(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers along one curve over all places within 2**30 of the origin: neighbours there are neighbours on it."""
    x, y = columns + 2 ** (_CURVE_BITS - 1), rows + 2 ** (_CURVE_BITS - 1)
    curve: NDArray[np.int64] = np.zeros_like(x)
    for bit in range(_CURVE_BITS - 1, -1, -1):
        right, down = x >> bit & 1, y >> bit & 1
        curve = curve << 2 | (3 * right) ^ down
        turned = down == 0
        flipped = turned & (right == 1)
        mask = (1 << bit) - 1
        x, y = np.where(flipped, ~x, x) & mask, np.where(flipped, ~y, y) & mask
        x, y = np.where(turned, y, x), np.where(turned, x, y)
    return curve
