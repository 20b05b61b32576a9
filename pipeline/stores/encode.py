"""Columns as PostgreSQL's binary COPY takes them: the numbers of all profiles at once, no Python object a level.

Formats: https://www.postgresql.org/docs/current/sql-copy.html (binary format) and `array_send` of its arrayfuncs.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_ELEMENTS = {pa.float32(): (700, ">f4"), pa.float64(): (701, ">f8"), pa.int8(): (21, ">i2")}
"""By Arrow type, the object id of PostgreSQL's real, double precision and smallint, and how a value is sent."""

Field = bytes | None
"""One value as it is sent; None is NULL."""


def encode_arrays(column: pa.ChunkedArray, first: NDArray[np.int64]) -> list[Field]:
    """A column of levels as one array a profile; None where the profile has no value of it at all.

    column: float32, float64 or int8, (level,); first: (profile + 1,) offsets of the profiles' levels.
    """
    oid, form = _ELEMENTS[column.type]
    width = np.dtype(form).itemsize
    missing = np.asarray(column.is_null())
    values = np.asarray(pc.fill_null(column, 0)).astype(form)
    cells = np.empty((len(values), 4 + width), np.uint8)
    cells[:, :4] = np.where(missing, -1, width).astype(">i4").view(np.uint8).reshape(-1, 4)
    cells[:, 4:] = values.view(np.uint8).reshape(-1, width)
    sent = np.ones(cells.shape, np.bool_)
    sent[missing, 4:] = False  # of a null only its length, -1, is sent
    body = cells[sent].tobytes()
    ends = _offsets(np.where(missing, 4, 4 + width))[first].tolist()
    nulls = np.diff(_offsets(missing)[first]).tolist()
    counts = np.diff(first).tolist()
    return [
        None
        if nulls[i] == count
        else struct.pack(">iiIii", 1, int(nulls[i] > 0), oid, count, 1) + body[ends[i] : ends[i + 1]]
        for i, count in enumerate(counts)
    ]


def encode_row(fields: Sequence[Field]) -> bytes:
    """One tuple of a COPY."""
    parts = [struct.pack(">h", len(fields))]
    for field in fields:
        parts += [struct.pack(">i", -1)] if field is None else [struct.pack(">i", len(field)), field]
    return b"".join(parts)


def encode_copy(rows: Iterable[bytes]) -> bytes:
    """A whole COPY of encoded rows."""
    return b"".join([SIGNATURE, *rows, TRAILER])


def smallint(value: int | None) -> Field:
    """2 bytes."""
    return None if value is None else struct.pack(">h", value)


def integer(value: int | None) -> Field:
    """4 bytes."""
    return None if value is None else struct.pack(">i", value)


def double(value: float | None) -> Field:
    """8 bytes."""
    return None if value is None else struct.pack(">d", value)


def text(value: str | None) -> Field:
    """PostgreSQL has no NUL in texts: what a file pads with is left out."""
    return None if value is None else value.replace("\0", "").encode()


def jsonb(value: str | None) -> Field:
    """A JSON text, after the version of the format."""
    return None if value is None else b"\x01" + value.encode()


def moment(value: datetime | None) -> Field:
    """`timestamptz`: microseconds since 2000."""
    if value is None:
        return None
    since = value - _EPOCH
    return struct.pack(">q", (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _offsets(sizes: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
