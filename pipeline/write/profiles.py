"""The Parquet tables of an Argo partition: written sorted, with statistics and a footer, and read back whole."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import OutputError, StoreError, TransientStoreError
from pipeline.plan.argo_columns import described
from pipeline.plan.argo_schema import IDENTITY, TABLES, Footer, NoFooterError, partition_key, read_footer
from pipeline.write.store import Store

ROWS = 131_072
"""Rows of a row group at most: what a reader of one region or year reads for nothing, at its edges."""
PARQUET_TYPE = "application/vnd.apache.parquet"
ARROW_TYPE = "application/vnd.apache.arrow.file"
Columns = Callable[[Footer], list[str]]
_TRIES = 5
_OF_ARROW = {"zstd": "zstd", "lz4": "lz4"}


@dataclass(frozen=True)
class Partition:
    """What lies at a partition's keys, as of one moment."""

    version: str | None
    """Of `levels`, to the store: what a put is conditional on; None where only what is derived of it is left."""
    footer: Footer | None
    """None: what lies there is no partition of ours, so everything is made anew."""
    generation: int
    """The greatest that any of its tables says of itself; 0 where none does."""
    tables: Mapping[str, pa.Table]
    """By name; empty unless all three are of one put, since rows are taken over from all of them or from none."""


def write_parquet(table: pa.Table, path: Path, footer: Footer, compression: str = "zstd") -> None:
    """A table of a partition as Parquet: row groups of at most ROWS with statistics and page index, sorted as it is.

    What each column means stands in the metadata of its field.

    Raises OutputError where what was written cannot be read back whole.
    """
    order = [name for name in (*IDENTITY, "level") if name in table.column_names]
    by_identity = [pq.SortingColumn(table.column_names.index(name)) for name in order]
    pq.write_table(
        pa.table(table.columns, schema=described(table.schema, footer.parameters).with_metadata(footer.metadata())),
        path,
        row_group_size=ROWS,
        compression=compression,
        sorting_columns=by_identity,
        write_statistics=True,
        write_page_index=True,
        write_page_checksum=True,
    )
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as back:
            found = sum(back.read_row_group(number).num_rows for number in range(back.num_row_groups))
            same = back.schema_arrow.equals(table.schema)
    except (pa.ArrowException, OSError) as error:
        raise OutputError(
            f"{path}: found Parquet that cannot be read ({error}), expected {table.num_rows} rows"
        ) from error
    if found != table.num_rows or not same:
        raise OutputError(f"{path}: found {found} rows, expected {table.num_rows} of the same columns")


def write_arrow(table: pa.Table, path: Path, footer: Footer, compression: str = "zstd") -> None:
    """The same as an Arrow IPC file (Feather 2), in batches of at most ROWS; of its two codecs, or none."""
    options = pa.ipc.IpcWriteOptions(compression=_OF_ARROW.get(compression))
    schema = described(table.schema, footer.parameters).with_metadata(footer.metadata())
    with pa.ipc.new_file(path, schema, options=options) as writer:
        writer.write_table(pa.table(table.unify_dictionaries().columns, schema=schema), max_chunksize=ROWS)


def read_parquet(data: bytes, where: str, columns: Columns | None = None) -> tuple[Footer, pa.Table]:
    """Footer and rows of a table of a partition. columns: by the footer; None: all.

    Raises NoFooterError for what is not Parquet of ours, StoreError for that of a newer release.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        footer = read_footer(file.schema_arrow.metadata, where)
        return footer, file.read(columns and columns(footer)).replace_schema_metadata(None)
    except (pa.ArrowException, OSError) as error:
        raise NoFooterError(
            f"{where}: found no whole Parquet file ({error}), expected a table of a partition"
        ) from error


def read_partition(store: Store, product: str, bucket: str, columns: Columns | None = None) -> Partition | None:
    """A partition as of one moment; None where there is none. columns: those of `levels` that are wanted; None: all.

    Raises TransientStoreError where it is replaced again and again while it is read, StoreError where a newer release
    wrote it.
    """
    key = partition_key(product, bucket)
    for _ in range(_TRIES):
        version = store.version_of(key)
        found = {
            name: _table(store, partition_key(product, bucket, name), columns if name == TABLES[0] else None)
            for name in TABLES
        }
        footer = found["levels"][0]
        whole = footer is not None and all(other == footer for other, _ in found.values())
        rows = {name: table for name, (_, table) in found.items() if table is not None} if whole else {}
        generation = max((one.generation for one, _ in found.values() if one is not None), default=0)
        if store.version_of(key) == version:
            if version is None and generation == 0:
                return None
            return Partition(version, footer, generation, rows)
    raise TransientStoreError(f"{store.uri}, key {key}: found it replaced {_TRIES} times while it was read; try again")


def _table(store: Store, key: str, columns: Columns | None) -> tuple[Footer | None, pa.Table | None]:
    """None for what is absent or damaged: tables beside `levels` follow its put, and a crash may lie between."""
    if store.version_of(key) is None:
        return None, None
    try:
        return read_parquet(store.get_bytes(key), f"{store.uri}, key {key}", columns)
    except NoFooterError:
        return None, None
    except StoreError:
        if store.version_of(key) is None:  # removed meanwhile
            return None, None
        raise
