"""Jobs from tiles, periods and items: the join, the fingerprints, and what is already committed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import MemoryRefusedError
from pipeline.plan.areas import possible_footprint
from pipeline.plan.argo_jobs import argo_jobs, whole_jobs
from pipeline.plan.curves import metres_a_unit, transformer
from pipeline.plan.dates import DateChooser
from pipeline.plan.derived import Planned, derived_jobs, in_order
from pipeline.plan.entries import COMPRESSION, ProductPlan, Targets, job_document, with_bands
from pipeline.plan.fingerprint import fingerprint
from pipeline.plan.memory import Finest, project_memory
from pipeline.plan.outlines import lonlat_outline, outline_in
from pipeline.types import Grid, Item, Job, Period, Plan, Skip, Tile

_MARGIN_M, _MARGIN_DEG = 1000.0, 0.01
"""Catalogue footprints are simplified; a scene that misses a tile by less than about a kilometre is still asked."""
BEYOND_PX = 6
"""What a product may look at beyond its tile's edge: a neighbour, and what that is interpolated from."""
__all__ = [
    "BEYOND_PX",
    "ProductPlan",
    "Targets",
    "by_region",
    "finest_of",
    "job_document",
    "padded",
    "pixel_m2",
    "plan_jobs",
]


def plan_jobs(
    products: Sequence[ProductPlan],
    targets: Mapping[str, Targets],
    items: Sequence[Item],
    committed: Mapping[str, Collection[str]],
    task_bytes: Mapping[str, int],
    output_region: str | None = None,
) -> Plan:
    """Every job of the run, less those whose fingerprint is committed; pure.

    targets: by product name. committed: product name → fingerprints found by listing. task_bytes: region → memory one
    task may use. output_region: where committed files lie; None: wherever they are made.
    Raises MemoryRefusedError when a job cannot fit its worker.
    """
    jobs: list[Job] = []
    skipped: list[Skip] = []
    planned = Planned(output_region)
    notes: list[str] = []
    for product in in_order(products):
        target, done = targets[product.name], committed.get(product.name, ())
        if target.idle:
            notes.append(f"{product.name}: tiles are asked for in {target.idle}, but no period of it lies there")
        if product.afloat:
            found, more = argo_jobs(product, items, task_bytes[product.region])
        elif product.whole:
            found, more = whole_jobs(product, target, items, planned, task_bytes[product.region])
        elif product.source is None:
            found, more = derived_jobs(product, target, planned, task_bytes)
        else:
            found, more = _source_jobs(product, target, items, task_bytes[product.region])
        notes += more
        for job in found:
            planned.add(product, job)
            if job.fingerprint in done:
                skipped.append(Skip(job.id, job.fingerprint, "already committed"))
            else:
                jobs.append(job)
    return Plan(tuple(jobs), tuple(skipped), tuple(notes))


def _source_jobs(
    product: ProductPlan, target: Targets, items: Sequence[Item], budget_bytes: int
) -> tuple[list[Job], list[str]]:
    """The jobs of a product that is made from a source's items; and a note of the tile-periods without any."""
    index = _Footprints(
        [item for item in items if item.source == product.source and (product.keep is None or product.keep(item))]
    )
    bare = product.bare(index.items) if product.bare else None
    chooser = product.dates and DateChooser(product.dates, lambda cell: _dated_at(cell, index.touching(cell)))
    found: list[Job] = []
    empty = 0
    for tile in target.tiles:
        near = _dated_at(tile, index.touching(tile, beyond=product.beyond))
        for period in target.periods_of(tile):
            within = [item for item in near if item.time in period]
            taken = chooser.of(tile, period, within) if chooser else within
            chosen = tuple(with_bands(item, product.bands) for item in taken)
            if chosen or (bare is not None and not near and bare(tile)):
                found.append(_job(product, tile, period, chosen, budget_bytes))
            else:
                empty += 1
    note = f"{product.name}: {empty} of {empty + len(found)} tile-periods have no scene in the catalogue"
    return found, [*([note] if empty else []), *(chooser.notes if chooser else [])]


def _dated_at(tile: Tile, items: Sequence[Item]) -> list[Item]:
    """The items with the solar day at the tile's own middle: scenes of one pass share it, also across the antimeridian.

    Mean solar time: 15 degrees of longitude an hour.
    """
    middle = tile.geobox.transform @ (tile.geobox.shape[1] / 2, tile.geobox.shape[0] / 2)
    lon, _ = transformer(str(tile.geobox.crs), 4326).transform(*middle)
    ahead = timedelta(hours=lon / 15)
    return [replace(item, solar_day=(item.time + ahead).date()) for item in items]


