"""Heights of a tile and one pixel around it, from every file of a DEM that reaches it, as one field without seams.

Files that fit each other are one lattice: a window of it is put together from all of them, and then sampled. So a
pixel between the last column of one file and the first of the next rests on both. Where the spacing along x changes
from one band of latitude to the next, each row of nodes is interpolated along x with its own spacing, and then between
the rows: no gap and no step. A coarser lattice fills what a finer one leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.ops.lattice import PixelGrid, coordinates
from pipeline.plan.jobs import BEYOND_PX, padded
from pipeline.plan.outlines import lonlat_bounds
from pipeline.products._base import Ledger, asset_of
from pipeline.products._dem_cells import cell_name, has_land
from pipeline.products._dem_tiles import (
    ELEVATION,
    Cell,
    Lattice,
    Placed,
    cell_around,
    cell_number,
    cells_of,
    in_lattices,
    is_tile,
    numbered_cell,
    place,
    turned,
)
from pipeline.products._dem_window import sampled
from pipeline.products._footprint import footprint
from pipeline.products._work import Work, in_order
from pipeline.types import Item, Job, Tile

Heights = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]

_NO_TIME = {"datetime": None, "start_datetime": "2021-04-22T00:00:00Z", "end_datetime": "2021-04-22T00:00:00Z"}
"""Of what no file is an input of: the day that the public catalogues give every tile of the Copernicus DEM."""


@dataclass(frozen=True)
class Mosaic:
    """What the heights of a tile come from."""

    grid: PixelGrid
    """The tile, grown by `pad`."""
    pad: int
    """Pixels around the tile: what the windows of its layers look at."""
    lattices: tuple[tuple[Lattice, tuple[Placed, ...]], ...]
    """The finest first."""
    sea: frozenset[Cell] = frozenset()
    """Cells without a file that are open sea: 0 m."""
    missing: frozenset[Cell] = frozenset()
    """Cells without a file that hold land."""
    pixels: Mapping[Cell, int] = field(default_factory=dict)
    """How many of the tile's pixels lie in each of those."""


def open_sea(absent: str, items: Sequence[Item]) -> Callable[[Tile], bool]:
    """Which tiles are 0 m all over although no file reaches them; none where files are not tiles of one degree.

    absent: as in `find_mosaic`. A tile near a cell with land is none of them: its file is missing, and it is not made.
    """
    tiled = any(is_tile(item) for item in items)

    def at_sea(tile: Tile) -> bool:
        if not tiled or absent == "nodata":
            return False
        return absent == "sea" or not any(has_land(*cell) for cell in _cells(padded(tile.geobox, BEYOND_PX)))

    return at_sea


def _cells(geobox: GeoBox) -> Iterator[Cell]:
    west, south, east, north = lonlat_bounds(geobox)
    east = east + 360 if west > east else east
    for at in range(math.floor(south), min(89, math.floor(north)) + 1):
        for along in range(math.floor(west), math.floor(east) + 1):
            yield at, turned(along)


def find_mosaic(work: Work, absent: str, pad: int) -> tuple[Work, Mosaic]:
    """Open every file and say which cells of the tile have none; the work's ledger then knows what was lost by now.

    absent: what a cell without a file is: `auto` sea or missing by the table of land, `sea`, or `nodata`. pad: pixels
    around the tile that heights are wanted of as well.
    Raises MissingAssetsError beyond the policy.
    """
    # Where files overlap the first counts. The job's order would not do: a solar day depends on the tile.
    items = sorted(work.job.items, key=lambda item: (item.id, item.collection))

    def open_one(item: Item) -> Placed | AssetError:
        try:
            return place(item, asset_of(item, ELEVATION), work.context.access)
        except AssetError as error:
            return error

    heads = list(in_order(work, open_one, items))
    placed = [one for one in heads if isinstance(one, Placed)]
    grid = PixelGrid.of(work.geobox, pad)
    lattices = tuple((lattice, tuple(files)) for lattice, files in in_lattices(placed))
    mosaic = Mosaic(grid, pad, lattices)
    lost = {cell_around(item) for item, head in zip(items, heads, strict=True) if isinstance(head, AssetError)}
    if absent != "nodata":
        mosaic = _with_absent(mosaic, work, lost, everywhere_sea=absent == "sea")
    work = replace(work, ledger=Ledger(work.job, work.context, len(items) + len(mosaic.missing)))
    for item, head in zip(items, heads, strict=True):
        if isinstance(head, AssetError):
            work.ledger.record(item, ELEVATION, head)
        elif head.note is not None:
            work.ledger.note(head.note)
    for cell in sorted(mosaic.missing):
        work.ledger.record(_absentee(items[0], cell), ELEVATION, _absence(cell, items[0]))
    work.ledger.check()
    return work, mosaic


def _absentee(like: Item, cell: Cell) -> Item:
    return replace(like, id=cell_name(*cell), assets={})


def _absence(cell: Cell, like: Item) -> PermanentAssetError:
    return PermanentAssetError(
        "(none)",
        f"no item of {like.source} is the DEM tile of {cell_name(*cell)}, a cell of one degree with land: its pixels "
        "are no data, not 0 m. Add the item, or a coarser collection beside it (cop-dem-glo-90); if this is open sea, "
        "absent: sea says so",
        item=cell_name(*cell),
        asset=ELEVATION,
    )


