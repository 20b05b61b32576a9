"""Orders are taken, held, done and written down: what fails comes again, and one poisonous target fails alone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import EventsConfig
from pipeline.config.jobs import JobsConfig
from pipeline.errors import TransientStoreError
from pipeline.events.consumer.batches import Batch, Over, Where
from pipeline.events.consumer.work import Work, again_s, chunks, key_of
from pipeline.events.event import Ended, Order, State, Taken
from pipeline.events.inbox.inbox import Inbox, open_inbox
from pipeline.events.inbox.sqlite import SqliteInbox

WHERE = Where(Path("events.yaml"))
RULE = {"match": {"bucket": "arrivals"}, "check": {}}


@dataclass
class Here:
    """Does batches in this thread: whatever `does` says of a target; a target `poison` ends the batch as a crash."""

    does: Callable[[str], Ended] = Ended
    began: list[tuple[str, ...]] = field(default_factory=list)
    hangs: bool = False
    closed: bool = False

    def run(self, batch: Batch, tell: Callable[[Ended], None], stop: threading.Event, timeout_s: float) -> Over:
        self.began.append(batch.targets)
        for target in batch.targets:
            if "poison" in target:
                return Over("its process was ended by SIGSEGV", died=True)
            if self.hangs:
                stop.wait(timeout_s)
                return Over("it was asked to end")
            tell(self.does(target))
        return Over()

    def tidy(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        self.closed = True


class Clock:
    """Unix time, as a test says."""

    def __init__(self) -> None:
        self.s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with open_inbox(str(tmp_path / "inbox.db")) as opened:
        yield opened


def config_of(rules: Sequence[str] = ("csv",), **jobs: object) -> EventsConfig:
    document = {
        "name": "test",
        "inbox": "unused.db",
        "buckets": {"arrivals": {}},
        "output": "/out",
        "rules": dict.fromkeys(rules, RULE),
        "jobs": {"back_off_s": 60.0, **jobs},
    }
    return EventsConfig.model_validate(document, context={"folder": Path("/")})


def ordered(inbox: Inbox, clock: Clock, *targets: str, rule: str = "csv") -> None:
    assert inbox.order([Order(rule, target, clock.s, clock.s) for target in targets]) == len(targets)


def work_off(work: Work) -> None:
    """Begin all that is due, and wait for it."""
    end_s = time.monotonic() + 20
    while work.begin() or work.busy:
        assert time.monotonic() < end_s
        work.changed.wait(0.05)


def taken_of(target: str, attempt: int) -> Taken:
    return Taken(Order("csv", target, 0, 0), 1, attempt, "token")


def test_what_is_due_is_done_in_batches_and_written_down(inbox: Inbox) -> None:
    clock, runner = Clock(), Here()
    ordered(inbox, clock, *(f"object/arrivals/{number}" for number in range(25)))
    work = Work(config_of(batch=10), WHERE, inbox, runner, clock)
    work_off(work)
    assert sorted(map(len, runner.began)) == [5, 10, 10]
    assert (work.done, work.failed, inbox.counts()["done"]) == (25, 0, 25)
    work.stop(0)
    assert runner.closed


def test_a_failure_that_may_pass_comes_again_later_each_time_and_is_then_set_aside(inbox: Inbox) -> None:
    clock = Clock()
    runner = Here(lambda target: Ended(target, failed=True, cause="HTTP 503"))
    ordered(inbox, clock, "object/arrivals/a")
    work = Work(config_of(attempts=3), WHERE, inbox, runner, clock)
    for after_s in (60, 120):
        work_off(work)
        assert inbox.states([("csv", "object/arrivals/a")]) == {("csv", "object/arrivals/a"): State.WAITING}
        clock.s += after_s - 1
        assert not work.begin()
        clock.s += 1
    work_off(work)
    assert len(runner.began) == 3
    assert [cause for _, cause in inbox.failed(10)] == ["HTTP 503"]
    assert (work.done, work.failed) == (0, 1)
    work.stop(0)


def test_a_failure_that_will_not_pass_is_set_aside_at_once(inbox: Inbox) -> None:
    clock = Clock()
    runner = Here(lambda target: Ended(target, failed=True, cause="AccessDenied", passing=False))
    ordered(inbox, clock, "object/arrivals/a")
    work = Work(config_of(), WHERE, inbox, runner, clock)
    work_off(work)
    assert (len(runner.began), work.failed) == (1, 1)
    work.stop(0)


def test_a_poisonous_target_fails_alone(inbox: Inbox) -> None:
    """It ends each process that it is given to; the others of its batches are done within the same attempts."""
    clock, runner = Clock(), Here()
    good = {f"object/arrivals/{number:03}" for number in range(100)}
    ordered(inbox, clock, *sorted(good | {"object/arrivals/050-poison"}))
    work = Work(config_of(attempts=3, parallel=1), WHERE, inbox, runner, clock)
    for _ in range(3):
        work_off(work)
        clock.s += 3600
    assert not work.begin()
    assert [order.target for order, _ in inbox.failed(10)] == ["object/arrivals/050-poison"]
    assert (work.done, work.failed) == (100, 1)
    assert sum("poison" in target for began in runner.began for target in began) == 3
    assert max(Counter(target for began in runner.began for target in began).values()) <= 3
    work.stop(0)


def test_one_attempt_is_enough_for_those_that_a_poisonous_target_took_with_it(inbox: Inbox) -> None:
    """They have one more, alone, as nobody knows which of them it was."""
    clock, runner = Clock(), Here()
    ordered(inbox, clock, "object/arrivals/a", "object/arrivals/b-poison", "object/arrivals/c")
    work = Work(config_of(attempts=1), WHERE, inbox, runner, clock)
    for _ in range(3):
        work_off(work)
        clock.s += 3600
    assert [order.target for order, _ in inbox.failed(10)] == ["object/arrivals/b-poison"]
    assert (work.done, work.failed, len(runner.began)) == (2, 1, 3)
    work.stop(0)


@given(attempts=st.lists(st.integers(1, 5), max_size=60), blameless=st.sets(st.integers(0, 59)))
def test_every_order_goes_once_and_alone_at_last(attempts: list[int], blameless: set[int]) -> None:
    taken = [taken_of(f"object/b/{number}", attempt) for number, attempt in enumerate(attempts)]
    known = {("csv", f"object/b/{number}") for number in blameless}
    parts = chunks(taken, 3, known)
    assert sorted(one.order.target for part in parts for one in part) == sorted(one.order.target for one in taken)
    assert all(parts)
    for part in parts:
        if any(one.attempt >= 3 and key_of(one) not in known for one in part):
            assert len(part) == 1


@given(attempt=st.integers(1, 100), most=st.integers(1, 100))
def test_attempts_lie_ever_further_apart_and_never_more_than_an_hour(attempt: int, most: int) -> None:
    jobs = JobsConfig.model_validate({"back_off_s": 60.0, "attempts": most})
    again = again_s(taken_of("object/b/k", attempt), Ended("object/b/k", failed=True), jobs, 0.0)
    assert again == (None if attempt >= most else min(3600.0, 60.0 * 2 ** (attempt - 1)))
    assert again_s(taken_of("object/b/k", attempt), Ended("object/b/k"), jobs, 0.0) is None


def test_what_another_consumer_has_by_now_is_given_up(inbox: Inbox) -> None:
    clock = Clock()
    ordered(inbox, clock, "object/arrivals/a")
    slow = Here(hangs=True)
    work = Work(config_of(lease_s=1.0), WHERE, inbox, slow, clock)
    assert work.begin()
    clock.s += 2  # its lease is over, as after a pause of the whole machine
    other = Work(config_of(), WHERE, inbox, Here(), clock)
    work_off(other)
    work.renew()
    work_off(work)
    assert (work.done, work.failed, other.done) == (0, 0, 1)
    assert inbox.counts()["done"] == 1
    work.stop(0)
    other.stop(0)


class Away(SqliteInbox):
    """An inbox in which the next renewals fail."""

    fails = 0

    def renew(self, taken: Sequence[Taken], now_s: float, lease_s: float) -> Sequence[Taken]:
        if self.fails:
            self.fails -= 1
            raise TransientStoreError("it is away")
        return super().renew(taken, now_s, lease_s)


def test_a_lease_outlasts_a_jump_of_the_clock_and_a_renewal_that_failed(tmp_path: Path) -> None:
    with Away(str(tmp_path / "inbox.db")) as inbox:
        clock = Clock()
        ordered(inbox, clock, "object/arrivals/a")
        work = Work(config_of(lease_s=60.0), WHERE, inbox, Here(hangs=True), clock)
        work.renew()
        assert work.begin()
        clock.s += 3600
        inbox.fails = 1
        with pytest.raises(TransientStoreError):
            work.renew()
        work.renew()
        assert inbox.take(clock.s + 59, 60, 10, {"csv": None}) == []
        work.stop(0)


def test_a_batch_has_its_grace_though_the_inbox_is_away(tmp_path: Path) -> None:
    with Away(str(tmp_path / "inbox.db")) as inbox:
        clock = Clock()
        ordered(inbox, clock, "object/arrivals/a", "object/arrivals/b")

        def slowly(target: str) -> Ended:
            time.sleep(0.3)
            clock.s += 3600
            return Ended(target)

        work = Work(config_of(parallel=2, batch=1), WHERE, inbox, Here(slowly), clock)
        assert work.begin() and work.begin()
        inbox.fails = 100
        work.stop(10)
        assert inbox.fails < 100
        assert inbox.counts()["done"] == 2


def test_at_the_end_what_is_not_done_goes_back_and_loses_no_attempt(inbox: Inbox) -> None:
    clock = Clock()
    ordered(inbox, clock, "object/arrivals/a", "object/arrivals/b")
    work = Work(config_of(), WHERE, inbox, Here(hangs=True), clock)
    assert work.begin()
    began_s = time.monotonic()
    work.stop(0.3)
    assert 0.3 <= time.monotonic() - began_s < 5
    (one, two) = inbox.take(clock.s, 60, 10, {"csv": None})
    assert (one.attempt, two.attempt) == (1, 1)


def test_a_batch_has_an_end_of_its_own_within_the_grace(inbox: Inbox) -> None:
    clock = Clock()
    ordered(inbox, clock, "object/arrivals/a")

    def slowly(target: str) -> Ended:
        time.sleep(0.5)
        return Ended(target)

    work = Work(config_of(), WHERE, inbox, Here(slowly), clock)
    assert work.begin()
    work.stop(10)
    assert work.done == 1


def test_only_what_is_named_is_done(inbox: Inbox) -> None:
    clock, runner = Clock(), Here()
    ordered(inbox, clock, "object/arrivals/a", "object/arrivals/b")
    work = Work(config_of(), WHERE, inbox, runner, clock)
    work.only = {("csv", "object/arrivals/b")}
    work_off(work)
    assert runner.began == [("object/arrivals/b",)]
    work.stop(0)


def test_an_order_whose_consumers_die_each_time_is_set_aside_in_the_end(inbox: Inbox) -> None:
    """As of a target that ends whole machines: nine consumers have taken it, and none came back."""
    clock, runner = Clock(), Here()
    ordered(inbox, clock, "object/arrivals/a")
    for attempt in range(1, 10):
        (taken,) = inbox.take(clock.s, 60, 1, {"csv": None})
        assert taken.attempt == attempt
        clock.s += 61
    work = Work(config_of(attempts=3), WHERE, inbox, runner, clock)
    work_off(work)
    assert runner.began == []
    assert [cause for _, cause in inbox.failed(10)] == ["9 consumers lost it before it was done"]
    work.stop(0)
