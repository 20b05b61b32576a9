"""How a tile fits a worker: row strips sized from integers, before anything runs."""

from __future__ import annotations

from pipeline.errors import PlanRefusedError
from pipeline.types import MemoryPlan

BASE_BYTES = (210 + 256) * 2**20
"""A process with the libraries loaded (measured 210 MiB), and GDAL's block cache at its bound."""
BLOCK_ROWS = 512
"""Strips are whole multiples of a usual source block, so that no block is decoded twice; smaller only in need."""
MIN_ROWS = 16
READS_IN_FLIGHT = 16
"""Windows of one job that may be on their way at once, whatever the number of threads: latency is hidden so."""


def project_memory(shape: tuple[int, int], scenes: int, days: int, bands_kept: int, budget_bytes: int) -> MemoryPlan:
    """Rows per strip and projected peak for one tile; refused in bytes when not even the smallest strip fits.

    Held at once: one bit per scene and pixel, finished bands still needed (2 bytes a pixel each), the composite's
    count and the file being written (12 bytes a pixel), and the strip itself: 2 bytes per day and pixel plus the
    source windows in flight. budget_bytes: what one task may use of its worker.
    """
    height, width = shape
    fixed = BASE_BYTES + height * width * ((scenes + 7) // 8 + 2 * bands_kept + 12)
    per_row = width * 2 * (days + READS_IN_FLIGHT)
    rows = min(height, (budget_bytes - fixed) // per_row)
    if rows < min(MIN_ROWS, height):
        needed = fixed + min(MIN_ROWS, height) * per_row
        raise PlanRefusedError(
            f"one strip of a {height} x {width} tile with {scenes} scenes on {days} days needs {needed:,} bytes; a "
            f"task may use {budget_bytes:,}. Raise clusters.<region>.worker_memory, lower clusters.<region>.threads, "
            "or make grid.tile_px or the period smaller"
        )
    if rows < height:
        rows = rows // BLOCK_ROWS * BLOCK_ROWS or rows // MIN_ROWS * MIN_ROWS
    return MemoryPlan(int(rows), int(fixed + rows * per_row))
