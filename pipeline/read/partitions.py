"""Committed Argo partitions, a few columns and rows at a time, wherever they lie.

A partition may be replaced at any moment. What is read through one open file is always of one put: on a disk the file
stays as it was while it is open, and on S3 every range is asked for with If-Match.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from botocore.exceptions import BotoCoreError
from numpy.typing import NDArray

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.plan.argo_schema import IDENTITY, Footer, read_footer
from pipeline.read.access import Access, check_href, s3_options

HEADS = (*IDENTITY, "time", "time_qc", "latitude", "longitude", "position_qc", "data_mode", "file")
"""Columns of a profile that both tables have."""


@dataclass(frozen=True)
class Partition:
    """Where the tables of a bucket lie; frozen, picklable, free of secrets."""

    levels: str
    """Address of `levels.parquet`."""
    access: Access

    @property
    def profiles(self) -> str:
        """Address of `profiles.parquet`, beside it."""
        return self.levels.rpartition("/")[0] + "/profiles.parquet"


@dataclass(frozen=True)
class Heads:
    """The profiles of a partition, in the order of its levels."""

    footer: Footer
    table: pa.Table
    """One row a profile: `HEADS`, the mode of each parameter (`temp_mode`), and `levels`, how many it has."""
    columns: frozenset[str]
    """Of the levels."""

    @property
    def first(self) -> NDArray[np.int64]:
        """(profile + 1,): the row of `levels.parquet` that each begins with; one without levels has a row as well."""
        rows = np.maximum(self.table["levels"].to_numpy(), 1)
        return np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)


@contextmanager
def open_table(href: str, access: Access) -> Iterator[pq.ParquetFile]:
    """One Parquet file, of which only what is asked for is read. Raises AssetError naming it."""
    check_href(href, access)
    try:
        with _source(href, access) as source, pq.ParquetFile(source, pre_buffer=True) as file:
            yield file
    except AssetError:
        raise
    except FileNotFoundError as error:
        raise PermanentAssetError(href, "there is no such file") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise PermanentAssetError(href, f"found no Parquet file that can be read: {error}") from error
    except PermissionError as error:
        raise PermanentAssetError(href, f"it may not be read: {error}") from error
    except (OSError, BotoCoreError) as error:
        raise TransientAssetError(href, f"{type(error).__name__}: {error}") from error


def read_heads(partition: Partition) -> Heads:
    """Every profile of a partition.

    `profiles.parquet` is put after `levels.parquet`. Where it is of another put, or not there, what the levels
    themselves say is taken: more is read, and nothing is wrong. Raises AssetError.
    """
    with open_table(partition.levels, partition.access) as levels:
        footer = read_footer(levels.metadata.metadata, partition.levels)
        columns = frozenset(levels.schema_arrow.names)
        wanted = [*HEADS, *(f"{name.lower()}_mode" for name in footer.parameters)]
        table = _beside(partition, footer, [*wanted, "levels"])
        if table is None or int(np.maximum(table["levels"].to_numpy(), 1).sum()) != levels.metadata.num_rows:
            table = _heads_of(levels.read(columns=[*wanted, "level"]))
    return Heads(footer, table, columns)


def read_levels(
    partition: Partition, columns: Sequence[str], rows: tuple[int, int], fingerprint: tuple[str, int]
) -> pa.Table:
    """Columns of some rows, from the first to the one before the last; only row groups that hold some are read.

    fingerprint: of the put that the rows were counted in, and its generation. Raises PermanentAssetError where the
    partition was replaced since, and AssetError where it cannot be read.
    """
    with open_table(partition.levels, partition.access) as file:
        footer = read_footer(file.metadata.metadata, partition.levels)
        if (footer.fingerprint, footer.generation) != fingerprint:
            raise PermanentAssetError(
                partition.levels,
                f"found generation {footer.generation} ({footer.fingerprint[:12]}), expected {fingerprint[1]} "
                f"({fingerprint[0][:12]}): the partition was replaced since it was opened; open it again",
            )
        groups, skipped = _groups(file.metadata, *rows)
        table = file.read_row_groups(groups, columns=list(columns))
    return table.slice(rows[0] - skipped, rows[1] - rows[0])


def _groups(metadata: pq.FileMetaData, start: int, stop: int) -> tuple[list[int], int]:
    """Row groups that hold rows of a range, and how many rows lie before them."""
    ends = np.cumsum([metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)])
    begins = np.concatenate([[0], ends[:-1]])
    found = np.flatnonzero((begins < stop) & (ends > start))
    return found.tolist(), int(begins[found[0]]) if len(found) else start


def _beside(partition: Partition, footer: Footer, columns: Sequence[str]) -> pa.Table | None:
    """The rows of `profiles.parquet`, where it is of the same put."""
    try:
        with open_table(partition.profiles, partition.access) as file:
            other = read_footer(file.metadata.metadata, partition.profiles)
            if (other.fingerprint, other.generation) != (footer.fingerprint, footer.generation):
                return None
            return file.read(columns=list(columns))
    except PermanentAssetError:
        return None


def _heads_of(rows: pa.Table) -> pa.Table:
    """One row a profile from the levels themselves: a profile begins where its identity changes."""
    begins = np.zeros(len(rows), np.bool_)
    begins[:1] = True
    for name in IDENTITY:
        column = rows[name].combine_chunks()
        begins[1:] |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    first = np.flatnonzero(begins)
    counted = rows["level"].is_valid().to_numpy().astype(np.int64)
    levels = np.add.reduceat(counted, first) if len(first) else counted
    return rows.drop_columns(["level"]).take(first).append_column("levels", pa.array(levels, pa.int32()))


@contextmanager
def _source(href: str, access: Access) -> Iterator[Any]:
    if "://" not in href:
        yield href
        return
    import s3fs  # noqa: PLC0415 (slow to import, and a folder does not need it)

    with s3fs.S3FileSystem(**s3_options(access)).open(href, "rb", cache_type="none") as file:
        yield file
