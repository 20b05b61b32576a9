"""What a plan is likely to take and to cost: bytes and requests, seconds of work, hours of clusters, dollars. Pure.

A sample of tasks is counted block by block and stands for all tasks of its product; durations are work times what
earlier runs made of it; hours are those of a run played through on paper, task by task, in the order of the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.blocks import NOTHING, Reading, reading
from pipeline.plan.entries import COMPRESSION
from pipeline.plan.groups import Group, Work
from pipeline.plan.played import Crew, Key, Played, Tasks
from pipeline.plan.prices import Price, request_usd
from pipeline.plan.rates import Rates, work_of
from pipeline.types import Estimate, Job, Place, Range, Row
from pipeline.types.estimate import Layout

_SAMPLE = 100
"""Tasks of each product that are counted block by block: evenly spread over the plan."""
_FIRST = Range(0.5, 1.0, 2.0)
"""How far what a first task takes longer may be off."""
_PUTS = 3
"""Requests of a commit that write, beside its data: inputs, claim, item."""


@dataclass(frozen=True)
class Machines:
    """One region's clusters, as far as they cost time and money."""

    backend: str
    located: str | None
    machine: str | None
    workers: int
    """Of all clusters together, at most."""
    least: int
    """Of all clusters together, always."""
    threads: int
    shards: int
    worker_memory_bytes: int
    price: Price
    rates: Rates

    def crew(self, case: int) -> Crew:
        """case: 0 for the low end of what is likely, 1 for the middle, 2 for the high end."""
        opening = self.rates.open_s
        open_s = (opening.low, opening.mid, opening.high)[case]
        return Crew(self.workers, self.least, self.threads, open_s, self.rates.first_s * _case(_FIRST, case))


@dataclass(frozen=True)
class Made:
    """What of a product its costs are told from, beside its jobs."""

    in_bytes: int
    out_bytes: int
    series: bool
    formats: int
    """In how many formats it is written."""
    pays_reads: bool
    """This account pays for requests that read, and for bytes that leave the region."""
    pays_writes: bool


@dataclass(frozen=True)
class Known:
    """All that an estimate is made from, beside the plan."""

    machines: Mapping[str, Machines]
    """By region."""
    products: Mapping[str, Made]
    layouts: Mapping[tuple[str, str], Layout] = field(default_factory=dict)
    egress: Mapping[Key, tuple[int, float]] = field(default_factory=dict)
    """By product and region: bytes, of those declared, that come from other regions, and what they cost us."""
    notes: tuple[str, ...] = ()


def estimate(jobs: Sequence[Job], work: Work, known: Known) -> Estimate:
    """What a plan is likely to take. work: the same jobs as the tasks that they are made in."""
    sums = _summed(jobs, known)
    tasks = Tasks(work, sums.numbers)
    for key, each in sums.of.items():
        each.reading = _sampled(key, each, [work[number] for number in tasks.sample(key, _SAMPLE)], known)
    worked = _worked(sums)
    cases = [_played(case, tasks, (sums, worked), known) for case in range(3)]
    firsts = cases[1][0].firsts
    rows = tuple(_row(key, (sums, worked), tasks, firsts.get(key, 0), known) for key in sorted(sums.of))
    places = tuple(_place(region, known.machines[region], cases) for region in sorted(tasks.regions))
    hours = Range(*(case.end_s / 3600 for case, _ in cases))
    return Estimate(rows, places, hours, _basis(known), known.notes + _unpriced(places))


@dataclass
class _Sum:
    """The jobs of one product in one region."""

    kind: str
    jobs: int = 0
    scenes: int = 0
    px: int = 0
    declared_bytes: int = 0
    written_bytes: float = 0.0
    reading: Reading = NOTHING

    @property
    def amplified(self) -> float:
        """Bytes of whole blocks for each byte under the tile."""
        return self.reading.read_bytes / self.declared_bytes if self.declared_bytes else 1.0


@dataclass
class _Sums:
    """All jobs: what they come to together, and of each what its work is told from; some 50 bytes a job."""

    of: dict[Key, _Sum]
    numbers: dict[str, int]
    """By job id, its place in the arrays."""
    keys: NDArray[np.int32]
    facts: NDArray[np.float64]
    """(job, px : scenes : declared bytes)."""


def _summed(jobs: Sequence[Job], known: Known) -> _Sums:
    """One walk over all jobs."""
    found: dict[Key, _Sum] = {}
    places: dict[Key, int] = {}
    keys, facts = np.empty(len(jobs), np.int32), np.empty((len(jobs), 3))
    numbers: dict[str, int] = {}
    for number, job in enumerate(jobs):
        key = job.product, job.region
        made = known.products[job.product]
        each = found.setdefault(key, _Sum(job.kind))
        rows, columns = job.tile.geobox.shape.yx
        scenes = len(job.items) or len(job.upstream)
        each.jobs += 1
        each.scenes += scenes
        each.px += rows * columns
        each.declared_bytes += job.read_bytes
        days = max([1, len({item.solar_day for item in job.items}), *(one.days for one in job.upstream)])
        pixels = rows * columns * (days if made.series else 1)
        each.written_bytes += pixels * made.out_bytes * COMPRESSION * made.formats
        keys[number], facts[number] = places.setdefault(key, len(places)), (rows * columns, scenes, job.read_bytes)
        numbers[job.id] = number
    return _Sums(found, numbers, keys, facts)


