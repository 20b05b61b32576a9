"""How a tile fits a worker: row strips sized from integers, before anything runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.errors import PlanRefusedError
from pipeline.types import MemoryPlan

BASE_BYTES = (210 + 256) * 2**20
"""A process with the libraries loaded (measured 210 MiB), and GDAL's block cache at its bound."""
BLOCK_ROWS = 512
"""Strips are whole multiples of a usual source block, so that no block is decoded twice; smaller only in need."""
MIN_ROWS = 16
READS_IN_FLIGHT = 16
"""Windows of one job that may be on their way at once, whatever the number of threads: latency is hidden so."""
_READS = (READS_IN_FLIGHT, 8, 4, 2, 1)
"""Fewer where memory is short: latency shows then, and a coarse tile of fine sources is made all the same."""
_WANTED_BYTES, _WINDOW_BYTES = 2, 2
"""Per source window on its way: of a pixel of the strip, whether it is wanted; of one of the source, its number."""
_CODES_BYTES, _CLASSES_BYTES = 1, 3
"""Per mask on its way: of a pixel of the tile, its code; of one of the finest source, classes and codes and what they
are made with, at half its resolution as in Sentinel-2."""


@dataclass(frozen=True)
class Holding:
    """What making one tile holds besides the libraries, in bytes a pixel; a product says so of its entry."""

    tile: int
    """Of the tile: counts, finished bands still needed, the file being written."""
    day: int = 2
    """Of a strip, for every solar day."""
    strip: int = 0
    """Of a strip, once."""
    scene_bits: bool = True
    """Whether one bit per scene and pixel is held as well."""


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
    """Rows per strip, reads at once and projected peak for one tile; refused when not even the least of both fits.

    Held at once: what `holding` says, and every source window in flight: of a strip while bands are read, of the whole
    tile while masks are. budget_bytes: what one task may use of its worker. finest: nothing for a tile as fine as its
    sources.
    """
    height, width = shape
    finest = finest or Finest.alike(shape)
    fixed = BASE_BYTES + height * width * (holding.tile + holding.scene_bits * ((scenes + 7) // 8))
    fewest = min(MIN_ROWS, height)
    for reads in _READS:
        masks = (height * width * _CODES_BYTES + finest.window_px * _CLASSES_BYTES) * min(scenes, reads)
        reading = math.ceil((_WANTED_BYTES + _WINDOW_BYTES * finest.density) * reads)
        per_row = width * (holding.day * days + holding.strip + reading)
        needed = fixed + max(masks, fewest * per_row)
        if needed <= budget_bytes:
            break
    else:
        raise PlanRefusedError(
            f"one strip of a {height} x {width} tile with {scenes} scenes on {days} days needs {needed:,} bytes; a "
            f"task may use {budget_bytes:,}. Raise clusters.<region>.worker_memory, lower clusters.<region>.threads, "
            "or make grid.tile_px or the period smaller"
        )
    rows = min(height, (budget_bytes - fixed) // per_row)
    if rows < height:
        rows = rows // BLOCK_ROWS * BLOCK_ROWS or rows // MIN_ROWS * MIN_ROWS
    return MemoryPlan(int(rows), int(fixed + max(masks, rows * per_row)), reads)
