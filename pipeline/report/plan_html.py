"""A plan as a notebook shows it: sums, a map of its tiles, what it is likely to take, what was noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from pipeline.plan.outlines import lonlat_outlines
from pipeline.report.estimate_text import cluster_line, estimate_line
from pipeline.report.notebook import DONE, OTHER, TO_RUN, chip, folded, framed, listed
from pipeline.report.page_table import table
from pipeline.report.plan_map import Shape, svg_map
from pipeline.report.plan_table import Sum, Sums, sum_plan
from pipeline.report.words import count, size
from pipeline.types import Estimate, Plan

MOST_ROWS, MOST_TILES = 200, 2000
"""That are shown: what a person may look at, and a notebook may hold."""
_STROKES = ("#4a7fa8", "#d9622b", "#9c5fc0", "#6a9a3f", "#b89400")
_LABELS = 12
"""Tiles that are named on the map."""


@dataclass(frozen=True)
class Looked:
    """What a plan is shown with."""

    name: str
    output: str
    estimate: Estimate


def plan_html(plan: Plan, looked: Looked) -> str:
    """A plan of `plan_jobs` as HTML of its own; tables and map are cut where they are too long for a notebook."""
    sums = sum_plan(plan)
    top = (
        f'<div class="top"><b>{escape(looked.name)}</b> {chip(TO_RUN, f"{sums.to_run:,} to run")} '
        f'{chip(DONE, f"{sums.committed:,} committed")} <code class="quiet">{escape(looked.output)}</code></div>'
    )
    sides = f'<div class="sides"><div class="side">{_rows(sums)}</div><div class="side">{_map(sums)}</div></div>'
    return framed(top, sides, *_estimate(looked.estimate), _notes(plan))


def _rows(sums: Sums) -> str:
    crossing = any(row.crossing_bytes for row in sums.rows.values())
    head = ("product", "region", "period", "to run", "committed", "scenes", "to read", "peak memory")
    rows = [_row(names, row, crossing=crossing) for names, row in list(sums.rows.items())[:MOST_ROWS]]
    cut = len(sums.rows) - MOST_ROWS
    more = f'<p class="quiet">and {cut:,} rows more: <code>.table()</code> has them all</p>' if cut > 0 else ""
    return table((*head, "crossing") if crossing else head, rows, numbers=range(3, 9)) + more


def _row(names: tuple[str, str, str], row: Sum, *, crossing: bool) -> tuple[str, ...]:
    sizes = (size(row.read_bytes), size(row.peak_bytes)) if row.to_run else ("", "")
    told = (*names, f"{row.to_run:,}", f"{row.committed:,}", f"{row.scenes:,}" if row.to_run else "", *sizes)
    return (*told, size(row.crossing_bytes) if row.crossing_bytes else "") if crossing else told


def _map(sums: Sums) -> str:
    """Tiles by what is left to do on them; tiles of different products have outlines of different colours."""
    grids = _grids(sums)
    shown = list(sums.tiles)[:MOST_TILES]
    outlines = lonlat_outlines([sums.tiles[tile].geobox for tile in shown])
    shapes = [
        Shape(
            outline,
            _fill(sums.states[tile]),
            grids[tuple(sums.states[tile])],
            _title(tile, sums.states[tile]),
            tile if len(shown) <= _LABELS else "",
        )
        for tile, outline in zip(shown, outlines, strict=True)
    ]
    legend = "".join(
        f'<span><i style="border:2px solid {stroke}"></i>{escape(", ".join(products))}</span>'
        for products, stroke in grids.items()
    )
    cut = len(sums.tiles) - len(shown)
    more = f'<p class="quiet">the first {len(shown):,} of {count(len(sums.tiles), "tile")}</p>' if cut else ""
    return f'{svg_map(shapes)}<div class="legend">{legend}</div>{more}' if shapes else ""


def _grids(sums: Sums) -> dict[tuple[str, ...], str]:
    """Colours of outlines, by the products that are made on the same tiles."""
    found = list(dict.fromkeys(tuple(states) for states in sums.states.values()))
    return {products: _STROKES[number % len(_STROKES)] for number, products in enumerate(found)}


def _fill(states: dict[str, Sum]) -> str:
    to_run = any(one.to_run for one in states.values())
    committed = any(one.committed for one in states.values())
    return OTHER if to_run and committed else TO_RUN if to_run else DONE


def _title(tile: str, states: dict[str, Sum]) -> str:
    told = (f"{product}: {one.to_run} to run, {one.committed} committed" for product, one in states.items())
    return "\n".join((tile, *told))


def _estimate(estimate: Estimate) -> Iterator[str]:
    yield f"<p>{escape(estimate_line(estimate))}</p>"
    if estimate.places:
        yield folded("clusters", listed(f"{place.region}: {cluster_line(place)}" for place in estimate.places))


def _notes(plan: Plan) -> str:
    return folded(count(len(plan.notes), "note"), listed(plan.notes)) if plan.notes else ""