def _sampled(key: Key, each: _Sum, groups: Sequence[Group], known: Known) -> Reading:
    """What all jobs of a product ask for, as far as some of their tasks tell."""
    counted, declared, jobs = NOTHING, 0, 0
    for group in groups:
        counted += reading(group.jobs, known.layouts, known.products[key[0]].in_bytes)
        declared += sum(job.read_bytes for job in group.jobs)
        jobs += len(group.jobs)
    share = each.declared_bytes / declared if declared else each.jobs / jobs
    return Reading(counted.read_bytes * share, counted.requests * share)


def _worked(sums: _Sums) -> NDArray[np.float64]:
    """Seconds of work of every job."""
    worked = np.zeros(len(sums.keys))
    for place, each in enumerate(sums.of.values()):
        mine = sums.keys == place
        px, scenes, declared = sums.facts[mine].T
        worked[mine] = work_of(each.kind, px, scenes, declared * each.amplified)
    return worked


def _played(
    case: int, tasks: Tasks, worked: tuple[_Sums, NDArray[np.float64]], known: Known
) -> tuple[Played, Mapping[str, float]]:
    """The run in one of three cases; and by region, how long all its workers are there."""
    sums, seconds = worked
    factors = np.array([_case(known.machines[key[1]].rates.factor(each.kind), case) for key, each in sums.of.items()])
    crews = {region: known.machines[region].crew(case) for region in tasks.regions}
    played = tasks.play(seconds * factors[sums.keys], crews)
    return played, {region: played.worker_s(region, crew) for region, crew in crews.items()}


def _case(values: Range, case: int) -> float:
    return (values.low, values.mid, values.high)[case]


def _row(key: Key, all_worked: tuple[_Sums, NDArray[np.float64]], tasks: Tasks, firsts: int, known: Known) -> Row:
    (product, region), (sums, worked) = key, all_worked
    each, made = sums.of[key], known.products[product]
    machines = known.machines[region]
    seconds = machines.rates.factor(each.kind) * float(worked[sums.keys == list(sums.of).index(key)].sum())
    egress_bytes, egress_usd = known.egress.get(key, (0, 0.0))
    requests, puts = round(each.reading.requests), each.jobs * (_PUTS + made.formats)
    paid = request_usd(requests if made.pays_reads else 0, puts if made.pays_writes else 0)
    return Row(
        product,
        each.kind,
        region,
        jobs=each.jobs,
        tasks=tasks.counts[key],
        scenes=each.scenes,
        declared_bytes=each.declared_bytes,
        read_bytes=round(each.reading.read_bytes),
        requests=requests,
        puts=puts,
        written_bytes=round(each.written_bytes),
        egress_bytes=round(egress_bytes * each.amplified),
        peak_bytes=tasks.peaks[key],
        job_s=seconds + _FIRST * (machines.rates.first_s * firsts),
        usd_requests=paid,
        usd_egress=egress_usd * each.amplified,
    )


def _place(region: str, machines: Machines, cases: Sequence[tuple[Played, Mapping[str, float]]]) -> Place:
    close_h = machines.rates.close_s / 3600
    hours = Range(*(played.end_s / 3600 + close_h for played, _ in cases))
    worker_hours = Range(*(workers[region] / 3600 + machines.least * close_h for _, workers in cases))
    price = machines.price
    usd = (
        None
        if price.usd is None
        else Range(
            worker_hours.low * price.usd.low, worker_hours.mid * price.usd.mid, worker_hours.high * price.usd.high
        )
        + hours * (machines.shards * price.scheduler_usd)
    )
    return Place(
        region,
        machines.backend,
        machines.located,
        machines.machine,
        workers=machines.workers,
        threads=machines.threads,
        shards=machines.shards,
        worker_memory_bytes=machines.worker_memory_bytes,
        first_s=machines.rates.first_s,
        usd_per_worker_hour=price.usd,
        usd_per_cluster_hour=price.scheduler_usd,
        price=price.told,
        hours=hours,
        worker_hours=worker_hours,
        usd=usd,
    )


def _basis(known: Known) -> str:
    """What durations are told from."""
    runs = max((machines.rates.runs for machines in known.machines.values()), default=0)
    if not runs:
        return "durations: nothing was learned yet, so what such tiles took elsewhere"
    return f"durations: learned from {runs} earlier run{'s' if runs > 1 else ''}"


def _unpriced(places: Sequence[Place]) -> tuple[str, ...]:
    return tuple(
        f"{place.region}: not in the dollars: {place.price}; set clusters.{place.region}.usd_per_worker_hour"
        for place in places
        if place.usd_per_worker_hour is None
    )
