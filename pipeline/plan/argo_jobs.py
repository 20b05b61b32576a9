"""Jobs of what is made of floats: one a bucket of ten WMO numbers; and of what is made of all buckets. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import MemoryRefusedError
from pipeline.plan.areas import possible_footprint
from pipeline.plan.argo_names import bucket_of
from pipeline.plan.derived import Planned
from pipeline.plan.entries import ProductPlan, Targets, job_document, with_bands
from pipeline.plan.fingerprint import fingerprint
from pipeline.plan.memory import BASE_BYTES, project_memory
from pipeline.plan.outlines import lonlat_outline
from pipeline.plan.periods import STATIC
from pipeline.types import FloatBucket, Item, Job, MemoryPlan, Period, Tile, Upstream

GLOBE = GeoBox((180, 360), Affine(1.0, 0.0, -180.0, 0.0, -1.0, 90.0), "EPSG:4326")
_FILE_BYTES = 60_000
"""Of a profile file whose size no index says: single files are 18 to 60 kB, those with biogeochemistry larger."""
_HELD = 6
"""What a job holds for each stored byte of its files: arrays, tables, and the file being written (see the tests)."""
_ROOM_BYTES = 256 * 2**20
"""Of the files that are on their way at once, whatever their number."""
_SHOWN = 5
_SCENE_BYTES = 2**20
"""Of the windows of one scene, in all bands."""
_MULTI_FILES = 100
"""About how many profiles a file of a whole float holds."""


def argo_jobs(product: ProductPlan, items: Sequence[Item], budget_bytes: int) -> tuple[list[Job], list[str]]:
    """One job for each bucket of floats that has a file; and nothing to note.

    items: one a float, its id the WMO number. Raises MemoryRefusedError where a bucket does not fit a worker.
    """
    buckets: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.source == product.source and item.assets:
            buckets[bucket_of(int(item.id))].append(item)
    return [_job(product, name, buckets[name], budget_bytes) for name in sorted(buckets)], []


def left_buckets(product: ProductPlan, items: Sequence[Item], keys: Iterable[str]) -> tuple[str, ...]:
    """A note of committed buckets of which no float is listed any more: no job looks at them, so they stay.

    keys: of the product's committed items. Only an index that lists everything can tell, and who asks for all floats of
    it; one without any float of ours is rather a wrong question than the end of all floats.
    """
    mine = [item for item in items if item.source == product.source]
    if not mine or not all(item.properties.get("argo:complete") and item.properties.get("argo:whole") for item in mine):
        return ()
    listed = {bucket_of(int(item.id)) for item in mine if item.assets}
    left = sorted({key.rpartition("/")[2].partition("_")[0] for key in keys} - listed)
    if not left:
        return ()
    shown = ", ".join(left[:_SHOWN]) + (", …" if len(left) > _SHOWN else "")
    told = f"{product.name}: of {len(left)} committed buckets the index lists no float any more, and they stay: {shown}"
    folders = f"data/{product.name}/<bucket>/ and items/{product.name}/<bucket>_*"
    return (f"{told}; where the floats were withdrawn, delete {folders}",)


def _job(product: ProductPlan, bucket: str, items: Iterable[Item], budget_bytes: int) -> Job:
    tile = FloatBucket(bucket, GLOBE)
    ordered = tuple(sorted(items, key=lambda item: int(item.id)))
    files = sum(_MULTI_FILES if "profiles/" not in key else 1 for item in ordered for key in item.assets)
    read_bytes = files * _FILE_BYTES
    needed = BASE_BYTES + min(_ROOM_BYTES, read_bytes) + read_bytes * _HELD
    if needed > budget_bytes:
        raise MemoryRefusedError(
            f"{product.name}/{bucket}: {files} profile files need about {needed:,} bytes; a task may use "
            f"{budget_bytes:,}. Raise clusters.{product.region}.worker_memory, or lower its threads",
            needed,
        ).of(f"{product.name}/{bucket}/{STATIC.id}", product.region)
    return Job(
        product=product.name,
        kind=product.kind,
        tile=tile,
        period=STATIC,
        region=product.region,
        items=ordered,
        fingerprint=fingerprint(job_document(product, tile, STATIC, ordered)),
        memory=MemoryPlan(1, needed),
        read_bytes=read_bytes,
    )


def whole_jobs(
    product: ProductPlan, target: Targets, items: Sequence[Item], planned: Planned, budget_bytes: int
) -> tuple[list[Job], list[str]]:
    """One job for each of the product's own tiles and periods, made from every bucket that is planned or committed.

    items: of its source, where it has one too; those within a period, and `around` it, are inputs. And a note where
    there is nothing to make it from. Raises MemoryRefusedError.
    """
    nodes = [node for name in product.inputs for node in planned.all_of(name)]
    upstream = tuple(node.upstream for node in nodes)
    mine = [with_bands(item, product.bands) for item in items if item.source == product.source]
    if not upstream:
        return [], [f"{product.name}: nothing is planned of {', '.join(product.inputs)}, which it is made from"]
    made, stored = Counter[str](), Counter[str]()
    for node in nodes:
        made[node.region] += node.stored_bytes
        stored[planned.output_region or node.region] += node.stored_bytes
    found = []
    for tile in target.tiles:
        here = [item for item in mine if possible_footprint(item.geometry).intersects(lonlat_outline(tile.geobox))]
        for period in target.periods_of(tile):
            chosen = tuple(sorted((one for one in here if _near(one, period, product)), key=lambda one: one.key))
            if product.source is not None and not chosen:
                continue
            planned_as = _as_small(product, stored.total(), len(chosen))
            job = whole_job(planned_as, tile, period, (chosen, upstream), budget_bytes)
            crossing = stored.total() - stored[product.region]
            origins = tuple(sorted(made.items()))
            found.append(replace(job, read_bytes=stored.total(), crossing_bytes=crossing, origins=origins))
    empty = len(target.tiles) * len(target.periods) - len(found)
    return found, [f"{product.name}: {empty} tile-periods have no scene in the catalogue"] if empty else []


def _as_small(product: ProductPlan, stored_bytes: int, scenes: int) -> ProductPlan:
    """What looks at scenes holds no more than its inputs and their windows: a few floats fit a small worker."""
    if product.source is None:
        return product
    held = min(product.holding.fixed_bytes, stored_bytes * _HELD + scenes * _SCENE_BYTES)
    return replace(product, holding=replace(product.holding, fixed_bytes=held))


def _near(item: Item, period: Period, product: ProductPlan) -> bool:
    after = period.start is None or item.time >= period.start - product.around
    return after and (period.end is None or item.time < period.end + product.around)


def whole_job(
    product: ProductPlan,
    tile: Tile,
    period: Period,
    inputs: tuple[tuple[Item, ...], tuple[Upstream, ...]],
    budget_bytes: int,
) -> Job:
    """The job of a whole product on a tile and period that is made from these items and jobs."""
    items, upstream = inputs
    try:
        memory = project_memory(tile.geobox.shape.yx, 1, 1, product.holding, budget_bytes)
    except MemoryRefusedError as error:
        raise error.of(f"{product.name}/{tile.id}/{period.id}", product.region) from None
    return Job(
        product=product.name,
        kind=product.kind,
        tile=tile,
        period=period,
        region=product.region,
        items=items,
        fingerprint=fingerprint(job_document(product, tile, period, items, upstream)),
        memory=memory,
        read_bytes=0,
        upstream=upstream,
    )
