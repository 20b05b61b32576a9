"""Which tiles of a plan share an edge, pixel by pixel: so that who makes one can look at the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.plan.jobs import Targets
from pipeline.types import Neighbour, Plan, Tile

_PARTS_A_PX = 1000
"""Corners agree to a thousandth of a pixel: far above rounding."""
_Box = tuple[int, int, int, int]
"""Left, top, right and bottom in parts of a pixel, counted along columns and rows."""


def with_neighbours(plan: Plan, targets: Mapping[str, Targets]) -> Plan:
    """The plan with each job's neighbours: of its product and period, on its lattice of pixels; pure.

    targets: by product name. Tiles of a utm, geobox or ttc grid meet within a zone; those of mgrs overlap, so none
    does. Skipped jobs are neighbours as well as those that will run.
    """
    fingerprints = {job.id: job.fingerprint for job in plan.jobs}
    fingerprints |= {skip.job_id: skip.fingerprint for skip in plan.skipped}
    beside: dict[int, Mapping[str, tuple[tuple[str, str], ...]]] = {}
    for target in targets.values():
        # Products on one grid have the same tiles, and a tile has the same neighbours in every period.
        if id(target.tiles) not in beside:
            beside[id(target.tiles)] = touching(target.tiles)

    def neighbours(product: str, tile: Tile, period: str) -> Iterator[Neighbour]:
        for side, tile_id in beside[id(targets[product].tiles)].get(tile.id, ()):
            found = fingerprints.get(f"{product}/{tile_id}/{period}")
            if found is not None:
                yield Neighbour(side, tile_id, found)

    jobs = (replace(job, neighbours=tuple(neighbours(job.product, job.tile, job.period.id))) for job in plan.jobs)
    return replace(plan, jobs=tuple(jobs))


def touching(tiles: Sequence[Tile]) -> dict[str, tuple[tuple[str, str], ...]]:
    """By tile id, (side, id) of the tiles that lie beside it and share a whole edge: at most one on each side."""
    boxes = {tile.id: (_lattice(tile), _box(tile)) for tile in tiles if _upright(tile)}
    starts: dict[tuple[object, str, int, int, int], str] = {}
    for tile_id, (lattice, (left, top, right, bottom)) in boxes.items():
        starts[lattice, "left", left, top, bottom] = tile_id
        starts[lattice, "top", top, left, right] = tile_id
    found: dict[str, list[tuple[str, str]]] = {}
    for tile_id, (lattice, (left, top, right, bottom)) in boxes.items():
        for side, back, key in (
            ("right", "left", (lattice, "left", right, top, bottom)),
            ("bottom", "top", (lattice, "top", bottom, left, right)),
        ):
            other = starts.get(key)
            if other is not None:
                found.setdefault(tile_id, []).append((side, other))
                found.setdefault(other, []).append((back, tile_id))
    return {tile_id: tuple(sorted(sides)) for tile_id, sides in found.items()}


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
