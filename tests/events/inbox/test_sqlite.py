"""What is of a SQLite file alone: where it lies, whose it is, who holds it, and that it may be taken away."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import PreflightError, StoreError, TransientStoreError
from pipeline.events.event import ObjectEvent, Order, SceneEvent, Verdict
from pipeline.events.inbox.inbox import Arrival, open_inbox
from pipeline.events.inbox.sqlite import SqliteInbox
from pipeline.events.inbox.tables import MIGRATIONS


def event(number: int) -> Arrival:
    return Arrival(ObjectEvent("data", f"{number}", sequencer="01"))


def test_events_outlive_the_inbox_that_took_them(tmp_path: Path) -> None:
    with open_inbox(str(tmp_path / "inbox.db")) as inbox:
        inbox.put([event(1)])
    with open_inbox(str(tmp_path / "inbox.db")) as inbox:
        assert list(inbox.put([event(1), event(2)])) == [Verdict.DUPLICATE, Verdict.NEW]


def test_every_commit_reaches_the_disk(tmp_path: Path) -> None:
    with SqliteInbox(tmp_path / "inbox.db") as inbox:
        settings = inbox._connection.execute("PRAGMA journal_mode").fetchall()
        settings += inbox._connection.execute("PRAGMA synchronous").fetchall()
    assert settings == [("wal",), (2,)]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=r"found no folder .*missing; make it"):
        open_inbox(str(tmp_path / "missing" / "inbox.db"))


def test_a_file_of_others_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()
    with pytest.raises(PreflightError, match="a SQLite file that is no inbox"):
        open_inbox(str(path))
    path.write_text("no database, but text of some length" * 100)
    with pytest.raises(PreflightError, match="not a database"):
        open_inbox(str(path))


def test_tables_of_a_newer_release_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    open_inbox(str(path)).close()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    with pytest.raises(PreflightError, match=f"version {len(MIGRATIONS) + 1}, this release knows {len(MIGRATIONS)}"):
        open_inbox(str(path))


def test_a_file_that_others_hold_for_too_long_is_tried_again_later(tmp_path: Path) -> None:
    with SqliteInbox(tmp_path / "inbox.db", busy_s=0.2) as inbox:
        other = sqlite3.connect(tmp_path / "inbox.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(TransientStoreError, match="locked"):
            inbox.put([event(1)])
        with pytest.raises(TransientStoreError):
            inbox.check()
        assert time.monotonic() - begun < 5
        # Who only reads waits for nobody.
        assert inbox.counts()["events"] == 0
        other.execute("ROLLBACK")
        other.close()
        assert list(inbox.put([event(1)])) == [Verdict.NEW]


def test_a_file_that_was_removed_takes_what_comes_after_it(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    with SqliteInbox(path) as inbox:
        inbox.put([event(1)])
        for each in tmp_path.glob("inbox.db*"):
            each.unlink()
        inbox.put([event(2)])
        with SqliteInbox(path) as other:
            assert [filed.arrival for filed in other.unrouted(9)] == [event(2)]


def test_threads_share_one_inbox(tmp_path: Path) -> None:
    with SqliteInbox(tmp_path / "inbox.db") as inbox:
        answers: list[Verdict] = []

        def put() -> None:
            for number in range(50):
                answers.extend(inbox.put([event(number)]))

        threads = [threading.Thread(target=put) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (answers.count(Verdict.NEW), answers.count(Verdict.DUPLICATE)) == (50, 150)


def test_text_that_no_database_holds_is_refused_as_a_whole(tmp_path: Path) -> None:
    with SqliteInbox(tmp_path / "inbox.db") as inbox:
        for key in ("a\0b", "a\ud800b"):
            with pytest.raises(StoreError, match="expected text without NUL"):
                inbox.put([event(1), Arrival(ObjectEvent("data", key, sequencer="01"))])
            inbox.put([Arrival(SceneEvent("s2", key))])
            [filed] = inbox.unrouted(9)
            with pytest.raises(StoreError, match="expected text without NUL"):
                inbox.route({filed.number: [Order("rule", key, 0.0, 0.0)]})
            inbox.route({filed.number: []})
        assert inbox.counts()["events"] == 2


FILL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from pipeline.errors import TransientStoreError
from pipeline.events.event import ObjectEvent
from pipeline.events.inbox.inbox import Arrival, open_inbox
inbox = open_inbox(sys.argv[1])
number = 0
try:
    while True:
        inbox.put([Arrival(ObjectEvent("data", f"{number}", etag="e" * 5000, sequencer="01"))])
        number += 1
except TransientStoreError:
    print(number)
"""


@pytest.mark.long
def test_a_full_disk_keeps_all_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    done = subprocess.run([sys.executable, "-c", FILL, str(path)], check=True, capture_output=True, text=True)
    stored = int(done.stdout)
    with SqliteInbox(path) as inbox:
        assert [filed.arrival.event for filed in inbox.unrouted(1000)][:stored] == [
            ObjectEvent("data", f"{number}", etag="e" * 5000, sequencer="01") for number in range(stored)
        ]
    assert stored > 10


@pytest.mark.long
def test_a_hundred_thousand_orders_that_wait_make_nothing_slow(tmp_path: Path) -> None:
    with SqliteInbox(tmp_path / "inbox.db") as inbox:
        orders = [Order(f"rule{number % 5}", f"tile/{number}", number / 10, number / 10) for number in range(100_000)]
        assert inbox.order(orders) == len(orders)
        rules = {f"rule{number}": 50_000 for number in range(5)}
        begun = time.process_time()
        for _ in range(10):
            taken = inbox.take(1e6, 60, 100, rules)
            assert len(taken) == 100
            inbox.renew(taken, 1e6, 60)
            inbox.oldest_s()
        assert (time.process_time() - begun) / 10 < 0.1
