"""Counts are exact; rates are of late; what is left follows from how much work gets done side by side."""

from __future__ import annotations

import json
import threading

import pytest

from pipeline.execute.records.tally import Tally, Totals, View, view_of
from pipeline.types import ClusterEvent, Outcome, Status


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ended(product: str, number: int, status: Status = Status.DONE, seconds: float = 0.0, region: str = "r") -> Outcome:
    job = f"{product}/t{number}/m"
    attempts = 0 if status in {Status.BLOCKED, Status.CANCELLED} else 1
    return Outcome(
        job, region, "f", status, seconds=seconds, attempts=attempts, read_bytes=10, written_bytes=3, store_retries=1
    )


def test_every_job_counts_once_by_its_last_word() -> None:
    tally = Tally(Totals({("r", "a"): 9, ("s", "a"): 1}, {("r", "a"): 4}), usd=lambda: 1.25)
    for number, words in enumerate(
        (
            [Status.RETRY, Status.DONE],
            [Status.FAILED],
            [Status.BLOCKED],
            [Status.CANCELLED],
            [Status.CLAIMED, Status.CLAIMED, Status.DONE],
            [Status.CLAIMED],
        )
    ):
        for status in words:
            tally.ended(ended("a", number, status))
    row, other = tally.view().rows
    assert (row.region, row.product, row.total, row.skipped) == ("r", "a", 9, 4)
    assert (row.done, row.failed, row.blocked, row.cancelled, row.claimed) == (2, 1, 1, 1, 1)
    assert (row.ended, row.open, row.read_bytes, row.written_bytes) == (4, 4, 90, 27)
    assert (other.ended, other.open, tally.view().usd) == (0, 1, 1.25)
    assert tally.further()["r", "a"] == {"repeated": 1, "store_retries": 9}


@pytest.mark.parametrize("side_by_side", [1, 8])
def test_what_is_left_follows_from_the_length_of_jobs_and_what_runs_side_by_side(side_by_side: int) -> None:
    """Of two products of very different length, the long one not yet begun in earnest: no rate of its own tells."""
    clock = Clock()
    tally = Tally(Totals({("r", "short"): 80, ("r", "long"): 16}), clock=clock)
    for done in range(0, 40, side_by_side):
        clock.now += 10.0
        for number in range(done, done + side_by_side):
            tally.ended(ended("short", number, seconds=10.0))
    clock.now += 100.0
    for number in range(side_by_side):
        tally.ended(ended("long", number, seconds=100.0))
    left = 40 * 10.0 + (16 - side_by_side) * 100.0
    long, short = tally.view().rows
    assert long.eta_s == pytest.approx(left / side_by_side, rel=0.05)
    assert tally.view().eta_s == max(short.eta_s or 0, long.eta_s or 0)
    # It runs out by itself when nothing ends any more: a rate is not what once was.
    clock.now += 1000.0
    assert (tally.view().eta_s or 0) > 2 * left / side_by_side


def test_a_rate_is_of_late() -> None:
    """A cluster that grew is fast now, however slow it began."""
    clock = Clock()
    tally = Tally(Totals({("r", "a"): 10_000}), clock=clock)
    for number in range(50):
        clock.now += 60.0
        tally.ended(ended("a", number, seconds=60.0))
    assert tally.view().rows[0].rate_per_s == pytest.approx(1 / 60)
    for number in range(50, 4050):
        clock.now += 0.5
        tally.ended(ended("a", number, seconds=60.0))
    row = tally.view().rows[0]
    assert row.rate_per_s == pytest.approx(2.0, rel=0.01)
    assert row.eta_s == pytest.approx(row.open / 2, rel=0.01)


def test_nobody_can_tell_before_the_first_job_has_ended_nor_needs_to_after_the_last() -> None:
    tally = Tally(Totals({("r", "a"): 1, ("s", "a"): 1}))
    assert [row.eta_s for row in tally.view().rows] == [None, None]
    tally.ended(ended("a", 0, seconds=1.0))
    assert [row.eta_s for row in tally.view().rows] == [0.0, None]
    assert tally.view().eta_s is None
    tally.ended(ended("a", 0, Status.BLOCKED, region="s"))
    assert tally.view().eta_s == 0.0


def test_workers_are_of_the_clusters_that_stand() -> None:
    tally = Tally(Totals({("r", "a"): 1}))
    for shard, state, workers in ((0, "up", 3), (1, "up", 4), (0, "workers", 5), (1, "lost", 4)):
        tally.cluster(ClusterEvent("r", shard, state, workers=workers))
    assert tally.view().workers == {"r": 5}


def test_a_record_says_what_the_view_said() -> None:
    """Also one that a newer version wrote, with more in it."""
    tally = Tally(Totals({("r", "a"): 3}, {("r", "a"): 1}), usd=lambda: 0.5)
    tally.cluster(ClusterEvent("r", 0, "up", workers=2))
    tally.ended(ended("a", 0, seconds=2.0))
    record = json.loads(json.dumps(tally.view().written()))
    record["rows"][0]["unheard_of"] = record["more"] = 1
    read = view_of(record)
    assert (read.usd, read.workers, read.rows[0].done, read.rows[0].skipped) == (0.5, {"r": 2}, 1, 1)
    assert {"rows", "usd", "workers", "eta_s"} <= set(record)


def test_it_may_be_looked_at_while_it_counts() -> None:
    """From other threads: the bars', the records', a scrape's."""
    tally = Tally(Totals({("r", "a"): 3000}))
    views = list[View]()

    def look() -> None:
        while not views or views[-1].rows[0].open:
            views.append(tally.view())

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(3000):
        tally.ended(ended("a", number, seconds=0.01))
    thread.join(60)
    assert not thread.is_alive()
    counts = [view.rows[0].done for view in views]
    assert counts == sorted(counts)
    assert counts[-1] == 3000
