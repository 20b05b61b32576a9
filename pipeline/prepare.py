"""From a config to a plan: the cheap phase, joined once for `pipeline.run` and for every verb that asks 'what if'."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from pipeline.config import GridConfig, ProductConfig, RunConfig, SourceConfig
from pipeline.plan.jobs import ProductPlan, Targets, plan_jobs
from pipeline.plan.outlines import covering_boxes
from pipeline.plan.periods import periods_of
from pipeline.plan.tiles import plan_tiles
from pipeline.products import load_product
from pipeline.read.access import Access
from pipeline.read.raster import attempt
from pipeline.search.area import read_area
from pipeline.search.catalog import Query
from pipeline.search.snapshot import HeaderReader, Snapshot, read_snapshot, search, select_items
from pipeline.types import Asset, Grid, Item, Plan, Tile
from pipeline.write.cog import CogOptions
from pipeline.write.commit import list_committed
from pipeline.write.store import Store, open_store
from pipeline.write.tile import WriteOptions
from pipeline.write.zarr import ZarrOptions


@dataclass(frozen=True)
class Prepared:
    """A plan, and what it was made from."""

    store: Store
    snapshot: Snapshot
    products: tuple[ProductPlan, ...]
    targets: Mapping[str, Targets]
    items: tuple[Item, ...]
    plan: Plan


def prepare(
    config: RunConfig, task_bytes: Mapping[str, int], *, snapshot: Path | None = None, overwrite: bool = False
) -> Prepared:
    """Search (or replay a snapshot), list what is committed, and plan the rest.

    task_bytes: region → memory one task may use. Raises CatalogError, StoreError, PlanRefusedError.
    """
    storage = config.storage
    store = open_store(config.output, endpoint=storage.endpoint, profile=storage.profile, anonymous=storage.anonymous)
    products = tuple(
        load_product(entry.product).plan(entry, config.region_of(entry), write_options(config, entry))
        for entry in config.products
    )
    targets = plan_targets(config)
    if snapshot is not None:
        found = read_snapshot(snapshot)
    else:
        spans = [config.period_of(entry) for entry in config.products]
        boxes = covering_boxes([tile for target in targets.values() for tile in target.tiles])
        query = Query(boxes, min(span.start for span in spans), max(span.end for span in spans))
        found = search(config.sources, query, _header_reader(config), _aliases(config))
    items = select_items(found, _aliases(config), config.sources)
    committed: dict[str, Collection[str]] = {}
    if not overwrite:
        committed = {product.name: list_committed(store, product.name) for product in products}
    plan = plan_jobs(products, targets, items, committed, task_bytes)
    told = (load_product(entry.product).notes(entry, _of_source(items, entry.source)) for entry in config.products)
    plan = replace(plan, notes=(*found.notes, *chain.from_iterable(told), *plan.notes))
    return Prepared(store, found, products, targets, items, plan)


def _of_source(items: Sequence[Item], source: str) -> list[Item]:
    return [item for item in items if item.source == source]


def plan_targets(config: RunConfig) -> dict[str, Targets]:
    """Tiles and periods of each product; an area's file is read once for each grid."""
    tiles: dict[GridConfig, tuple[Tile, ...]] = {}
    targets = {}
    for entry in config.products:
        grid = config.grid_of(entry)
        if grid not in tiles:
            tiles[grid] = plan_tiles(read_area(config.area, grid), grid)
        targets[entry.name] = Targets(tiles[grid], periods_of(config.period_of(entry)))
    return targets


def access_of(source: SourceConfig) -> Access:
    """How the files of a source are opened."""
    storage = source.storage
    return Access(
        sign=source.sign,
        collection=source.collection[0] if source.collection else "",
        s3_credentials=source.s3_credentials,
        endpoint=storage.endpoint if storage else None,
        profile=storage.profile if storage else None,
        anonymous=storage.anonymous if storage else False,
        local=source.items is not None and "://" not in source.items,
    )


def write_options(config: RunConfig, entry: ProductConfig) -> WriteOptions:
    """In which formats a product is written, and how."""
    write = config.write_of(entry)
    return WriteOptions(
        cog=CogOptions(**write.cog.model_dump()) if write.cog else None,
        zarr=ZarrOptions(**write.zarr.model_dump()) if write.zarr else None,
    )


def _aliases(config: RunConfig) -> dict[str, dict[str, tuple[str, ...]]]:
    """Per source, every band that any of its products reads."""
    aliases: dict[str, dict[str, tuple[str, ...]]] = {}
    for entry in config.products:
        bands = load_product(entry.product).aliases(entry)
        aliases.setdefault(entry.source, {}).update({band: tuple(names) for band, names in bands.items()})
    return aliases


def _header_reader(config: RunConfig) -> HeaderReader:
    def read(source: str, asset: Asset) -> Grid:
        return attempt(asset, access_of(config.sources[source]), "", lambda raster: raster.grid)

    return read
