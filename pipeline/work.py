"""What a run hands to its clusters: jobs as the tasks they are made in, and what workers must know besides a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cluster.sizing import task_threads
from cluster.spec import ClusterSpec
from pipeline.config import RunConfig, redacted
from pipeline.execute.records.recipe import write_recipe
from pipeline.execute.worker.task import Assignment
from pipeline.placement import versions_check
from pipeline.plan.groups import Work, group_jobs
from pipeline.plan.memory import READS_IN_FLIGHT
from pipeline.prepare import Prepared, access_for, remote_products, write_options
from pipeline.products._base import Context
from pipeline.types import Job


def plan_work(jobs: Sequence[Job], config: RunConfig, prepared: Prepared, specs: Mapping[str, ClusterSpec]) -> Work:
    """Jobs as the tasks they are run in: neighbours together, where there are enough of them for every core."""
    # What waits for others waits for no more than it needs itself.
    holdings = {one.name: one.holding for one in prepared.products if not (one.alone or one.inputs)}
    slots = {region: spec.total_slots for region, spec in specs.items()}
    return group_jobs(jobs, holdings, slots, prepared.task_bytes, config.run.super_tile)


@dataclass(frozen=True)
class Terms:
    """What of a run its workers go by, beside config and plan."""

    overwrite: bool = False
    run_id: str | None = None
    """Of the run that claims what it makes; None: nothing is claimed."""
    tasks: Mapping[str, int] = field(default_factory=dict)
    """By region, how many there will be, where it is known."""
    fitted: Mapping[str, ClusterSpec] = field(default_factory=dict)
    """By region, the clusters for that many."""


def assign(
    config: RunConfig, prepared: Prepared, specs: Mapping[str, ClusterSpec], terms: Terms | None = None
) -> dict[str, Assignment]:
    """What workers must know besides a job, by product name."""
    terms = terms or Terms()
    assignments = {}
    written, remote = redacted(config), remote_products(prepared.plan.jobs, prepared.store)
    differs = versions_check(specs)
    for entry, plan, text in zip(config.products, prepared.products, written["products"], strict=True):
        missing = config.missing_assets_of(entry)
        access = access_for(config, entry)
        spec = terms.fitted.get(plan.region, specs[plan.region])
        threads = task_threads(spec, terms.tasks.get(plan.region, spec.slots))
        context = Context(
            access=access,
            write=write_options(config, entry),
            skip_missing=missing.policy == "skip",
            max_missing_fraction=missing.max_fraction,
            # Reads from disk are decoding, so one thread a core; reads over the network are waiting.
            threads=READS_IN_FLIGHT if plan.name in remote else threads,
            store=prepared.store,
        )
        source = written["sources"][entry.sources[0]] if entry.sources else {"storage": written["storage"]}
        assignments[plan.name] = Assignment(
            entry,
            context,
            prepared.store,
            plan,
            terms.overwrite,
            config.run.retries,
            write_recipe(text, source, context),
            config.quality_of(entry),
            differs,
            terms.run_id,
        )
    return assignments
