"""Laws of reading partitions: whichever table it comes from a profile is the same, and two puts are never mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import PermanentAssetError, StoreError
from pipeline.read.access import Access
from pipeline.read.partitions import Partition, open_table, read_heads, read_levels
from tests.argo_partitions import Cast, water, write_partition

CASTS = [
    Cast(2900001, 1, 10.5, 60.5, values=water(np.array([5.0, 50.0, 500.0]))),
    Cast(2900001, 2, 10.6, 60.6, values={}),
    Cast(2900001, 2, 10.6, 60.6, direction="D", values=water(np.array([5.0, 100.0]))),
    Cast(2900003, 1, None, None, time=None, values=water(np.array([4.0]))),
]


def partition(path: Path) -> Partition:
    return Partition(str(path), Access())


def test_heads_say_where_the_levels_of_each_profile_are(tmp_path: Path) -> None:
    where = partition(write_partition(tmp_path, "290000x", CASTS))
    heads = read_heads(where)
    assert heads.table["levels"].to_pylist() == [3, 0, 2, 1]
    assert heads.first.tolist() == [0, 3, 4, 6, 7]  # one without levels has a row as well
    assert heads.table["direction"].to_pylist() == ["A", "A", "D", "A"]
    put = heads.footer.fingerprint, heads.footer.generation
    rows = read_levels(where, ["wmo", "cycle", "pres"], (4, 6), put)
    assert rows["pres"].to_pylist() == [5.0, 100.0]


@pytest.mark.parametrize("damage", ["missing", "older", "no parquet"])
def test_heads_come_from_the_levels_where_the_profiles_are_of_another_put(tmp_path: Path, damage: str) -> None:
    where = partition(write_partition(tmp_path, "290000x", CASTS, generation=2))
    expected = read_heads(where)
    beside = Path(where.profiles)
    if damage == "missing":
        beside.unlink()
    elif damage == "no parquet":
        beside.write_bytes(b"<html>")
    else:
        older = write_partition(tmp_path / "older", "290000x", CASTS[:1], generation=1)
        beside.write_bytes(Path(partition(older).profiles).read_bytes())
    found = read_heads(where)
    assert found.first.tolist() == expected.first.tolist()
    for name in expected.table.column_names:
        assert found.table[name].to_pylist() == expected.table[name].to_pylist(), name


def test_a_partition_that_was_replaced_is_not_read_as_if_it_were_the_same(tmp_path: Path) -> None:
    where = partition(write_partition(tmp_path, "290000x", CASTS))
    heads = read_heads(where)
    write_partition(tmp_path, "290000x", CASTS[::-1], generation=2)
    with pytest.raises(PermanentAssetError, match=r"generation 2 .* expected 1 .* open it again"):
        read_levels(where, ["pres"], (0, 3), (heads.footer.fingerprint, heads.footer.generation))


def test_a_file_that_is_open_stays_what_it_was(tmp_path: Path) -> None:
    where = partition(write_partition(tmp_path, "290000x", CASTS))
    with open_table(where.levels, where.access) as file:
        other = write_partition(tmp_path / "other", "290000x", CASTS[:1], generation=2)
        other.replace(where.levels)
        assert file.read(columns=["pres"]).num_rows == 7


@pytest.mark.parametrize("rows", [(0, 1), (0, 700), (123, 457), (699, 700), (5, 5)])
def test_any_range_of_rows_is_those_rows(tmp_path: Path, rows: tuple[int, int]) -> None:
    casts = [Cast(2900001, cycle, 0.0, 0.0, values=water(np.arange(1.0, 8.0) + cycle)) for cycle in range(100)]
    where = partition(write_partition(tmp_path, "290000x", casts, row_group=64))
    put = "290000x-1", 1
    whole = read_levels(where, ["pres"], (0, 700), put)["pres"].to_pylist()
    assert read_levels(where, ["pres"], rows, put)["pres"].to_pylist() == whole[slice(*rows)]


def test_what_is_no_partition_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(PermanentAssetError, match=r"nowhere\.parquet: there is no such file"):
        read_heads(Partition(str(tmp_path / "nowhere.parquet"), Access()))
    bad = tmp_path / "levels.parquet"
    bad.write_bytes(b"PAR1 and no more")
    with pytest.raises(PermanentAssetError, match="no Parquet file"):
        read_heads(Partition(str(bad), Access()))
    import pyarrow as pa  # noqa: PLC0415 (only here)
    import pyarrow.parquet as pq  # noqa: PLC0415 (the same)

    pq.write_table(pa.table({"a": [1]}), bad)
    with pytest.raises(StoreError, match="found no footer of ours"):
        read_heads(Partition(str(bad), Access()))