def _job(product: ProductPlan, tile: Tile, period: Period, items: tuple[Item, ...], budget_bytes: int) -> Job:
    ordered = tuple(sorted(items, key=lambda item: (item.solar_day, item.id, item.collection)))
    shape, days = tile.geobox.shape.yx, len({item.solar_day for item in ordered})
    try:
        memory = project_memory(shape, len(ordered), days, product.holding, budget_bytes, finest_of(ordered, tile))
    except MemoryRefusedError as error:
        raise error.of(f"{product.name}/{tile.id}/{period.id}", product.region) from None
    return Job(
        product=product.name,
        kind=product.kind,
        tile=tile,
        period=period,
        region=product.region,
        items=ordered,
        fingerprint=fingerprint(job_document(product, tile, period, ordered)),
        memory=memory,
        read_bytes=sum(_read_bytes(item, tile, product.in_bytes) for item in ordered),
    )


def _read_bytes(item: Item, tile: Tile, pixel_bytes: int) -> int:
    """Stored bytes of the part of an item's bands that lies on the tile, from the declared grids."""
    return int(sum(_window_px(asset.grid, tile) for asset in item.assets.values()) * pixel_bytes * COMPRESSION)


def _window_px(grid: Grid | None, tile: Tile) -> float:
    """Pixels of a raster that lie on the tile; as many as the tile's own where its grid is not declared."""
    if grid is None:
        return float(tile.geobox.shape[0] * tile.geobox.shape[1])
    left, bottom, right, top = _overlap(grid.transform, grid.shape, outline_in(tile.geobox, grid.crs))
    a, b, _, d, e, _ = grid.transform
    return max(0.0, right - left) * max(0.0, top - bottom) / abs(a * e - b * d)


def finest_of(items: Sequence[Item], tile: Tile) -> Finest:
    """What the declared grids of all bands mean for the tile; one that is finer than all of them counts as 1:1."""
    grids = {asset.grid for item in items for asset in item.assets.values() if asset.grid is not None}
    smallest = min((pixel_m2(grid.crs, grid.transform) for grid in grids), default=math.inf)
    density = pixel_m2(str(tile.geobox.crs), tile.geobox.transform[:6]) / smallest
    whole = tile.geobox.shape[0] * tile.geobox.shape[1]
    return Finest(max(1.0, density), int(max([whole, *(_window_px(grid, tile) for grid in grids)])))


@lru_cache(maxsize=4096)
def pixel_m2(crs: str, transform: tuple[float, ...]) -> float:
    """About the area of a pixel, in its own projection; in degrees that of one at the equator."""
    a, b, _, d, e, _ = transform
    return abs(a * e - b * d) * metres_a_unit(crs) ** 2


def _overlap(
    transform: Sequence[float], shape: tuple[int, int], box: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """A grid's bounding box cut with another box; empty (left > right) where they do not meet."""
    a, b, c, d, e, f = transform
    rows, cols = shape
    x = [c, c + a * cols, c + b * rows, c + a * cols + b * rows]
    y = [f, f + d * cols, f + e * rows, f + d * cols + e * rows]
    return max(min(x), box[0]), max(min(y), box[1]), min(max(x), box[2]), min(max(y), box[3])


def padded(geobox: GeoBox, least_px: int = 0) -> GeoBox:
    """The grid and a margin around it, measured on its own plane: a degree is short near a pole, and ends at 180."""
    margin = _MARGIN_DEG if geobox.crs is not None and geobox.crs.geographic else _MARGIN_M
    across, down = (max(least_px, math.ceil(margin / abs(side))) for side in (geobox.transform.a, geobox.transform.e))
    height, width = geobox.shape.yx
    corner = geobox.transform @ Affine.translation(-across, -down)
    return GeoBox((height + 2 * down, width + 2 * across), corner, geobox.crs)


class _Footprints:
    """Spatial index over item footprints: which items a tile may need."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self._geometries = np.array([possible_footprint(item.geometry) for item in items], dtype=object)
        self._tree = shapely.STRtree(self._geometries)

    def touching(self, tile: Tile, *, beyond: bool = False) -> list[Item]:
        """What a tile may need; beyond: also what only its margin does."""
        around = padded(tile.geobox, BEYOND_PX if beyond else 0)
        found = sorted(self._tree.query(lonlat_outline(around), predicate="intersects"))
        exact = around if beyond else tile.geobox
        return [self.items[number] for number in found if self._grid_touches(self.items[number], exact)]

    @staticmethod
    def _grid_touches(item: Item, geobox: GeoBox) -> bool:
        """False only where every declared grid misses the tile: footprints may be wrong, declared grids are finer."""
        grids = [asset.grid for asset in item.assets.values()]
        for grid in grids:
            if grid is None:
                return True
            left, bottom, right, top = _overlap(grid.transform, grid.shape, outline_in(geobox, grid.crs))
            if left < right and bottom < top:
                return True
        return not grids


def by_region(jobs: Sequence[Job]) -> Iterator[tuple[str, list[Job]]]:
    """Jobs grouped by the region that holds their data, regions in alphabetical order."""
    for region in sorted({job.region for job in jobs}):
        yield region, [job for job in jobs if job.region == region]
