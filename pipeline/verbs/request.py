"""`groundswell request`: an inbound request becomes the list of tree-cover tiles that a run takes as its area."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED, ConfigError, NothingToDoError
from pipeline.plan.cells import Cells
from pipeline.plan.ttc import OUR_NUMBERS, STEPS, cells_at, ttc_cells, ttc_id
from pipeline.search.request import Request, ask_box, ask_place, read_request
from pipeline.search.tiledb import Centres, by_cells, by_numbers, by_own_numbers, by_rule
from pipeline.search.tilelist import COLUMNS
from pipeline.verbs._answer import Answer

_MOST = 4_000_000
"""Tile-years of areas, which are held in a gigabyte or two: more than all tiles in use."""
Row = tuple[int, float, float, int, int]
"""Year, longitude, latitude, Y number, X number."""


@dataclass
class _Found:
    """Rows of the list, and what it leaves out."""

    rows: set[Row] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, year: int, tiles: Centres) -> None:
        numbers = (tiles.lon.tolist(), tiles.lat.tolist(), tiles.down.tolist(), tiles.across.tolist())
        self.rows |= {(year, *each) for each in zip(*numbers, strict=True)}


def run(options: argparse.Namespace) -> Answer:
    """The list on the terminal or in `options.out`; exit code 1 where anything that was asked for is not in it.

    Raises ConfigError for a request or a table that cannot be read, NothingToDoError where nothing is asked for.
    """
    years = sorted(set(options.years))
    request = read_request(options.request, years) if options.request is not None else Request()
    if (options.bbox or options.points) and not years:
        raise ConfigError("found --bbox or --point without a year; give --year")
    if options.bbox:
        ask_box(request, options.bbox, years, "--bbox")
    for place in options.points:
        ask_place(request, place, years, "--point")
    if request.empty:
        raise NothingToDoError(
            f"{options.request or 'no request'}: asks for no tile; expected missing_tiles or an area"
        )
    found = _find(request, options.tiles)
    text, told = _csv(found.rows), "\n".join(_told(request, found, options.tiles))
    if options.out is None:
        sys.stderr.write(f"{told}\n")
        return Answer(text.rstrip("\n"), _code(found))
    if found.rows:
        try:
            options.out.write_text(text, "utf-8", newline="")
        except OSError as error:
            raise ConfigError(f"--out: {options.out}: cannot be written ({error.strerror})") from None
        told += f"\nwritten: {options.out}; a run takes it as area: {{tiles: {options.out.name}}}, grid: {{kind: ttc}}"
    return Answer(told, _code(found))


def _code(found: _Found) -> int:
    return EXIT_JOBS_FAILED if found.left_out else EXIT_DONE


def _find(request: Request, table: Path | None) -> _Found:
    """Every tile that is asked for, from the table where there is one, else by rule.

    Raises ConfigError for areas of millions of tiles.
    """
    about = sum(shape.area for shapes in request.areas.values() for shape in shapes) * STEPS**2
    if about > _MOST:
        raise ConfigError(f"found areas of about {about:,.0f} tile-years; allowed: {_MOST:,} in a request; split it")
    found = _Found(left_out=list(request.unreadable))
    for year, numbers in sorted(request.tiles.items()):
        _find_numbered(year, sorted(numbers), table, found)
    for year, shapes in sorted(request.areas.items()):
        cells = ttc_cells(np.array(shapes, dtype=object))
        tiles = _of_cells(cells, table)
        found.add(year, tiles)
        if not len(cells):
            found.left_out.append(f"{year}: the area: too small, it touches no tile")
        elif not len(tiles):
            found.left_out.append(f"{year}: the area: none of its {len(cells)} tiles is in {table}")
        elif len(tiles) < len(cells):
            found.notes.append(f"{year}: {len(cells) - len(tiles)} of the area's {len(cells)} tiles are not in {table}")
    for year, places in sorted(request.places.items()):
        lon, lat = np.array(places, dtype=float).T
        cells = np.column_stack(cells_at(lon, lat))
        tiles = _of_cells(cells, table)
        found.add(year, tiles)
        there = {*map(tuple, np.column_stack(cells_at(tiles.lon, tiles.lat)).tolist())}
        found.left_out += [
            f"{year}: the place {x:g}, {y:g}: its tile is not in {table}"
            for (x, y), cell in zip(places, map(tuple, cells.tolist()), strict=True)
            if cell not in there
        ]
    return found


def _of_cells(cells: Cells, table: Path | None) -> Centres:
    return by_rule(np.unique(cells, axis=0)) if table is None else by_cells(table, cells)


def _find_numbered(year: int, numbers: Sequence[tuple[int, int]], table: Path | None, found: _Found) -> None:
    across, down = np.array(numbers, dtype=np.int64).T
    if table is None:
        tiles, why = by_own_numbers(across, down), "is the number of a table; give it by --tiles"
    else:
        tiles, why = by_numbers(table, across, down), f"is not in {table}"
    found.add(year, tiles)
    there = {*zip(tiles.across.tolist(), tiles.down.tolist(), strict=True)}
    found.left_out += [f"{year}: {ttc_id(*each)} {why}" for each in numbers if each not in there]


def _csv(rows: Iterable[Row]) -> str:
    """The list, by year, then from south to north."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    ordered: list[Row] = sorted(rows, key=lambda row: (row[0], row[3], row[4]))
    writer.writerows(ordered)
    return text.getvalue()


def _told(request: Request, found: _Found, table: Path | None) -> Iterable[str]:
    years = sorted({year for year, *_ in found.rows})
    yield f"tile-years: {len(found.rows)}" + (f", of {', '.join(map(str, years))}" if years else "")
    yield f"tile numbers: {f'those of {table}' if table is not None else OUR_NUMBERS}"
    if request.repeated:
        yield f"{len(request.repeated)} ids stood there more than once and count once"
    yield from found.notes
    if found.left_out:
        yield f"{len(found.left_out)} left out:"
        yield from (f"  {one}" for one in found.left_out)
