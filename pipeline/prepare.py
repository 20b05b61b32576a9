"""From a config to a plan: the cheap phase, joined once for `pipeline.run` and for every verb that asks 'what if'."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from pipeline.config import GridConfig, ProductConfig, RunConfig, SourceConfig, load_config
from pipeline.config.options import Options
from pipeline.errors import ConfigError
from pipeline.execute.driver.listings import Listings
from pipeline.floats import Afloat, environment_sets, find_floats, selections
from pipeline.plan.argo_jobs import left_buckets
from pipeline.plan.argo_select import Selection
from pipeline.plan.jobs import ProductPlan, Targets, plan_jobs
from pipeline.plan.made import by_product
from pipeline.plan.memory import first_fit
from pipeline.plan.narrow import narrow
from pipeline.plan.neighbours import with_neighbours
from pipeline.plan.only import Chosen, only
from pipeline.plan.periods import STATIC, idle_years, periods_by_tile, periods_of
from pipeline.plan.tiles import plan_tiles
from pipeline.products import load_product, product_models
from pipeline.read.access import Access
from pipeline.read.raster import attempt
from pipeline.search.area import read_area
from pipeline.search.asked import queries
from pipeline.search.query import Query
from pipeline.search.snapshot import HeaderReader, Snapshot, read_snapshot, search, select_items
from pipeline.types import Asset, Grid, Item, Job, Plan, Tile
from pipeline.write.cog import CogOptions
from pipeline.write.commit import list_committed
from pipeline.write.partition import list_partitions
from pipeline.write.store import Store, open_store
from pipeline.write.tile import WriteOptions
from pipeline.write.zarr import ZarrOptions

Aliases = dict[str, dict[str, tuple[str, ...]]]
"""Source → band of this project → names that mean it."""


@dataclass(frozen=True)
class Asked:
    """Everything that decides what a search finds: where two are equal, so is what was found."""

    catalogues: tuple[Mapping[str, SourceConfig], Mapping[str, Query], Aliases]
    """Sources with what each was asked, and the bands whose grids are needed."""
    floats: tuple[Mapping[str, SourceConfig], Mapping[str, Selection]]
    """Sources of Argo, and what chooses among their floats, with the area as its file has it now."""


@dataclass(frozen=True)
class Prepared:
    """A plan, and what it was made from."""

    store: Store
    snapshot: Snapshot
    products: tuple[ProductPlan, ...]
    targets: Mapping[str, Targets]
    items: tuple[Item, ...]
    plan: Plan
    task_bytes: Mapping[str, int]
    """By region, the memory that one task may use: of what was offered, the first that all jobs fit."""
    afloat: Afloat = field(default_factory=Afloat)
    """The floats of its sources of Argo."""
    committed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By product, item key by fingerprint of what was committed; empty where it is made anew anyway."""
    since: str | None = None
    """Of `removals`, from before that was listed."""
    asked: Asked | None = None
    """By what snapshot and floats were found; None where they were replayed from a file."""


def load_run(options: Options) -> RunConfig:
    """The config of a run, with what the environment and the command line say; the latter has the last word.

    Raises ConfigError.
    """
    sets = (*environment_sets(options.config), *options.all_sets)
    return load_config(options.config, product_models(), sets, options.output)


