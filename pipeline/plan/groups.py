"""Neighbouring jobs as one task: what several tiles need of a source block is then decoded once.

A group is only a way to work: nothing that is planned, fingerprinted or written knows of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, overload

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import PlanRefusedError
from pipeline.plan.jobs import finest_of
from pipeline.plan.lattices import Lattice, Lattices
from pipeline.plan.memory import Holding, project_memory
from pipeline.types import Item, Job, MemoryPlan, Tile

SuperTile = Literal["auto", 1, 2, 4]
GROUPS_A_SLOT = 2
"""So many groups at least for everything that runs at once: with fewer, cores are idle while the last group ends."""
MOST_BYTES = 16 * 2**30
"""What one group may read: a run that is asked to end waits for the groups in flight."""
_LEVELS: Mapping[SuperTile, tuple[int, ...]] = {"auto": (2, 1, 0), 4: (2,), 2: (1,), 1: (0,)}
"""Cells of 4 x 4, of 2 x 2 and single tiles, as powers of two."""


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
class Head:
    """A group without its jobs: what decides when and where it begins."""

    number: int
    """Its place in the work."""
    region: str
    product: str
    job_ids: tuple[str, ...]
    needs: frozenset[str]
    """Ids of the jobs of this run that it is made from; without any it can begin at once."""
    peak_bytes: int
    """As the group's own."""


class Work(Sequence[Group], ABC):
    """Everything a run does, group by group: each is made anew when it is asked for, so many of them weigh little."""

    @abstractmethod
    def heads(self) -> Iterator[Head]:
        """What each group is, in order; made anew as well."""


class _Listed(Work):
    """A plain list of groups as work."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = tuple(groups)

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, number: int) -> Group: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Group]: ...
    def __getitem__(self, number: int | slice) -> Group | Sequence[Group]:
        return self._groups[number]

    def heads(self) -> Iterator[Head]:
        inside = {job.id for group in self._groups for job in group.jobs}
        return (_head(number, group.jobs, group.peak_bytes, inside) for number, group in enumerate(self._groups))


def listed(groups: Sequence[Group]) -> Work:
    """A few groups that are there already, as work."""
    return _Listed(groups)


class _Cut(Work):
    """Groups as the numbers of their jobs."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._numbers, self._ends = array("I"), array("I")
        self._together: dict[int, MemoryPlan] = {}
        """By group, where it is of several jobs."""
        self._inside: frozenset[str] = frozenset()

    def add(self, numbers: Iterable[int], memory: MemoryPlan | None) -> None:
        """One more group; memory: None for a job by itself."""
        if memory is not None:
            self._together[len(self._ends)] = memory
        self._numbers.extend(numbers)
        self._ends.append(len(self._numbers))

    def needing(self, wanted: Collection[str]) -> None:
        """Of the jobs that others are made from, note which are of this run."""
        if wanted:
            self._inside = frozenset(name for job in self._jobs if (name := job.id) in wanted)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, number: int) -> Group: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Group]: ...
    def __getitem__(self, number: int | slice) -> Group | Sequence[Group]:
        places = range(len(self._ends))[number]
        if isinstance(places, range):
            return tuple(self[place] for place in places)
        jobs = tuple(
            self._jobs[one] for one in self._numbers[self._ends[places - 1] if places else 0 : self._ends[places]]
        )
        return Group(jobs, self._together.get(places, jobs[0].memory))

    def heads(self) -> Iterator[Head]:
        for number, group in enumerate(self):
            yield _head(number, group.jobs, group.peak_bytes, self._inside)


def _head(number: int, jobs: Sequence[Job], peak_bytes: int, inside: Collection[str]) -> Head:
    needs = frozenset(one.job_id for job in jobs for one in job.upstream if one.job_id in inside)
    return Head(number, jobs[0].region, jobs[0].product, tuple(job.id for job in jobs), needs, peak_bytes)


