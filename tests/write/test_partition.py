"""A partition is replaced whole at a fixed key; what follows it is of the newest state, whoever comes last."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import MovedError, OutputError, TransientStoreError
from pipeline.plan.argo_jobs import GLOBE
from pipeline.plan.periods import STATIC
from pipeline.types import AssetLoss, FloatBucket, Job, Made, MemoryPlan, Replaced, Rights
from pipeline.write import commit as commits
from pipeline.write import lock, partition
from pipeline.write.commit import commit, list_committed
from pipeline.write.files import finished_file, write_json_file
from pipeline.write.partition import FOOTER, generation_of, is_partition, items_of, list_partitions
from pipeline.write.sound import Listing, check_item
from pipeline.write.stac import item_key
from pipeline.write.store import FolderStore

LEVELS, PROFILES = "data/argo/290226x/static/levels.parquet", "data/argo/290226x/static/profiles.parquet"
Make = Callable[[str, Replaced], tuple[Job, Made]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A job of one state of a bucket, and what it made."""

    def made(state: str, replaces: Replaced) -> tuple[Job, Made]:
        folder = tmp_path / f"{state}-{replaces.generation}"
        folder.mkdir()
        job = Job("argo", "argo", FloatBucket("290226x", GLOBE), STATIC, "default", (), state * 32, MemoryPlan(1, 1), 0)
        files = []
        for key in ("levels", "profiles"):
            path = folder / f"{key}.parquet"
            footer = json.dumps({"generation": replaces.generation, "fingerprint": job.fingerprint})
            table = pa.table({"state": [state]}).replace_schema_metadata({FOOTER: footer.encode()})
            pq.write_table(table, path)
            file = finished_file(path, key, "application/x-parquet", ("data",), key, {})
            files.append(replace(file, replaces=replaces))
        inputs = write_json_file({"made": state}, folder / "inputs.json", "inputs", title="Inputs")
        times = dict.fromkeys(("datetime", "start_datetime", "end_datetime"), "2024-01-01T00:00:00Z")
        said = {**times, "groundswell:generation": replaces.generation}
        return job, Made((*files, inputs), said, Rights("CC-BY-4.0", "Argo"), geometry=None)

    return made


def publish(store: FolderStore, made: tuple[Job, Made]) -> None:
    commit(store, *made, now=datetime(2024, 1, 1, tzinfo=UTC))


def test_the_next_state_replaces_files_and_item(tmp_path: Path, make: Make) -> None:
    """One object a table, one item a bucket: that of the newest state."""
    store = FolderStore(str(tmp_path / "out"))
    publish(store, make("a", Replaced(None, 1)))
    publish(store, make("b", Replaced(store.version_of(LEVELS), 2)))
    assert sorted(key for key, _ in store.list_objects("data/") if key.endswith(".parquet")) == [LEVELS, PROFILES]
    assert [generation_of(store, key) for key in (LEVELS, PROFILES)] == [2, 2]
    assert list(list_committed(store, "argo")) == ["b" * 32]
    (key,) = list_committed(store, "argo").values()
    assert check_item(store, key, Listing(store.list_objects()), links=False) == []


def test_a_state_made_from_another_one_than_is_there_is_not_put(tmp_path: Path, make: Make) -> None:
    store = FolderStore(str(tmp_path / "out"))
    publish(store, make("a", Replaced(None, 1)))
    with pytest.raises(MovedError, match=r"levels\.parquet: another run replaced it meanwhile"):
        publish(store, make("b", Replaced(None, 1)))
    assert list(list_committed(store, "argo")) == ["a" * 32]
    assert pq.read_table(Path(store.root, LEVELS))["state"].to_pylist() == ["a"]


