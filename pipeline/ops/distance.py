"""How far each pixel is from the nearest marked one, as far as it matters."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _along_columns(marked, cap, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Rows to the nearest mark above or below."""
    height, width = marked.shape
    for k in range(width):
        out[0, k] = 0 if marked[0, k] else cap
    for r in range(1, height):
        for k in range(width):
            out[r, k] = 0 if marked[r, k] else min(out[r - 1, k] + 1, cap)
    for r in range(height - 2, -1, -1):
        for k in range(width):
            out[r, k] = min(out[r, k], out[r + 1, k] + 1)


@numba.njit(nogil=True, cache=True, boundscheck=False)
def _along_rows(out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """The nearest mark of all lies above or below one of the columns within reach."""
    height, width = out.shape
    rows = np.empty(width, np.int64)
    for r in range(height):
        for k in range(width):
            rows[k] = np.int64(out[r, k]) ** 2
        for k in range(width):
            nearest = rows[k]
            step = 1
            while step * step < nearest:
                left = rows[k - step] if step <= k else nearest
                right = rows[k + step] if k + step < width else nearest
                nearest = min(nearest, step * step + min(left, right))
                step += 1
            whole = np.int64(np.sqrt(nearest))
            out[r, k] = whole - 1 if whole * whole > nearest else whole


def distance_to(marked: NDArray[np.bool_], cap: int) -> NDArray[np.uint8]:
    """Euclidean distance to the nearest True pixel in whole pixels, rounded down; `cap` (1..255) where it is farther.

    (y, x) bool in, uint8 out; outside the array counts as False. Exact: separable, as Saito and Toriwaki 1994.
    """
    out = np.empty(marked.shape, np.uint8)
    if marked.size:
        _along_columns(marked, cap, out)
        _along_rows(out)
    return out
