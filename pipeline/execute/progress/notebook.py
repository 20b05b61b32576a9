"""Live progress in a notebook: bars and clusters as HTML, drawn again in its place; it stays when that is saved."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import Any

from pipeline.execute.listen import Silent
from pipeline.execute.progress.words import line_of, rate, size, span
from pipeline.execute.records.lease import repeated
from pipeline.execute.records.tally import Row, Tally, View
from pipeline.report.notebook import BLOCKED, DONE, FAILED, OTHER, bar, framed, link
from pipeline.types import ClusterEvent

_EVERY_S = 0.5


def display_of() -> Callable[..., Any] | None:
    """How this process shows something in a notebook; None where it is none."""
    running = sys.modules.get("IPython")
    shell = running.get_ipython() if running is not None else None
    if getattr(shell, "kernel", None) is None:  # a terminal's IPython draws bars of its own
        return None
    show: Callable[..., Any] = import_module("IPython.display").display
    return show


@dataclass(frozen=True)
class _Drawn:
    """One picture of a run on its way: for the page, and for what shows text alone."""

    html: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


class Clusters(Silent):
    """Remembers the latest of each cluster."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[tuple[str, int], ClusterEvent] = {}
        self._dashboards: dict[tuple[str, int], str] = {}

    def cluster(self, event: ClusterEvent) -> None:
        with self._lock:
            key = event.region, event.shard
            self._latest[key] = event
            if event.dashboard is not None:
                self._dashboards[key] = event.dashboard

    def lines(self) -> list[str]:
        """Each as HTML: where, what, its workers, its dashboard while it is there."""
        with self._lock:
            return [self._line(key, event) for key, event in sorted(self._latest.items())]

    def _line(self, key: tuple[str, int], event: ClusterEvent) -> str:
        there = event.state in {"up", "workers"}
        workers = f", {event.workers} worker{'s' * (event.workers != 1)} of {event.threads} threads" if there else ""
        state = "up" if there else event.state
        page = f" · dashboard {link(self._dashboards[key])}" if there and key in self._dashboards else ""
        note = f": {escape(event.note)}" if event.note else ""
        return (
            f'<p class="quiet">{escape(event.region)}: {escape(event.backend)} cluster {state}{note}{workers}{page}</p>'
        )


@contextmanager
def show_notebook(display: Callable[..., Any], tally: Tally, every_s: float = _EVERY_S) -> Iterator[Clusters]:
    """A listener for clusters; while it is open, all that `tally` knows is drawn in the current cell's output."""
    since, clusters = time.monotonic(), Clusters()

    def draw() -> _Drawn:
        view = tally.view()
        return _Drawn(progress_html(view, clusters.lines(), time.monotonic() - since), line_of(view))

    handle = display(draw(), display_id=True)
    with repeated(lambda: handle.update(draw()), every_s):
        yield clusters
    handle.update(draw())


def progress_html(view: View, clusters: list[str], elapsed_s: float) -> str:
    """A bar for each region and product, and a line for each cluster."""
    rows = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in view.rows)
    ended, total = sum(row.ended for row in view.rows), sum(row.total for row in view.rows)
    told = [f"{ended:,}/{total:,} jobs", f"after {span(elapsed_s)}"]
    told += [f"${view.usd:,.2f}"] if view.usd is not None else []
    told += [f"{span(view.eta_s)} left"] if ended < total and view.eta_s is not None else []
    return framed(f"<table><tbody>{rows}</tbody></table>", f"<p>{' · '.join(told)}</p>", *clusters)


def _cells(row: Row) -> Iterator[str]:
    parts = ((row.done, DONE), (row.failed, FAILED), (row.blocked, BLOCKED), (row.cancelled + row.claimed, OTHER))
    pace = [rate(row.rate_per_s)] if row.open and row.rate_per_s else []
    pace += [f"{span(row.eta_s)} left"] if row.open and row.eta_s is not None else []
    counts = {"failed": row.failed, "blocked": row.blocked, "not started": row.cancelled, "committed": row.skipped}
    notes = [f"{number:,} {what}" for what, number in counts.items() if number]
    read = [f"{size(row.read_bytes)} read, {size(row.written_bytes)} written"] if row.read_bytes else []
    yield f"<td>{escape(row.region)}</td><td>{escape(row.product)}</td><td>{bar(parts, row.total)}</td>"
    yield f'<td class="n">{row.ended:,}/{row.total:,}</td><td>{" · ".join([*notes, *pace, *read])}</td>'