@pytest.mark.parametrize("newer", ["a", "b"])
@pytest.mark.parametrize("at", ["partition_put:profiles", "item_put", "items_of"])
def test_whoever_comes_late_leaves_the_newer_state_alone(
    newer: str, at: str, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run moves the partition on after our commit: its tables and its item stay, ours do not."""
    store = FolderStore(str(tmp_path / "out"))

    def meanwhile(name: str) -> None:
        if name == at:
            monkeypatch.undo()
            publish(store, make(newer, Replaced(store.version_of(LEVELS), 2)))

    def looked(*args: Any) -> list[str]:
        found = items_of(*args)
        meanwhile("items_of")
        return found

    for module in (partition, commits):
        monkeypatch.setattr(module, "step", meanwhile)
    monkeypatch.setattr(partition, "items_of", looked)
    publish(store, make("a", Replaced(None, 1)))
    assert [generation_of(store, key) for key in (LEVELS, PROFILES)] == [2, 2]
    (key,) = list_committed(store, "argo").values()
    assert newer * 32 in key
    assert json.loads(store.get_bytes(key))["properties"]["groundswell:generation"] == 2


def test_a_table_that_is_not_what_was_validated_is_not_put(tmp_path: Path, make: Make) -> None:
    store = FolderStore(str(tmp_path / "out"))
    job, made = make("a", Replaced(None, 1))
    made.files[1].path.write_bytes(b"PAR1")
    with pytest.raises(OutputError, match=r"profiles\.parquet: found 4 bytes, expected the \d+ validated"):
        publish(store, (job, made))
    assert list(store.list_objects()) == []


def test_of_many_that_merge_none_is_lost(tmp_path: Path, make: Make) -> None:
    """Each reads, adds itself and puts, again where it lost: the last state has all of them."""
    store = FolderStore(str(tmp_path / "out"))

    def add(number: int) -> None:
        while True:
            version = store.version_of(LEVELS)
            known = json.loads(store.get_bytes(LEVELS)) if version else []
            path = tmp_path / f"{number}.json"
            path.write_text(json.dumps([*known, number]))
            if store.put_if(path, LEVELS, version) is not None:
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert sorted(json.loads(store.get_bytes(LEVELS))) == list(range(24))


def test_a_lock_that_is_never_given_back_is_a_passing_fault(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds it may have been stopped; a worker does not wait for ever, and a lock that is free is had."""
    store = FolderStore(str(tmp_path / "out"))
    target = Path(store.root, LEVELS)
    target.parent.mkdir(parents=True)
    monkeypatch.setattr(lock, "LONGEST_S", 0.05)
    with lock.locked(target), pytest.raises(TransientStoreError, match=r"levels\.parquet: another process has held"):
        publish(store, make("a", Replaced(None, 1)))
    publish(store, make("b", Replaced(None, 1)))
    assert [path.name for path in target.parent.iterdir() if "lock" in path.name] == []


def test_a_bucket_with_two_items_counts_as_not_committed(tmp_path: Path, make: Make) -> None:
    """Nobody can tell from names which one is of the state that is there."""
    store = FolderStore(str(tmp_path / "out"))
    publish(store, made := make("a", Replaced(None, 1)))
    assert list(list_partitions(store, "argo")) == ["a" * 32]
    other = replace(made[0], fingerprint="c" * 32)
    store.put_bytes(b"{}", item_key(other))
    assert len(items_of(store, other)) == 2
    assert list_partitions(store, "argo") == {}


def test_an_item_that_is_behind_its_partition_is_no_fault(tmp_path: Path, make: Make) -> None:
    """Readers and `verify` trust the footer; a partition that is older than its item, or damaged, is one."""
    store = FolderStore(str(tmp_path / "out"))
    publish(store, first := make("a", Replaced(None, 1)))
    for file in make("b", Replaced(None, 2))[1].files[:2]:
        store.put_file(file.path, f"data/argo/290226x/static/{file.key}.parquet")
    assert check_item(store, item_key(first[0]), Listing(store.list_objects()), links=False) == []
    store.put_bytes(b"cut", LEVELS)
    assert [
        fault.key for fault in check_item(store, item_key(first[0]), Listing(store.list_objects()), links=False)
    ] == [LEVELS]


def test_what_was_lost_for_a_passing_cause_is_asked_for_again(tmp_path: Path, make: Make) -> None:
    """The rows that could be had are there; the next plan finds the bucket not done. What is damaged is final."""
    store = FolderStore(str(tmp_path / "out"))
    job, made = make("a", Replaced(None, 1))
    lost = AssetLoss("2902269", "D2902269_001.nc", "https://host", "TransientAssetError", "HTTP 503", 4)
    publish(store, (job, replace(made, losses=(lost,))))
    assert generation_of(store, LEVELS) == 1
    assert list_partitions(store, "argo") == {}
    damaged = replace(lost, error="PermanentAssetError")
    job, made = make("b", Replaced(store.version_of(LEVELS), 2))
    publish(store, (job, replace(made, losses=(damaged,))))
    assert list(list_partitions(store, "argo")) == [job.fingerprint]


def test_only_tables_of_buckets_are_partitions() -> None:
    assert is_partition(LEVELS)
    assert not is_partition("data/argo/290226x/static/inputs_aaaaaaaaaaaa_bbbbbbbbbbbb.json")
    assert not is_partition("items/argo/290226x/static/levels.parquet")