def group_jobs(
    jobs: Sequence[Job],
    holdings: Mapping[str, Holding],
    slots: Mapping[str, int],
    budgets: Mapping[str, int],
    super_tile: SuperTile = "auto",
) -> Work:
    """Every job in one group; regions apart, then products and periods as they come, each along its curve. Pure.

    holdings: by product name; jobs of other products are made one by one, after all others.
    slots, budgets: by region, tasks at once, and the bytes of memory that one may use.
    Cells lie where the lattice has them, so the same tiles always meet. A cell is quartered where it does not fit the
    memory, would read more than `MOST_BYTES` or has a scene of two days. `auto`: the largest cells that leave
    `GROUPS_A_SLOT` groups for every slot.
    """
    work, alone, wanted = _Cut(jobs), array("I"), set[str]()
    regions: dict[str, Lattices] = {}
    for number, job in enumerate(jobs):
        wanted.update(one.job_id for one in job.upstream)
        if job.product in holdings:
            regions.setdefault(job.region, Lattices()).add(number, job)
        else:
            alone.append(number)
    for region in sorted(regions):
        lattices = regions[region].along_the_curve()
        found: list[tuple[list[int], MemoryPlan | None]] = []
        for level in _LEVELS[super_tile]:
            found = [
                cut
                for lattice in lattices
                for cut in _cut(jobs, lattice, level, (holdings[lattice.product], budgets[region]))
            ]
            if len(found) >= GROUPS_A_SLOT * slots[region]:
                break
        for numbers, memory in found:
            work.add(numbers, memory)
    for number in alone:
        work.add([number], None)
    work.needing(wanted)
    return work


_Cell = Sequence[tuple[tuple[int, int], int, Job]]
"""(row, column), number and job of neighbours along the curve."""


def _cut(
    jobs: Sequence[Job], lattice: Lattice, level: int, limits: tuple[Holding, int]
) -> Iterator[tuple[list[int], MemoryPlan | None]]:
    """Groups along a curve, of cells of 2**level tiles a side or of their quarters; limits: of what one may hold."""
    edges = np.flatnonzero(np.diff(lattice.curve >> 2 * level)) + 1
    for first, last in zip([0, *edges.tolist()], [*edges.tolist(), len(lattice.curve)], strict=True):
        numbers = lattice.numbers[first:last].tolist()
        if level == 0 or last - first == 1:
            yield from (([number], None) for number in numbers)
            continue
        places = zip(map(tuple, lattice.cells[first:last].tolist()), numbers, strict=True)
        cell = [(place, number, jobs[number]) for place, number in places]
        yield from _quartered(cell, lattice.curve[first:last].tolist(), level, limits)


def _quartered(
    cell: _Cell, curve: Sequence[int], level: int, limits: tuple[Holding, int]
) -> Iterator[tuple[list[int], MemoryPlan | None]]:
    """A cell as one group, or its quarters, or theirs."""
    if level == 0 or len(cell) == 1:
        yield from (([number], None) for _, number, _ in cell)
        return
    memory = _project(cell, *limits)
    if memory is not None:
        yield [number for _, number, _ in sorted(cell, key=lambda one: one[0])], memory
        return
    quarter = [at >> 2 * (level - 1) for at in curve]
    for _, members in groupby(range(len(cell)), key=quarter.__getitem__):
        places = list(members)
        yield from _quartered([cell[at] for at in places], [curve[at] for at in places], level - 1, limits)


def _project(cell: _Cell, holding: Holding, budget_bytes: int) -> MemoryPlan | None:
    """How the tiles of a cell fit a worker together; None where they are better made apart."""
    jobs = [job for *_, job in cell]
    if len({place for place, *_ in cell}) < len(cell) or sum(job.read_bytes for job in jobs) > MOST_BYTES:
        return None
    scenes: dict[tuple[str, str], Item] = {}
    for job in jobs:
        for item in job.items:
            if scenes.setdefault((item.collection, item.id), item).solar_day != item.solar_day:
                return None
    tile = Tile("cell", around([job.tile.geobox for job in jobs]))
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
