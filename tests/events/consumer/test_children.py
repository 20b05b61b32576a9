"""Batches as processes: one is kept and given the next, and whatever ends one costs its own batch alone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.events.consumer.batches import Batch, Over, Where
from pipeline.events.consumer.children import Processes
from pipeline.events.event import Ended
from tests.events.consuming import Arrivals, csv
from tests.servers.consumer import until

pytestmark = pytest.mark.long


@pytest.fixture
def arrivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arrivals:
    arrivals = Arrivals(tmp_path)
    for name, value in arrivals.environ.items():
        monkeypatch.setenv(name, value)
    arrivals.write()
    arrivals.put("0.csv", csv(0))
    arrivals.put("1.csv", csv(1))
    arrivals.put("slow.csv", "a\n" + "1\n" * 20_000_000)
    return arrivals


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes(keep=lambda _: True)
    yield made
    made.close()
    until(lambda: not children(), 20, "the end of all children")


def children() -> list[psutil.Process]:
    """Those of batches alone: servers of other tests may be this process's children as well."""
    return [one for one in psutil.Process().children() if "pipeline.events.consumer.batch" in command(one)]


def command(process: psutil.Process) -> list[str]:
    """Nothing where it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


class Doing(threading.Thread):
    """A batch in a thread of its own."""

    def __init__(self, processes: Processes, arrivals: Arrivals, key: str, timeout_s: float = 60) -> None:
        super().__init__()
        self.told: list[Ended] = []
        self.stopped = threading.Event()
        self.over: Over
        self._batch = Batch(Where(arrivals.config), "csv", (f"object/arrivals/{key}",))
        self._processes, self._timeout_s = processes, timeout_s
        self.start()

    def run(self) -> None:
        self.over = self._processes.run(self._batch, self.told.append, self.stopped, self._timeout_s)

    def ended(self) -> tuple[list[str], Over]:
        self.join(60)
        return [f"{one.target}: {one.note or one.cause}" for one in self.told], self.over


def test_a_child_is_kept_and_given_the_next_batch(processes: Processes, arrivals: Arrivals) -> None:
    told, over = Doing(processes, arrivals, "0.csv").ended()
    assert (told, over) == (["object/arrivals/0.csv: pass"], Over())
    [child] = children()
    told, over = Doing(processes, arrivals, "1.csv").ended()
    assert told[0].startswith("object/arrivals/1.csv: fail: ") and over == Over()
    assert children() == [child]
    os.kill(child.pid, signal.SIGKILL)
    # Its first thread may be a zombie while others of it still end: only this tells, and leaves the rest to its parent.
    until(lambda: os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None, 10, "its end")
    told, over = Doing(processes, arrivals, "0.csv").ended()
    assert (told, over) == (["object/arrivals/0.csv: skipped: pass"], Over())
    assert children() != [child]


def test_a_child_that_dies_is_the_end_of_its_batch_alone(processes: Processes, arrivals: Arrivals) -> None:
    slow = Doing(processes, arrivals, "slow.csv")
    until(lambda: bool(children()), 10, "its process")
    [busy] = children()
    busy.suspend()  # so that it is not done before, however fast the machine is
    assert Doing(processes, arrivals, "0.csv").ended() == (["object/arrivals/0.csv: pass"], Over())
    busy.kill()
    told, over = slow.ended()
    assert told == []
    assert over.died and "SIGKILL" in over.cause and "memory" in over.cause


def test_a_batch_that_takes_too_long_is_ended_with_all_that_it_started(
    processes: Processes, arrivals: Arrivals
) -> None:
    assert Doing(processes, arrivals, "0.csv").ended() == (["object/arrivals/0.csv: pass"], Over())
    [batch] = children()
    [reader] = batch.children()
    reader.suspend()  # so that the next never ends, however fast the machine is
    since_s = time.monotonic()
    told, over = Doing(processes, arrivals, "slow.csv", timeout_s=2).ended()
    assert (told, over.died) == ([], True)
    assert over.cause == "it took longer than `jobs.timeout_s`, 2 s, and was ended"
    assert time.monotonic() - since_s < 20
    assert psutil.wait_procs([batch, reader], timeout=5)[1] == []


def test_a_batch_that_is_asked_to_end_does(processes: Processes, arrivals: Arrivals) -> None:
    slow = Doing(processes, arrivals, "slow.csv")
    until(lambda: bool(children()), 10, "its process")
    slow.stopped.set()
    assert slow.ended() == ([], Over("it was asked to end"))
    assert children() == []
