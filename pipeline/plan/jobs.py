"""Jobs from tiles, periods and items: the join, the fingerprints, and what is already committed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from pipeline.plan.adopted import adopted_places
from pipeline.plan.argo_jobs import argo_jobs, whole_jobs
from pipeline.plan.derived import Planned, derived_jobs, in_order
from pipeline.plan.entries import ProductPlan, Targets, job_document
from pipeline.plan.scenes import source_jobs
from pipeline.plan.table import Table
from pipeline.plan.windows import BEYOND_PX, finest_of, padded, pixel_m2
from pipeline.types import Item, Job, Plan

__all__ = ["BEYOND_PX", "ProductPlan", "Targets", "finest_of", "job_document", "padded", "pixel_m2", "plan_jobs"]


def plan_jobs(
    products: Sequence[ProductPlan],
    targets: Mapping[str, Targets],
    items: Sequence[Item],
    committed: Mapping[str, Collection[str]],
    task_bytes: Mapping[str, int],
    output_region: str | None = None,
) -> Plan:
    """Every job of the run, less those whose fingerprint is committed; pure.

    Its jobs lie in a temporary file, and each is made anew when it is asked for.

    targets: by product name. committed: product name → fingerprints, or item keys by them, found by listing; asked only
    when all is planned, or what a product is made from, so that the listing may go on meanwhile. What was adopted for a
    tile and period stands for the job there, and is the input of what is made from it. task_bytes: region → memory one
    task may use. output_region: where committed files lie; None: wherever they are made.
    Raises MemoryRefusedError when a job cannot fit its worker.
    """
    table = Table(items)
    planned = Planned(table, output_region)
    notes: list[str] = []
    asked: set[str] = set()
    for product in in_order(products):
        target = targets[product.name]
        _adopt(table, [one for one in product.inputs if one not in asked], committed)
        asked |= {*product.inputs}
        if target.idle:
            notes.append(f"{product.name}: tiles are asked for in {target.idle}, but no period of it lies there")
        table.begin(product, target)
        if not (product.afloat or product.whole or product.source is None):
            notes += source_jobs(product, target, table, task_bytes[product.region])
            continue
        for job in _other_jobs(product, target, (items, planned), task_bytes, notes):
            table.add_job(job)
    _adopt(table, [one.name for one in products if one.name not in asked], committed)
    jobs, skipped = table.split(committed)
    return Plan(jobs, skipped, tuple(notes))


def _adopt(table: Table, products: Sequence[str], committed: Mapping[str, Collection[str]]) -> None:
    for name in products:
        table.adopt(name, adopted_places(committed.get(name, ())))


def _other_jobs(
    product: ProductPlan,
    target: Targets,
    inputs: tuple[Sequence[Item], Planned],
    task_bytes: Mapping[str, int],
    notes: list[str],
) -> Iterator[Job]:
    """The jobs of a product of floats, of a whole one, or of one that is made from others; notes grows."""
    items, planned = inputs
    if product.afloat:
        found, more = argo_jobs(product, items, task_bytes[product.region])
    elif product.whole:
        found, more = whole_jobs(product, target, items, planned, task_bytes[product.region])
    else:
        yield from derived_jobs(product, target, planned, task_bytes, notes)
        return
    notes += more
    yield from found
