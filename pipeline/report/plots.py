"""Pictures of a run as PNG: map, timeline, durations; the same numbers as the page, for slides and papers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.report.page_head import ORDER, WORDS
from pipeline.report.words import duration
from pipeline.types.account import BLOCKED, DONE, FAILED, Account

COLOURS = {
    "done": "#009e73",
    "skipped": "#9aa7b2",
    "failed": "#d1390f",
    "blocked": "#e8a200",
    "not started": "#c47aa8",
    "left to another run": "#2f6fc4",
    "open": "#6cb8e6",
}
_RANK = np.array([1, 0, 2, 3, 4, 5, 6])
_BINS = 240
_UNITS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))


def draw_plots(account: Account) -> Iterator[tuple[str, bytes]]:
    """(name, PNG) of every picture for which there are numbers; needs no display, equal accounts give equal files."""
    drawn: tuple[tuple[str, Callable[[Account], Figure | None]], ...] = (
        ("map.png", _map),
        ("timeline.png", _timeline),
        ("durations.png", _durations),
    )
    for name, draw in drawn:
        figure = draw(account)
        if figure is None:
            continue
        target = io.BytesIO()
        figure.savefig(target, format="png", metadata={"Software": None})  # without matplotlib's version
        yield name, target.getvalue()


def _figure(account: Account, title: str, rows: int = 1, high: float = 5.0) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(9, high), dpi=110, layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, sharex=rows > 1)
    figure.suptitle(f"{account.name}: {title}", fontsize=11)
    figure.text(0.995, 0.005, f"run {account.run}", fontsize=6, ha="right", color="0.4")
    return figure, list(axes[:, 0])


def _map(account: Account) -> Figure | None:
    """Tiles by the worst outcome of their jobs."""
    jobs = account.jobs
    west, south, east, north = jobs.bounds.T
    east = np.where(east < west, east + 360, east)
    placed = np.isfinite(west) & (east - west < 300)
    if not placed.any():
        return None
    worst = np.zeros(len(jobs.tiles), dtype=np.int64)
    np.maximum.at(worst, jobs.tile, _RANK[jobs.state])
    figure, (axis,) = _figure(account, "tiles by their worst outcome", high=6.5)
    least = 0.004 * float(max(np.ptp(west[placed]), np.ptp(north[placed]), 1e-6))  # what failed is seen among many
    for state in sorted(ORDER, key=lambda one: _RANK[one]):
        found = placed & (worst == _RANK[state])
        if found.any():
            grown = least if state in {FAILED, BLOCKED} else 0.0
            corners = _corners(west[found], south[found], east[found], north[found], grown)
            face = COLOURS[WORDS[state]]
            axis.add_collection(
                PolyCollection(list(corners), facecolors=face, edgecolors="white", linewidths=0.15, label=WORDS[state])
            )
    axis.autoscale_view()
    axis.set_aspect(1 / max(0.2, np.cos(np.radians(float(north[placed].mean())))))
    axis.set(xlabel="longitude (degrees)", ylabel="latitude (degrees)")
    axis.grid(visible=True, linewidth=0.3, alpha=0.6)
    figure.legend(fontsize=8, loc="outside lower left", ncols=len(ORDER), frameon=False)
    return figure


def _corners(west: Any, south: Any, east: Any, north: Any, least: float) -> NDArray[np.float64]:
    """(tile, corner, 2): rectangles no narrower than `least` degrees."""
    more = np.maximum(0.0, least - (east - west)) / 2
    x = np.stack([west - more, east + more, east + more, west - more], axis=1)
    y = np.stack([south - more, south - more, north + more, north + more], axis=1)
    return np.stack([x, y], axis=2)


def _timeline(account: Account) -> Figure | None:
    """Jobs at once and workers, an axis for each region."""
    jobs = account.jobs
    began = jobs.begun_s > 0
    regions = [number for number in range(len(jobs.regions)) if (began & (jobs.region == number)).any()]
    if not regions or account.seconds <= 0:
        return None
    figure, axes = _figure(account, "jobs at once", len(regions), 1.2 + 2.1 * len(regions))
    unit, word = (
        (3600, "hours") if account.seconds > 7200 else (60, "minutes") if account.seconds > 120 else (1, "seconds")
    )
    edges = np.linspace(0, account.seconds, _BINS + 1)
    for axis, region in zip(axes, regions, strict=True):
        rows = began & (jobs.region == region)
        good = _at_once(account, rows & (jobs.state == DONE), edges)
        bad = _at_once(account, rows & (jobs.state != DONE), edges)
        axis.stackplot(
            edges / unit, good, bad, labels=["done", "failed or not done"], colors=["#009e73", "#d1390f"], linewidth=0
        )
        events = [one for one in account.clusters if one.event.region == jobs.regions[region]]
        if events:
            axis.step(
                [(one.time_s - account.begun_s) / unit for one in events],
                _workers(events),
                where="post",
                color="0.15",
                linewidth=1,
                label="workers",
            )
        axis.set_ylabel(jobs.regions[region] or "no region", fontsize=9)
        axis.set_ylim(bottom=0)
        axis.margins(x=0)
    axes[0].legend(fontsize=8, loc="upper right")
    axes[-1].set_xlabel(f"{word} from the run's begin")
    return figure


def _at_once(account: Account, rows: NDArray[np.bool_], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Jobs that were at work at each of the times."""
    begun = np.sort(account.jobs.begun_s[rows] - account.begun_s)
    ended = np.sort(account.jobs.begun_s[rows] - account.begun_s + account.jobs.seconds[rows])
    count = np.searchsorted(begun, edges, side="right") - np.searchsorted(ended, edges, side="right")
    return count.astype(np.float64)


def _workers(events: list[Any]) -> list[int]:
    """Workers of all of a region's clusters after each event."""
    each: dict[int, int] = {}
    found = []
    for one in events:
        each[one.event.shard] = 0 if one.event.state in {"closed", "lost", "failed", "opening"} else one.event.workers
        found.append(sum(each.values()))
    return found


def _durations(account: Account) -> Figure | None:
    """A histogram with logarithmic bins, a line for each product."""
    jobs = account.jobs
    done = (jobs.state == DONE) & (jobs.seconds > 0)
    if not done.any():
        return None
    figure, (axis,) = _figure(account, "durations of jobs that are done", high=4)
    low, high = float(jobs.seconds[done].min()), float(jobs.seconds[done].max())
    bins = np.geomspace(low * 0.95, max(high * 1.05, low * 2), 50)
    for number, product in enumerate(jobs.products):
        each = jobs.seconds[done & (jobs.product == number)]
        if len(each):
            label = f"{product}: {len(each):,}, median {duration(float(np.median(each)))}"
            axis.hist(each, bins=bins, histtype="stepfilled", alpha=0.2, color=f"C{number}")
            axis.hist(each, bins=bins, histtype="step", color=f"C{number}", label=label)
    axis.set(xscale="log", xlabel="seconds (logarithmic)", ylabel="jobs")
    axis.legend(fontsize=8)
    return figure
