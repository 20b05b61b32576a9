"""A window of a lattice's nodes, put together from every file that reaches it, and what it gives at some places."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.lattice import Band, PixelGrid, Rows, reach_along, sample
from pipeline.products._dem_tiles import ELEVATION, Cell, Lattice, Placed, Spacing, read_heights
from pipeline.products._work import Work, in_order

Heights = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]


def sampled(
    work: Work,
    source: tuple[Lattice, Sequence[Placed]],
    part: PixelGrid,
    places: tuple[Floats, Floats],
    sea: Collection[Cell],
) -> Heights:
    """What one lattice gives at some places, (x, y) in its CRS; NaN where it gives nothing, or where a place is NaN.

    sea: cells of one degree whose nodes are 0 m. A file that cannot be read is entered in the work's ledger.
    """
    lattice, files = source
    x, y = places
    asked = np.isfinite(x) & np.isfinite(y)
    if not asked.any():
        return np.full(part.shape, np.nan, np.float32)
    (reach,) = reach_along(1, part, lattice.density, lattice.crs)
    down = -y[asked] * lattice.density - lattice.phase
    rows = range(math.floor(down.min() - reach), math.ceil(down.max() + reach) + 1)
    along = x[asked]
    found = []
    for spacing, members, souths in _bands(files, sea):
        here = _rows_of(members, souths, lattice, rows)
        near = (down > here.start - 1 - reach) & (down < here.stop + reach)
        if not here or not near.any():
            continue
        lat = -(np.arange(here.start, here.stop) + lattice.phase) / lattice.density if spacing.around else None
        wide = np.broadcast_to(reach_along(0, part, spacing.density, lattice.crs, lat), (len(here),)).copy()
        cols = _columns(along[near], spacing, float(wide.max()))
        values = _window(work, members, here, cols)
        _fill_sea(values, (here, cols), (lattice, spacing), [cell for cell in sea if cell[0] in souths])
        found.append(Band(spacing.density, spacing.phase, spacing.around, (here.start, cols.start), values, wide))
    return sample(x, y, Rows(lattice.density, lattice.phase, float(reach)), found)


def _bands(files: Sequence[Placed], sea: Collection[Cell]) -> Iterator[tuple[Spacing, list[Placed], set[int]]]:
    """(spacing, its files, southern edges of the sea cells beside them) of each band of latitude."""
    members: dict[Spacing, list[Placed]] = {}
    for one in files:
        members.setdefault(one.spacing, []).append(one)
    souths = {spacing: {one.cell[0] for one in some if one.cell is not None} for spacing, some in members.items()}
    # Where all of a latitude is sea no file tells its spacing: of zeros one a cell will do, at its middle. Near a pole
    # a tile may see every longitude, and any finer row would be as long as the earth is round.
    alone = {cell[0] for cell in sea} - set().union(*souths.values())
    if alone:
        spacing = Spacing(1.0, 0.5, 360)
        members.setdefault(spacing, [])
        souths.setdefault(spacing, set()).update(alone)
    for spacing, some in members.items():
        yield spacing, some, souths[spacing]


def _rows_of(members: Sequence[Placed], souths: Collection[int], lattice: Lattice, rows: range) -> range:
    """Those of some rows that a band's files and sea cells lie on."""
    ends = [(one.corner[0], one.corner[0] + one.shape[0]) for one in members]
    ends += [(_first_row(south + 1, lattice), _first_row(south, lattice)) for south in souths]
    first, last = min(end[0] for end in ends), max(end[1] for end in ends)
    return range(max(rows.start, first), max(rows.start, first, min(rows.stop, last)))


def _first_row(lat: int, lattice: Lattice) -> int:
    """The first row of the cell south of a latitude."""
    return math.ceil(-lat * lattice.density - lattice.phase)


def _columns(along: Floats, spacing: Spacing, reach: float) -> range:
    """Columns around some places, counted on across the antimeridian."""
    if not spacing.around:
        u = along * spacing.density - spacing.phase
        return range(math.floor(u.min() - reach), math.ceil(u.max() + reach) + 1)
    first = float(along[0])
    off = (along - first + 180.0) % 360.0 - 180.0
    left, right = first + float(off.min()), first + float(off.max())
    start = math.floor(left * spacing.density - spacing.phase - reach)
    stop = math.ceil(right * spacing.density - spacing.phase + reach) + 1
    return range(start, min(stop, start + spacing.around))


def _window(work: Work, members: Sequence[Placed], rows: range, cols: range) -> Heights:
    """The nodes of some files in one window; where files overlap, the first that has a height."""
    values = np.full((len(rows), len(cols)), np.nan, np.float32)
    parts = [(one, *where) for one in members for where in one.overlaps(rows, cols)]

    def read(part: tuple[Placed, slice, slice, int, int]) -> Heights | None:
        one, own_rows, own_cols, _, _ = part
        window = own_rows, own_cols
        access, name = work.context.access, one.item.id
        return work.ledger.read(one.item, ELEVATION, lambda asset: read_heights(asset, access, name, window))

    for (_, own_rows, own_cols, top, left), data in zip(parts, in_order(work, read, parts), strict=True):
        if data is not None:
            height, width = own_rows.stop - own_rows.start, own_cols.stop - own_cols.start
            here = values[top : top + height, left : left + width]
            np.copyto(here, data, where=np.isnan(here))
    return values


def _fill_sea(
    values: Heights, window: tuple[range, range], nodes: tuple[Lattice, Spacing], sea: Collection[Cell]
) -> None:
    """0 m at the nodes of sea cells."""
    (rows, cols), (lattice, spacing) = window, nodes
    for south, west in sea:
        top, bottom = _first_row(south + 1, lattice), _first_row(south, lattice)
        for turn in (-720, -360, 0, 360, 720):
            left = math.ceil((west + turn) * spacing.density - spacing.phase)
            right = math.ceil((west + turn + 1) * spacing.density - spacing.phase)
            inside = (
                slice(max(top, rows.start) - rows.start, max(0, min(bottom, rows.stop) - rows.start)),
                slice(max(left, cols.start) - cols.start, max(0, min(right, cols.stop) - cols.start)),
            )
            here = values[inside]
            here[np.isnan(here)] = 0.0
