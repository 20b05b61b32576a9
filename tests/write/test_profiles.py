"""Partitions as Parquet: sorted, with statistics and a footer, the same to every reader, and never half of one put."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import OutputError, StoreError, TransientStoreError
from pipeline.plan.argo_schema import FOOTER, TABLES, Footer, Input, NoFooterError, levels_schema, partition_key
from pipeline.write import profiles
from pipeline.write.profiles import read_parquet, read_partition, write_arrow, write_parquet
from pipeline.write.store import FolderStore

PARAMETERS = ("PRES", "TEMP")
INPUTS = tuple(Input(f"incois/2902269/profiles/D2902269_{n:03d}.nc", "20240101000000", "used") for n in range(2000))
FOOT = Footer(
    "argo", "290226x", "f" * 32, PARAMETERS, 3, "20240102000000", INPUTS, {"qc_level": "standard"}, "CC-BY-4.0"
)


def levels(count: int) -> pa.Table:
    """Profiles of 100 levels; one level has no number, one a stored NaN."""
    row = np.arange(count)
    made = {"wmo": np.full(count, 2902269), "cycle": row // 100, "level": row % 100, "profile_index": np.zeros(count)}
    words = {"direction": "A", "kind": "core", "data_mode": "D", "file": "a.nc", "pres_mode": "D"}
    pres = pa.array((row % 100) * 10.0, mask=row == 1)
    raw = pa.array(np.where(row == 2, np.nan, row % 100), mask=row == 1)
    known = {**made, "pres": pres, "pres_raw": raw, **{name: [word] * count for name, word in words.items()}}
    schema = levels_schema(PARAMETERS)
    columns = [
        pa.array(known[each.name]).cast(each.type) if each.name in known else pa.nulls(count, each.type)
        for each in schema
    ]
    return pa.table(columns, schema=schema)


def put(store: FolderStore, folder: Path, footer: Footer = FOOT, tables: tuple[str, ...] = TABLES) -> None:
    for name in tables:
        write_parquet(levels(200), folder / "one.parquet", footer)
        store.put_file(folder / "one.parquet", partition_key("argo", "290226x", name))


def damaged(data: bytes) -> bytes:
    """One bit of a page that holds levels is not what it was."""
    column = pq.read_metadata(BytesIO(data)).row_group(0).column(5)
    changed = bytearray(data)
    changed[column.data_page_offset + 40] ^= 1
    return bytes(changed)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(str(tmp_path / "out"))


def test_a_footer_comes_back_as_it_was(tmp_path: Path) -> None:
    write_parquet(levels(300), tmp_path / "one.parquet", FOOT)
    footer, table = read_parquet((tmp_path / "one.parquet").read_bytes(), "here")
    assert footer == FOOT
    assert table.schema == levels_schema(PARAMETERS)
    assert table["pres"].null_count == 1
    assert np.isnan(table["pres_raw"][2].as_py())


@pytest.mark.parametrize("compression", ["snappy", "gzip", "lz4", "none"])
def test_other_codecs_hold_the_same(compression: str, tmp_path: Path) -> None:
    """Arrow files have zstd, lz4, or none; the others are none there."""
    write_parquet(levels(300), tmp_path / "one.parquet", FOOT, compression)
    write_arrow(levels(300), tmp_path / "one.arrow", FOOT, compression)
    with pa.ipc.open_file(tmp_path / "one.arrow") as file:
        assert file.read_all().select(["pres", "file"]).equals(levels(300).select(["pres", "file"]))
    assert pq.read_table(tmp_path / "one.parquet", columns=["pres"])["pres"].equals(levels(300)["pres"])
    found = pq.read_metadata(tmp_path / "one.parquet").row_group(0).column(0).compression
    assert found == ("UNCOMPRESSED" if compression == "none" else compression.upper())


def test_two_thousand_inputs_take_few_bytes(tmp_path: Path) -> None:
    write_parquet(levels(100), tmp_path / "many.parquet", FOOT)
    write_parquet(levels(100), tmp_path / "none.parquet", replace(FOOT, inputs=()))
    assert (tmp_path / "many.parquet").stat().st_size - (tmp_path / "none.parquet").stat().st_size < 60_000


def test_row_groups_have_statistics_that_a_range_of_cycles_can_skip_by(tmp_path: Path) -> None:
    count = 2 * profiles.ROWS + 100
    write_parquet(levels(count), tmp_path / "one.parquet", FOOT)
    found = pq.ParquetFile(tmp_path / "one.parquet").metadata
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [profiles.ROWS, profiles.ROWS, 100]
    names = found.schema.names
    columns = [found.row_group(1).column(names.index(name)) for name in ("cycle", "pres", "time")]
    assert {one.compression for one in columns} == {"ZSTD"}
    assert (columns[0].statistics.min, columns[0].statistics.max) == (
        profiles.ROWS // 100,
        (2 * profiles.ROWS - 1) // 100,
    )
    assert columns[0].has_offset_index
    sorting = [names[one.column_index] for one in found.row_group(0).sorting_columns]
    assert sorting == ["wmo", "cycle", "direction", "kind", "profile_index", "level"]


def test_every_reader_sees_the_same_numbers(tmp_path: Path) -> None:
    """pandas, polars, DuckDB and Dask, from the file alone."""
    dask, duckdb, polars, pandas = (
        pytest.importorskip(one) for one in ("dask.dataframe", "duckdb", "polars", "pandas")
    )
    path = tmp_path / "levels.parquet"
    write_parquet(levels(300), path, FOOT)
    expected = (300, 299, sum(n % 100 * 10.0 for n in range(300) if n != 1))
    one = pandas.read_parquet(path)
    assert (len(one), one["pres"].count(), one["pres"].astype(float).sum()) == expected
    assert set(one["kind"]) == {"core"}
    two = polars.read_parquet(path)
    assert (two.height, two["pres"].count(), two["pres"].cast(polars.Float64).sum()) == expected
    assert two.filter(polars.col("direction") == "A").height == 300
    with duckdb.connect() as connection:
        question = "SELECT count(*), count(pres), sum(pres::DOUBLE) FROM read_parquet(?) WHERE kind = 'core'"
        assert connection.execute(question, [str(path)]).fetchone() == expected
    four = dask.read_parquet(path)
    assert (
        len(four),
        int(four["pres"].count().compute()),
        float(four["pres"].astype(float).sum().compute()),
    ) == expected


def test_many_partitions_are_one_table(store: FolderStore, tmp_path: Path) -> None:
    """Readers take a folder of them: columns agree, though each has a footer and words of its own."""
    for bucket in ("290226x", "590044x"):
        write_parquet(levels(100), tmp_path / "one.parquet", replace(FOOT, bucket=bucket))
        store.put_file(tmp_path / "one.parquet", partition_key("argo", bucket))
    import pyarrow.dataset as ds  # noqa: PLC0415

    found = ds.dataset([f"{store.root}/{key}" for key, _ in store.list_objects("data/")], format="parquet")
    assert found.to_table(filter=ds.field("cycle") == 0).num_rows == 200


def test_arrow_holds_the_same_table_and_footer(tmp_path: Path) -> None:
    write_arrow(levels(300), tmp_path / "one.arrow", FOOT)
    with pa.ipc.open_file(tmp_path / "one.arrow") as file:
        assert file.schema.metadata[FOOTER] == FOOT.metadata()[FOOTER]
        assert file.read_all().drop(["pres_raw"]).equals(levels(300).drop(["pres_raw"]))


def test_tables_of_different_puts_are_never_taken_together(store: FolderStore, tmp_path: Path) -> None:
    put(store, tmp_path)
    put(store, tmp_path, replace(FOOT, generation=4), ("levels",))
    found = read_partition(store, "argo", "290226x")
    assert found is not None
    assert (found.generation, found.tables, found.footer) == (4, {}, replace(FOOT, generation=4))
    put(store, tmp_path, replace(FOOT, generation=4))
    found = read_partition(store, "argo", "290226x")
    assert found is not None
    assert sorted(found.tables) == sorted(TABLES)


def test_no_partition_is_none_and_a_damaged_one_is_known_by_its_version(store: FolderStore, tmp_path: Path) -> None:
    assert read_partition(store, "argo", "290226x") is None
    put(store, tmp_path)
    key = partition_key("argo", "290226x")
    store.put_bytes(damaged(store.get_bytes(key)), key)
    found = read_partition(store, "argo", "290226x")
    assert found is not None
    assert (found.footer, found.generation, found.version) == (None, 3, store.version_of(key))


def test_a_partition_of_a_newer_release_is_not_touched(store: FolderStore, tmp_path: Path) -> None:
    put(store, tmp_path, replace(FOOT, format=2))
    with pytest.raises(
        StoreError, match=r"levels\.parquet: found format 2, expected at most 1: a newer release wrote it"
    ):
        read_partition(store, "argo", "290226x")


def test_a_partition_that_never_rests_is_a_passing_fault(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, tmp_path)
    plain = FolderStore.get_bytes

    def replaced(self: FolderStore, key: str) -> bytes:
        data = plain(self, key)
        self.put_bytes(data, key)
        return data

    monkeypatch.setattr(FolderStore, "get_bytes", replaced)
    with pytest.raises(TransientStoreError, match="replaced 5 times while it was read"):
        read_partition(store, "argo", "290226x")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"<html>", BytesIO().getvalue()])
def test_what_is_no_parquet_says_so(data: bytes) -> None:
    with pytest.raises(NoFooterError, match="there: found no whole Parquet file"):
        read_parquet(data, "there")


def test_parquet_of_somebody_else_is_no_partition(tmp_path: Path) -> None:
    pq.write_table(levels(10), tmp_path / "one.parquet")
    with pytest.raises(NoFooterError, match=r"found no footer of ours.*expected the metadata key groundswell"):
        read_parquet((tmp_path / "one.parquet").read_bytes(), "there")


def test_what_cannot_be_read_back_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pq.write_table

    def write(table: pa.Table, path: Path, **settings: object) -> None:
        plain(table, path, **settings)
        path.write_bytes(damaged(path.read_bytes()))

    monkeypatch.setattr(pq, "write_table", write)
    with pytest.raises(OutputError, match=r"one\.parquet: found Parquet that cannot be read"):
        write_parquet(levels(300), tmp_path / "one.parquet", FOOT)


@pytest.mark.parametrize("write", [write_parquet, write_arrow])
def test_a_column_says_what_it_means_in_the_file(tmp_path: Path, write: Callable[..., None]) -> None:
    path = tmp_path / "file"
    write(levels(200), path, FOOT)
    with path.open("rb") as handle:
        schema = pq.read_schema(handle) if write is write_parquet else pa.ipc.open_file(handle).schema
    assert schema.field("temp").metadata[b"units"] == b"degree_Celsius"
    assert FOOTER in schema.metadata
