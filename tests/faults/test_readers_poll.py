"""Whoever reads while runs are killed and resumed, and a vacuum goes on all the time, sees whole products only."""

from __future__ import annotations

import io
import json
import posixpath
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pyarrow.parquet as pq
import pytest

from pipeline.verbs._leftovers import Rules
from pipeline.verbs.vacuum import vacuum
from pipeline.write.store import Store, open_store
from tests.faults._runs import JOBS, Case, Tree, check_clean, check_items, items
from tests.servers.weed import S3Server


@dataclass
class Background:
    """Two readers and a vacuum, each in a loop on a thread of its own, until the block ends."""

    case: Case
    store: Store
    polls: int = 0
    sweeps: int = 0
    walks: int = 0
    seen: set[int] = field(default_factory=set)
    """How many items there were, at any poll."""
    walked: set[int] = field(default_factory=set)
    """How many items the catalogue led to, where there was one."""
    problems: list[BaseException] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """As a reader does it: items first, then what they name, which must be there and whole."""
        tree = {key: self.case.read(key) for key in self.case.keys("items")}
        for key, item in items(tree).items():
            named = [posixpath.normpath(f"{posixpath.dirname(key)}/{each['href']}") for each in item["assets"].values()]
            tree |= {name: self.case.read(name) for name in named}
        self.seen.add(check_items(tree))
        self.polls += 1

    def walk(self) -> None:
        """As a catalogue's reader does it: from the root page to its items, and by the table; all of them are there."""
        try:
            links = json.loads(self.case.read("catalog.json"))["links"]
        except FileNotFoundError:  # no run has ended yet
            links = []
        for page in [posixpath.normpath(link["href"]) for link in links if link["rel"] == "child"]:
            shown = [link["href"] for link in json.loads(self.case.read(page))["links"] if link["rel"] == "item"]
            keys = [posixpath.normpath(f"{posixpath.dirname(page)}/{href}") for href in shown]
            assert all(json.loads(self.case.read(key))["type"] == "Feature" for key in keys)
            table = pq.read_table(io.BytesIO(self.case.read("items.parquet")))
            assert table.num_rows > 0
            self.walked.add(len(keys))
        self.walks += 1

    def sweep(self) -> None:
        vacuum(self.store, Rules(0))
        self.sweeps += 1

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._loop, args=(act,)) for act in (self.read, self.walk, self.sweep)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _loop(self, act: object) -> None:
        assert callable(act)
        while not self._ended.wait(0.05):
            try:
                act()
            except BaseException as problem:
                self.problems.append(problem)
                raise


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.full)])
def shared(request: pytest.FixtureRequest, faults_world: Path, tmp_path: Path) -> tuple[Case, Store]:
    """A case, and the store of its output for this process."""
    if request.param == "folder":
        case = Case(tmp_path / "case", faults_world)
        return case, open_store(case.output)
    server: S3Server = request.getfixturevalue("s3_environment")
    bucket: str = request.getfixturevalue("s3_bucket")
    case = Case(tmp_path / "case", faults_world, server, f"s3://{bucket}/polled")
    return case, open_store(case.output, endpoint=server.endpoint)


@pytest.mark.long
def test_no_torn_product_is_ever_seen(shared: tuple[Case, Store], calm: Tree) -> None:
    """Killed among its data puts, killed before an item, then run to its end."""
    case, store = shared
    with Background(case, store) as background:
        for step, number in (("data_put:qa", 3), ("item_put", 4)):
            killed = case.start(str(case.config), order={"action": "run", "step": step, "number": number}).wait()
            assert killed.code == -signal.SIGKILL, killed.text
        finished = case.run()
        background.walk()
    assert finished.code == 0, finished.text
    sys.stdout.write(
        f"torn reads: {len(background.problems)} of {background.polls} polls and {background.walks} walks through the "
        f"catalogue, while a run was killed twice and resumed and {background.sweeps} vacuums ran\n"
    )
    assert background.problems == []
    assert background.polls > 10 and background.sweeps > 10
    assert background.seen > {0}, "it looked while items came"
    assert max(background.seen) <= JOBS
    assert background.walked == {JOBS}, "the catalogue is written when a run ends"
    check_clean(case, calm)
