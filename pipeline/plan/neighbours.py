"""Which tiles of a plan share an edge, pixel by pixel: so that who makes one can look at the other."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.plan.entries import Targets
from pipeline.plan.made import table_of
from pipeline.plan.rows import SIDES, Beside
from pipeline.types import Plan, Tile

_PARTS_A_PX = 1000
"""Corners agree to a thousandth of a pixel: far above rounding."""
_Box = tuple[int, int, int, int]
"""Left, top, right and bottom in parts of a pixel, counted along columns and rows."""


def with_neighbours(plan: Plan, targets: Mapping[str, Targets]) -> Plan:
    """The plan with each job's neighbours: of its product and period, on its lattice of pixels; pure.

    plan: of `plan_jobs`. targets: by product name. Tiles of a utm, geobox or ttc grid meet within a zone; those of mgrs
    overlap, so none does. Skipped jobs are neighbours as well as those that will run.
    """
    table = table_of(plan)
    beside: dict[int, Beside] = {}
    for product, target in targets.items():
        if not target.tiles:  # buckets of floats
            continue
        # Products on one grid have the same tiles, and a tile has the same neighbours in every period.
        if id(target.tiles) not in beside:
            beside[id(target.tiles)] = touching(target.tiles)
        table.set_beside(product, beside[id(target.tiles)])
    return plan


def touching(tiles: Sequence[Tile]) -> Beside:
    """Which tiles lie beside each and share a whole edge: one on each side, or several that overlap one another."""
    starts: dict[tuple[object, str, int, int, int], int] = {}
    boxes: dict[int, tuple[tuple[str, float, float], _Box]] = {}
    for number, tile in enumerate(tiles):
        if _upright(tile):
            lattice, (left, top, right, bottom) = boxes[number] = (_lattice(tile), _box(tile))
            starts[lattice, "left", left, top, bottom] = number
            starts[lattice, "top", top, left, right] = number
    found = array("q")
    for number, (lattice, (left, top, right, bottom)) in boxes.items():
        for side, back, key in (
            ("right", "left", (lattice, "left", right, top, bottom)),
            ("bottom", "top", (lattice, "top", bottom, left, right)),
        ):
            other = starts.get(key)
            if other is not None:
                found.extend([number, SIDES.index(side), other, other, SIDES.index(back), number])
    of, at_side, others = np.array(found, np.int64).reshape(-1, 3).T
    rank = np.empty(len(tiles), np.int64)
    rank[sorted(range(len(tiles)), key=lambda number: tiles[number].id)] = np.arange(len(tiles))
    order = np.lexsort((rank[others], at_side, of))
    ends = np.cumsum(np.bincount(of, minlength=len(tiles)))
    return Beside(array("I", ends.tolist()), array("I", (others * len(SIDES) + at_side)[order].tolist()))


def _upright(tile: Tile) -> bool:
    _, b, _, d, _, _ = tile.geobox.transform[:6]
    return bool(b == d == 0)


def _lattice(tile: Tile) -> tuple[str, float, float]:
    a, _, _, _, e, _ = tile.geobox.transform[:6]
    return str(tile.geobox.crs), a, e


def _box(tile: Tile) -> _Box:
    a, _, c, _, e, f = tile.geobox.transform[:6]
    height, width = tile.geobox.shape.yx
    left, top = round(c / a * _PARTS_A_PX), round(f / e * _PARTS_A_PX)
    return left, top, left + width * _PARTS_A_PX, top + height * _PARTS_A_PX
