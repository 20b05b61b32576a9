"""What a sync came to: numbers as JSON, words for a terminal, progress while it is at work."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED
from pipeline.mirror.fetch import Fetched
from pipeline.types import Json

_LINE_EVERY_S = 10.0
_SHOWN = 5


@dataclass(frozen=True)
class SyncReport:
    """One sync of one source; paths are below `dac/`."""

    source: str
    total_floats: int
    fetched: Sequence[Fetched]
    """One for each file that was asked for; their paths begin with `dac/`."""
    kept: int
    """Files that were there as listed."""
    removed: Sequence[str]
    superseded: Sequence[str]
    """Removed because another file counts in their place, such as D in place of R."""
    unlisted: Sequence[str]
    index_bytes: int
    notes: Sequence[str]
    start_time: datetime
    end_time: datetime

    @property
    def code(self) -> int:
        """0, or 1 where some file could not be had; one that vanished is none of these."""
        return EXIT_JOBS_FAILED if self._in_state("failed") else EXIT_DONE

    def document(self) -> dict[str, Json]:
        """As JSON: the statistics of the older workers under their names, and what else there is to say."""
        return {
            "source": self.source,
            "total_floats": self.total_floats,
            "files_downloaded": len(self._in_state("fetched")),
            "files_skipped": self.kept,
            "bytes_downloaded": sum(one.received_bytes for one in self.fetched),
            "errors": [{"file": one.path, "cause": one.cause} for one in self._in_state("failed")],
            "start_time": self.start_time.isoformat(),
            "end_time": self.end_time.isoformat(),
            "bytes_index": self.index_bytes,
            "bytes_resumed": sum(one.resumed_bytes for one in self.fetched),
            "files_vanished": [one.path for one in self._in_state("vanished")],
            "files_removed": list(self.removed),
            "files_superseded": list(self.superseded),
            "files_unlisted": list(self.unlisted),
            "notes": list(self.notes),
        }

    def render(self) -> str:
        """For a terminal: what was done in a line, and a line for everything that is not as it should be."""
        done, failed, gone = (self._in_state(state) for state in ("fetched", "failed", "vanished"))
        size = sum(one.received_bytes for one in self.fetched)
        seconds = (self.end_time - self.start_time).total_seconds()
        first = (
            f"sync {self.source}: {self.total_floats} floats: {len(done)} files downloaded ({size / 1e6:,.1f} MB), "
            f"{self.kept} there already, {len(self.superseded)} superseded, {len(self.removed)} removed, "
            f"{len(failed)} failed, in {seconds:,.1f} s"
        )
        lines = [first, *(f"failed: {one.path}: {one.cause}" for one in failed)]
        lines += [_listed("vanished: listed, but on no mirror", [one.path for one in gone])] if gone else []
        lines += [_listed("not in the index, left as they are", self.unlisted)] if self.unlisted else []
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _in_state(self, state: str) -> list[Fetched]:
        return [one for one in self.fetched if one.state == state]


class Meter:
    """Told of every file."""

    def add(self, got: Fetched) -> None:
        """One more file is done, however it ended."""


class _Lines(Meter):
    def __init__(self, console: Console, total: int) -> None:
        """Every ten seconds a line."""
        self._console, self._total, self._done, self._bytes = console, total, 0, 0
        self._next = time.monotonic() + _LINE_EVERY_S

    def add(self, got: Fetched) -> None:
        self._done += 1
        self._bytes += got.received_bytes
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_S
            line = f"sync: {self._done}/{self._total} files, {self._bytes / 1e6:,.1f} MB"
            self._console.print(line, markup=False, highlight=False)


class _Bar(Meter):
    def __init__(self, bars: Progress, total: int) -> None:
        """A bar that moves."""
        self._bars, self._bytes = bars, 0
        self._task = bars.add_task("sync", total=total, size="")

    def add(self, got: Fetched) -> None:
        self._bytes += got.received_bytes
        self._bars.update(self._task, advance=1, size=f"{self._bytes / 1e6:,.1f} MB")


@contextmanager
def show_meter(console: Console | None, total: int) -> Iterator[Meter]:
    """Progress over so many files: a bar on a terminal, lines elsewhere, nothing without a console."""
    if console is None or not total:
        yield Meter()
    elif not console.is_terminal:
        yield _Lines(console, total)
    else:
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[size]}"), TimeElapsedColumn())
        with Progress(TextColumn("{task.description}"), *columns, console=console) as bars:
            yield _Bar(bars, total)


def _listed(what: str, paths: Sequence[str]) -> str:
    return f"{what}: {len(paths)} files: {', '.join(paths[:_SHOWN])}{', …' if len(paths) > _SHOWN else ''}"
