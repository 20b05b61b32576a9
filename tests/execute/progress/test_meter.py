"""Dollars follow workers, and a run ends before its budget is spent; what it took is told so that others can learn."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from pipeline.execute.progress.meter import Meter
from pipeline.plan.rates import Features, work_s
from pipeline.types import Begun, ClusterEvent, Estimate, Outcome, Place, Range, Row, Status

WEST = "us-west-2"
NOTHING = Range.exact(0.0)
FEATURES = Features("sentinel2", 1_000_000, 4, 10_000_000)
ROW = Row("median", "sentinel2", WEST, 10, 10, 40, 50, 100, 20, 30, 10, 0, 5, NOTHING, usd_requests=0.1, usd_egress=0.2)
"""Twice as many bytes are read as declared."""


def place(usd: Range | None = Range.exact(3600.0)) -> Place:  # noqa: B008 (a frozen value)
    hours = (NOTHING, NOTHING, NOTHING)
    return Place(WEST, "coiled", WEST, "m6i.xlarge", 4, 1, 1, 2**34, 2.0, usd, 0.0, "a test", *hours)


class Clock:
    """Stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A meter, its clock, and what it was halted for."""

    def __init__(self, budget_usd: float | None = None, usd: Range | None = Range.exact(3600.0)) -> None:  # noqa: B008
        self.clock, self.halted = Clock(), list[str]()
        estimate = Estimate((ROW,), (place(usd),), NOTHING, "a test")
        self.meter = Meter(
            estimate, lambda _: FEATURES, halt=self.halted.append, budget_usd=budget_usd, clock=self.clock
        )

    def event(self, state: str, workers: int = 0, shard: int = 0) -> None:
        self.meter.cluster(ClusterEvent(WEST, shard, state, workers=workers))

    def ended(
        self, number: int, *, worker: str = "a", begun_s: float = 1.0, seconds: float = 2.0, **more: object
    ) -> None:
        status = more.pop("status", Status.DONE)
        self.meter.ended(
            Outcome(
                f"median/tile-{number}/2024-06",
                WEST,
                "f" * 32,
                status,  # type: ignore[arg-type]
                seconds=seconds,
                worker=worker,
                begun_s=begun_s,
                written_bytes=7,
            )
        )


def test_dollars_are_seconds_of_workers_that_are_there() -> None:
    """A dollar a second: two workers while they are opened and for 10 s, one for 5 s, none after."""
    run = Run()
    run.event("opening")
    run.clock.now += 30
    assert run.meter.usd() == 0
    run.event("up", workers=2)
    run.clock.now += 10
    run.event("workers", workers=1)
    run.clock.now += 5
    assert run.meter.usd() == pytest.approx(85)
    run.event("closed")
    run.clock.now += 100
    assert run.meter.usd() == pytest.approx(85)
    assert run.meter.usd_by_region() == {WEST: pytest.approx(85)}


def test_a_cluster_in_place_of_a_lost_one_and_every_shard_are_paid_too() -> None:
    run = Run()
    for shard in (0, 1):
        run.event("up", workers=1, shard=shard)
    run.clock.now += 10
    run.event("lost")
    run.event("opening")
    run.event("up", workers=1)
    run.clock.now += 10
    assert run.meter.usd() == pytest.approx(2 * 10 + 2 * 10)


def test_every_attempt_pays_its_requests_and_its_bytes_between_regions() -> None:
    run = Run()
    run.ended(1, status=Status.RETRY)
    run.ended(1)
    run.ended(2, seconds=0.0, status=Status.CANCELLED)
    assert run.meter.usd() == pytest.approx(2 * (0.1 + 0.2) / 10)
    actual = run.meter.actual()
    assert actual.usd_requests == pytest.approx(0.02)
    assert actual.usd_egress == pytest.approx(0.04)


def test_nobody_pretends_to_know_what_has_no_price() -> None:
    run = Run(usd=None)
    run.event("up", workers=2)
    run.clock.now += 10
    assert run.meter.usd() is None
    assert run.meter.actual().regions[0].usd is None


def test_a_run_is_halted_once_and_before_its_budget_is_spent() -> None:
    """At a dollar a second and 2 s a task, one task of each worker is held back, but a tenth at most."""
    run = Run(budget_usd=10)
    run.event("up", workers=1)
    run.clock.now += 8.5
    run.ended(1)
    assert run.halted == []
    run.clock.now += 0.6
    run.ended(2)
    run.ended(3)
    assert len(run.halted) == 1
    assert "run.budget_usd: 10" in run.halted[0]
    spent = run.meter.usd()
    assert spent is not None
    assert 9 <= spent < 10


@pytest.mark.parametrize("known", [True, False])
def test_what_is_held_back_is_a_task_of_many_jobs_from_the_first_one_on(known: bool) -> None:
    """Five jobs of 1 s in each task, at a dollar a second: 5 of 100 dollars, also before anything has ended."""
    row = replace(ROW, jobs=10, tasks=2, job_s=Range.exact(10.0), usd_requests=0.0, usd_egress=0.0)
    clock, halted = Clock(), list[str]()
    told = Estimate((row,), (place(),), NOTHING, "a test")
    meter = Meter(told, lambda _: FEATURES, halt=halted.append, budget_usd=100, clock=clock)
    meter.cluster(ClusterEvent(WEST, 0, "up", workers=1))
    for seconds, over in ((94.9, False), (0.2, True)):
        clock.now += seconds
        if known:
            meter.ended(Outcome("median/a/2024-06", WEST, "f" * 32, Status.DONE, seconds=1.0, worker="a"))
        meter._look()
        assert bool(halted) is over


def test_bytes_between_regions_are_counted_where_machines_have_no_price() -> None:
    """All that is known is held against the budget."""
    run = Run(budget_usd=0.1, usd=None)
    for number in range(2):
        run.ended(number)
        assert run.halted == []
    for number in range(2, 5):
        run.ended(number)
    assert len(run.halted) == 1


def test_the_budget_is_looked_at_while_nothing_ends() -> None:
    """A job of hours must not spend it unseen: the meter's own thread looks every second."""
    halted = threading.Event()
    meter = Meter(
        Estimate((ROW,), (place(),), NOTHING, "a test"),
        lambda _: FEATURES,
        halt=lambda _: halted.set(),
        budget_usd=0.001,
    )
    with meter:
        meter.cluster(ClusterEvent(WEST, 0, "up", workers=1))
        assert halted.wait(20)


