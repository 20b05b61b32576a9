"""Jobs of a table as sequences: each is made anew when it is asked for."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from pipeline.plan.rows import Place
from pipeline.types import Job, Plan, Skip

if TYPE_CHECKING:
    from pipeline.plan.table import Table

T = TypeVar("T")


class Made(Sequence[T], Generic[T]):
    """Rows of a table, each made into something anew when it is asked for."""

    def __init__(self, table: Table, numbers: array[int]) -> None:
        self.table, self.numbers = table, numbers

    @abstractmethod
    def _make(self, number: int) -> T: ...

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, number: int) -> T: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[T]: ...
    def __getitem__(self, number: int | slice) -> T | Sequence[T]:
        if isinstance(number, slice):
            return tuple(self._make(one) for one in self.numbers[number])
        return self._make(self.numbers[number])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, self.numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class Jobs(Made[Job]):
    """Those that are to be made."""

    def _make(self, number: int) -> Job:
        return self.table.job(number)


class Skips(Made[Skip]):
    """Those that need no work."""

    def _make(self, number: int) -> Skip:
        return self.table.skip(number)


def table_of(plan: Plan) -> Table:
    """Where the jobs of a plan of `plan_jobs` lie."""
    return rows_of(plan)[0].table


def rows_of(plan: Plan) -> tuple[Jobs, Skips]:
    """What a plan of `plan_jobs` will do, and what it will not, with their numbers."""
    if not isinstance(plan.jobs, Jobs) or not isinstance(plan.skipped, Skips):
        raise TypeError("these jobs are not of a table")
    return plan.jobs, plan.skipped


def skipped_places(plan: Plan) -> Iterator[tuple[Skip, Place | None]]:
    """Everything that is skipped, and where it lies; None where the plan does not know any more."""
    skipped = plan.skipped
    if not isinstance(skipped, Skips):
        yield from ((skip, None) for skip in skipped)
        return
    yield from map(skipped.table.skip_and_place, skipped.numbers)


def skipped_counts(skipped: Sequence[Skip]) -> Mapping[str, int]:
    """By product, how many of its jobs are skipped; of a plan, none is made for that."""
    if isinstance(skipped, Skips):
        numbers, products = skipped.numbers, skipped.table.products()
        ends = ((name, bisect_left(numbers, first), bisect_left(numbers, last)) for name, first, last in products)
        return {name: last - first for name, first, last in ends if last > first}
    return Counter(skip.job_id.partition("/")[0] for skip in skipped)


def by_product(jobs: Sequence[Job]) -> Iterator[tuple[str, Iterator[Job]]]:
    """The jobs of each product; of a plan, only those are made that somebody asks for."""
    if isinstance(jobs, Jobs):
        for name, first, last in jobs.table.products():
            numbers = jobs.numbers[bisect_left(jobs.numbers, first) : bisect_left(jobs.numbers, last)]
            if numbers:
                yield name, map(jobs.table.job, numbers)
        return
    for name in dict.fromkeys(job.product for job in jobs):
        yield name, (job for job in jobs if job.product == name)