def prepare(
    config: RunConfig,
    offers: Mapping[str, Sequence[int]],
    *,
    snapshot: Path | Prepared | None = None,
    overwrite: bool = False,
    narrowed: bool = False,
    chosen: Chosen | None = None,
) -> Prepared:
    """Search (or replay a snapshot), list what is committed, and plan the rest.

    snapshot: a run's `items.parquet`, replayed whatever is asked; or an earlier plan, what was found for which counts
    as far as the same is asked again.
    narrowed: for this time only some floats are asked for, so nothing is made that is of all of them together.
    chosen: the only jobs that are wanted, as the whole plan has them; little more is searched and planned than they
    need. None: all. offers: region → memory that one task may use, the best one first; a larger one is taken where a
    job needs it.
    Raises ConfigError, CatalogError, StoreError, PlanRefusedError.
    """
    store = open_output(config, config.output)
    products = plan_products(config)
    committed = Listings(store, {one.name: _listing(one) for one in products} if not overwrite else {})
    whole = plan_targets(config, products)
    targets = whole if chosen is None else narrow(products, whole, chosen.ids)
    needed = [product for product in products if product.name in targets]
    floats = any(one.afloat for one in needed) or chosen is None
    ask = partial(queries, config, {one.name: one for one in products}, targets, whole)
    found, afloat, asked = _find(config, ask, snapshot, floats=floats)
    items = (*select_items(found, _aliases(config), config.sources), *afloat.items)
    planned = [product for product in needed if not (narrowed and product.whole)]
    plan, taken = first_fit(
        lambda task_bytes: plan_jobs(planned, targets, items, committed, task_bytes, config.storage.region),
        offers,
    )
    plan = with_neighbours(plan, targets)
    if chosen is not None:
        plan = only(plan, chosen)
    entries = [entry for entry in config.products if entry.name in targets]
    told = (load_product(entry.product).notes(entry, _of_sources(items, entry.sources)) for entry in entries)
    left = [f"{one.name}: not made from a choice of floats" for one in needed if one not in planned]
    for one in needed:
        left += left_buckets(one, items, committed.get(one.name, {}).values()) if one.afloat else ()
    plan = replace(plan, notes=(*found.notes, *afloat.notes, *left, *chain.from_iterable(told), *plan.notes))
    return Prepared(
        store, found, products, targets, items, plan, taken, afloat, dict(committed), committed.since, asked
    )


def _find(
    config: RunConfig, ask: Callable[[], Mapping[str, Query]], snapshot: Path | Prepared | None, *, floats: bool
) -> tuple[Snapshot, Afloat, Asked | None]:
    """What catalogues and indices have, or an earlier plan or a file has of them. Raises CatalogError."""
    if isinstance(snapshot, Path):
        catalogues = any(source.gdac is None for source in config.sources.values())
        found = read_snapshot(snapshot) if catalogues else Snapshot(())
        return found, find_floats(config, snapshot) if floats else Afloat(), None
    questions, aliases = ask(), _aliases(config)
    sources = {name: config.sources[name] for name in questions}
    argo = {name: source for name, source in config.sources.items() if source.gdac is not None and floats}
    asked = Asked((sources, questions, aliases), (argo, selections(config) if floats else {}))
    before = snapshot.asked if snapshot is not None else None
    if snapshot is not None and before is not None and before.catalogues == asked.catalogues:
        found = snapshot.snapshot
    else:
        found = search(sources, questions, _header_reader(config), aliases)
    if snapshot is not None and before is not None and before.floats == asked.floats:
        return found, snapshot.afloat, asked
    return found, find_floats(config) if floats else Afloat(), asked


def _listing(product: ProductPlan) -> Callable[[Store, str], Mapping[str, str]]:
    return list_partitions if product.afloat else list_committed


def _of_sources(items: Sequence[Item], sources: Collection[str]) -> list[Item]:
    return [item for item in items if item.source in sources]


def plan_products(config: RunConfig) -> tuple[ProductPlan, ...]:
    """What the planner needs to know of each entry, in the order of the config."""
    entries = {entry.name: entry for entry in config.products}
    plans: dict[str, ProductPlan] = {}

    def plan(entry: ProductConfig) -> ProductPlan:
        if entry.name not in plans:
            upstream = {name: plan(entries[name]) for name in entry.upstream}
            write = write_options(config, entry)
            plans[entry.name] = load_product(entry.product).plan(entry, config.region_of(entry), write, upstream)
        return plans[entry.name]

    planned = tuple(plan(entry) for entry in config.products)
    _check_ranges(config, {one.name: one.layers for one in planned})
    return planned


def _check_ranges(config: RunConfig, layers: Mapping[str, frozenset[str] | None]) -> None:
    """Raise ConfigError for a limit of a band that nothing makes, as far as that is known before the inputs are."""
    places = [("run.quality", config.run.quality, [*layers.values()])]
    places += [(f"{one.name}: quality", one.quality, [layers[one.name]]) for one in config.products if one.quality]
    for place, quality, made in places:
        known = [names for names in made if names is not None]
        unknown = quality.band_ranges.keys() - frozenset().union(*known)
        if unknown and len(known) == len(made):
            found, allowed = (", ".join(sorted(names)) for names in (unknown, frozenset().union(*known)))
            raise ConfigError(f"{place}.band_ranges: no layer is named {found}; allowed: {allowed}")