def test_what_is_learned_is_told_from_the_tasks_that_came_after_a_workers_first() -> None:
    """The first ones, of all its threads, import libraries: what they take longer is told apart."""
    run = Run()
    run.event("opening")
    run.clock.now += 5
    run.meter.began(Begun(("median/tile-0/2024-06",), WEST, 0, "a", 1, 0.0))
    run.event("up", workers=1)
    for number, begun_s in enumerate((50.0, 50.4)):
        run.ended(number, begun_s=begun_s, seconds=6.0)
    for number in range(2, 6):
        run.ended(number, begun_s=60.0 + number, seconds=2.0)
    run.clock.now += 3
    run.event("closed")
    actual = run.meter.actual()
    (row,), (used,) = actual.rows, actual.regions
    work = work_s(Features("sentinel2", 1_000_000, 4, 20_000_000))
    assert (row.jobs, row.timed, row.seconds, row.made_s) == (6, 4, 20.0, 8.0)
    assert row.work_s == pytest.approx(4 * work)
    assert used.first_s == pytest.approx(4.0)
    assert (used.open_s, used.close_s) == (5.0, 3.0)
    assert used.worker_hours == pytest.approx(8 / 3600)


def test_what_failed_costs_time_and_teaches_nothing() -> None:
    run = Run()
    run.ended(0, seconds=3.0)
    run.ended(1, begun_s=9.0, seconds=5.0, status=Status.FAILED)
    (row,) = run.meter.actual().rows
    assert (row.jobs, row.seconds, row.timed) == (1, 8.0, 1)
    assert row.written_bytes == 7
