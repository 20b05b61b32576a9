"""Jobs from tiles, periods and items: the join, the fingerprints, and what is already committed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.plan.areas import possible_footprint
from pipeline.plan.curves import metres_a_unit, transformer
from pipeline.plan.fingerprint import fingerprint, fingerprint_document, input_identity
from pipeline.plan.memory import Finest, Holding, project_memory
from pipeline.plan.outlines import lonlat_outline, outline_in
from pipeline.types import Grid, Item, Job, Json, Period, Plan, Skip, Tile

_MARGIN_M, _MARGIN_DEG = 1000.0, 0.01
"""Catalogue footprints are simplified; a scene that misses a tile by less than about a kilometre is still asked."""
_COMPRESSION = 0.65
"""Stored bytes per decoded byte of a 16-bit band; measured 0.6-0.7 on Sentinel-2 COGs."""


@dataclass(frozen=True)
class ProductPlan:
    """What the planner needs to know of one product entry of the config; made by the product itself."""

    name: str
    kind: str
    version: int
    parameters: Json
    """Everything of the entry that changes pixels or files, JSON-shaped."""
    source: str
    region: str
    bands: tuple[str, ...]
    """Logical names of the assets a job reads."""
    holding: Holding
    """What making a tile holds, for the memory plan."""
    facts: tuple[str, ...] = ()
    """Item properties that decide how the numbers are read; the fingerprint holds them."""


@dataclass(frozen=True)
class Targets:
    """Where and when: a product is made for each tile and period."""

    tiles: tuple[Tile, ...]
    periods: tuple[Period, ...]


def plan_jobs(
    products: Sequence[ProductPlan],
    targets: Mapping[str, Targets],
    items: Sequence[Item],
    committed: Mapping[str, Collection[str]],
    task_bytes: Mapping[str, int],
) -> Plan:
    """Every job of the run, less those whose fingerprint is committed; pure.

    targets: by product name. committed: product name → fingerprints found by listing. task_bytes: region → memory one
    task may use.
    Raises PlanRefusedError when a job cannot fit its worker.
    """
    jobs: list[Job] = []
    skipped: list[Skip] = []
    empty = 0
    for product in products:
        index = _Footprints([item for item in items if item.source == product.source])
        done = committed.get(product.name, ())
        for tile in targets[product.name].tiles:
            near = _dated_at(tile, index.touching(tile))
            for period in targets[product.name].periods:
                chosen = tuple(_with_bands(item, product.bands) for item in near if item.time in period)
                if not chosen:
                    empty += 1
                    continue
                job = _job(product, tile, period, chosen, task_bytes[product.region])
                if job.fingerprint in done:
                    skipped.append(Skip(job.id, job.fingerprint, "already committed"))
                else:
                    jobs.append(job)
    notes = (
        (f"{empty} of {empty + len(jobs) + len(skipped)} tile-periods have no scene in the catalogue",) if empty else ()
    )
    return Plan(tuple(jobs), tuple(skipped), notes)


def _dated_at(tile: Tile, items: Sequence[Item]) -> list[Item]:
    """The items with the solar day at the tile's own middle: scenes of one pass share it, also across the antimeridian.

    Mean solar time: 15 degrees of longitude an hour.
    """
    middle = tile.geobox.transform @ (tile.geobox.shape[1] / 2, tile.geobox.shape[0] / 2)
    lon, _ = transformer(str(tile.geobox.crs), 4326).transform(*middle)
    ahead = timedelta(hours=lon / 15)
    return [replace(item, solar_day=(item.time + ahead).date()) for item in items]


def job_document(product: ProductPlan, tile: Tile, period: Period, items: Sequence[Item]) -> Json:
    """The document a job's fingerprint is the digest of."""
    inputs = [input_identity(item, product.facts) for item in items]
    return fingerprint_document(product.kind, product.version, product.parameters, tile, period, inputs)


def _job(product: ProductPlan, tile: Tile, period: Period, items: tuple[Item, ...], budget_bytes: int) -> Job:
    ordered = tuple(sorted(items, key=lambda item: (item.solar_day, item.id, item.collection)))
    days = len({item.solar_day for item in ordered})
    return Job(
        product=product.name,
        kind=product.kind,
        tile=tile,
        period=period,
        region=product.region,
        items=ordered,
        fingerprint=fingerprint(job_document(product, tile, period, ordered)),
        memory=project_memory(
            tile.geobox.shape.yx, len(ordered), days, product.holding, budget_bytes, finest_of(ordered, tile)
        ),
        read_bytes=sum(_read_bytes(item, tile) for item in ordered),
    )


def _with_bands(item: Item, bands: tuple[str, ...]) -> Item:
    return replace(item, assets={band: item.assets[band] for band in bands if band in item.assets})


def _read_bytes(item: Item, tile: Tile) -> int:
    """Stored bytes of the part of an item's bands that lies on the tile, from the declared grids."""
    return int(sum(_window_px(asset.grid, tile) for asset in item.assets.values()) * 2 * _COMPRESSION)


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


def _padded(geobox: GeoBox) -> GeoBox:
    """The grid and a margin around it, measured on its own plane: a degree is short near a pole, and ends at 180."""
    margin = _MARGIN_DEG if geobox.crs is not None and geobox.crs.geographic else _MARGIN_M
    across, down = math.ceil(margin / abs(geobox.transform.a)), math.ceil(margin / abs(geobox.transform.e))
    height, width = geobox.shape.yx
    corner = geobox.transform @ Affine.translation(-across, -down)
    return GeoBox((height + 2 * down, width + 2 * across), corner, geobox.crs)


class _Footprints:
    """Spatial index over item footprints: which items a tile may need."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._geometries = np.array([possible_footprint(item.geometry) for item in items], dtype=object)
        self._tree = shapely.STRtree(self._geometries)

    def touching(self, tile: Tile) -> list[Item]:
        found = sorted(self._tree.query(lonlat_outline(_padded(tile.geobox)), predicate="intersects"))
        return [self._items[number] for number in found if self._grid_touches(self._items[number], tile)]

    @staticmethod
    def _grid_touches(item: Item, tile: Tile) -> bool:
        """False only where every declared grid misses the tile: footprints may be wrong, declared grids are finer."""
        grids = [asset.grid for asset in item.assets.values()]
        for grid in grids:
            if grid is None:
                return True
            left, bottom, right, top = _overlap(grid.transform, grid.shape, outline_in(tile.geobox, grid.crs))
            if left < right and bottom < top:
                return True
        return not grids


def by_region(jobs: Sequence[Job]) -> Iterator[tuple[str, list[Job]]]:
    """Jobs grouped by the region that holds their data, regions in alphabetical order."""
    for region in sorted({job.region for job in jobs}):
        yield region, [job for job in jobs if job.region == region]
