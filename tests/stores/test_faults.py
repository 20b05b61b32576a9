"""Crashes and company: whatever is killed, and whoever else loads, a partition is there whole or not at all."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from pipeline.config import RunConfig
from pipeline.config.stores import PostgresConfig, StoresConfig
from pipeline.errors import PreflightError, StoreError
from pipeline.stores.load import load_stores
from pipeline.stores.partition import Listed, PartitionFile, Profile
from pipeline.stores.postgres import Connection, connect, migrate, open_postgres, settings
from pipeline.stores.replace import Written, write_partition
from pipeline.write.store import Store, open_store
from tests.servers.databases import Postgres, find_postgres, run_postgres
from tests.stores.conftest import run_of
from tests.stores.held import dump, identities
from tests.stores.partitions import PRODUCT, cycles, put_partition

pytestmark = pytest.mark.long

BUCKETS, CYCLES, LEVELS = 10, 20, 40
ROOT = Path(__file__).parents[2]
LOADER = """
import sys
from pydantic import SecretStr
from pipeline.config.stores import PostgresConfig, StoresConfig
from pipeline.stores.load import load_stores
from pipeline.stores.partition import Listed, PartitionFile, Profile
from pipeline.stores.replace import Written, write_partition
from pipeline.write.store import open_store
from tests.stores.conftest import run_of
dsn, schema, place = sys.argv[1:]
stores = StoresConfig(postgres=PostgresConfig(dsn=SecretStr(dsn), schema_name=schema))
print("begins", flush=True)
load_stores(open_store(place), run_of(stores))
"""


def fill(store: Store, generation: int, mode: str) -> None:
    for number in range(BUCKETS):
        put_partition(store, cycles(CYCLES, wmo=2900000 + 10 * number, mode=mode, levels=LEVELS), generation)


def counts(database: Connection) -> set[object]:
    """Profiles of each partition that is there, and whether all are of one mode."""
    rows = database.execute("SELECT count(*), count(DISTINCT data_mode) FROM profiles GROUP BY bucket").fetchall()
    return set(rows)


def plain(stores: StoresConfig) -> RunConfig:
    return run_of(stores.model_copy(update={"redis": None, "regions": {}}))


@contextmanager
def watching(stores: StoresConfig) -> Iterator[list[set[object]]]:
    """Somebody who looks all the while."""
    seen: list[set[object]] = []
    over = threading.Event()

    def watch() -> None:
        with open_postgres(stores.postgres, read_only=True) as database:
            while not over.is_set():
                seen.append(counts(database))
                time.sleep(0.005)

    with ThreadPoolExecutor(1) as pool:
        watcher = pool.submit(watch)
        try:
            yield seen
        finally:
            over.set()
            watcher.result()


def test_a_loader_that_is_killed_leaves_whole_partitions_and_the_next_goes_on(
    tmp_path: Path, stores: StoresConfig, database: Connection
) -> None:
    """SIGKILL at random points, while a reader looks: a partition has 0 or all of its profiles, all of one mode."""
    store = open_store(str(tmp_path / "out"))
    fill(store, 1, "R")
    load_stores(store, plain(stores))
    fill(store, 2, "D")
    dice = random.Random(7)  # noqa: S311 - the same points at every run
    arguments = [stores.postgres.dsn.get_secret_value(), stores.postgres.schema_name, store.uri]
    with watching(stores) as seen:
        for _ in range(3):
            loader = subprocess.Popen([sys.executable, "-c", LOADER, *arguments], cwd=ROOT, stdout=subprocess.PIPE)
            assert loader.stdout is not None
            with loader, loader.stdout:
                loader.stdout.readline()
                time.sleep(dice.uniform(0.02, 0.25))
                loader.kill()
        load_stores(store, plain(stores))
    assert set().union(*seen) == {(CYCLES, 1)}
    loaded = dump(database)
    load_stores(store, plain(stores), anew=True)
    assert dump(database) == loaded


def test_loaders_at_once_agree(tmp_path: Path, stores: StoresConfig, database: Connection) -> None:
    """Four loaders of two states of an output, beginning with empty tables, end with the newer state."""
    store = open_store(str(tmp_path / "out"))
    fill(store, 1, "R")

    def load(_: int) -> tuple[str, ...]:
        return load_stores(store, plain(stores)).notes

    with watching_later(stores) as seen, ThreadPoolExecutor(4) as pool:
        begun = list(pool.map(load, range(3)))
        more = [pool.submit(load, i) for i in range(3)]
        fill(store, 2, "D")
        more.append(pool.submit(load, 3))
        notes = [*begun, *(each.result() for each in more)]
    assert set().union(*seen) == {(CYCLES, 1)}
    assert all("is of generation" in note for each in notes for note in each)
    load_stores(store, plain(stores))
    held = dump(database)
    load_stores(store, plain(stores), anew=True)
    assert dump(database) == held


@contextmanager
def watching_later(stores: StoresConfig) -> Iterator[list[set[object]]]:
    """Somebody who looks once there are tables."""
    with open_postgres(stores.postgres) as database:
        migrate(database, stores.postgres.schema_name)
    with watching(stores) as seen:
        yield seen


class _Held(PartitionFile):
    """A partition whose rows come when they are let go."""

    begun: threading.Event
    let_go: threading.Event

    def profiles(self) -> Iterator[list[Profile]]:
        self.begun.set()
        assert self.let_go.wait(30)
        yield from super().profiles()


def test_of_two_loaders_of_a_partition_the_second_waits_and_the_newer_stays(
    store: Store, stores: StoresConfig, database: Connection
) -> None:
    """The first is in the middle of generation 2, of which it has two cycles, when the second has 3 to write."""
    put_partition(store, cycles(3), 1)
    load_stores(store, plain(stores))
    put_partition(store, cycles(2, mode="A"), 2)
    slow = _Held(store, PRODUCT, "290226x")
    slow.begun, slow.let_go = threading.Event(), threading.Event()
    put_partition(store, cycles(3, mode="D"), 3)
    fast = PartitionFile(store, PRODUCT, "290226x")
    listed = Listed("290226x", 1, None)

    def write(file: PartitionFile) -> Written:
        with open_postgres(stores.postgres) as connection:
            return write_partition(connection, listed, file)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(write, slow)
        assert slow.begun.wait(30)
        second = pool.submit(write, fast)
        time.sleep(0.3)
        assert not second.done()
        slow.let_go.set()
        assert (first.result().refused, second.result().refused) == ("", "")
    assert [each[1::4] for each in identities(database)] == [(1, "D"), (2, "D"), (3, "D")]
    assert database.execute("SELECT generation FROM partitions").fetchone() == (3,)


def test_connections_that_are_cut_are_made_again(
    tmp_path: Path, stores: StoresConfig, postgres: Postgres, database: Connection
) -> None:
    store = open_store(str(tmp_path / "out"))
    fill(store, 1, "R")
    over, cut = threading.Event(), list[int]()

    def cutting() -> None:
        with psycopg.connect(postgres.dsn, autocommit=True) as other:
            while not over.wait(0.3):
                victims = other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'groundswell' AND pid <> %s AND xact_start IS NOT NULL",
                    (database.info.backend_pid,),
                )
                cut.append(len(victims.fetchall()))

    with ThreadPoolExecutor(1) as pool:
        cutter = pool.submit(cutting)
        try:
            while sum(cut) < 2:
                loaded = load_stores(store, plain(stores), anew=True)
        finally:
            over.set()
            cutter.result()
    assert loaded.notes == ()
    assert counts(database) == {(CYCLES, 1)}
    assert len(database.execute("SELECT FROM partitions").fetchall()) == BUCKETS


def test_a_server_that_crashes_while_it_is_loaded_into_loses_nothing_that_was_there(tmp_path: Path) -> None:
    programs = find_postgres()
    if programs is None:
        pytest.skip("needs the programs of PostgreSQL")
    store = open_store(str(tmp_path / "out"))
    fill(store, 1, "R")
    with run_postgres(programs) as server:
        stores = StoresConfig(postgres=PostgresConfig(dsn=SecretStr(server.dsn)))

        def crash() -> None:
            time.sleep(0.5)
            server.stop(signal.SIGQUIT)
            server.start()

        with ThreadPoolExecutor(1) as pool:
            crashed = pool.submit(crash)
            with suppress(PreflightError):  # it was away for longer than it is waited for
                load_stores(store, run_of(stores))
            crashed.result()
        load_stores(store, run_of(stores))
        with connect(server.dsn, settings(stores.postgres, read_only=True)) as database:
            assert counts(database) == {(CYCLES, 1)}
            assert len(database.execute("SELECT FROM partitions").fetchall()) == BUCKETS


def test_a_lock_that_is_never_released_is_not_waited_for_without_end(
    store: Store, stores: StoresConfig, postgres: Postgres, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of a loader whose machine is gone."""
    put_partition(store, cycles(1), 1)
    load_stores(store, plain(stores))
    put_partition(store, cycles(2), 2)
    monkeypatch.setattr("pipeline.stores.postgres.LOCK_TIMEOUT_S", 0.2)
    monkeypatch.setattr("pipeline.stores.load.BACKOFF_S", 0.01)
    with database.transaction():
        database.execute("SELECT FROM partitions FOR UPDATE")
        with pytest.raises(StoreError, match="lock timeout"):
            load_stores(store, plain(stores))
    assert load_stores(store, plain(stores)).inserted == 1


@pytest.mark.parametrize("dsn", ["hunter2 is no dsn", "postgresql://u:hunter2@127.0.0.1:9/x"])
def test_no_error_tells_a_password(dsn: str, store: Store) -> None:
    put_partition(store, cycles(1), 1)
    with pytest.raises(PreflightError, match=r"stores\.postgres") as raised:
        load_stores(store, run_of(StoresConfig(postgres=PostgresConfig(dsn=SecretStr(dsn)))))
    assert "hunter2" not in str(raised.value)
