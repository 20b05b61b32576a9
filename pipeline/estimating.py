"""Where an estimate is joined: a plan, its clusters' prices, headers of its files, and what earlier runs took."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np

from cluster.spec import ClusterSpec, CoiledSpec, PodSpec
from pipeline.config import RunConfig
from pipeline.errors import PreflightError
from pipeline.execute.records.learned import History, read_history
from pipeline.placement import specs_for
from pipeline.plan.cost import Known, Machines, Made, estimate
from pipeline.plan.crossing import crossings
from pipeline.plan.groups import Work
from pipeline.plan.prices import Worker, instance_types, price
from pipeline.plan.rates import Features, learn
from pipeline.prepare import Prepared, access_of, remote_products, write_options
from pipeline.read.layout import sample_layouts
from pipeline.types import Asset, Estimate, Job, Range
from pipeline.types.estimate import Layout

_WITHIN_S = 10.0
"""How long headers may take: of a source that does not answer, a plan is still made."""


def estimate_run(
    config: RunConfig, prepared: Prepared, specs: Mapping[str, ClusterSpec], work: Work, *, network: bool = True
) -> Estimate:
    """What a plan is likely to take and to cost. network: False where nothing may be asked of other machines.

    Raises nothing of its own: what cannot be found out is assumed, and the estimate's notes say so.
    """
    jobs = prepared.plan.jobs
    if not jobs:
        return Estimate((), (), Range.exact(0.0), "nothing is left to do")
    history = read_history(prepared.store)
    needed = specs_for("", config, specs, work)
    layouts, notes = _layouts(config, prepared, network=network)
    remote = remote_products(jobs, prepared.store)
    far = {one.region for one in prepared.products if one.name in remote}
    known = Known(
        {region: _machines(config, spec, history, near=region not in far) for region, spec in needed.items()},
        _made(config, prepared),
        layouts,
        _egress(config, prepared, needed),
        notes,
    )
    return estimate(jobs, work, known)


def refuse_budget(made: Estimate, budget_usd: float | None) -> None:
    """Raise PreflightError for a run that is likely to cost more than `run.budget_usd`."""
    if budget_usd is not None and made.usd.mid > budget_usd:
        raise PreflightError(
            f"run.budget_usd is {budget_usd:g} USD, and the run is likely to cost {made.usd.mid:.2f} USD "
            f"({made.usd.low:.2f} to {made.usd.high:.2f}): raise it, or ask for fewer tiles, periods or products"
        )


def job_features(jobs: Sequence[Job]) -> Callable[[str], Features | None]:
    """What the duration of each job is told from, by its id; some 40 bytes a job, however many there are."""
    names, numbers = np.empty(len(jobs), np.int64), np.empty((len(jobs), 3), np.int64)
    kinds: dict[str, int] = {}
    of_kind = np.empty(len(jobs), np.uint16)
    for place, job in enumerate(jobs):
        rows, columns = job.tile.geobox.shape.yx
        names[place] = hash(job.id)
        numbers[place] = rows * columns, len(job.items) or len(job.upstream), job.read_bytes
        of_kind[place] = kinds.setdefault(job.kind, len(kinds))
    order = np.argsort(names)
    named = list(kinds)

    def features(job_id: str) -> Features | None:
        place = int(np.searchsorted(names, hash(job_id), sorter=order))
        if place == len(order) or names[order[place]] != hash(job_id):
            return None
        row = order[place]
        px, scenes, read_bytes = numbers[row].tolist()
        return Features(named[of_kind[row]], px, scenes, read_bytes)

    return features


def _machines(config: RunConfig, spec: ClusterSpec, history: History, *, near: bool) -> Machines:
    """near: its jobs read from disks; what a machine makes of these tells little of what it makes of a network."""
    asked = config.cluster_of(spec.region)
    pod = spec if isinstance(spec, PodSpec) else None
    worker = Worker(
        spec.backend,
        spec.located,
        spec.threads,
        spec.worker_memory_bytes,
        spot=spec.spot if isinstance(spec, PodSpec | CoiledSpec) else False,
        cores=spec.cores,
        machines=spec.vm_types if isinstance(spec, CoiledSpec) else instance_types(pod.node_selector) if pod else (),
        scheduler_cores=pod.scheduler_cores if pod else 0.0,
        scheduler_memory_bytes=pod.scheduler_memory_bytes if pod else 0,
        given_usd=asked.usd_per_worker_hour,
    )
    priced = price(worker)
    here = platform.node() if near else f"{platform.node()}, over the network"
    machine = here if spec.backend == "local" else priced.machine
    shards = getattr(spec, "shards", 1)
    return Machines(
        spec.backend,
        spec.located,
        machine,
        workers=spec.workers * shards,
        least=spec.least * shards,
        threads=spec.threads,
        shards=shards,
        worker_memory_bytes=spec.worker_memory_bytes,
        price=priced,
        rates=learn(history.seen, history.opened, spec.backend, machine, near=near),
    )


def _made(config: RunConfig, prepared: Prepared) -> dict[str, Made]:
    """What costs are told from, by product."""
    store, found = config.storage, {}
    paid = prepared.store.uri.startswith("s3://") and store.endpoint is None
    for entry, product in zip(config.products, prepared.products, strict=True):
        write = write_options(config, entry)
        pays = any(config.sources[name].sign == "requester-pays" for name in entry.sources)
        formats = sum(one is not None for one in (write.cog, write.zarr))
        # What is made from others is read from the output.
        found[product.name] = Made(
            product.in_bytes,
            product.out_bytes,
            product.series,
            max(1, formats),
            pays_reads=pays or (product.source is None and paid),
            pays_writes=paid,
        )
    return found


def _layouts(
    config: RunConfig, prepared: Prepared, *, network: bool
) -> tuple[dict[tuple[str, str], Layout], tuple[str, ...]]:
    """Blocks of each band that a header of could be read; and a note of the sources whose blocks are assumed."""
    files: dict[tuple[str, str], list[Asset]] = defaultdict(list)
    assumed: set[str] = set()
    used = {name for entry in config.products for name in entry.sources if config.sources[name].gdac is None}
    bands = {name: _bands(prepared, name) for name in used}
    for item in prepared.items:
        for band, asset in item.assets.items():
            if band not in bands.get(item.source, ()):
                continue
            # Nobody has agreed yet to pay for a request.
            free = "://" not in asset.href or (network and config.sources[item.source].sign != "requester-pays")
            if free:
                files[item.source, band].append(asset)
            else:
                assumed.add(item.source)
    found = sample_layouts(files, {name: access_of(config.sources[name]) for name in used}, _WITHIN_S)
    assumed |= {source for source, _ in files.keys() - found.keys()}
    named = ", ".join(sorted(assumed))
    return found, ((f"blocks of {named} are assumed: no header of some bands was read",) if assumed else ())


def _bands(prepared: Prepared, source: str) -> set[str]:
    """What products read of a source."""
    return set(chain.from_iterable(one.bands for one in prepared.products if one.source == source))


def _egress(
    config: RunConfig, prepared: Prepared, specs: Mapping[str, ClusterSpec]
) -> dict[tuple[str, str], tuple[int, float]]:
    """By product and region, bytes that come from other regions, and what they cost this account."""
    stands = {region: spec.located for region, spec in specs.items()}
    payers = {
        entry.name
        for entry in config.products
        if any(config.sources[name].sign == "requester-pays" for name in entry.sources)
    }
    found: dict[tuple[str, str], tuple[int, float]] = {}
    for one in crossings(prepared.plan.jobs, stands, config.storage.region):
        if one.own and "://" not in prepared.store.uri:
            continue
        region = next(region for region, place in stands.items() if place == one.place)
        read, usd = found.get((one.product, region), (0, 0.0))
        pays = one.own or one.product in payers
        found[one.product, region] = read + one.read_bytes, usd + (one.usd or 0.0) * pays
    return found
