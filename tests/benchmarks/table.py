"""Records to the table of the README: each figure, and its ratio to the floor or to a peer."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.contest import Record

PLACES = {"disk": "disk", "http": "40 ms away", "s3": "local S3"}
NAMES = {
    "floor": "floor",
    "ours": "Groundswell",
    "odc-bottleneck": "odc-stac, bottleneck",
    "odc-xarray": "odc-stac, xarray",
    "stackstac": "stackstac",
}


@dataclass(frozen=True)
class Figures:
    """All that was measured."""

    records: Sequence[Record]
    rates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    startup: Mapping[str, float] = field(default_factory=dict)


def render(figures: Figures) -> str:
    """Markdown."""
    parts = [_tiles(figures.records), _neighbours(figures.records), _rates(figures.rates), _startup(figures.startup)]
    return "\n\n".join(part for part in (*parts, _bars(figures.records)) if part)


def _bars(records: Sequence[Record]) -> str:
    """Groundswell on disk against the others, run by run, as medians."""

    def per_tile(name: str, place: str, what: str) -> dict[int, float]:
        mine = [one for one in records if (one.contender, one.place) == (name, place) and len(one.tiles) < 16]
        runs = {one.run for one in mine if one.run}
        found = {run: [getattr(one, what) / len(one.tiles) for one in mine if one.run == run] for run in runs}
        return {run: statistics.mean(values) for run, values in found.items()}

    def ratio(above: dict[int, float], below: dict[int, float]) -> list[str]:
        both = [above[run] / below[run] for run in above if run in below]
        return [_number(statistics.median(both))] if both else []

    def best(what: str) -> dict[int, float]:
        odc = [per_tile(name, "disk", what) for name in ("odc-bottleneck", "odc-xarray")]
        return {run: min(one[run] for one in odc if run in one) for run in {run for one in odc for run in one}}

    ours = per_tile("ours", "disk", "wall_s")
    peaks = [one.workers_bytes for one in records if (one.contender, one.place) == ("ours", "disk") and one.run]
    theirs = [one.workers_bytes for one in records if one.contender.startswith("odc") and one.place == "disk"]
    found = {
        "wall of stackstac / Groundswell": ratio(per_tile("stackstac", "disk", "wall_s"), ours),
        "wall of odc-stac's best / Groundswell": ratio(best("wall_s"), ours),
        "CPU of stackstac / Groundswell": ratio(
            per_tile("stackstac", "disk", "cpu_s"), per_tile("ours", "disk", "cpu_s")
        ),
        "CPU of odc-stac's best / Groundswell": ratio(best("cpu_s"), per_tile("ours", "disk", "cpu_s")),
        "peak memory of workers, Groundswell / odc-stac's best": (
            [_number(statistics.median(peaks) / min(theirs))] if peaks and theirs else []
        ),
        "wall 40 ms away / on disk": ratio(per_tile("ours", "http", "wall_s"), ours),
        "wall on S3 / on disk": ratio(per_tile("ours", "s3", "wall_s"), ours),
    }
    rows = [(name, *value) for name, value in found.items() if value]
    return _markdown(("Groundswell against", "ratio"), rows) if rows else ""


def _tiles(records: Sequence[Record]) -> str:
    """One row per contender and place, per tile."""
    found = [record for record in records if record.contender in NAMES and record.place in PLACES]
    shown = sorted({(list(PLACES).index(one.place), list(NAMES).index(one.contender)) for one in found})
    rows = []
    for place, name in ((list(PLACES)[i], list(NAMES)[j]) for i, j in shown):
        mine = [one for one in found if len(one.tiles) < 16 and (one.place, one.contender) == (place, name) and one.run]
        if mine:
            rows.append(_row(mine, found))
    if not rows:
        return ""
    head = (
        "per tile",
        "read from",
        "wall s",
        "CPU s",
        "CPU / floor",
        "peak MB",
        "tasks",
        "requests / object",
        "bytes / needed",
        "runs",
        "load",
    )
    return _markdown(head, rows)


def _row(mine: Sequence[Record], records: Sequence[Record]) -> tuple[str, ...]:
    floor = {(one.run, one.tiles[0]): one for one in records if one.contender == "floor" and len(one.tiles) == 1}
    pairs = [(one, [floor[one.run, tile] for tile in one.tiles if (one.run, tile) in floor]) for one in mine]
    pairs = [(one, parts) for one, parts in pairs if len(parts) == len(one.tiles)]
    return (
        NAMES[mine[0].contender],
        PLACES[mine[0].place],
        _number(_median(mine, lambda one: one.wall_s / len(one.tiles))),
        _number(_median(mine, lambda one: one.cpu_s / len(one.tiles))),
        _number(_over_runs([(one.run, one.cpu_s, sum(part.cpu_s for part in parts)) for one, parts in pairs])),
        f"{_median(mine, lambda one: one.workers_bytes / 1e6):.0f}",
        _of(mine, "tasks", lambda one: one.answer.get("tasks", 0) / len(one.tiles)),
        _of(mine, "requests", lambda one: one.counts.get("requests", 0) / sum(_parts(one, floor, "objects"))),
        _of(mine, "bytes", lambda one: one.counts.get("bytes", 0) / sum(_parts(one, floor, "bytes"))),
        str(len({one.run for one in mine})),
        _number(_median(mine, lambda one: one.load)),
    )


def _parts(one: Record, floor: Mapping[tuple[int, str], Record], what: str) -> list[int]:
    return [floor[one.run, tile].answer[what] for tile in one.tiles]


def _of(mine: Sequence[Record], what: str, value: Callable[[Record], float]) -> str:
    """The median, or nothing where nobody counts it."""
    counted = [one for one in mine if one.answer.get(what) or one.counts.get(what)]
    return _number(_median(counted, value)) if counted and (what == "tasks" or mine[0].counts) else ""


def _over_runs(runs: Sequence[tuple[int, float, float]]) -> float:
    """Median over runs of the ratio of sums: (run, numerator, denominator)."""
    numbers = sorted({run for run, _, _ in runs})
    return statistics.median(
        sum(above for run, above, _ in runs if run == number) / sum(below for run, _, below in runs if run == number)
        for number in numbers
    )


def _median(records: Sequence[Record], value: Callable[[Record], float]) -> float:
    return statistics.median(value(record) for record in records)


def _neighbours(records: Sequence[Record]) -> str:
    """Sixteen tiles as groups beside the floor of the same tiles one by one."""
    grouped = [record for record in records if record.contender == "ours-super" and len(record.tiles) == 16]
    floor = {one.run: one for one in records if one.contender == "floor" and len(one.tiles) == 16}
    if not grouped:
        return ""
    rows = [
        (
            "4 x 4 neighbours, Groundswell",
            _number(_median(grouped, lambda one: one.wall_s / 16)),
            _number(_median(grouped, lambda one: one.cpu_s / 16)),
            _number(_median(grouped, lambda one: one.cpu_s / floor[one.run].cpu_s)),
            f"{_median(grouped, lambda one: one.workers_bytes / 1e6):.0f}",
            _number(_median(grouped, lambda one: one.answer["tasks"] / 16)),
            str(len(grouped)),
        ),
        (
            "the same, floor one by one",
            _number(_median(list(floor.values()), lambda one: one.wall_s / 16)),
            _number(_median(list(floor.values()), lambda one: one.cpu_s / 16)),
            "1",
            f"{_median(list(floor.values()), lambda one: one.workers_bytes / 1e6):.0f}",
            "",
            str(len(floor)),
        ),
    ]
    return _markdown(("per tile", "wall s", "CPU s", "CPU / floor", "peak MB", "tasks", "runs"), rows)


def _rates(rates: Mapping[str, Mapping[str, float]]) -> str:
    if not rates:
        return ""
    others = {"median": "bottleneck", "nearest": "GDAL", "bilinear": "GDAL"}
    rows = [
        (f"{name}, against {others[name]}", *(_number(one[key]) for key in ("ours_mpx_s", "theirs_mpx_s", "ratio")))
        for name, one in rates.items()
    ]
    return _markdown(("one core", "Mpx/s", "theirs", "ratio"), rows)


def _startup(startup: Mapping[str, float]) -> str:
    if not startup:
        return ""
    rows = [("`--help`", _number(startup["help"])), ("a run of 64 x 64 pixels, start to end", _number(startup["run"]))]
    return _markdown(("start-up", "CPU s"), rows)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in (head, ["-" * width for width in widths], *rows)
    ]
    return "\n".join(lines)
