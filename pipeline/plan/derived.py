"""Jobs made from other jobs: which ones belong together, where they run, and what has to move for it. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import MemoryRefusedError, PlanRefusedError
from pipeline.plan.entries import COMPRESSION, ProductPlan, Targets, job_document
from pipeline.plan.fingerprint import fingerprint
from pipeline.plan.memory import project_memory
from pipeline.plan.table import Table
from pipeline.types import Job, Period, Tile, Upstream

_SHOWN = 5


@dataclass(frozen=True)
class Node:
    """A planned job as others see it that are made from it."""

    upstream: Upstream
    tile: Tile
    region: str
    stored_bytes: int


@dataclass(frozen=True)
class Planned:
    """Every job planned so far, done or not, as others see it."""

    table: Table
    output_region: str | None = None
    """Where committed files lie; None: where they were made."""

    def all_of(self, product: str) -> list[Node]:
        """Every job of a product, by tile and period."""
        nodes = [_node(self.table, number) for number in self.table.rows_of(product)]
        return sorted(nodes, key=lambda node: (node.upstream.tile_id, node.upstream.period.id))

    def of(self, product: str, tile: Tile, period: Period) -> list[Node]:
        """The jobs of a product that one of this tile and period is made from.

        That of the same period, or of none; else all that share a moment with it.
        """
        same = self.table.row_at(product, tile.id, period.id)
        numbers = self.table.rows_at(product, tile.id) if same is None else [same]
        nodes = [_node(self.table, number) for number in numbers]
        found = nodes if same is not None else [node for node in nodes if meet(node.upstream.period, period)]
        return [node for node in found if node.tile.geobox == tile.geobox]


def _node(table: Table, number: int) -> Node:
    product, tile, region, read_bytes = table.place_of(number)
    upstream = table.upstream_of(number)
    rows, columns = tile.geobox.shape.yx
    # A table of profiles is about as large as the files that it is made from.
    stored = read_bytes if product.afloat else int(rows * columns * product.out_bytes * upstream.days * COMPRESSION)
    return Node(upstream, tile, region, stored)


def in_order(products: Sequence[ProductPlan]) -> list[ProductPlan]:
    """Every product after those it is made from; otherwise as they come. Raises PlanRefusedError for a circle."""
    ordered: list[ProductPlan] = []
    left = list(products)
    while left:
        known = {product.name for product in ordered}
        ready = [product for product in left if {*product.inputs} <= known]
        if not ready:
            raise PlanRefusedError(f"products made from each other: {', '.join(product.name for product in left)}")
        ordered.append(ready[0])
        left.remove(ready[0])
    return ordered


def derived_jobs(
    product: ProductPlan, target: Targets, planned: Planned, task_bytes: Mapping[str, int], notes: list[str]
) -> Iterator[Job]:
    """The jobs of a product that is made from others, for every tile and period in which all that it needs is planned.

    notes grows by one for those in which something is missing. Raises MemoryRefusedError when a job cannot fit its
    worker.
    """
    lacking: dict[str, list[str]] = defaultdict(list)
    for tile in target.tiles:
        for period in target.periods_of(tile):
            nodes = {name: planned.of(name, tile, period) for name in product.inputs}
            missing = [name for name, ones in nodes.items() if not ones and name not in product.optional]
            for name in missing:
                lacking[name].append(f"{tile.id}/{period.id}")
            everything = [node for ones in nodes.values() for node in ones]
            if everything and not missing:
                yield _job(product, tile, period, everything, planned, task_bytes)
    notes += [
        f"{product.name}: not made in {len(places)} tile-periods without {name}: {', '.join(places[:_SHOWN])}"
        + (", ..." if len(places) > _SHOWN else "")
        for name, places in sorted(lacking.items())
    ]


def _job(
    product: ProductPlan,
    tile: Tile,
    period: Period,
    nodes: Sequence[Node],
    planned: Planned,
    task_bytes: Mapping[str, int],
) -> Job:
    upstream = tuple(node.upstream for node in nodes)
    region, crossing = _place(nodes, planned.output_region)
    job = derived_job(product, tile, period, upstream, (region, task_bytes[region]))
    origins = Counter[str]()
    for node in nodes:
        origins[node.region] += node.stored_bytes
    return replace(job, read_bytes=origins.total(), crossing_bytes=crossing, origins=tuple(sorted(origins.items())))


def derived_job(
    product: ProductPlan, tile: Tile, period: Period, upstream: tuple[Upstream, ...], where: tuple[str, int]
) -> Job:
    """The job of a product on a tile and period that is made from these. where: region, and bytes of one task there."""
    region, budget_bytes = where
    days = sum(one.days for one in upstream)
    try:
        memory = project_memory(tile.geobox.shape.yx, len(upstream), days, product.holding, budget_bytes)
    except MemoryRefusedError as error:
        raise error.of(f"{product.name}/{tile.id}/{period.id}", region) from None
    return Job(
        product=product.name,
        kind=product.kind,
        tile=tile,
        period=period,
        region=region,
        items=(),
        fingerprint=fingerprint(job_document(product, tile, period, (), upstream)),
        memory=memory,
        read_bytes=0,
        upstream=upstream,
    )


def _place(nodes: Sequence[Node], output_region: str | None) -> tuple[str, int]:
    """Where a job runs, of the regions of what it is made from, and what has to move there: as little as can be."""
    at: dict[str, int] = defaultdict(int)
    for node in nodes:
        at[output_region or node.region] += node.stored_bytes
    total = sum(at.values())
    regions = sorted({node.region for node in nodes}, key=lambda region: (-at.get(region, 0), region))
    return regions[0], total - at.get(regions[0], 0)


def serves(one: Period, other: Period) -> bool:
    """Whether a job of a period may be made from one of another: they have one name, or share a moment."""
    return one.id == other.id or meet(one, other)


def meet(one: Period, other: Period) -> bool:
    """Whether two periods share a moment; one without time shares every one."""
    starts = one.end is None or other.start is None or other.start < one.end
    return starts and (one.start is None or other.end is None or one.start < other.end)
