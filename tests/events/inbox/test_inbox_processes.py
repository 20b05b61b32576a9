"""Several processes with one inbox, some of which are killed: nothing that was acknowledged is lost, or done twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.events.event import Ended, ObjectEvent, Order, State
from pipeline.events.inbox.inbox import open_inbox
from tests.servers.databases import Postgres

pytestmark = pytest.mark.long

PUTTERS, TAKERS, EVENTS, ORDERS = 3, 3, 300, 300
ROOT = Path(__file__).parents[3]

PUT = """
import json, random, sys
from pipeline.events.event import ObjectEvent
from pipeline.events.inbox.inbox import Arrival, open_inbox
place, seed, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
numbers = list(range(many))
random.Random(seed).shuffle(numbers)
inbox = open_inbox(place)
print("ready", flush=True)
for first in range(0, many, 7):
    part = numbers[first : first + 7]
    # Of each object three events, of which the newest counts, and each process puts all.
    events = [ObjectEvent("data", str(each // 3), etag=str(each), sequencer=f"{each:06X}") for each in part]
    verdicts = [each.value for each in inbox.put([Arrival(event) for event in events])]
    print(json.dumps([part, verdicts]), flush=True)
"""
TAKE = """
import json, sys, time
from pipeline.events.event import Ended
from pipeline.events.inbox.inbox import open_inbox
inbox = open_inbox(sys.argv[1])
print("ready", flush=True)
while taken := inbox.take(100.0, 50.0, 5, {"a": None, "b": 40}):
    inbox.renew(taken, 100.0, 50.0)
    print(json.dumps(["took", [[each.order.rule, each.order.target, each.attempt] for each in taken]]), flush=True)
    for each in taken:
        if inbox.finish(each, Ended(each.order.target), 100.0):
            print(json.dumps(["done", each.order.target]), flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty inbox."""
    if request.param == "sqlite":
        return str(tmp_path / "inbox.db")
    server: Postgres = request.getfixturevalue("postgres")
    with psycopg.connect(server.dsn) as connection:
        connection.execute("DROP SCHEMA IF EXISTS groundswell_events CASCADE")
    return server.dsn


def started(program: str, place: str, *more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, place, *map(str, more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def together(processes: list[subprocess.Popen[str]]) -> None:
    """Return when all have opened the inbox, which none had made before."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"


def said(process: subprocess.Popen[str]) -> list[Any]:
    """What a process printed, without the line in which it was killed."""
    assert process.stdout is not None
    with process.stdout as output:
        lines = output.readlines()
    process.wait(60)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def test_what_several_processes_put_at_once_is_there_once(place: str) -> None:
    processes = [started(PUT, place, seed, EVENTS) for seed in range(PUTTERS)]
    together(processes)
    verdicts = Counter(
        (number, verdict)
        for process in processes
        for numbers, each in said(process)
        for number, verdict in zip(numbers, each, strict=True)
    )
    assert all(verdicts[number, "new"] <= 1 for number in range(EVENTS))
    assert sum(verdicts.values()) == PUTTERS * EVENTS
    with open_inbox(place) as inbox:
        stored = [each.arrival.event for each in inbox.unrouted(10 * EVENTS)]
        assert Counter(int(event.etag) for event in stored if isinstance(event, ObjectEvent)) == Counter(
            number for number in range(EVENTS) if verdicts[number, "new"]
        )
        newest = {event.key: int(event.etag) for event in inbox.objects("data")}
        assert newest == {str(number): number * 3 + 2 for number in range(EVENTS // 3)}
        assert set(newest.values()) <= {number for number in range(EVENTS) if verdicts[number, "new"]}


def test_what_was_acknowledged_before_sigkill_is_there(place: str) -> None:
    choice = random.Random(4)  # noqa: S311 (no secret)
    processes = [started(PUT, place, seed, 30_000) for seed in range(PUTTERS)]
    together(processes)
    for process in processes:
        time.sleep(choice.uniform(0.1, 0.5))
        process.kill()
    told = [line for process in processes for line in said(process)]
    new = {
        number
        for numbers, verdicts in told
        for number, verdict in zip(numbers, verdicts, strict=True)
        if verdict == "new"
    }
    assert new
    with open_inbox(place) as inbox:
        events = [each.arrival.event for each in inbox.unrouted(100_000)]
        stored = [int(event.etag) for event in events if isinstance(event, ObjectEvent)]
        assert new <= set(stored)
        assert len(stored) == len(set(stored))
        # Of what nobody was told, a batch is there as a whole or not at all; at most one of each process.
        assert len(set(stored) - new) <= 7 * PUTTERS
        inbox.check()


def test_several_takers_do_each_order_once_and_no_more_than_a_day_allows(place: str) -> None:
    orders = [Order(rule, f"{number}", number / 10, number / 10) for number in range(ORDERS) for rule in "ab"]
    with open_inbox(place) as inbox:
        inbox.order(orders)
    processes = [started(TAKE, place) for _ in range(TAKERS)]
    together(processes)
    told = [line for process in processes for line in said(process)]
    took = [tuple(each) for kind, some in told if kind == "took" for each in some]
    assert Counter(took) == Counter(
        [("a", f"{number}", 1) for number in range(ORDERS)] + [("b", f"{number}", 1) for number in range(40)]
    )
    assert sum(kind == "done" for kind, _ in told) == ORDERS + 40
    with open_inbox(place) as inbox:
        counts = inbox.counts()
        assert (counts["waiting"], counts["running"], counts["done"]) == (ORDERS - 40, 0, ORDERS + 40)


def test_the_work_of_a_taker_that_was_killed_is_done_by_another_when_its_lease_ends(place: str) -> None:
    with open_inbox(place) as inbox:
        inbox.order([Order("a", f"{number}", 0.0, 0.0) for number in range(2000)])
        process = started(TAKE, place)
        together([process])
        time.sleep(0.3)
        process.kill()
        told = said(process)
        done = {str(target) for kind, target in told if kind == "done"}
        running = inbox.counts()["running"]
        assert inbox.counts()["done"] - len(done) in {0, 1}
        assert running <= 5
        again: Counter[int] = Counter()
        while taken := inbox.take(200.0, 50.0, 100, {"a": None}):
            again.update(each.attempt for each in taken)
            assert not {each.order.target for each in taken} & done
            assert all(inbox.finish(each, Ended(each.order.target), 200.0) for each in taken)
        assert again[2] == running
        assert set(inbox.states([("a", f"{number}") for number in range(2000)]).values()) == {State.DONE}
