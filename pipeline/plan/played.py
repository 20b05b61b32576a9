"""A run played through on paper: when each task ends, and how long each worker is there. Pure."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.groups import Work

_RELEASED_S = 60.0
"""How long a worker that comes and goes with the work stays after its last task."""

Key = tuple[str, str]
"""(product, region)."""


@dataclass(frozen=True)
class Crew:
    """One region's workers, as far as they cost time."""

    workers: int
    """At most."""
    least: int
    """Always."""
    threads: int
    open_s: float
    """Until the first task begins."""
    first_s: float
    """What the first task of each thread takes longer."""


@dataclass(frozen=True)
class Played:
    """How a run went."""

    end_s: float
    """Of the last task of all."""
    ends_s: Mapping[str, list[float]]
    """By region, of the last task of each thread that had any."""
    firsts: Mapping[Key, int]
    """Of each product in a region, how many of its tasks were a thread's first."""

    def worker_s(self, region: str, crew: Crew) -> float:
        """How long all workers of a region were there together: a few always, the others while they had work."""
        ends = sorted(self.ends_s.get(region, ()), reverse=True)
        needed = [ends[place] for place in range(0, len(ends), crew.threads)]
        needed = [self.end_s if crew.least == crew.workers else min(self.end_s, end + _RELEASED_S) for end in needed]
        always = [self.end_s] * crew.least
        return sum(always) + sum(needed[crew.least :])


class Tasks:
    """What the tasks of a run are: numbers, since there may be very many."""

    def __init__(self, work: Work, numbers: Mapping[str, int]) -> None:
        """numbers: place of each job in the arrays of others, by its id."""
        self._regions: list[str] = []
        self._keys: list[Key] = []
        self._of: list[array[int]] = []
        self._region, self._key, self._ends, self._jobs = array("H"), array("H"), array("I"), array("I")
        self._needs: dict[int, tuple[int, ...]] = {}
        self.counts: Counter[Key] = Counter()
        self.peaks: dict[Key, int] = {}
        regions: dict[str, int] = {}
        keys: dict[Key, int] = {}
        for task, head in enumerate(work.heads()):
            key = head.product, head.region
            self._region.append(regions.setdefault(head.region, len(regions)))
            if keys.setdefault(key, len(keys)) == len(self._of):
                self._of.append(array("I"))
            self._of[keys[key]].append(head.number)
            self._key.append(keys[key])
            self._jobs.extend(numbers[name] for name in head.job_ids)
            self._ends.append(len(self._jobs))
            if head.needs:
                self._needs[task] = tuple(numbers[name] for name in head.needs if name in numbers)
            self.counts[key] += 1
            self.peaks[key] = max(self.peaks.get(key, 0), head.peak_bytes)
        self._regions, self._keys = list(regions), list(keys)

    @property
    def regions(self) -> list[str]:
        """That have any task."""
        return self._regions

    def sample(self, key: Key, most: int) -> list[int]:
        """Numbers of some tasks of a product in a region, evenly spread over the plan."""
        mine = self._of[self._keys.index(key)]
        places = np.linspace(0, len(mine) - 1, min(most, len(mine))).round().astype(int)
        return [mine[place] for place in places]

    def play(self, seconds: NDArray[np.float64], crews: Mapping[str, Crew]) -> Played:
        """Each task in turn goes to the thread of its region that is free first, once what it needs is made.

        seconds: of each job; a task takes the sum of its jobs'.
        """
        free = {
            region: [(crews[region].open_s, thread) for thread in range(crews[region].workers * crews[region].threads)]
            for region in self._regions
        }
        ends: dict[str, dict[int, float]] = {region: {} for region in self._regions}
        made, firsts = np.zeros(len(seconds)), Counter[Key]()
        sums = np.add.reduceat(seconds[np.asarray(self._jobs)], [0, *self._ends[:-1]]) if self._ends else np.empty(0)
        begin = 0
        for task, took in enumerate(sums.tolist()):
            region = self._regions[self._region[task]]
            at, thread = heapq.heappop(free[region])
            ready = max((float(made[job]) for job in self._needs.get(task, ())), default=0.0)
            end = max(at, ready) + took
            if thread not in ends[region]:
                end += crews[region].first_s
                firsts[self._keys[self._key[task]]] += 1
            heapq.heappush(free[region], (end, thread))
            ends[region][thread] = end
            made[np.asarray(self._jobs[begin : self._ends[task]])] = end
            begin = self._ends[task]
        return Played(
            max((end for each in ends.values() for end in each.values()), default=0.0),
            {region: list(each.values()) for region, each in ends.items()},
            firsts,
        )
