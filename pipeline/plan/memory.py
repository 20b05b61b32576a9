"""How a tile fits a worker: row strips sized from integers, before anything runs."""

from __future__ import annotations

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
_READING_BYTES = 4
"""Of a pixel of a strip, per source window on its way: the window, and which of its pixels are wanted."""
_MASKING_BYTES = 4
"""Of a pixel, per mask on its way: classes, codes and what they are made with at 20 m, and the codes on the tile."""


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


def project_memory(shape: tuple[int, int], scenes: int, days: int, holding: Holding, budget_bytes: int) -> MemoryPlan:
    """Rows per strip and projected peak for one tile; refused in bytes when not even the smallest strip fits.

    Held at once: what `holding` says, and every source window in flight: of a strip while bands are read, of the whole
    tile while masks are. budget_bytes: what one task may use of its worker.
    """
    height, width = shape
    fixed = BASE_BYTES + height * width * (holding.tile + holding.scene_bits * ((scenes + 7) // 8))
    masks = height * width * _MASKING_BYTES * min(scenes, READS_IN_FLIGHT)
    per_row = width * (holding.day * days + holding.strip + _READING_BYTES * READS_IN_FLIGHT)
    fewest = min(MIN_ROWS, height)
    needed = fixed + max(masks, fewest * per_row)
    if needed > budget_bytes:
        raise PlanRefusedError(
            f"one strip of a {height} x {width} tile with {scenes} scenes on {days} days needs {needed:,} bytes; a "
            f"task may use {budget_bytes:,}. Raise clusters.<region>.worker_memory, lower clusters.<region>.threads, "
            "or make grid.tile_px or the period smaller"
        )
    rows = min(height, (budget_bytes - fixed) // per_row)
    if rows < height:
        rows = rows // BLOCK_ROWS * BLOCK_ROWS or rows // MIN_ROWS * MIN_ROWS
    return MemoryPlan(int(rows), int(fixed + max(masks, rows * per_row)))
