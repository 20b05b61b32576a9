"""The order in which a job reads its scenes: by solar day, and within one always the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pipeline.plan.rows import DAY_US

Times = tuple[Sequence[int], Sequence[int], Sequence[Sequence[int]]]
"""By scene: microseconds since 1970, its rank among those of one day, and the numbers of its periods."""


class Order:
    """The scenes near some tiles, by period, in the order of jobs.

    It is the same for every tile whose solar time leaves each of them in its day.
    """

    def __init__(self, times: Times, near: Sequence[int]) -> None:
        self._times, self._near = times, near
        self._first_us, self._last_us = 1, 0
        self.days: dict[int, int] = {}
        """Solar day of each, in days since 1970."""
        self.of_period: dict[int, list[int]] = {}
        """By number of a period."""

    def at(self, ahead_us: int) -> Order:
        """Itself, for tiles whose solar time is so far ahead of UTC; until it is asked for others."""
        if not self._first_us <= ahead_us <= self._last_us:
            self._sort(ahead_us)
        return self

    def _sort(self, ahead_us: int) -> None:
        micros, rank, periods = self._times
        times = {one: divmod(micros[one] + ahead_us, DAY_US) for one in self._near}
        parts = [part for _, part in times.values()]
        self._first_us = ahead_us - min(parts, default=0)
        self._last_us = ahead_us + DAY_US - 1 - max(parts, default=0)
        self.days = {one: day for one, (day, _) in times.items()}
        found: dict[int, list[int]] = defaultdict(list)
        for one in sorted(self._near, key=lambda one: (times[one][0], rank[one])):
            for place in periods[one]:
                found[place].append(one)
        self.of_period = dict(found)