def plan_targets(config: RunConfig, products: Sequence[ProductPlan] = ()) -> dict[str, Targets]:
    """Tiles and periods of each product; an area's file is read once for each grid."""
    own = {product.name: product.tiles or () for product in products if product.afloat or product.whole}
    areas: dict[GridConfig, tuple[tuple[Tile, ...], Mapping[str, frozenset[int]] | None]] = {}
    targets = {}
    for entry in config.products:
        if entry.name in own:
            targets[entry.name] = Targets(
                own[entry.name], (STATIC,) if entry.timeless else periods_of(config.period_of(entry))
            )
            continue
        grid = config.grid_of(entry)
        if grid not in areas:
            area = read_area(config.area, grid)
            areas[grid] = plan_tiles(area, grid), area.years
        tiles, years = areas[grid]
        periods = (STATIC,) if entry.timeless else periods_of(config.period_of(entry))
        targets[entry.name] = Targets(tiles, periods, periods_by_tile(periods, years), idle_years(periods, years))
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
        # Where the files of a GDAC lie, and of its copy, the config says, and no catalogue.
        local=source.gdac is not None or (source.items is not None and "://" not in source.items),
    )


def open_output(config: RunConfig, uri: str) -> Store:
    """A store that is reached as the output is."""
    storage = config.storage
    return open_store(uri, endpoint=storage.endpoint, profile=storage.profile, anonymous=storage.anonymous)


def output_access(config: RunConfig) -> Access:
    """How committed files are read again."""
    storage = config.storage
    local = "://" not in config.output
    return Access(endpoint=storage.endpoint, profile=storage.profile, anonymous=storage.anonymous, local=local)


def access_for(config: RunConfig, entry: ProductConfig) -> Access:
    """How the files are opened that a product is made from: those of its source, or of the products it is made from."""
    return access_of(config.sources[entry.sources[0]]) if entry.sources else output_access(config)


def write_options(config: RunConfig, entry: ProductConfig) -> WriteOptions:
    """In which formats a product is written, and how."""
    write = config.write_of(entry)
    return WriteOptions(
        cog=CogOptions(**write.cog.model_dump()) if write.cog else None,
        zarr=ZarrOptions(**write.zarr.model_dump()) if write.zarr else None,
    )


def _aliases(config: RunConfig) -> Aliases:
    """Per source, every band that any of its products reads.

    Raises ConfigError where two of them mean different files by one band: they are of different sensors.
    """
    aliases: dict[str, dict[str, tuple[str, ...]]] = {}
    readers: dict[tuple[str, str], str] = {}
    for entry in config.products:
        bands = load_product(entry.product).aliases(entry)
        for source in entry.sources:
            known = aliases.setdefault(source, {})
            for band, names in bands.items():
                first = readers.setdefault((source, band), entry.name)
                if known.setdefault(band, tuple(names)) != tuple(names):
                    raise ConfigError(
                        f"products {first} and {entry.name} both read source {source}, and mean different files by "
                        f"{band}; allowed: products of one sensor; give each sensor a source of its own"
                    )
    return aliases


def _header_reader(config: RunConfig) -> HeaderReader:
    def read(source: str, asset: Asset) -> Grid:
        return attempt(asset, access_of(config.sources[source]), "", lambda raster: raster.grid)

    return read


def remote_products(jobs: Sequence[Job], store: Store) -> set[str]:
    """Products whose files come over the network: all files of one product lie in one place, so one of them tells."""
    found = set()
    for product, of_product in by_product(jobs):
        for job in of_product:
            places = [asset.href for item in job.items[:1] for asset in item.assets.values()][:1]
            places += [store.uri] if job.upstream else []
            if any("://" in place for place in places):
                found.add(product)
            if places:
                break
    return found