def _with_absent(mosaic: Mosaic, work: Work, lost: Collection[Cell], *, everywhere_sea: bool) -> Mosaic:
    """Which cells that the tile's pixels lie in have no file; nothing where files are not tiles of one degree."""
    tiled = [(lattice, files) for lattice, files in mosaic.lattices if any(one.cell is not None for one in files)]
    if not tiled:
        return mosaic
    there = {one.cell for _, files in tiled for one in files} | {*lost}
    west, south, east, north = lonlat_bounds(work.geobox)
    east = east + 360 if west > east else east
    souths = range(max(-90, math.floor(south) - 1), min(89, math.floor(north)) + 1)
    wests = [turned(one) for one in range(math.floor(west) - 1, math.floor(east) + 2)]
    if all((one, other) in there for one in souths for other in wests):
        return mosaic
    lattice, files = tiled[0]
    across = _columns_a_degree(files)
    counts = np.zeros(180 * 360 + 1, np.int64)
    for _, part in _strips(PixelGrid.of(work.geobox), work.job.memory.strip_rows, mosaic.pad):
        counts += np.bincount(1 + cells_of(*coordinates(part, lattice.crs), lattice, across).ravel(), minlength=64801)
    found = {numbered_cell(int(number)): int(counts[number + 1]) for number in np.flatnonzero(counts[1:])}
    pixels = {cell: count for cell, count in found.items() if cell not in there}
    missing = frozenset() if everywhere_sea else frozenset(cell for cell in pixels if has_land(*cell))
    # Also cells beyond the tile's own pixels: a pixel beside one is interpolated with its zeros.
    near = {(one, other) for one in souths for other in wests} - there
    sea = frozenset(cell for cell in near if everywhere_sea or not has_land(*cell))
    return replace(mosaic, sea=sea, missing=missing, pixels=pixels)


def _columns_a_degree(files: Sequence[Placed]) -> Floats:
    """(180,) by latitude + 90: as the files of that latitude have them; so many that cells are exact where none is."""
    across = np.full(180, float(2**20))
    for one in files:
        if one.cell is not None:
            across[one.cell[0] + 90] = one.spacing.density
    return across


def _strips(grid: PixelGrid, rows: int, pad: int) -> Iterator[tuple[slice, PixelGrid]]:
    """Some rows of a grid at a time, and those of the padding at once with them."""
    step = rows + 2 * pad
    for first in range(0, grid.shape[0], step):
        last = min(first + step, grid.shape[0])
        yield slice(first, last), grid.rows(first, last)


def heights_of(work: Work, mosaic: Mosaic) -> Heights:
    """Heights in metres of the tile and the mosaic's `pad` around it, float32, NaN where there is none.

    What is lost of a file in one strip is lost to the whole tile. Marks the pixels that miss an input. Raises
    MissingAssetsError beyond the policy.
    """
    lost: frozenset[str] = frozenset(loss.item for loss in work.ledger.losses)
    if not work.job.items:  # planned by `open_sea`
        return np.zeros(mosaic.grid.shape, np.float32)
    while True:
        heights = np.full(mosaic.grid.shape, np.nan, np.float32)
        for rows, part in _strips(mosaic.grid, work.job.memory.strip_rows, mosaic.pad):
            heights[rows] = _strip(work, mosaic, part)
            work.ledger.check()
        now = frozenset(loss.item for loss in work.ledger.losses)
        if now == lost:
            break
        lost = now  # strips that were made before it was lost are made again without it
    _mark_lost(work, mosaic, heights)
    return heights


def _mark_lost(work: Work, mosaic: Mosaic, heights: Heights) -> None:
    for item in work.job.items:
        if work.ledger.lost(item, ELEVATION):
            work.lose(slice(None), footprint(item, work.geobox))
    if mosaic.missing:
        lattice, files = next(pair for pair in mosaic.lattices if any(one.cell is not None for one in pair[1]))
        across = _columns_a_degree(files)
        numbers = [cell_number(cell) for cell in mosaic.missing]
        inner = heights[mosaic.pad : -mosaic.pad, mosaic.pad : -mosaic.pad]
        for rows, part in _strips(PixelGrid.of(work.geobox), work.job.memory.strip_rows, mosaic.pad):
            cells = cells_of(*coordinates(part, lattice.crs), lattice, across)
            work.lose(rows, np.isin(cells, numbers) & np.isnan(inner[rows]))


def _strip(work: Work, mosaic: Mosaic, part: PixelGrid) -> Heights:
    """Some rows: from the finest lattice, and what that leaves open from the next."""
    heights = np.full(part.shape, np.nan, np.float32)
    sea = mosaic.sea
    for lattice, files in mosaic.lattices:
        x, y = coordinates(part, lattice.crs)
        y[~np.isnan(heights)] = np.nan
        tiled = any(one.cell is not None for one in files)
        found = sampled(work, (lattice, files), part, (x, y), sea if tiled else frozenset())
        np.copyto(heights, found, where=np.isnan(heights))
        sea = frozenset() if tiled else sea
        if not np.isnan(heights).any():
            break
    return heights


def told(job: Job, mosaic: Mosaic) -> dict[str, object]:
    """What the item of a tile says of where its heights come from."""
    if not job.items:
        lineage = {"processing:lineage": "open sea, of which the DEM has no tile"}
        return {**lineage, **_NO_TIME, "groundswell:scenes": 0, "groundswell:sea_fraction": 1.0}
    pixels = job.tile.geobox.shape[0] * job.tile.geobox.shape[1]
    sea = sum(count for cell, count in mosaic.pixels.items() if cell in mosaic.sea)
    return {
        "processing:lineage": f"bilinear mosaic of {len(job.items)} DEM tiles",
        "groundswell:scenes": len(job.items),
        "groundswell:sea_fraction": round(sea / pixels, 6),
    }
