"""What a layer's outermost rows and columns hold, in a few numbers, so that a seam between tiles is found without them.

Neighbouring tiles meet between two rows of pixels. Where both were made alike, the step across that line is as large as
steps from row to row are within them. So a layer keeps a few of its outermost values and the size of its own steps,
which stand in its item; who makes the neighbour reads that item and no file.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Band, Json

FIELD = "groundswell:edges"
"""Of a band of an asset, beside its statistics."""
OPPOSITE = {"top": "bottom", "right": "left", "bottom": "top", "left": "right"}
"""The sides of a tile in the order of its rows and columns, and what a neighbour there calls the same line."""
SAMPLES = 64
"""Values of a side that are kept: real scenes of Sentinel-1 and 2, Landsat and a DEM, cut anywhere, then meet with
ratios below 1.9 (with 32 values: 2.9)."""
DEPTH_PX = 8
"""Rows that are looked into for a step: of a band that is that much coarser than the tile, rows repeat."""
LEAST = 8
"""Pairs of valid pixels that a step is told from."""
LARGEST = 1000.0
"""Steps that many times as large are all alike; it also stands for a step beside no step at all."""
_DIFFERING = 0.25
"""Least share of the pixels that must differ for a step to be one."""
_NEGLIGIBLE = 1e-3
"""Of numbers in floating point: the share of their size below which a step is none."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Step:
    """How two tiles meet: the step across the line between them, and the larger of the steps within them."""

    across: float
    """Median difference of the pixels on both sides, where they differ, in stored units."""
    inside: float

    @property
    def ratio(self) -> float:
        """About 1 where there is no seam."""
        if self.across == 0:
            return 0.0
        return min(self.across / self.inside, LARGEST) if self.inside else LARGEST


def outer_edges(data: Array, band: Band) -> Json:
    """By side, the size of steps from row to row within the layer there, and some of its outermost values.

    data (y, x). Equal data give equal text. A side with too few valid pixels is left out. Codes have no steps: of
    layers whose overviews are not averages nothing is kept.
    """
    if band.overview != "average":
        return {}
    rows, columns = data[: DEPTH_PX + 1], data[:, : DEPTH_PX + 1].T
    last_rows, last_columns = data[: -DEPTH_PX - 2 : -1], data[:, : -DEPTH_PX - 2 : -1].T
    sides = {"top": rows, "right": last_columns, "bottom": last_rows, "left": columns}
    found = {side: _edge(np.ascontiguousarray(strip), band.nodata) for side, strip in sides.items()}
    return {side: edge for side, edge in found.items() if edge is not None}


def step_between(side: str, own: Mapping[str, Json], other: Mapping[str, Json]) -> Step | None:
    """How two layers meet; None where they say too little of it, or are not of one kind.

    side: of `own`, where `other` lies. Both are `bands` entries of an item's asset (STAC), with `FIELD`. Raises what a
    damaged entry does: ValueError, LookupError, TypeError.
    """
    mine, its = (band.get(FIELD, {}).get(name) for band, name in ((own, side), (other, OPPOSITE[side])))
    if mine is None or its is None or own["data_type"] != other["data_type"]:
        return None
    dtype, nodata = np.dtype(own["data_type"]).newbyteorder("<"), own.get("nodata")
    pair = [np.frombuffer(base64.b64decode(edge["values"]), dtype) for edge in (mine, its)]
    if pair[0].shape != pair[1].shape:
        return None
    # Of a band whose nodata is not said it is None; STAC spells NaN as text.
    across = _step(pair[0], pair[1], None if nodata is None else float(nodata))
    if across is None:
        return None
    smallest = 1.0 if dtype.kind in "iu" else _NEGLIGIBLE * _size(pair)
    return Step(across, max(float(mine["inside"]), float(its["inside"]), smallest))


def _edge(strip: Array, nodata: float | None) -> Json:
    """Of a strip (depth, n), the outermost row first; None where too few pixels are valid."""
    outermost = strip[0]
    if np.count_nonzero(_valid(outermost, nodata)) < LEAST:
        return None
    steps = (_step(outermost, row, nodata) for row in strip[1:])
    inside = next((step for step in steps if step), 0.0)
    count = min(SAMPLES, outermost.size)
    places = (2 * np.arange(count) + 1) * outermost.size // (2 * count)
    values = outermost[places].astype(outermost.dtype.newbyteorder("<"))
    return {"inside": float(f"{inside:.6g}"), "values": base64.b64encode(values.tobytes()).decode("ascii")}


def _step(one: Array, other: Array, nodata: float | None) -> float | None:
    """Median difference of the pixels that differ; 0 where hardly any do, None where too few are valid in both.

    Pixels that are equal are left out: of a band that is coarser than the tile many are the same source pixel twice.
    """
    both = _valid(one, nodata) & _valid(other, nodata)
    steps = np.abs(one[both].astype(np.float64) - other[both])
    if steps.size < LEAST:
        return None
    differing = np.sort(steps[steps > 0])
    if differing.size < _DIFFERING * steps.size:
        return 0.0
    middle = differing.size // 2  # by hand: NumPy's own median takes most of the time of a short line
    return float(differing[middle] + differing[middle - (differing.size % 2 == 0)]) / 2


def _valid(values: Array, nodata: float | None) -> NDArray[np.bool_]:
    there = nodata is not None and not math.isnan(nodata)
    if values.dtype.kind == "f":
        finite: NDArray[np.bool_] = np.isfinite(values)
        return finite & (values != nodata) if there else finite
    return values != nodata if there else np.ones(values.shape, np.bool_)


def _size(pair: list[Array]) -> float:
    sizes = np.abs(np.concatenate(pair).astype(np.float64))
    sizes = sizes[np.isfinite(sizes)]
    return float(np.median(sizes)) if sizes.size else 0.0
