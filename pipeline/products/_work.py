"""One job while it runs: its threads, its ledger, and where its inputs were lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.products._base import Context, Ledger
from pipeline.types import Item, Job

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Work:
    """One job while it runs."""

    job: Job
    context: Context
    pool: ThreadPoolExecutor
    ledger: Ledger
    accept: Callable[[Item, str], None]
    """(item, band) → raises AssetError where its numbers are not what the product takes them for."""
    lost: NDArray[np.bool_]
    """(y, x): an input that covers the pixel was lost."""
    lost_lock: Lock
    inside: NDArray[np.bool_] | None = None
    """(y, x): pixels that are asked for; None: all. Others are neither read nor made."""

    @property
    def geobox(self) -> GeoBox:
        return self.job.tile.geobox

    def lose(self, rows: slice, where: NDArray[np.bool_]) -> None:
        """Mark (y, x) pixels of some rows as missing an input; safe from several threads."""
        # NumPy lets go of the GIL within `|=`: two readers could undo each other's marks.
        with self.lost_lock:
            self.lost[rows] |= where


def days_of(items: Sequence[Item]) -> list[list[int]]:
    """The numbers of each solar day's scenes, in order."""
    return [list(day) for _, day in groupby(range(len(items)), key=lambda scene: items[scene].solar_day)]


@contextmanager
def start_works(
    jobs: Sequence[Job], context: Context, assets: float, accept: Callable[[Item, str], None], reads: int
) -> Iterator[list[Work]]:
    """Everything that jobs made together hold while they run; `assets` counts what is read per scene, on average.

    reads: windows on their way at once, of all of them together.
    """
    context = replace(context, threads=min(context.threads, reads))
    with ThreadPoolExecutor(context.threads) as pool:
        yield [
            Work(
                job,
                context,
                pool,
                Ledger(job, context, round(len(job.items) * assets)),
                accept,
                np.zeros(job.tile.geobox.shape, np.bool_),
                Lock(),
            )
            for job in jobs
        ]


def in_order(work: Work, function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
    """`function` of each value, in order, computed on the job's threads and never far ahead of who takes them."""
    waiting: deque[Future[R]] = deque()
    for value in values:
        waiting.append(work.pool.submit(function, value))
        if len(waiting) > work.context.threads:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
