"""What a task reads, counted in the blocks that files are made of: whole blocks, once a task, in requests of many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from odc.geo.geobox import GeoBox

from pipeline.plan.entries import COMPRESSION
from pipeline.plan.groups import around
from pipeline.plan.outlines import outline_in
from pipeline.types import Asset, Grid, Job
from pipeline.types.estimate import Layout

_BLOCK = (1024, 1024)
"""Of files whose headers nobody has read: that of Sentinel-2's."""
_PIECE_BYTES = 8 * 2**20
"""Blocks that follow each other in a file are asked for together, up to so much at once (`read.fetch`)."""
_OBJECT_BYTES = 2**20
"""Of what this run makes itself, about so much comes with a request."""


_Touched = tuple[int, int, int]
"""(rows, columns) of blocks under a box, and how many columns of blocks the raster has."""


@dataclass(frozen=True)
class Reading:
    """What is asked for."""

    read_bytes: float
    requests: float

    def __add__(self, other: Reading) -> Reading:
        return Reading(self.read_bytes + other.read_bytes, self.requests + other.requests)


NOTHING = Reading(0.0, 0.0)


def reading(jobs: Sequence[Job], layouts: Mapping[tuple[str, str], Layout], pixel_bytes: int) -> Reading:
    """What the jobs of one task ask for together.

    layouts: by (source, band). pixel_bytes: of one number of a source. A block that several tiles need is read once;
    what clouds hide is counted too, since nobody knows of it yet.
    """
    if not any(item.assets for job in jobs for item in job.items):
        return _made(jobs)
    box = jobs[0].tile.geobox if len(jobs) == 1 else around([job.tile.geobox for job in jobs])
    items = {item.key: item for job in jobs for item in job.items}
    if all(asset.grid is None for item in items.values() for asset in item.assets.values()):
        return Reading(sum(job.read_bytes for job in jobs), sum(len(item.assets) for item in items.values()))
    assumed = Layout(_BLOCK, _BLOCK[0] * _BLOCK[1] * pixel_bytes * COMPRESSION)
    found = NOTHING
    windows: dict[tuple[Grid, tuple[int, int]], _Touched | None] = {}
    for item in items.values():
        for band, asset in item.assets.items():
            layout = layouts.get((item.source, band)) or assumed
            found += _of_file(asset, layout, box, windows)
    return found


def _made(jobs: Sequence[Job]) -> Reading:
    """Of what is made from other jobs."""
    read = float(sum(job.read_bytes for job in jobs))
    return Reading(read, read / _OBJECT_BYTES + sum(len(job.upstream) for job in jobs))


def _of_file(
    asset: Asset, layout: Layout, box: GeoBox, windows: dict[tuple[Grid, tuple[int, int]], _Touched | None]
) -> Reading:
    """One file's head, and its blocks under the box; windows: of the files before it."""
    if asset.grid is None:
        height, width = box.shape.yx
        rows, columns = math.ceil(height / layout.block[0]), math.ceil(width / layout.block[1])
        return _asked(rows, columns, layout, whole=False)
    key = asset.grid, layout.block
    if key not in windows:
        windows[key] = _touched(asset.grid, layout.block, box)
    touched = windows[key]
    if touched is None:
        return NOTHING
    rows, columns, across = touched
    return _asked(rows, columns, layout, whole=columns >= across)


def _asked(rows: float, columns: float, layout: Layout, *, whole: bool) -> Reading:
    """A head, and runs of blocks: rows of blocks are apart in a file unless the window is as wide as it."""
    read = rows * columns * layout.block_bytes
    runs = 1 if whole else rows
    return Reading(read, 1 + max(runs, math.ceil(read / _PIECE_BYTES)))


def _touched(grid: Grid, block: tuple[int, int], box: GeoBox) -> _Touched | None:
    """The blocks of a raster that lie under a box; None where none does."""
    a, b, c, d, e, f = grid.transform
    height, width = grid.shape
    own = [(c + a * x + b * y, f + d * x + e * y) for x in (0, width) for y in (0, height)]
    left, bottom, right, top = outline_in(box, grid.crs)
    # Where a projection is not defined all over the box, that reaches to infinity.
    xs, ys = (
        [min(max(side, min(of)), max(of)) for side in sides]
        for sides, of in (((left, right), [x for x, _ in own]), ((bottom, top), [y for _, y in own]))
    )
    determinant = a * e - b * d
    corners = [(x - c, y - f) for x in xs for y in ys]
    columns = [(e * x - b * y) / determinant for x, y in corners]
    rows = [(a * y - d * x) / determinant for x, y in corners]
    spans = []
    for places, size, side in ((rows, grid.shape[0], block[0]), (columns, grid.shape[1], block[1])):
        first, last = max(0.0, min(places)), min(float(size), max(places))
        if not first < last:
            return None
        spans.append(math.ceil(last / side) - math.floor(first / side))
    return spans[0], spans[1], math.ceil(grid.shape[1] / block[1])
