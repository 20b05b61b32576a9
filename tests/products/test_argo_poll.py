"""Whoever reads while partitions are replaced, and whoever writes at the same time: never no copy, never two."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq
import pytest

from pipeline.plan.argo_schema import partition_key
from pipeline.write.store import FolderStore, Store, open_store
from tests.products.argo_world import Listed, cast, core, partition, path_of, publish, rows, same_tables
from tests.servers.weed import S3Server

OLD, NEW = "20240701000000", "20240801000000"
LEVELS = partition_key("argo", "990010x")
HERE: dict[str, Any] = {"longitude": 60.0, "latitude": 10.0, "moment": datetime(2023, 12, 31, tzinfo=UTC)}
THERE: dict[str, Any] = {"longitude": -40.0, "latitude": -30.0, "moment": datetime(2024, 1, 1, tzinfo=UTC)}


@dataclass
class Reader:
    """Counts, in a loop, the copies of cycle 1 in whatever lies under the product at that moment."""

    store: Store
    copies: set[int] = field(default_factory=set)
    places: set[tuple[int, int]] = field(default_factory=set)
    polls: int = 0
    problems: list[BaseException] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def loop(self) -> None:
        try:
            while not self.ended.is_set():
                self.poll()
        except BaseException as error:  # noqa: BLE001 (told to the test, which fails by it)
            self.problems.append(error)

    def poll(self) -> None:
        found = set()
        for key, _ in self.store.list_objects("data/argo/"):
            if key.endswith("levels.parquet"):
                table = pq.read_table(
                    BytesIO(self.store.get_bytes(key)), columns=["cycle", "level", "longitude", "time"]
                )
                ones = [row for row in table.to_pylist() if row["cycle"] == 1 and row["level"] == 0]
                found |= {(len(ones), round(one["longitude"]), one["time"].year) for one in ones}
                self.copies.add(len(ones))
        self.places |= {(longitude, year) for _, longitude, year in found}
        self.polls += 1

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()
        return self

    def look(self) -> None:
        """Wait for a whole poll that begins now, however busy the machine is."""
        polls = self.polls
        while self.polls < polls + 2 and not self.problems:
            self.ended.wait(0.001)

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()


def check_moves(root: Path, store: Store, moves: int) -> None:
    """A delayed file moves a profile to another ocean and year, and back, while somebody reads all the time."""
    other = core("R9900101_002.nc", OLD, cast(2))
    start = Listed(root).with_file(*other).with_file(*core("R9900101_001.nc", OLD, cast(1, "R", **HERE)))
    publish(start, store)
    with Reader(store) as reader:
        for number in range(moves):
            where, letter = (THERE, "D") if number % 2 == 0 else (HERE, "R")
            gone = path_of(f"{'R' if letter == 'D' else 'D'}9900101_001.nc")
            start = start.with_file(
                *core(f"{letter}9900101_001.nc", f"{NEW[:-2]}{number:02d}", cast(1, letter, **where)), without=gone
            )
            made, _ = publish(start, store)
            assert made.properties["groundswell:files_read"] == 1
            reader.look()
    assert reader.problems == []
    assert reader.copies == {1}
    assert reader.places == {(60, 2023), (-40, 2024)}


def test_a_profile_that_moves_is_there_once_whenever_one_looks(tmp_path: Path) -> None:
    check_moves(tmp_path / "gdac", FolderStore(str(tmp_path / "out")), 6)


@pytest.mark.long
def test_a_profile_that_moves_is_there_once_in_a_bucket_too(
    tmp_path: Path, s3_environment: S3Server, s3_bucket: str
) -> None:
    check_moves(tmp_path / "gdac", s3_store(s3_environment, s3_bucket, "moves"), 10)


def s3_store(server: S3Server, bucket: str, prefix: str) -> Store:
    return open_store(f"s3://{bucket}/{prefix}", endpoint=server.endpoint)


def check_together(root: Path, store: Store, alone: Store) -> None:
    """Each writer knows one file more of a week, as runs do that meet; nobody's file may be lost."""
    base = Listed(root).with_file(*core("R9900101_000.nc", OLD, cast(0)))
    publish(base, store)
    parts = [
        Listed(root, complete=False).with_file(
            *core(f"D990010{1 + number % 3}_{number:03d}.nc", NEW, cast(number, "D", wmo=9900101 + number % 3))
        )
        for number in range(1, 7)
    ]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda one: publish(one, store), parts))
    assert len(rows(store)) == 7
    assert partition(store).generation == 7
    everything = base
    for part in parts:
        everything = Listed(root, {**everything.files, **part.files})
    publish(everything, alone)
    assert same_tables(partition(store).tables, partition(alone).tables)


def test_writers_who_meet_in_a_folder_lose_nothing(tmp_path: Path) -> None:
    check_together(tmp_path / "gdac", FolderStore(str(tmp_path / "out")), FolderStore(str(tmp_path / "alone")))


@pytest.mark.long
def test_writers_who_meet_in_a_bucket_lose_nothing(tmp_path: Path, s3_environment: S3Server, s3_bucket: str) -> None:
    check_together(
        tmp_path / "gdac", s3_store(s3_environment, s3_bucket, "together"), FolderStore(str(tmp_path / "alone"))
    )


def _publish_many(root: str, out: str, number: int) -> None:
    mine = Listed(Path(root), complete=False)
    for cycle in range(number * 5, number * 5 + 5):
        name, data, version = core(f"R9900101_{cycle:03d}.nc", OLD, cast(cycle))
        publish(mine.with_file(name, data, version), FolderStore(out))


@pytest.fixture
def processes() -> Iterator[list[multiprocessing.process.BaseProcess]]:
    started: list[multiprocessing.process.BaseProcess] = []
    yield started
    for one in started:
        one.kill()
        one.join()


@pytest.mark.long
def test_writers_in_processes_of_their_own_lose_nothing_when_one_is_killed(
    tmp_path: Path, processes: list[multiprocessing.process.BaseProcess]
) -> None:
    """A lock ends with its holder; what the killed one had not put is missing, and nothing else."""
    context, out = multiprocessing.get_context("spawn"), str(tmp_path / "out")
    for number in range(2):
        processes.append(context.Process(target=_publish_many, args=(str(tmp_path / "gdac"), out, number)))
        processes[-1].start()
    store = FolderStore(out)
    while not store.exists(LEVELS):
        processes[0].join(0.01)
    processes[0].kill()
    for one in processes:
        one.join()
    levels = pq.read_table(BytesIO(store.get_bytes(LEVELS))).to_pylist()
    cycles = sorted(row["cycle"] for row in levels if row["level"] == 0)
    assert cycles[-5:] == [*range(5, 10)]
    assert cycles == sorted(set(cycles))
    publish(Listed(tmp_path / "gdac", complete=False).with_file(*core("R9900101_000.nc", OLD, cast(0))), store)
    assert sorted(one["cycle"] for one in rows(store)) == sorted({0, *cycles})
