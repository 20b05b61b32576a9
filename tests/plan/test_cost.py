"""An estimate adds up: blocks to bytes, work to hours, hours to dollars; and says what it does not know."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.plan.cost import Known, Machines, Made, estimate
from pipeline.plan.groups import Group, listed
from pipeline.plan.jobs import Targets, plan_jobs
from pipeline.plan.played import Crew, Tasks
from pipeline.plan.prices import Price
from pipeline.plan.rates import Features, learn, work_s
from pipeline.types import Estimate, Job, Range, Upstream
from pipeline.types.estimate import Layout, Opened, Seen
from tests.plan.makers import JULY, JUNE, make_item, make_product, make_tile

WEST = "us-west-2"
MADE = Made(in_bytes=2, out_bytes=7, series=False, formats=1, pays_reads=False, pays_writes=True)
SEEN = Seen("run-1", "sentinel2", "coiled", "m6i.xlarge", jobs=1000, made_s=3000.0, work_s=1000.0, age_days=0.0)
OPENED = Opened("run-1", "coiled", open_s=60.0, first_s=4.0, close_s=8.0)
MACHINES = Machines(
    "coiled",
    WEST,
    "m6i.xlarge",
    workers=2,
    least=2,
    threads=1,
    shards=1,
    worker_memory_bytes=2**34,
    price=Price(Range.exact(1.0), 0.5, "m6i.xlarge", "a test"),
    rates=learn([SEEN], [OPENED], "coiled", "m6i.xlarge"),
)
LAYOUTS = {("s2", band): Layout((256, 256), 50_000.0) for band in ("red", "scl")}


def jobs_of(tiles: int) -> tuple[Job, ...]:
    targets = {"median": Targets(tuple(map(make_tile, range(tiles))), (JUNE,))}
    items = [make_item(number, (0, tiles)) for number in range(3)]
    return tuple(plan_jobs([make_product()], targets, items, {}, {WEST: 2**33}).jobs)


def told(jobs: tuple[Job, ...], machines: Machines = MACHINES, **known: object) -> Estimate:
    work = listed([Group((job,), job.memory) for job in jobs])
    return estimate(jobs, work, Known({WEST: machines}, {"median": MADE}, LAYOUTS, **known))  # type: ignore[arg-type]


def test_bytes_and_requests_are_those_of_whole_blocks() -> None:
    (row,) = told(jobs_of(4)).rows
    assert (row.product, row.kind, row.region, row.jobs, row.tasks, row.scenes) == (
        "median",
        "sentinel2",
        WEST,
        4,
        4,
        12,
    )
    assert row.read_bytes == 4 * 3 * 2 * 50_000
    assert row.requests == 4 * 3 * 2 * 2
    assert row.peak_bytes == jobs_of(4)[0].memory.peak_bytes


def test_seconds_are_work_times_what_was_learned_and_the_first_task_of_a_thread_takes_longer() -> None:
    found = told(jobs_of(4))
    work = 4 * work_s(Features("sentinel2", 256**2, 3, 3 * 2 * 50_000))
    assert found.job_s.mid == pytest.approx(3.0 * work + 2 * 4.0)
    assert found.job_s.low < found.job_s.mid < found.job_s.high
    assert "1 earlier run" in found.basis


def test_hours_are_those_of_a_run_and_dollars_those_of_its_workers_and_schedulers() -> None:
    """Two threads, four equal tasks: two after each other, after the opening."""
    found = told(jobs_of(4))
    (place,) = found.places
    each = work_s(Features("sentinel2", 256**2, 3, 3 * 2 * 50_000)) * 3.0
    assert found.hours.mid * 3600 == pytest.approx(60 + 4 + 2 * each)
    open_h = found.hours.mid + 8 / 3600
    assert place.hours.mid == pytest.approx(open_h)
    assert place.worker_hours.mid == pytest.approx(2 * open_h)
    assert place.usd is not None
    assert place.usd.mid == pytest.approx(2 * open_h * 1.0 + open_h * 0.5)
    assert found.usd.mid == pytest.approx(place.usd.mid + found.usd_requests)


def test_more_tiles_take_longer_and_cost_more_in_every_case() -> None:
    few, many = told(jobs_of(2)), told(jobs_of(9))
    for name in ("usd", "hours", "job_s"):
        less, more = getattr(few, name), getattr(many, name)
        assert less.low < more.low
        assert less.mid < more.mid
        assert less.high < more.high


def test_what_has_no_price_is_named_and_not_in_the_sum() -> None:
    found = told(jobs_of(2), replace(MACHINES, price=Price(None, 0.0, None, "nobody knows")))
    assert found.usd.mid == found.usd_requests
    assert any("clusters.us-west-2.usd_per_worker_hour" in note for note in found.notes)


def test_bytes_between_regions_grow_with_the_blocks_around_them() -> None:
    (row,) = told(jobs_of(2), egress={("median", WEST): (10_000_000, 0.2)}).rows
    amplified = row.read_bytes / row.declared_bytes
    assert row.egress_bytes == pytest.approx(10_000_000 * amplified)
    assert row.usd_egress == pytest.approx(0.2 * amplified)


def test_what_is_made_from_others_waits_for_them() -> None:
    """A task that needs both others begins when the longer one ends, though a thread is free before."""
    one, other = jobs_of(2)
    upstream = tuple(Upstream("median", "sentinel2", job.tile.id, JUNE, job.fingerprint) for job in (one, other))
    last = replace(one, product="stack", period=JULY, items=(), upstream=upstream)
    jobs = (one, other, last)
    work = listed([Group((job,), job.memory) for job in jobs])
    tasks = Tasks(work, {job.id: place for place, job in enumerate(jobs)})
    played = tasks.play(np.array([5.0, 9.0, 1.0]), {WEST: Crew(3, 3, 1, open_s=2.0, first_s=0.0)})
    assert played.end_s == 2.0 + 9.0 + 1.0


def test_workers_that_come_and_go_are_paid_while_they_have_work() -> None:
    """Of three, one stays to the end, and those without a task never came."""
    jobs = jobs_of(2)
    tasks = Tasks(listed([Group((job,), job.memory) for job in jobs]), {job.id: n for n, job in enumerate(jobs)})
    crew = Crew(3, 1, 1, open_s=0.0, first_s=0.0)
    played = tasks.play(np.array([1000.0, 100.0]), {WEST: crew})
    assert played.worker_s(WEST, crew) == 1000.0 + 160.0
    fixed = replace(crew, least=3)
    assert played.worker_s(WEST, fixed) == 3 * 1000.0


def test_it_is_written_as_json() -> None:
    document = json.loads(json.dumps(told(jobs_of(2)).document()))
    assert document["format"] == 1
    assert set(document["usd"]) == {"low", "mid", "high"}
    assert document["rows"][0]["product"] == "median"
    assert document["places"][0]["region"] == WEST
