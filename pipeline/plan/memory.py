"""How a tile fits a worker: row strips sized from integers, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline.errors import MemoryRefusedError
from pipeline.types import MemoryPlan

T = TypeVar("T")

BASE_BYTES = (210 + 256) * 2**20
"""A process with the libraries loaded (measured 210 MiB), and GDAL's block cache at its bound."""
BLOCK_ROWS = 1024
"""Rows of a block of Sentinel-2's files. Strips are whole multiples, so that a tile that begins where its sources do
decodes no block twice; half as many, or a few, only in need."""
MOST_ROWS = 2 * BLOCK_ROWS
"""Of a strip: more would only hold more, where a row of blocks is carried from each strip to the next."""
MIN_ROWS = 16
_ROW_STEPS = (BLOCK_ROWS, BLOCK_ROWS // 2, MIN_ROWS)
READS_IN_FLIGHT = 16
"""Windows of one job that may be on their way at once, whatever the number of threads: latency is hidden so."""
_READS = (READS_IN_FLIGHT, 8, 4, 2, 1)
"""Fewer where memory is short: latency shows then, and a coarse tile of fine sources is made all the same."""
_FLIGHT_PX, _LEAST_FLIGHT = 2**26, 4
"""Few large windows hide as much latency as many small ones: so many pixels of the tile, but four windows at least."""
_WANTED_BYTES, _WINDOW_BYTES = 2, 2
"""Per source window on its way: of a pixel of the strip, whether it is wanted; of one of the source, its number."""
_CODES_BYTES = 1
"""Per mask on its way: of a pixel of the tile, its code."""


@dataclass(frozen=True)
class Holding:
    """What making one tile holds besides the libraries, in bytes a pixel; a product says so of its entry."""

    tile: int
    """Of the tile: counts, finished bands still needed, the file being written."""
    day: int = 2
    """Of a strip, for every solar day."""
    strip: int = 0
    """Of a strip, once."""
    read: int = 0
    """Of a source window on its way, beside its numbers: what resamples it may hold copies."""
    scene_bits: bool = True
    """Whether one bit per scene and pixel is held as well."""
    mask: int = 3
    """Of a pixel of the finest source, while a mask is read: classes and codes and what they are made with; by default
    at half its resolution, as in Sentinel-2."""
    row: int = 0
    """Bytes for each column of the tile, however many rows a strip has."""
    fixed_bytes: int = 0
    """Whatever the tile's size."""


@dataclass(frozen=True)
class Finest:
    """What the finest source raster means for a tile: sources are read at full resolution, however coarse the tile."""

    density: float
    """Source pixels under one of the tile's, at least 1."""
    window_px: int
    """Source pixels of the largest window that the whole tile needs of one raster."""

    @classmethod
    def alike(cls, shape: tuple[int, int]) -> Finest:
        """As fine as the tile itself."""
        return cls(1.0, shape[0] * shape[1])


def project_memory(
    shape: tuple[int, int], scenes: int, days: int, holding: Holding, budget_bytes: int, finest: Finest | None = None
) -> MemoryPlan:
    """Rows per strip, reads at once and projected peak for a tile; refused when not even the least of all fits.

    Held at once: what `holding` says, and every source window in flight: of a strip while bands are read, of the whole
    tile while masks are. Between strips, one row of blocks of every scene, as far as there is room for it.
    budget_bytes: what one task may use of its worker. finest: None for a tile as fine as its sources.
    """
    height, width = shape
    finest = finest or Finest.alike(shape)
    fixed = BASE_BYTES + height * width * (holding.tile + holding.scene_bits * ((scenes + 7) // 8))
    fixed += holding.fixed_bytes + width * holding.row
    carry = scenes * max(_WINDOW_BYTES, holding.day) * BLOCK_ROWS * math.ceil(width * finest.density**0.5 + BLOCK_ROWS)
    ladder = [reads for reads in _READS if reads <= max(_LEAST_FLIGHT, _FLIGHT_PX // (height * width))]
    found: list[MemoryPlan] = []
    for reads in ladder:
        masks = (height * width * _CODES_BYTES + finest.window_px * holding.mask) * min(scenes, reads)
        reading = math.ceil((_WANTED_BYTES + (_WINDOW_BYTES + holding.read) * finest.density) * reads)
        per_row = width * (holding.day * days + holding.strip + reading)
        needed = max(masks, min(MIN_ROWS, height) * per_row)
        if fixed + needed <= budget_bytes:
            rows = _rows(height, per_row, carry, budget_bytes - fixed)
            if reads != ladder[0]:  # more rows than a block's gain nothing that would be worth fewer reads
                rows = min(rows, BLOCK_ROWS)
            kept = min(carry, budget_bytes - fixed - rows * per_row) if rows < height else 0
            found.append(MemoryPlan(rows, fixed + max(masks, rows * per_row + kept), reads, kept))
            if rows >= min(BLOCK_ROWS, height):
                break
    if not found:
        raise MemoryRefusedError(
            f"one strip of a {height} x {width} tile with {scenes} scenes on {days} days needs {fixed + needed:,} "
            f"bytes; a task may use {budget_bytes:,}. Raise clusters.<region>.worker_memory, lower "
            "clusters.<region>.threads, or make the tiles (grid.tile_px; a region itself) or the period smaller",
            fixed + needed,
        )
    return max(found, key=lambda plan: min(plan.strip_rows, BLOCK_ROWS) // (BLOCK_ROWS // 2))


def first_fit(
    plan: Callable[[Mapping[str, int]], T], offers: Mapping[str, Sequence[int]]
) -> tuple[T, Mapping[str, int]]:
    """What `plan` makes of the first offer that no job of a region is too large for; and the offers that were taken.

    offers: region → bytes that one of its tasks may use, each more than the one before. Raises MemoryRefusedError, of
    the last one, when none is enough.
    """
    taken = {region: each[0] for region, each in offers.items()}
    while True:
        try:
            return plan(taken), taken
        except MemoryRefusedError as error:
            more = [offer for offer in offers[error.region] if offer > taken[error.region]]
            if not more:
                raise
            taken[error.region] = next((offer for offer in more if offer >= error.needed_bytes), more[-1])


def _rows(height: int, per_row: int, carry: int, room: int) -> int:
    """Rows of a strip: all, or as many blocks as leave room for what is carried over, or as much of one as fits."""
    if height <= MOST_ROWS and height * per_row <= room:
        return height
    rows = min(height, MOST_ROWS, max((room - carry) // per_row, min(room // per_row, BLOCK_ROWS)))
    return next(rows // step * step for step in _ROW_STEPS if rows >= step)
