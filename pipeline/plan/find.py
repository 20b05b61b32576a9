"""Jobs of a plan by what they are: product, tile and period."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.config.advice import did_you_mean
from pipeline.errors import ConfigError
from pipeline.plan.made import rows_of
from pipeline.plan.narrow import parts
from pipeline.types import Job, Plan

_SHOWN = 8


def find_job(plan: Plan, product: str | None = None, tile: str | None = None, period: str | None = None) -> Job:
    """The one job of a plan of `plan_jobs` that is meant, committed already or not; made anew from its row.

    product: its name, or a job's whole id, product/tile/period. Raises ConfigError saying what there is where there is
    no such job, or more than one.
    """
    if product is not None and "/" in product and (tile, period) == (None, None):
        product, tile, period = parts(product)
    left, done = rows_of(plan)
    if product is not None and tile is not None and period is not None:
        number = left.table.row_at(product, tile, period)  # at once, however many there are
        if number is not None and (number in left.numbers or number in done.numbers):
            return left.table.job(number)
    names = product, tile, period
    every = list(_rows(plan))
    numbers = [number for number, found in every if _meets(found, names)]
    if len(numbers) == 1:
        return left.table.job(numbers[0])
    raise ConfigError(_told([found for _, found in every], names))


def find_jobs(
    plan: Plan, product: str | None = None, tile: str | None = None, period: str | None = None
) -> tuple[Job, ...]:
    """Those of the jobs that are to be made, in order; empty where what is meant is all committed.

    Raises ConfigError saying what there is where the plan has no such job at all.
    """
    names = product, tile, period
    left, _ = rows_of(plan)
    every = list(_rows(plan))
    numbers = {number for number, found in every if _meets(found, names)}
    if not numbers and any(names):
        raise ConfigError(_told([found for _, found in every], names))
    return tuple(left.table.job(number) for number in left.numbers if number in numbers)


def _rows(plan: Plan) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """Number, and product, tile and period, of every job that is or was to be made, in order."""
    left, done = rows_of(plan)
    for number in sorted((*left.numbers, *done.numbers)):
        yield number, parts(left.table.skip(number).job_id)


def _meets(found: tuple[str, str, str], names: tuple[str | None, str | None, str | None]) -> bool:
    return all(name is None or name == one for name, one in zip(names, found, strict=True))


def _told(every: list[tuple[str, str, str]], names: tuple[str | None, str | None, str | None]) -> str:
    """What is not there, and what is: the first of product, tile and period that nothing has is at fault."""
    here = every
    for place, what in enumerate(("product", "tile", "period")):
        name = names[place]
        there = list(dict.fromkeys(one[place] for one in here))
        here = [one for one in here if name is None or one[place] == name]
        if not here:
            of = f" of {names[0]}" if place and names[0] is not None else ""
            return f"no job{of} has the {what} {name!r}{did_you_mean(name, there)}; the plan has {_some(there)}"
    free = [
        f"{what}= ({_some(dict.fromkeys(one[place] for one in here))})"
        for place, what in enumerate(("product", "tile", "period"))
        if len({one[place] for one in here}) > 1
    ]
    return f"found {len(here)} jobs, expected one: choose by {' and '.join(free)}"


def _some(names: Iterable[str]) -> str:
    """The first of many names."""
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return (", ".join(listed[:_SHOWN]) or "none") + more
