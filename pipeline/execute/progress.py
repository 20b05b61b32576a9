"""Live progress, a line per region: a moving bar in a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from pipeline.types import Outcome, Status

_LINE_EVERY_S = 10.0


class Progress(Protocol):
    """Told of every outcome."""

    def update(self, outcome: Outcome) -> None: ...


@contextmanager
def show_progress(console: Console, totals: Mapping[str, int]) -> Iterator[Progress]:
    """Progress for so many jobs per region, drawn on a console as it can."""
    if console.is_terminal:
        with _bars(console, totals) as bars:
            yield bars
    else:
        yield _Lines(console, totals)


class _Failures:
    """A line for each job that fails; for all that could not even begin for the same cause, one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = set[tuple[str, str | None, str | None]]()

    def tell(self, outcome: Outcome) -> None:
        cause = outcome.region, outcome.error, outcome.cause
        if outcome.attempts or cause not in self._told:
            line = f"failed: {outcome.job_id}: {outcome.error}: {outcome.cause}"
            self._console.print(line, markup=False, highlight=False)
        if not outcome.attempts:
            self._told.add(cause)


class _Lines:
    """One plain line every ten seconds, and those of failures."""

    def __init__(self, console: Console, totals: Mapping[str, int]) -> None:
        self._console, self._totals = console, totals
        self._failures = _Failures(console)
        self._done = dict.fromkeys(totals, 0)
        self._next = time.monotonic() + _LINE_EVERY_S

    def update(self, outcome: Outcome) -> None:
        if outcome.status is Status.RETRY:
            return
        self._done[outcome.region] += 1
        if outcome.status is Status.FAILED:
            self._failures.tell(outcome)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_S
            parts = [f"{region} {self._done[region]}/{total}" for region, total in self._totals.items()]
            self._console.print("progress: " + ", ".join(parts), markup=False, highlight=False)


class _Bars:
    def __init__(self, console: Console, totals: Mapping[str, int]) -> None:
        self.bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._tasks = {region: self.bars.add_task(region, total=total, note="") for region, total in totals.items()}
        self._failed = dict.fromkeys(totals, 0)
        self._failures = _Failures(self.bars.console)

    def update(self, outcome: Outcome) -> None:
        if outcome.status is Status.RETRY:
            return
        if outcome.status is Status.FAILED:
            self._failed[outcome.region] += 1
            self._failures.tell(outcome)
        failed = self._failed[outcome.region]
        self.bars.update(self._tasks[outcome.region], advance=1, note=f"{failed} failed" if failed else "")


@contextmanager
def _bars(console: Console, totals: Mapping[str, int]) -> Iterator[_Bars]:
    bars = _Bars(console, totals)
    with bars.bars:
        yield bars
