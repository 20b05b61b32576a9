"""Committed partitions, read as rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import StoreError
from pipeline.plan.argo_schema import NoFooterError, partition_key
from pipeline.stores.partition import SETTLED_S, PartitionFile, Profile, list_partitions
from pipeline.write.store import Store
from tests.stores.partitions import PRODUCT, Cast, cycles, put_partition


def read(store: Store, bucket: str) -> list[Profile]:
    return [one for group in PartitionFile(store, PRODUCT, bucket).profiles() for one in group]


def regroup(store: Store, bucket: str, rows: int) -> None:
    """The same table, in row groups of another size."""
    key = partition_key(PRODUCT, bucket)
    table = pq.read_table(pa.BufferReader(store.get_bytes(key)))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=rows)
    store.put_bytes(sink.getvalue().to_pybytes(), key)


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 1000])
def test_profiles_are_the_same_wherever_row_groups_end(store: Store, rows: int) -> None:
    bucket = put_partition(store, [*cycles(4), Cast(cycle=9, levels=0), Cast(cycle=10, levels=9)], 1)
    whole = read(store, bucket)
    regroup(store, bucket, rows)
    assert read(store, bucket) == whole
    assert [one.identity[1] for one in whole] == [1, 2, 3, 4, 9, 10]


def test_a_digest_changes_with_anything_that_is_held(store: Store) -> None:
    one = Cast(levels=3)
    changed = [
        Cast(levels=4),
        Cast(levels=3, offset=0.001),
        Cast(levels=3, mode="A"),
        Cast(levels=3, latitude=10.0000001),
        Cast(levels=3, time=None),
        Cast(levels=3, values={"temp_qc": (1, 2, 1)}),
        Cast(levels=3, values={"psal_raw": (22.0, float("nan"), 22.2)}),
        Cast(levels=3, values={"psal_adjusted_error": (None, None, 0.1)}),
    ]
    digests = [read(store, put_partition(store, [each], 1))[0].digest for each in (one, one, *changed)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == len(digests) - 1


def test_a_profile_without_levels_is_a_row_without_numbers(store: Store) -> None:
    (profile,) = read(store, put_partition(store, [Cast(levels=0)], 1))
    assert profile.row[13] == (0).to_bytes(4, "big")
    assert not profile.measured


def test_numbers_of_64_bits_are_kept_apart(store: Store) -> None:
    cast = Cast(levels=2, values={"mtime": (0.1, 0.2), "mtime_raw": (0.1, 0.2)})
    (profile,) = read(store, put_partition(store, [cast], 1, parameters=("PRES", "MTIME")))
    assert {table: [row[0] for row in rows] for table, rows in profile.measured.items()} == {
        "measurements": [b"depth", b"pres"],
        "measurements_wide": [b"mtime"],
    }


def test_levels_that_do_not_count_from_0_are_refused_by_name(store: Store) -> None:
    bucket = put_partition(store, [Cast(cycle=7, levels=3)], 1)
    key = partition_key(PRODUCT, bucket)
    table = pq.read_table(pa.BufferReader(store.get_bytes(key)))
    place = table.column_names.index("level")
    sink = pa.BufferOutputStream()
    pq.write_table(table.set_column(place, "level", pa.array([0, 2, 3], pa.int32())), sink)
    store.put_bytes(sink.getvalue().to_pybytes(), key)
    with pytest.raises(StoreError, match=r"found level 2 of wmo 2902269, cycle 7, .* expected 1"):
        read(store, bucket)


def test_what_describes_another_put_is_left_out_until_the_tables_agree(store: Store) -> None:
    bucket = put_partition(store, cycles(1), 1)
    assert PartitionFile(store, PRODUCT, bucket).whole
    described = read(store, bucket)[0].row[14:]
    put_partition(store, cycles(1, mode="D"), 2, beside=False)
    file = PartitionFile(store, PRODUCT, bucket)
    (profile,) = next(file.profiles())
    assert not file.whole
    assert None not in described and profile.row[14:] == (None, None)


def test_only_committed_partitions_of_the_product_are_listed(store: Store) -> None:
    bucket = put_partition(store, cycles(1), 1)
    other = put_partition(store, cycles(1, wmo=13857), 1)
    store.put_bytes(b"", "data/argo/290226x/static/ledger.parquet")
    store.put_bytes(b"", "data/argo2/290226x/static/levels.parquet")
    store.put_bytes(b"", "data/argo/2902270/static/profiles.parquet")
    assert [one.bucket for one in list_partitions(store, PRODUCT)] == [other, bucket]


def test_an_object_is_told_by_its_time_only_when_it_cannot_be_replaced_within_it(store: Store, tmp_path: Path) -> None:
    import os  # noqa: PLC0415

    bucket = put_partition(store, cycles(1), 1)
    assert list_partitions(store, PRODUCT)[0].modified_s is None
    path = tmp_path / "out" / partition_key(PRODUCT, bucket)
    then = path.stat().st_mtime - 2 * SETTLED_S
    os.utime(path, (then, then))
    assert list_partitions(store, PRODUCT)[0].modified_s == pytest.approx(then)


def test_what_is_no_partition_is_refused_by_key(store: Store) -> None:
    store.put_bytes(b"<!DOCTYPE html>", partition_key(PRODUCT, "290226x"))
    with pytest.raises(NoFooterError, match=r"key data/argo/290226x/static/levels\.parquet: found no whole Parquet"):
        PartitionFile(store, PRODUCT, "290226x")
