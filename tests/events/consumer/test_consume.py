"""Consumers as processes: everything that a queue tells of is done once, whatever happens to them meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from pipeline.config import load_events
from pipeline.errors import TransientStoreError
from pipeline.events.consumer.batches import Where
from pipeline.events.consumer.consume import Consumer, Worked
from pipeline.events.event import Order, State, Taken
from pipeline.events.inbox.inbox import open_inbox
from pipeline.events.inbox.sqlite import SqliteInbox
from tests.events.consuming import BUCKET, Arrivals, csv, expected, told
from tests.servers.consumer import ROOT, run_consumer, until
from tests.servers.sqs import Sqs, run_sqs

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sqs() -> Iterator[Sqs]:
    with run_sqs() as server:
        yield server


@pytest.fixture
def arrivals(tmp_path: Path) -> Arrivals:
    return Arrivals(tmp_path)


def test_what_a_queue_tells_of_is_checked_and_its_messages_are_deleted(sqs: Sqs, arrivals: Arrivals) -> None:
    queue = sqs.queue("plain")
    config = arrivals.write(queue.config())
    numbers = range(30)
    for number in numbers:
        arrivals.put(f"{number}.csv", csv(number))
    queue.send([told(f"{number}.csv") for number in numbers] * 2)
    with run_consumer(config, environ=arrivals.environ) as consumer:
        until(lambda: queue.empty, 60, "an empty queue")
        assert arrivals.results() == expected(numbers)
        assert consumer.stop() == 0
    with open_inbox(str(arrivals.inbox)) as inbox:
        assert inbox.counts()["done"] == len(numbers)


def test_once_ends_when_there_is_nothing_to_do(sqs: Sqs, arrivals: Arrivals) -> None:
    queue = sqs.queue("once")
    config = arrivals.write(queue.config())
    arrivals.put("0.csv", csv(0))
    queue.send([told("0.csv")])
    with run_consumer(config, "--once", environ=arrivals.environ) as consumer:
        assert consumer.wait() == 0, consumer.log()
    assert queue.empty
    assert arrivals.results() == expected(range(1))


def ordered(arrivals: Arrivals, *keys: str) -> None:
    """Orders as a sweep makes them, without any event."""
    with open_inbox(str(arrivals.inbox)) as inbox:
        inbox.order([Order("csv", f"object/arrivals/{key}", 0, 0) for key in keys])


class Away(SqliteInbox):
    """An inbox that hands out nothing."""

    def take(self, *_: object, **__: object) -> Sequence[Taken]:
        raise TransientStoreError("it is away")


def test_it_ends_at_once_though_the_inbox_is_away(arrivals: Arrivals) -> None:
    """After 1 and 2 s it waits 4 s for its next attempt; it is asked to end meanwhile."""
    config, stop = load_events(arrivals.write(jobs={"lease_s": 120})), threading.Event()
    with Away(str(arrivals.inbox)) as inbox:
        threading.Timer(3.3, stop.set).start()
        since_s = time.monotonic()
        assert Consumer(config, Where(arrivals.config), inbox, None).run(stop, lambda: False) == Worked(0, 0)
        assert time.monotonic() - since_s < 6


def test_a_second_signal_ends_it_at_once(arrivals: Arrivals) -> None:
    """Though a batch has an hour to end in."""
    arrivals.put("slow.csv", "a\n" + "1\n" * 20_000_000)
    config = arrivals.write(jobs={"grace_s": 3600})
    ordered(arrivals, "slow.csv")
    with run_consumer(config, environ=arrivals.environ) as consumer:
        until(lambda: bool(consumer.children()), 30, "a batch")
        started = consumer.children()
        consumer.process.send_signal(signal.SIGTERM)
        until(lambda: "once more ends at once" in consumer.log(), 20, "the first signal")
        since_s = time.monotonic()
        assert consumer.stop() == 130
        assert time.monotonic() - since_s < 15
        assert psutil.wait_procs(started, timeout=5)[1] == []
    with open_inbox(str(arrivals.inbox)) as inbox:
        assert inbox.counts()["waiting"] == 1


def test_beside_a_listener_it_ends_with_it(arrivals: Arrivals) -> None:
    config = arrivals.write()
    program = [sys.executable, "-m", "pipeline.events.consumer", str(config), "--with-parent"]
    text = f"import subprocess; one = subprocess.Popen({program!r}); print(one.pid, flush=True); one.wait()"
    with subprocess.Popen([sys.executable, "-c", text], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        consumer = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline() == "consuming\n"
        parent.kill()
        until(lambda: not consumer.is_running(), 20, "its end")


def test_one_that_cannot_work_says_why(arrivals: Arrivals) -> None:
    """Exit code 2 of a config that is wrong, 3 of a queue that is not there."""
    program = [sys.executable, "-m", "pipeline.events.consumer"]
    gone = {"url": "http://127.0.0.1:9/123456789012/gone", "endpoint": "http://127.0.0.1:9", "region": "eu-central-1"}
    for config, code, words in (
        (arrivals.folder / "none.yaml", 2, "none.yaml"),
        (arrivals.write(gone), 3, "error: queue http://127.0.0.1:9/123456789012/gone: get_queue_attributes"),
    ):
        ended = subprocess.run(
            [*program, str(config)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.returncode, words in ended.stderr) == (code, True), ended.stderr


def test_a_consumer_that_is_asked_to_end_hands_back_what_it_has_not_done(sqs: Sqs, arrivals: Arrivals) -> None:
    """Its messages are there at once for others, its orders too, and neither counts as an attempt."""
    queue = sqs.queue("asked")
    arrivals.put("slow.csv", "a\n" + "1\n" * 20_000_000)
    config = arrivals.write(queue.config(visibility_s=600), jobs={"grace_s": 0, "lease_s": 600})
    queue.send([told("slow.csv")])
    with run_consumer(config, environ=arrivals.environ) as consumer:
        until(lambda: bool(consumer.children()), 30, "its begin")
        since_s = time.monotonic()
        assert consumer.stop() == 0
        assert time.monotonic() - since_s < 25
    assert queue.depth() == (1, 0)
    with open_inbox(str(arrivals.inbox)) as inbox:
        [taken] = inbox.take(time.time(), 1, 10, {"csv": None})
        assert taken.attempt == 1
        assert inbox.states([("csv", taken.order.target)])[("csv", taken.order.target)] is State.RUNNING


def test_what_waits_to_settle_keeps_no_message(sqs: Sqs, arrivals: Arrivals) -> None:
    """The inbox holds it durably; a queue would set it aside after a few days."""
    queue = sqs.queue("settling")
    rule = {"match": {"bucket": BUCKET}, "check": {}}
    config = arrivals.write(queue.config(), rules={"later": rule | {"settle": "6h"}, "some": rule | {"per_day": 1}})
    for number in range(3):
        arrivals.put(f"{number}.csv", csv(number))
    queue.send([told(f"{number}.csv") for number in range(3)])
    with run_consumer(config, environ=arrivals.environ) as consumer:
        until(lambda: queue.empty and len(arrivals.results()) == 1, 60, "an empty queue, and one result of the day")
        assert consumer.stop() == 0
    with open_inbox(str(arrivals.inbox)) as inbox:
        assert inbox.counts()["waiting"] == 5
